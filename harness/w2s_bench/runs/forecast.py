"""What a run would cost, told before it runs: trainings and their steps, items that are read, gold labels, time where it is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from w2s_bench.executors.timings import Timings, amount_of
from w2s_bench.names import short
from w2s_bench.protocol.recipes.head import is_fitted_to_convergence
from w2s_bench.store.stage import Stage

if TYPE_CHECKING:
    from w2s_bench.suite import Suite
    from w2s_bench.suite_domain import DomainSpec


@dataclass(frozen=True)
class Forecast:
    """`trainings` in all; of those that take the suite's number of optimizer `steps`, these and the `rows` that they see are summed.

    `converging`: how many of the trainings take no set number of steps, since they fit a head to convergence; one such fit is
    ended after `iterations`, those of the longest. `items`: items a model goes through otherwise.
    `seconds` sums what stages of the same kinds took in this store, on one worker; `untimed` names the kinds that never
    ran there. `gold`: domain → split → gold labels that one seed reads, of the splits that are trained on. `source_gold`: domain →
    how many of the pool's its label source gives as labels, of the domains that have such a one; it reads the trust set's as well.
    """

    trainings: int
    steps: int
    rows: int
    converging: int
    iterations: int
    items: int
    seconds: float
    untimed: tuple[str, ...]
    gold: Mapping[str, Mapping[str, int]]
    source_gold: Mapping[str, int]


def forecast(
    suite: Suite, to_run: Sequence[Stage], timings: Timings, domains: Collection[str] | None = None
) -> Forecast:
    """Of the stages that a run would compute; nothing is measured for it, and none of them runs. `domains`: full names of those
    that are run, where it is not all."""
    trained = [stage for stage in to_run if _trains(stage)]
    stepped = [stage for stage in trained if not is_fitted_to_convergence(stage)]
    fitted = [stage for stage in trained if is_fitted_to_convergence(stage)]
    read = [stage for stage in to_run if stage.timed_as and not _trains(stage)]
    run = [domain for domain in suite.domains if domains is None or domain.name in domains]
    by_node = {stage.node: timings.known(stage) for stage in to_run}
    untimed = sorted({timings.timed_as(stage) for stage in to_run if by_node[stage.node] is None})
    return Forecast(
        trainings=len(trained),
        steps=sum(stage.params["steps"] for stage in stepped),
        rows=sum(stage.amount for stage in stepped),
        converging=len(fitted),
        iterations=max((stage.params["steps"] for stage in fitted), default=0),
        items=sum(amount_of(stage) for stage in read),
        seconds=sum(seconds for seconds in by_node.values() if seconds is not None),
        untimed=tuple(untimed),
        gold={short(domain.name): _gold(suite.as_met(domain)) for domain in run},
        # A source without a model labels with gold: all of the pool's, or as many as it says.
        source_gold={short(each.name): each.pool_rows(chained=False) for each in run if not each.teacher.is_model},
    )


def _trains(stage: Stage) -> bool:
    return bool(stage.timed_as) and "steps" in stage.params


def _gold(domain: DomainSpec) -> dict[str, int]:
    """Of the splits whose gold somebody trains on: the teacher, trust functions and controls, the ceiling."""
    # A teacher that is used as it is, or is no model, learns from none, whatever the split has.
    taught = 0 if domain.teacher.recipe == "none" else domain.sizes.weak_train
    sizes = {"weak_train": taught, "trust": domain.sizes.trust, "transfer": domain.sizes.transfer}
    return {split: size for split, size in sizes.items() if size}
