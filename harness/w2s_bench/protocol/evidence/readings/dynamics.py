"""How students come to believe the weak labels: what each of several, trained longer and longer on them, says of a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values, ragged_of, to_arrays
from w2s_bench.protocol.files import PREDICTIONS
from w2s_bench.protocol.files import READING as FILE
from w2s_bench.protocol.training import folders_of, numbered
from w2s_bench.record import read_arrays, read_records, write_arrays
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import FloatArray, Form, Need, Prediction, Reader, Synthetic

#: The columns of a row at one point of the grid.
COLUMNS = ("margin", "log_probability", "agreement", "error")


class Dynamics(BuiltInReading):
    """Form "array": (n, points, 4), the columns of `COLUMNS`.

    Every point is a student of its own: a trainer keeps its last step alone. Each halves the steps of the one after it, so that
    all of them together cost less than two students. All are trained on the weak labels of the trust set and of the pool.
    """

    form: ClassVar[Form] = "array"
    readers: ClassVar[tuple[Reader, ...] | None] = ("student",)
    trains_apart: ClassVar[bool] = True
    call = 'read(Need("student", "dynamics", points=6))'
    says = (
        "(n, points, 4): of students trained on the weak labels of trust set and pool for 1/2ⁱ of the suite's steps, the last for "
        "all: the label's margin over the best other option, in logits; its log-probability; whether it is the favourite, in "
        "[0, 1]; ‖p − one-hot(label)‖. Where answers are generated: the mean over tokens of log p − log(1 − p), of log p, of "
        "p > ½, of 1 − p. None of a head that is fitted to convergence, whatever the steps"
    )

    def __init__(self, points: int = 6) -> None:
        if type(points) is not int or not 2 <= points <= 20:
            raise ValueError(f"points must be a whole number from 2 to 20, got {points!r}")
        self.points = points

    @property
    def of_head(self) -> OfHead:
        return "scores"  # heads are trained for it, as other students are

    def stage(self, ask: Ask) -> Stage:
        assert ask.more is not None and ask.training is not None, "a suite says how its students are trained"
        more, read = ask.more, list[Stage]()
        for steps in grid(ask.training.steps, self.points):
            how, label = ask.training.model_copy(update={"steps": steps}), f"{ask.label} · {steps} steps"
            weights = more.recipe.train(more.model, how, more.rows, seed=more.seed, label=label)
            need = Need(ask.need.of, "choice_probs" if more.kind == "choice" else "label_logprobs")
            asked = replace(
                ask, need=need, recipe=more.recipe, model=more.model, weights=weights, seed=None, label=label
            )
            read.append(more.recipe.read(asked))
        return Stage(follow, {"kind": more.kind}, {"labels": ask.labels, **numbered("point", read)}, label=ask.label)

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """Right labels are learned sooner and for good; in the end most are believed."""
        shape = (len(made_up.rows), self.points)
        rise = np.linspace(-1, 3, self.points) + made_up.lean[:, None] / 2
        wavering = np.where(made_up.lean < 0, 2.0, 0.25)[:, None]
        margin = rise + rng.normal(size=(shape[0], 1)) / 2 + wavering * rng.normal(size=shape)
        p = 1 / (1 + np.exp(-margin))
        return np.stack([margin, np.log(p), margin > 0, np.sqrt(2) * (1 - p)], axis=2)


def grid(steps: int, points: int) -> list[int]:
    """Steps of each student: the last has all, each before it half of the next one's, at least one."""
    return [max(1, round(steps / 2**left)) for left in reversed(range(points))]


@stage("dynamics", version=1)
def follow(context: StageContext) -> None:
    labels = read_records(context.inputs["labels"] / PREDICTIONS, Prediction)
    told = []
    for folder in folders_of(context, "point"):
        rows = ragged_of(read_arrays(folder / FILE))
        if context.params["kind"] == "choice":
            told.append([of_options(row, label.index or 0) for row, label in zip(rows, labels, strict=True)])
        else:
            told.append([of_tokens(row) for row in rows])
    whole = np.array(told, dtype=np.float64).reshape(len(told), len(labels), len(COLUMNS))
    write_arrays(context.out / FILE, to_arrays("array", whole.transpose(1, 0, 2)))


def of_options(scores: FloatArray, index: int) -> Sequence[float]:
    """`COLUMNS` of one row from the scores of its options, of which the label is that at `index`."""
    others = np.delete(scores, index)
    best = float(others.max(initial=-np.inf))
    margin = float(scores[index]) - best if len(others) else 0.0
    logarithms = scores - np.logaddexp.reduce(scores)
    error = np.exp(logarithms)
    error[index] -= 1
    favourites = int((scores == scores.max()).sum())
    agreement = 1 / favourites if scores[index] == scores.max() else 0.0
    return margin, float(logarithms[index]), agreement, float(np.linalg.norm(error))


def of_tokens(logprobs: FloatArray) -> Sequence[float]:
    """`COLUMNS` of one row from the log-probabilities of the label's tokens; of a label without any, zeros."""
    if not len(logprobs):
        return 0.0, 0.0, 0.0, 0.0
    missing = -np.expm1(np.minimum(logprobs, -1e-12))
    odds = logprobs - np.log(missing)
    return float(odds.mean()), float(logprobs.mean()), float((logprobs > -np.log(2)).mean()), float(missing.mean())


READING = Dynamics
