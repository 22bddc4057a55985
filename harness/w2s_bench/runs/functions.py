"""The installed trust functions as a table: family, track, needs and what they cost, whoever brings them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from w2s_bench.errors import W2SBenchError
from w2s_bench.names import short
from w2s_bench.plugins.checks import Declared
from w2s_bench.plugins.descriptions import module_of
from w2s_bench.plugins.entries import Registered
from w2s_bench.plugins.planning import declarations
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.crossfit import FOLDS
from w2s_bench.protocol.evidence.readings import built_in_reading
from w2s_bench.types import KINDS, Kind, Need, Reader, Supervision

#: Tracks as the leaderboard orders them.
TRACKS: Final[Sequence[Supervision]] = ("none", "trust_set", "privileged")
#: Family of a function whose module lies in no package within its own.
NO_FAMILY: Final = "other"
_READERS: Final[Mapping[Reader, str]] = {
    "teacher": "the teacher",
    "student": "the untuned student",
    "verifier": "the verifier",
    "verifier_cv": "cross-fitted verifiers",
    "student_cv": "cross-fitted students",
    "student_gold_cv": "cross-fitted students",
    "teacher_icl": "the teacher, examples before each prompt",
    "student_icl": "the untuned student, examples before each prompt",
}
#: What is trained for a reader, where it is trained for trust functions alone.
_TRAINED: Final[Mapping[Reader, str]] = {
    "verifier": "tuning the verifier",
    "verifier_cv": f"tuning the verifier and {FOLDS} without a fold of the trust set",
    "student_cv": f"tuning {FOLDS} students without a fold of the pool",
    "student_gold_cv": f"tuning {FOLDS} students without a fold of pool and trust set",
}


@dataclass(frozen=True)
class FunctionRow:
    """One trust function with its default parameters. `fault`: why it could not be built, where it could not be."""

    full_name: str
    origin: str
    family: str
    track: str
    kinds: str
    scope: str
    needs: tuple[str, ...]
    cost: str
    summary: str
    fault: str = ""

    @property
    def name(self) -> str:
        """As one writes it on the command line."""
        return short(self.full_name)

    def shown(self) -> dict[str, str]:
        """As `list trust` has it."""
        return {
            "family": self.family,
            "track": self.track,
            "name": self.full_name,
            "domains": self.kinds,
            "needs": ", ".join(self.needs) or "nothing",
            "cost": self.cost,
            "from": self.origin,
            "summary": self.fault or self.summary,
        }


def function_rows(registry: Registry) -> list[FunctionRow]:
    """Every installed trust function, by family, then track, then name; those of the harness before others of a family."""
    entries = list(registry.trust_functions.values())
    declared = declarations(registry, [(entry.name, {}) for entry in entries])
    rows = [_row(entry, told) for entry, told in zip(entries, declared, strict=True)]
    order: dict[str, int] = {track: rank for rank, track in enumerate(TRACKS)}
    return sorted(
        rows, key=lambda row: (row.family, order.get(row.track, len(order)), "/" in short(row.name), row.name)
    )


def family_of(registered: Registered) -> str:
    """The package that the function's module lies in, within the plugin's own: `acme.geometry.lid` is of family `geometry`.

    A module right below the plugin's package, or that stands alone, is of none; so is what has no package of its own.
    """
    package, _, _ = module_of(registered.factory).rpartition(".")
    _, dot, family = package.rpartition(".")
    return family if dot else NO_FAMILY


def cost_of(needs: Iterable[Need]) -> str:
    """What is read of models for the needs, in passes over the labels; equal ones are shared by all functions that run.

    Readings of plugins are called by their names. What a function computes besides is its docstring's to say.
    """
    kinds: dict[str, set[Kind]] = {}
    for need in sorted(needs, key=lambda need: list(_READERS).index(need.of)):
        own = built_in_reading(need.read, need.parameters)
        what = f"{need.read} of {_READERS[need.of]}" if own is None else f"a pass of {_READERS[need.of]}"
        if own is None or not own.comes_with_labels(need.of):
            kinds.setdefault(what, set()).update([need.when] if need.when else KINDS)
    told = [what if set(KINDS) <= of else f"{what} ({', '.join(sorted(of))})" for what, of in kinds.items()]
    asked = {need.of for need in needs}
    return ", ".join([*(what for of, what in _TRAINED.items() if of in asked), *told]) or "none"


def _row(entry: Registered, declared: Declared | W2SBenchError) -> FunctionRow:
    named = {
        "full_name": entry.name,
        "origin": f"{entry.distribution} {entry.version}",
        "family": family_of(entry),
        "summary": entry.summary,
    }
    try:
        if isinstance(declared, W2SBenchError):
            raise declared
        needs = tuple(_written(need, declared) for need in declared.needs)
        kinds = "all" if set(declared.kinds) == set(KINDS) else ", ".join(declared.kinds)
        cost = cost_of(declared.needs)
    except W2SBenchError as error:
        return FunctionRow(**named, track="?", kinds="?", scope="?", needs=(), cost="?", fault=str(error))
    told = {"track": declared.supervision, "kinds": kinds, "scope": declared.scope}
    return FunctionRow(**named, **told, needs=needs, cost=cost)


def _written(need: Need, declared: Declared) -> str:
    """A need, with the kind of domain that it belongs to where the function is for both."""
    return f"{need} ({need.when})" if need.when and len(declared.kinds) > 1 else str(need)
