"""Which installed trust functions a file's signals serve, and for the others what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from w2s_bench.errors import LabelsError, W2SBenchError
from w2s_bench.names import short
from w2s_bench.plugins.checks import Declared, check_trust_function
from w2s_bench.plugins.planning import declarations
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.spec import parse_spec, write_spec
from w2s_bench.scoring.evidence import Available
from w2s_bench.types import JSON, Need, Scope, Supervision

#: What stands for every trust function that applies.
ALL = "all"
#: Right and wrong labels that a trust set must have at least for a function to learn from it, by cross-fitting.
LEAST_OF_EACH = 10


@dataclass(frozen=True)
class Wanted:
    """A trust function with its parameters, as it is written; `lacks` is what it takes to apply it, empty where it applies."""

    spec: str
    name: str
    parameters: dict[str, JSON]
    supervision: Supervision | None
    scope: Scope | None
    needs: tuple[Need, ...]
    lacks: tuple[str, ...]
    #: Whether somebody wrote it down, so that a fault of it ends the call; one that `all` stands for is left out.
    named: bool = True

    @property
    def learns(self) -> bool:
        return self.supervision == "trust_set"


def judged(registry: Registry, specs: Sequence[str], available: Available, trust: Sequence[bool]) -> list[Wanted]:
    """Each of `specs` with what it lacks; `trust` says of each row of the trust set whether its label is right."""
    parsed = [parse_spec(spec) for spec in specs]
    resolved = [(registry.resolve("trust_function", name).name, parameters) for name, parameters in parsed]
    told = declarations(registry, resolved)
    return [
        _judged(name, parameters, declared, available, trust)
        for (name, parameters), declared in zip(resolved, told, strict=True)
    ]


def installed(registry: Registry, available: Available, trust: Sequence[bool]) -> list[Wanted]:
    """Every installed trust function with its default parameters."""
    return judged(registry, [*registry.trust_functions], available, trust)


def chosen(registry: Registry, specs: Sequence[str], available: Available, trust: Sequence[bool]) -> list[Wanted]:
    """Those that were asked for, each once, all of which apply; `all` is every installed one that does."""
    if not specs:
        raise LabelsError("no trust function is named; give --trust NAME (`--list` shows which apply), or --trust all")
    named = judged(registry, [spec for spec in specs if spec != ALL], available, trust)
    for function in named:
        if function.supervision is None:
            raise LabelsError(function.lacks[0])  # it could not be built
        if function.lacks:
            raise LabelsError(
                f"trust function {function.spec!r} does not apply: it lacks {'; '.join(function.lacks)}. --list shows which do"
            )
    if ALL in specs:
        named += [
            replace(function, named=False) for function in installed(registry, available, trust) if not function.lacks
        ]
    first: dict[str, Wanted] = {}
    for function in named:
        first.setdefault(function.spec, function)
    each_once = list(first.values())
    if not each_once:
        raise LabelsError("no installed trust function applies to these labels; --list says for each what is missing")
    return each_once


def built(registry: Registry, wanted: Wanted) -> tuple[object, Declared]:
    """The trust function anew, in this process, and what it says of itself."""
    registry.awaits(f"building trust function {wanted.spec}")  # a third party's is imported for it
    try:
        function = registry.trust_function(wanted.name, **wanted.parameters)
    finally:
        registry.awaits("")
    return function, check_trust_function(wanted.name, function)


def _judged(
    name: str, parameters: dict[str, JSON], told: Declared | W2SBenchError, available: Available, trust: Sequence[bool]
) -> Wanted:
    spec = write_spec(short(name), parameters)
    if isinstance(told, W2SBenchError):
        return Wanted(spec, name, parameters, None, None, (), (str(told),))
    lacks: list[str] = []
    if available.kind not in told.kinds:
        lacks.append(
            "generated answers" if available.kind == "choice" else "options to choose among (column 'options')"
        )
    else:
        lacks += [lack for need in told.needs if (lack := available.lacks(need))]
    right = sum(trust)
    if told.supervision == "privileged":
        lacks.append("gold of every row (privileged: only `w2s-bench run` shows it)")
    elif told.supervision == "trust_set" and min(right, len(trust) - right) < LEAST_OF_EACH:
        has = f"the trust set has {right} right and {len(trust) - right} wrong" if trust else "there is no trust set"
        lacks.append(
            f"a trust set of {LEAST_OF_EACH} right and {LEAST_OF_EACH} wrong labels at least ({has}; give --trust-set GOLD)"
        )
    return Wanted(spec, name, parameters, told.supervision, told.scope, told.needs, tuple(lacks))
