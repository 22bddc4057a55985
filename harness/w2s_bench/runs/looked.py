"""The stages that an analysis adds to a run, of one domain and seed: how hard items are, and gradients at two students."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from w2s_bench.controls import CEILING, NAIVE
from w2s_bench.protocol.gradients import gradients
from w2s_bench.protocol.recipes import recipe_of
from w2s_bench.protocol.recipes.head import is_fitted_to_convergence
from w2s_bench.protocol.training import gold_rows, weak_rows
from w2s_bench.runs.labelled import dynamics_of
from w2s_bench.store.stage import Stage

if TYPE_CHECKING:
    from w2s_bench.protocol.generation import Generation

#: Of how many numbers a projected gradient is; see `models.gradients` for what that costs in precision.
DIMENSIONS: Final = 2048
#: The share of a student's optimizer steps that a warmed-up one has taken, on all weak labels.
WARM_UP: Final = 0.2


@dataclass(frozen=True)
class Taken:
    """Gradients at one student: of the same rows of the pool with weak labels and with gold, and of `dev` with gold."""

    weak: Stage
    gold: Stage
    held_out: Stage | None

    def stages(self) -> list[Stage]:
        return [stage for stage in (self.weak, self.gold, self.held_out) if stage is not None]


@dataclass(frozen=True)
class Looked:
    """The new stages of one domain and seed; None where nobody asked. `warmed` are gradients after so many `steps`, None of a student
    that takes no set number of them: it has no state between the untuned and the finished one."""

    difficulty: Stage | None = None
    dynamics: Stage | None = None
    untuned: Taken | None = None
    warmed: Taken | None = None
    steps: int = 0

    def stages(self) -> list[Stage]:
        taken = [stage for at in (self.untuned, self.warmed) if at is not None for stage in at.stages()]
        return [*(stage for stage in (self.difficulty, self.dynamics) if stage is not None), *taken]


def new_stages(graph: Generation, sections: Sequence[str], sample: int) -> Looked:
    """What the `sections` of an analysis need beside what a run has made; `sample` rows have their gradients taken."""
    difficulty = graph.difficulty if "curriculum" in sections else None
    dynamics = dynamics_of(graph) if "fit" in sections else None
    if "gradients" not in sections:
        return Looked(difficulty, dynamics)
    model, how = graph.task.student, graph.task.spec.student
    steps = max(1, round(WARM_UP * how.steps))
    # One student for all arms: of its own rows each arm's gradients would be small for having been trained on.
    rows, label = _weak(graph), graph.label(f"student warmed up by {steps} steps")
    few = how.model_copy(update={"steps": steps})
    warm = recipe_of(model).train(model, few, rows, seed=graph.stream("student"), label=label)
    untuned = _taken(graph, sample, None, "")
    if is_fitted_to_convergence(warm):
        return Looked(difficulty, dynamics, untuned)
    warmed = _taken(graph, sample, warm, " after warm-up")
    return Looked(difficulty, dynamics, untuned, warmed, steps)


def _taken(graph: Generation, sample: int, weights: Stage | None, when: str) -> Taken:
    pool, model = graph.subset(graph.pool), graph.task.student
    seed = graph.stream("gradients")
    taken = partial(gradients, model, pool=pool, most=sample, dimensions=DIMENSIONS, seed=seed, weights=weights)
    gold = gold_rows(pool, graph.training_gold(graph.pool), None, graph.label(f"gold rows of {CEILING}"))
    held_out = None
    if graph.task.spec.sizes.dev:
        # Never `test`: what is learned here may lead to another trust function.
        rows = gold_rows(graph.subset("dev"), graph.gold("dev"), None, graph.label("gold rows of dev"))
        held_out = taken(rows, label=graph.label(f"gradients of dev's gold{when}"))
    return Taken(
        taken(_weak(graph), label=graph.label(f"gradients of weak labels{when}")),
        taken(gold, label=graph.label(f"gradients of gold{when}")),
        held_out,
    )


def _weak(graph: Generation) -> Stage:
    return weak_rows(graph.subset(graph.pool), graph.weak_labels(graph.pool), None, graph.label(f"rows of {NAIVE}"))
