"""How a model is tuned, answers and reads weak labels: one file a recipe. Gold enters as rows to train on and as nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from w2s_bench.protocol.recipes.head import Head
from w2s_bench.protocol.recipes.tuned import Tuned

if TYPE_CHECKING:
    from w2s_bench.models.objectives import Over
    from w2s_bench.plugins.descriptions import DescribedReading
    from w2s_bench.protocol.ask import Ask
    from w2s_bench.protocol.evidence.readings.base import BuiltInReading
    from w2s_bench.protocol.objectives import PlannedObjective
    from w2s_bench.protocol.planned import PlannedModel, Tutor
    from w2s_bench.store.stage import Stage
    from w2s_bench.suite_training import Training
    from w2s_bench.types import Kind, RecipeName


class Recipe(Protocol):
    """What a model tuned in one way can do, each as a stage. `weights` is a stage that `train` gave."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of domain that it is for."""

    @property
    def over(self) -> tuple[Over, ...]:
        """What its models give logits over, and so what an objective may be over."""

    def train(
        self,
        model: PlannedModel,
        training: Training,
        rows: Stage,
        *,
        seed: int,
        label: str = "",
        objective: PlannedObjective | None = None,
        tutor: Tutor | None = None,
    ) -> Stage:
        """A model trained on `rows` by `objective` (default: that of `training`), with what that needs beside the rows among
        its inputs.

        `tutor` is given where that asks the teacher for more than its labels.
        `seed` names the role, never the arm: equal rows give one and the same student.
        """

    def no_order(self, training: Training) -> str | None:
        """Why it is nothing to a model so trained in which order it sees its rows; None where it is something."""

    def predict(
        self,
        model: PlannedModel,
        subset: Stage,
        *,
        weights: Stage | None,
        max_new_tokens: int | None = None,
        label: str = "",
    ) -> Stage:
        """The answer to every item of a subset; `max_new_tokens` bounds those that are generated."""

    def gives(self, reading: BuiltInReading | DescribedReading, *, tuned: bool) -> bool:
        """Whether there is such a reading of a model so tuned, or, not `tuned`, of what it was before."""

    def as_engine(self, model: PlannedModel, weights: Stage | None) -> tuple[PlannedModel, Stage | None]:
        """The language model behind one so tuned and the stage of its own weights, for who knows nothing of recipes."""

    def read(self, ask: Ask) -> Stage:
        """What the asked model says of weak labels that a teacher made (one of `evidence.readings`)."""


#: A suite's word → what it means.
RECIPES: Final[Mapping[RecipeName, Recipe]] = MappingProxyType(
    {"full": Tuned(), "lora": Tuned(), "head": Head(), "none": Tuned()}  # `none` has no weights: nobody trains it
)


def recipe_of(model: PlannedModel) -> Recipe:
    return RECIPES[model.recipe]
