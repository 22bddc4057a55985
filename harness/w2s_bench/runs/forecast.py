"""What a run would cost, told before it runs: trainings, items that models read, gold labels, and time where it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from w2s_bench.executors.timings import Timings, amount_of, timed_as
from w2s_bench.names import short
from w2s_bench.store.stage import Stage

if TYPE_CHECKING:
    from w2s_bench.suite import Suite
    from w2s_bench.suite_domain import DomainSpec


@dataclass(frozen=True)
class Forecast:
    """`rows`: optimizer steps times rows a step, summed over the trainings; `items`: items a model goes through otherwise.

    `seconds` sums what stages of the same kinds took in this store, on one worker; `untimed` names the kinds that never
    ran there. `gold`: domain → split → gold labels that one seed reads, of the splits that are trained on.
    """

    trainings: int
    rows: int
    items: int
    seconds: float
    untimed: tuple[str, ...]
    gold: Mapping[str, Mapping[str, int]]


def forecast(suite: Suite, to_run: Sequence[Stage], timings: Timings) -> Forecast:
    """Of the stages that a run would compute; nothing is measured for it, and none of them runs."""
    trained = [stage for stage in to_run if stage.amount and stage.timed_as]
    read = [stage for stage in to_run if stage.timed_as and not stage.amount]
    by_node = {stage.node: timings.known(stage) for stage in to_run}
    untimed = sorted({timed_as(stage) for stage in to_run if by_node[stage.node] is None})
    return Forecast(
        trainings=len(trained),
        rows=sum(stage.amount for stage in trained),
        items=sum(amount_of(stage) for stage in read),
        seconds=sum(seconds for seconds in by_node.values() if seconds is not None),
        untimed=tuple(untimed),
        gold={short(domain.name): _gold(suite.as_met(domain)) for domain in suite.domains},
    )


def _gold(domain: DomainSpec) -> dict[str, int]:
    """Of the splits whose gold somebody trains on: the teacher, trust functions and controls, the ceiling."""
    # A teacher that is used as it is, or is no model, learns from none, whatever the split has.
    taught = 0 if domain.teacher.recipe == "none" else domain.sizes.weak_train
    sizes = {"weak_train": taught, "trust": domain.sizes.trust, "transfer": domain.sizes.transfer}
    return {split: size for split, size in sizes.items() if size}
