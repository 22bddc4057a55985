"""What is asked of a model about weak labels: the arguments of every reading, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.store.stage import Stage
from w2s_bench.types import Kind, Need

if TYPE_CHECKING:
    from w2s_bench.suite_domain import Training


class Reads(Protocol):
    """`recipes.Recipe`, as far as readings use it."""

    def read(self, ask: Ask, /) -> Stage: ...


class Trains(Reads, Protocol):
    """`recipes.Recipe`, as far as readings use it that train models of their own."""

    def train(self, model: PlannedModel, training: Training, rows: Stage, *, seed: int, label: str = "") -> Stage: ...


@dataclass(frozen=True)
class More:
    """What a reading needs beside weak labels to train students of its own on them, in a domain of `kind`.

    `model` is the student as the suite tunes it, by `recipe`; `rows` are the weak labels of trust set and pool to train on;
    `seed` is that of every student.
    """

    recipe: Trains
    model: PlannedModel
    rows: Stage
    seed: int
    kind: Kind


@dataclass(frozen=True)
class Ask:
    """One need on the labels of one split: who is asked, tuned how, and what for.

    `weights` are those of the asked model, None where it is untuned. `seed` is given where the reading draws. `training` is
    how the suite trains such a model, and `more` what readings need that train more of them; None where nobody says.
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
