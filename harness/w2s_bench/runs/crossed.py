"""A suite's objectives beside its students' own: planned, crossed with arms, and refused where there is none such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from w2s_bench.errors import SuiteError, W2SBenchError
from w2s_bench.names import BUILT_IN
from w2s_bench.plugins.hooks import distribution_of
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import arms
from w2s_bench.protocol.arms import Arm
from w2s_bench.protocol.objectives import PlannedObjective, planned_objective, refuse_unfit, written
from w2s_bench.protocol.planned import PlannedTask
from w2s_bench.protocol.recipes import RECIPES
from w2s_bench.suite_label_source import OF_MODELS
from w2s_bench.types import Kind

if TYPE_CHECKING:
    from w2s_bench.suite import Suite
    from w2s_bench.suite_domain import DomainSpec


def planned_objectives(
    suite: Suite, registry: Registry, rows: Sequence[str]
) -> tuple[list[PlannedObjective], list[W2SBenchError]]:
    """The objectives that the suite names beside its students' own. Where some `rows` alone are wanted, one may be missing
    here, and why is told with them.
    """
    planned: list[PlannedObjective] = []
    missing: list[W2SBenchError] = []
    for spec in suite.objectives:
        try:
            planned.append(planned_objective(spec, registry))
        except W2SBenchError as error:
            if not rows:
                raise
            missing.append(error)
    return planned, missing


def crossed(objectives: Sequence[PlannedObjective], made: Sequence[Arm]) -> list[Arm]:
    """Arms by the objectives that the suite names beside its students' own: of all weak labels, and of those by `top`; by
    those that are on policy of those by `weighted`, too, where a row's weight is that of each token that is written to it.
    """

    def meant(arm: Arm, objective: PlannedObjective) -> bool:
        selection = arm.ref.selection
        if selection is None:
            return arm.ref.facts.keeps_all_weak_labels
        return selection == "top" or (selection == "weighted" and objective.on_policy)

    return [arms.by_objective(arm, objective) for objective in objectives for arm in made if meant(arm, objective)]


def refuse_unfit_objectives(suite: Suite, objectives: Sequence[PlannedObjective], tasks: Sequence[PlannedTask]) -> None:
    """Each of a suite's `objectives` must be another than its students' own, and exist in one of its domains."""
    for planned in objectives:
        objective = planned.written
        meant = [task for task in tasks if task.domain.kind in planned.kinds]
        if not meant and len(tasks) == len(suite.domains):
            raise SuiteError(
                f"objective {objective!r} is over the options of an item, and every domain of suite {suite.name!r} generates its "
                "answers: take it out of `objectives`"
                if "options" in planned.over
                else f"objective {objective!r} is of answers that students write, and every domain of suite {suite.name!r} offers options, "
                "over which it is 'opd': take that, or take it out of `objectives`"
            )
        if all(written(task.spec.student.objective) == objective for task in tasks):
            raise SuiteError(
                f"objective {objective!r} is what all students are trained by: take it out of `objectives`, or give the students "
                "another"
            )
        for task in meant:
            # Its model by the full name, which says whose code it is.
            student = task.spec.student.model_copy(update={"model": task.student.name})
            over = RECIPES[student.recipe].over
            refuse_unfit(student, over, task.spec.name, task.domain.kind, teaches=False, objective=planned)
            _refuse_untold(planned, task.spec)
            if planned.on_policy:
                _refuse_unfit_tutor(planned, task)


def _refuse_unfit_tutor(objective: PlannedObjective, task: PlannedTask) -> None:
    """What an objective that is on policy asks of a teacher beside its labels."""
    spec, word = task.spec, objective.written
    if "untuned_teacher" in objective.needs and spec.teacher.recipe == "none":
        raise SuiteError(
            f"objective {word!r} needs what training changed in the teacher, and that of domain {spec.name!r} is not trained (recipe "
            "'none'): train it, or take another objective"
        )
    owners = {owner for model in (task.teacher, task.student) if (owner := distribution_of(model.name)) != BUILT_IN}
    if task.domain.kind == "generate" and len(owners) > 1:
        raise SuiteError(
            f"objective {word!r} asks the teacher while it trains the student; in domain {spec.name!r} they are code of two plugins "
            f"({' and '.join(sorted(owners))}), which share no process: give one of them in a folder (local/FOLDER), or take another "
            "objective"
        )


def refuse_unfit_label_source(spec: DomainSpec, kind: Kind) -> None:
    """A label source must be one for the domain, and its labels give what the students' objectives need."""
    for learns in (spec.student, *spec.chain[:1]):
        _refuse_untold(planned_objective(learns.objective), spec)
    if spec.teacher.source in OF_MODELS and kind == "choice":
        raise SuiteError(
            f"label source {spec.teacher.source!r} draws answers; domain {spec.name!r} offers options, of which the likeliest is the "
            "teacher's own label: leave out `source`"
        )


def _refuse_untold(objective: PlannedObjective, spec: DomainSpec) -> None:
    if "teacher" in objective.needs and not spec.teacher.is_model:
        raise SuiteError(
            f"objective {objective.written!r} needs the teacher's distribution, and the labels of domain {spec.name!r} come from label "
            f"source {spec.teacher.model!r}, which is no model: take another objective"
        )
