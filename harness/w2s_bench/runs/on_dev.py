"""What a suite shows on its `dev` items before it is frozen: the gap, and what more or fewer steps would do. `test` is never read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from w2s_bench.controls import BASE, CEILING, NAIVE, WEAK
from w2s_bench.errors import SuiteError, W2SBenchError
from w2s_bench.plugins.registry import Registry
from w2s_bench.runs.execute import compute
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.suite import Suite

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.results.cells import Cell
    from w2s_bench.store import Store
    from w2s_bench.suite_domain import DomainSpec
    from w2s_bench.types import FloatArray, IntArray

#: What twice the steps do to an accuracy.
Verdict = Literal["flat", "rises", "falls"]
#: Steps of students in a budget curve, in units of the suite's own.
FACTORS: Final = (0.5, 1.0, 2.0)
#: A student's accuracy is flat where twice the steps change it by no more than this: one point.
FLAT: Final = 0.01
_SEEDS: Final = 2
_FEWEST_DEV: Final = 20
_ROUNDING: Final = 1e-9  # four of 400 items are one point, and count as such
_NORMAL: Final = 1.96


@dataclass(frozen=True)
class Gap:
    """Mean accuracies on `dev` over a few seeds, in [0, 1]; `labels`: share of the pool's weak labels that are right."""

    weak: float
    base: float
    ceiling: float
    labels: float


@dataclass(frozen=True)
class Budget:
    """A student's mean accuracy on `dev` after so many steps, over a few seeds; `factor` times as many as the suite says.

    `more`: how much higher the accuracy is after twice as many, where that was trained, and `within`: half of the 95 %
    interval of that over clusters of dev items, these seeds given. `verdict`: whether that is within a point.
    """

    arm: str
    factor: float
    steps: int
    accuracy: float
    more: float | None = None
    within: float | None = None
    verdict: Verdict | None = None


def gaps(
    suite: Suite,
    registry: Registry,
    domains: Sequence[str],
    *,
    store: Store,
    executor: Executor,
    events: Callable[[Event], None],
) -> dict[str, Gap]:
    """Domain → its accuracies on `dev`, of the first two seeds; a domain where one of them fails raises with the reason."""
    planned = planned_for(_on_dev(suite, "a gap is looked for", "--gap"), registry, domains, {WEAK, BASE, CEILING})
    accuracy: dict[tuple[str, str], float] = {}
    labels: dict[str, float] = {}
    for cell in _sound(compute(planned, store=store, executor=executor, events=events)):
        domain, arm = cell.body.domain.name, cell.body.arm.name
        accuracy[domain, arm] = float(np.mean([seed.accuracy for seed in cell.body.seeds]))
        if arm == WEAK:
            labels[domain] = float(np.mean([seed.diagnostics["label_accuracy"] for seed in cell.body.seeds]))
    return {
        domain: Gap(accuracy[domain, WEAK], accuracy[domain, BASE], accuracy[domain, CEILING], labels[domain])
        for domain in domains
    }


def budgets(
    suite: Suite,
    registry: Registry,
    domains: Sequence[str],
    *,
    store: Store,
    executor: Executor,
    events: Callable[[Event], None],
) -> dict[str, tuple[Budget, ...]]:
    """Domain → ceiling and naive at half, once and twice the student's steps, on `dev`, of the first two seeds.

    Teachers and everything else are the suite's; what it trains itself is shared with `gaps`.
    """
    arms = (CEILING, NAIVE)
    on_dev = _on_dev(suite, "steps are looked at", "--budget")
    plans = [planned_for(_with_steps(on_dev, factor), registry, domains, arms) for factor in FACTORS]
    # One plan keeps processors busy to the end. Each of its cells keeps the suite that it was planned by, and so its steps.
    together = replace(plans[0], cells=tuple(cell for planned in plans for cell in planned.cells))
    cells = _sound(compute(together, store=store, executor=executor, events=events))
    factors = [factor for factor, planned in zip(FACTORS, plans, strict=True) for _ in planned.cells]
    by_arm = {(c.body.domain.name, c.body.arm.name, f): c for c, f in zip(cells, factors, strict=True)}
    return {
        domain: tuple(
            _budget(arm, factor, _steps(suite.domain(domain), factor), by_arm[domain, arm, factor], twice)
            for arm in arms
            for factor in FACTORS
            for twice in (by_arm.get((domain, arm, 2 * factor)),)
        )
        for domain in domains
    }


def _on_dev(suite: Suite, why: str, option: str) -> Suite:
    """The suite with `dev` in the place of `test`, and two seeds."""
    for spec in suite.domains:
        if spec.sizes.dev < _FEWEST_DEV:
            raise SuiteError(
                f"domain {spec.name!r} has {spec.sizes.dev} dev items, and {why} on dev alone; give it at least "
                f"{_FEWEST_DEV}, or leave out {option}"
            )
    return Suite.model_validate({**suite.model_dump(), "evaluate_on": "dev", "seeds": _SEEDS})


def planned_for(suite: Suite, registry: Registry, domains: Sequence[str], arms: Collection[str]) -> Plan:
    """The cells of these arms, by one hop: generations of a chain are other students."""
    planned = plan(suite, registry, domains=domains, trust=[])
    wanted = (cell for cell in planned.cells if cell.arm.ref.name in arms and cell.generation is None)
    return replace(planned, cells=tuple(wanted))


def _sound(cells: Sequence[Cell]) -> Sequence[Cell]:
    for cell in cells:
        if cell.body.failed:
            raise W2SBenchError(f"{cell.row}: {cell.body.failed[0].error}")
    return cells


def _steps(spec: DomainSpec, factor: float) -> int:
    return max(1, round(factor * spec.student.steps))


def _with_steps(suite: Suite, factor: float) -> Suite:
    """The suite with so many times as many steps of every student."""
    content: dict[str, Any] = suite.model_dump()
    for entry, spec in zip(content["domains"], suite.domains, strict=True):
        entry["student"]["steps"] = _steps(spec, factor)
    return Suite.model_validate(content)


def _budget(arm: str, factor: float, steps: int, cell: Cell, twice: Cell | None) -> Budget:
    right = _by_item(cell)
    accuracy = float(right.mean())
    if twice is None:
        return Budget(arm, factor, steps, accuracy)
    gain = _by_item(twice) - right
    more, within = float(gain.mean()), half_width(gain, cell.body.cluster_codes)
    return Budget(arm, factor, steps, accuracy, more, within, verdict(more))


def _by_item(cell: Cell) -> FloatArray:
    """(items,) share of the seeds that answer each item right."""
    shares: FloatArray = np.mean(list(cell.body.correctness().values()), axis=0, dtype=np.float64)
    return shares


def verdict(more: float) -> Verdict:
    """What twice the steps do, where they change the accuracy by `more`."""
    if abs(more) <= FLAT + _ROUNDING:
        return "flat"
    return "rises" if more > 0 else "falls"


def half_width(gain: FloatArray, clusters: IntArray | None) -> float:
    """Half of the 95 % interval of the mean of `gain` (items,) over `clusters` (items,); None: each item is its own.

    Sums by cluster, times C / (C − 1) (Liang & Zeger 1986).
    """
    codes = np.arange(len(gain)) if clusters is None else clusters
    sums = np.bincount(codes, weights=gain - gain.mean())
    count = len(sums)
    return float(_NORMAL * np.sqrt(count / (count - 1) * (sums**2).sum()) / len(gain))
