"""What plugins may bring: one row of facts a kind of entry. A hook is added here, and to the contract in `hookspecs`.

Whoever loads, names, lists, builds or describes entries goes through this table, and asks no kind by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from w2s_bench.controls import MADE_OF_ARM, OWN_ARMS
from w2s_bench.hookspecs import Domain, LanguageModel, Objective, Reading
from w2s_bench.names import BUILT_IN, normalized
from w2s_bench.plugins.checks import (
    check_domain,
    check_model,
    check_objective,
    check_reading,
    check_trust_function,
    guarded,
    tells_size,
    told_size,
)
from w2s_bench.plugins.descriptions import (
    DescribedDomain,
    DescribedObjective,
    DescribedReading,
    declared_to_json,
)
from w2s_bench.resolvers import PREFIXES, is_bare_path
from w2s_bench.types import JSON

EntryKind = Literal["trust_function", "domain", "model", "reading", "objective"]


@dataclass(frozen=True)
class Hook:
    """One hook, and what the entries that it gives have in common."""

    #: Of the function that a plugin implements.
    name: str
    #: What `w2s-bench list` calls the entries.
    topic: str
    #: Refuses what a factory built if it breaks the contract; its first argument says who built it.
    check: Callable[[str, Any], object]
    #: What planning must know of what a factory built, as JSON; said in the process that looks at the plugin.
    describe: Callable[[str, Any], JSON]
    #: Whether `describe` reads data that may lie anywhere: it may then take long, and its answer is not remembered.
    reads_data: bool = False
    #: What a dry run asks besides, of a thing that is built, as JSON; None: nothing.
    measure: Callable[[str, Any], JSON] | None = None
    #: Whether all that its entries do comes from the module of their factory and what it imports, so that this is the source
    #: that they are known by; otherwise it is the whole package, beside whose code their data lie.
    is_code_alone: bool = False
    #: Names that no entry may have, and why.
    reserved: frozenset[str] = frozenset()
    reserved_for: str = ""
    #: First part of the names of the built-in distribution's entries.
    built_in_prefix: str = BUILT_IN
    #: How else one gets an entry, for somebody who wrote a name that nobody knows.
    hint: str = ""


def _described_trust_function(who: str, built: Any) -> JSON:
    return declared_to_json(check_trust_function(who, built))


def _described_domain(who: str, domain: Domain) -> JSON:
    return asdict(DescribedDomain.of(domain, guarded(who, "fingerprint()", domain.fingerprint)))


def _described_model(who: str, model: LanguageModel) -> JSON:
    digest = guarded(who, "fingerprint()", model.fingerprint)
    return {"name": model.name, "digest": digest, "tells_size": tells_size(model)}


def _measured_model(who: str, model: LanguageModel) -> JSON:
    told = told_size(who, model)
    return None if told is None else asdict(told)


def _described_reading(who: str, reading: Reading) -> JSON:
    return asdict(guarded(who, "its attributes", lambda: DescribedReading.of(reading)))


def _described_objective(who: str, objective: Objective) -> JSON:
    return asdict(guarded(who, "its attributes", lambda: DescribedObjective.of(objective)))


HOOKS: Final[Mapping[EntryKind, Hook]] = MappingProxyType(
    {
        "trust_function": Hook(
            "w2s_trust_functions",
            "trust",
            check_trust_function,
            _described_trust_function,
            is_code_alone=True,
            reserved=frozenset(OWN_ARMS) | frozenset(MADE_OF_ARM),
            reserved_for="an arm that the harness owns",
        ),
        "domain": Hook(
            "w2s_domains",
            "domains",
            check_domain,
            _described_domain,
            reads_data=True,
            hint="any lm-eval task becomes one by a small plugin (docs/plugins.md)",
        ),
        "model": Hook(
            "w2s_models",
            "models",
            check_model,
            _described_model,
            reads_data=True,
            measure=_measured_model,
            built_in_prefix="tiny",
        ),
        "reading": Hook("w2s_readings", "readings", check_reading, _described_reading, is_code_alone=True),
        "objective": Hook("w2s_objectives", "objectives", check_objective, _described_objective, is_code_alone=True),
    }
)
#: First parts of names that mean something else than a distribution.
RESERVED_PREFIXES: Final = PREFIXES | {hook.built_in_prefix for hook in HOOKS.values()} - {BUILT_IN}


def words(entry_kind: EntryKind) -> str:
    """A kind of entry as one reads it."""
    return entry_kind.replace("_", " ")


def full_name(distribution: str, entry_kind: EntryKind, name: str) -> str:
    """`distribution/name`, or `tiny/name` for the models that the harness brings."""
    return f"{HOOKS[entry_kind].built_in_prefix if distribution == BUILT_IN else distribution}/{name}"


def distribution_of(name: str) -> str:
    """The distribution that brings what a full name stands for; what no plugin can bring is the built-in one's."""
    prefix, slash, _ = name.partition("/")
    distribution = normalized(prefix)
    return distribution if slash and distribution not in RESERVED_PREFIXES and not is_bare_path(name) else BUILT_IN
