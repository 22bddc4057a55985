"""What a suite shows on its `dev` items before it is frozen: the gap, and what more or fewer steps would do. `test` is never read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from w2s_bench.controls import BASE, CEILING, WEAK
from w2s_bench.errors import SuiteError, W2SBenchError
from w2s_bench.plugins.registry import Registry
from w2s_bench.results.budget_files import BudgetFile, steps_at
from w2s_bench.results.budgets import ARMS, FACTORS
from w2s_bench.runs.execute import compute
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.suite import Suite
from w2s_bench.suite_training import MOST_STEPS

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.results.cells import Cell
    from w2s_bench.store import Store

_SEEDS: Final = 2
#: Items of each domain without which `dev` says nothing.
FEWEST_DEV: Final = 20


@dataclass(frozen=True)
class Gap:
    """Mean accuracies on `dev` over a few seeds, in [0, 1]; `labels`: share of the pool's weak labels that are right."""

    weak: float
    base: float
    ceiling: float
    labels: float


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
    refuse_unfit(suite, gap=True, budget=False)
    planned = planned_for(_on_dev(suite), registry, domains, {WEAK, BASE, CEILING})
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
) -> BudgetFile:
    """Ceiling and naive at half, once and twice the student's steps, on `dev`, of the first two seeds, in each of these domains.

    Teachers and everything else are the suite's; what it trains itself is shared with `gaps`.
    """
    refuse_unfit(suite, gap=False, budget=True)
    on_dev = _on_dev(suite)
    plans = [planned_for(_with_steps(on_dev, factor), registry, domains, ARMS) for factor in FACTORS]
    # One plan keeps processors busy to the end. Each of its cells keeps the suite that it was planned by, and so its steps.
    together = replace(plans[0], cells=tuple(cell for planned in plans for cell in planned.cells))
    cells = _sound(compute(together, store=store, executor=executor, events=events))
    factors = [factor for factor, planned in zip(FACTORS, plans, strict=True) for _ in planned.cells]
    made = {(c.body.domain.name, c.body.arm.name, f): c for c, f in zip(cells, factors, strict=True)}
    return BudgetFile.of(suite, made)


def refuse_unfit(suite: Suite, *, gap: bool, budget: bool) -> None:
    """Raise SuiteError where `dev` is too small to show what is asked for, or where twice the steps are more than a model takes."""
    asked = [(gap, "a gap is looked for", "--gap"), (budget, "steps are looked at", "--budget")]
    for spec in suite.domains:
        for wanted, why, option in asked:
            if wanted and spec.sizes.dev < FEWEST_DEV:
                raise SuiteError(
                    f"domain {spec.name!r} has {spec.sizes.dev} dev items, and {why} on dev alone; give it at least "
                    f"{FEWEST_DEV}, or leave out {option}"
                )
        if budget and (most := steps_at(spec, max(FACTORS))) > MOST_STEPS:
            raise SuiteError(
                f"domain {spec.name!r} trains its student for {spec.student.steps} steps, and the {most} that --budget looks at too are "
                f"more than the {MOST_STEPS} that a model may be trained for; give it fewer, or leave out --budget"
            )


def _on_dev(suite: Suite) -> Suite:
    """The suite with `dev` in the place of `test`, and two seeds."""
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


def _with_steps(suite: Suite, factor: float) -> Suite:
    """The suite with so many times as many steps of every student."""
    content: dict[str, Any] = suite.model_dump()
    for entry, spec in zip(content["domains"], suite.domains, strict=True):
        entry["student"]["steps"] = steps_at(spec, factor)
    return Suite.model_validate(content)
