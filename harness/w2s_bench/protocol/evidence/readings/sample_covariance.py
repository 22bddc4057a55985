"""How far apart answers that a model draws to one prompt lie in its states: their covariance, and not the states themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, cast

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.layers import chosen
from w2s_bench.protocol.evidence.readings.base import Values, states_by_parts, to_arrays
from w2s_bench.protocol.evidence.readings.samples import Samples, answers_drawn
from w2s_bench.protocol.files import READING as FILE
from w2s_bench.protocol.planned import load_planned
from w2s_bench.record import write_arrays
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import FloatArray, Synthetic, TrainingRow


class SampleCovariance(Samples):
    """Form "array": (n, k, k), symmetric, no eigenvalue below 0: of k states of d numbers, their products over (d - 1)."""

    of_texts: ClassVar[bool] = False
    call = "read(Need(of, 'sample_covariance', k=8, temperature=1.0))"
    says = (
        "(n, k, k): covariance, over the d numbers of a state, of k answers drawn at a temperature: states of each answer's last token "
        "half way up, less their mean over the d numbers, multiplied, over d − 1. Domains that generate only"
    )
    instead = (
        "answers of a choice domain are not drawn, all their states are known; read option_states and choice_probs"
    )

    def stage(self, ask: Ask) -> Stage:
        return replace(super().stage(ask), function=spread)

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """The more right the label looks, the nearer the answers lie."""
        shared = rng.normal(size=(len(made_up.rows), 1, made_up.width))
        own = rng.normal(size=(len(made_up.rows), self.k, made_up.width))
        return np.stack([covariance(each) for each in shared + np.exp(-made_up.lean / 2)[:, None, None] * own])


@stage("sample_covariance", version=1)
def spread(context: StageContext) -> None:
    engine = load_planned(context)
    rows, drawn = answers_drawn(context, engine)
    # An answer that is drawn twice is read once.
    answers = [(row, list(dict.fromkeys(texts))) for row, texts in zip(rows, drawn, strict=True)]
    asked = [answered(row, text) for row, texts in answers for text in texts]
    states = states_by_parts(cast(Any, engine), asked, half_way)[:, 0]
    told, start = np.zeros((len(rows), context.params["k"], context.params["k"])), 0
    for at, ((_, texts), said) in enumerate(zip(answers, drawn, strict=True)):
        own = states[start : start + len(texts)]
        told[at] = covariance(own[[texts.index(text) for text in said]])
        start += len(texts)
    write_arrays(context.out / FILE, to_arrays("array", told))


def half_way(count: int) -> list[int]:
    """The layer half way up, of a model's `count` with the embedding."""
    middle = chosen("middle", count)
    return [middle[len(middle) // 2]]


def answered(row: TrainingRow, text: str) -> TrainingRow:
    """A row with another answer; one that is not read to its end, as a drawn answer may have none."""
    return replace(row, completion=text, ended=False)


def covariance(states: NDArray[Any]) -> FloatArray:
    """(k, d) → (k, k): of k states over their d numbers."""
    values = np.asarray(states, dtype=np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred @ centred.T / max(values.shape[1] - 1, 1))


READING = SampleCovariance
