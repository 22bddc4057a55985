"""Which trust functions a run takes: those named, every installed one, or the default of its suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from w2s_bench.controls import MADE_OF_ARM, OWN_ARMS, made_of
from w2s_bench.errors import SuiteError, W2SBenchError
from w2s_bench.names import BUILT_IN, short
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.spec import parse_spec, write_spec
from w2s_bench.types import Kind

if TYPE_CHECKING:
    from w2s_bench.suite import Suite

#: What stands for every installed trust function, where trust functions are named.
ALL: Final = "all"


@dataclass(frozen=True)
class Chosen:
    """A trust function of a run, as `name` or `name:key=value,…`.

    `named`: somebody wrote it down, so that a fault of it ends the run; else it is a problem of its own. `must_apply`: it was
    asked for this very run, so that a domain must be there that it is meant for.
    """

    spec: str
    named: bool
    must_apply: bool


def chosen_trust_functions(registry: Registry, suite: Suite, trust: Sequence[str] | None) -> list[Chosen]:
    """Those in `trust`, each once, where `all` is every installed one; None: the default of the suite.

    A suite's own list chooses among the harness's trust functions alone: what an installed plugin brings runs besides, since
    the suite cannot have known it. A suite without a list takes everything.
    """
    everything = [Chosen(name, False, False) for name in sorted(registry.trust_functions)]
    for text in trust or ():
        _refuse_own_arm(text)
    if trust is not None:
        asked = [everything if text == ALL else [Chosen(text, True, True)] for text in trust]
        return _each_once(registry, (function for part in asked for function in part))
    if suite.trust_functions is None:
        return everything
    listed = [Chosen(spec, True, False) for spec in suite.trust_functions]
    names = set()
    for chosen in listed:
        try:
            names.add(registry.resolve("trust_function", parse_spec(chosen.spec)[0]).name)
        except W2SBenchError as error:
            raise SuiteError(
                f"suite {suite.name!r} runs trust function {chosen.spec!r} by default, which cannot be had: {error} (--trust "
                "says what to run instead)"
            ) from error
    of_plugins = [
        chosen
        for chosen in everything
        if registry.trust_functions[chosen.spec].distribution != BUILT_IN and chosen.spec not in names
    ]
    return _each_once(registry, [*listed, *of_plugins])


def passed_over(kinds_of: Mapping[str, tuple[Kind, ...]], domains: Mapping[str, Kind]) -> tuple[str, ...]:
    """A sentence for every domain in which some trust functions, each with its kinds, are not applicable: no cell tells of them."""
    told = []
    for domain, kind in domains.items():
        without = sorted(short(name) for name, kinds in kinds_of.items() if kind not in kinds)
        if without:
            elsewhere = "generate" if kind == "choice" else "choice"
            are = "is" if len(without) == 1 else "are"
            told.append(
                f"not applicable to {domain}, a {kind} domain: {', '.join(without)} {are} for {elsewhere} domains alone"
            )
    return tuple(told)


def unordered(reasons: Mapping[str, Sequence[str | None]]) -> tuple[str, ...]:
    """A sentence for every domain in which controls whose rows have an order have no cell, each with its reason."""
    told = {domain: next((why for why in of_arms if why is not None), None) for domain, of_arms in reasons.items()}
    words = " and ".join(word for word, made in MADE_OF_ARM.items() if made.in_order)
    return tuple(f"not applicable to {domain}: {words}; {why}" for domain, why in told.items() if why is not None)


def unread(reasons: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """A sentence for every domain and reason why some trust functions have no scores there: domain → function → reason."""
    told = []
    for domain, of_functions in reasons.items():
        for why in dict.fromkeys(of_functions.values()):
            names = ", ".join(sorted(name for name, own in of_functions.items() if own == why))
            told.append(f"not applicable to {domain}: {names}; {why}")
    return tuple(told)


def _refuse_own_arm(text: str) -> None:
    """A control is no trust function; where one is asked for by its name, how to have it is said."""
    name = short(text.partition(":")[0].strip())
    if name in MADE_OF_ARM:
        made = made_of(short(text))
        raise W2SBenchError(
            f"{text!r} is a control that is made of a trust function's arm; name the trust function"
            + (f", --trust {made[1]}," if made else "")
            + f" and give --control {name} or --decompose"
        )
    if (own := OWN_ARMS.get(name)) is not None:
        how = f"a run with --control {name} or --decompose has it" if own.explains else "every run has it"
        raise W2SBenchError(f"{text!r} is a {own.role} of the harness's own and no trust function: {how}")


def _each_once(registry: Registry, chosen: Iterable[Chosen]) -> list[Chosen]:
    """A function may be written in full or not, and be among all as well; what was named goes before what was not."""
    out: dict[str, Chosen] = {}
    for function in chosen:
        name, parameters = parse_spec(function.spec)
        full = write_spec(registry.resolve("trust_function", name).name, parameters)
        if full not in out or (function.must_apply and not out[full].must_apply):
            out[full] = function
    return [*out.values()]
