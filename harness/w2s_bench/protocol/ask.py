"""What is asked of a model about weak labels: the arguments of every reading, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.store.stage import Stage
from w2s_bench.types import Kind, Need

if TYPE_CHECKING:
    from w2s_bench.suite_training import Training


class Reads(Protocol):
    """`recipes.Recipe`, as far as readings use it."""

    def read(self, ask: Ask, /) -> Stage: ...


class Trains(Reads, Protocol):
    """`recipes.Recipe`, as far as readings use it that train models of their own."""

    def train(self, model: PlannedModel, training: Training, rows: Stage, *, seed: int, label: str = "") -> Stage: ...


@dataclass(frozen=True)
class Taught:
    """How the suite's teacher is trained, for readings that train more of the kind: on `rows` of gold, by `recipe`."""

    recipe: Trains
    rows: Stage
    seed: int


@dataclass(frozen=True)
class More:
    """What the suite says beside, for readings of more than one call: the `kind` of the domain, and how long an answer may be.

    For those that train students of their own on the weak labels, `model` is the student as the suite tunes it, by `recipe`;
    `rows` are the weak labels of trust set and pool to train on; `seed` is that of every student. `taught`: None where who labels is no
    teacher that the suite trains.
    """

    recipe: Trains
    model: PlannedModel
    rows: Stage
    seed: int
    kind: Kind
    max_new_tokens: int | None = None
    taught: Taught | None = None


@dataclass(frozen=True)
class Ask:
    """One need on the labels of one split: who is asked, tuned how, and what for.

    `weights` are those of the asked model, None where it is untuned. `seed` is given where the reading draws. `training` is
    how the suite trains such a model, and `more` what else it says; None where nobody does.
    """

    need: Need
    recipe: Reads
    model: PlannedModel
    weights: Stage | None
    labels: Stage
    subset: Stage
    seed: int | None = None
    label: str = ""
    training: Training | None = None
    more: More | None = None
