"""What teachers of other seeds say of an item's options: trained as the teacher was, on the same gold, in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

import numpy as np
from numpy.random import Generator

from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values, ragged_of, to_arrays
from w2s_bench.protocol.files import READING as FILE
from w2s_bench.protocol.training import folders_of, numbered
from w2s_bench.randomness import derived_seed
from w2s_bench.record import read_arrays, write_arrays
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import FloatArray, Form, Kind, Need, Reader, Synthetic


class Ensemble(BuiltInReading):
    """Form "option_array": (options, k) a row, probabilities in [0, 1]; each column's sum is 1."""

    form: ClassVar[Form] = "option_array"
    kinds: ClassVar[tuple[Kind, ...]] = ("choice",)
    readers: ClassVar[tuple[Reader, ...] | None] = ("teacher",)
    trains_asked: ClassVar[bool] = True
    trains_apart: ClassVar[bool] = True
    call = 'read(Need("teacher", "ensemble", k=3))'
    says = (
        "a row an item: (options, k), the probabilities of k teachers that are trained as the teacher was, on the same gold and on other "
        "seeds. None of a teacher that is used as it is, or is a head that is fitted to convergence. Choice domains only"
    )
    instead = "this domain's answers are generated, there are no options (`choices` is None)"

    def __init__(self, k: int = 3) -> None:
        if type(k) is not int or not 1 <= k <= 50:
            raise ValueError(f"k must be a whole number from 1 to 50, got {k!r}")
        self.k = k

    @property
    def of_head(self) -> OfHead:
        return "scores"  # heads are trained for it, as the teacher's is

    def stage(self, ask: Ask) -> Stage:
        assert ask.more is not None and ask.more.taught is not None and ask.training is not None, (
            "`needs.lacks` says so"
        )
        taught, read = ask.more.taught, list[Stage]()
        for number in range(self.k):
            label = f"{ask.label} · teacher {number + 1}"
            seed = derived_seed(taught.seed, "ensemble", number, "teacher")
            weights = taught.recipe.train(ask.model, ask.training, taught.rows, seed=seed, label=label)
            asked = replace(ask, need=Need("teacher", "choice_probs"), weights=weights, seed=None, label=label)
            read.append(taught.recipe.read(asked))
        return Stage(gather, {}, numbered("part", read), label=ask.label)

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """On right labels they agree, on wrong ones they differ."""
        rows = []
        for row, lean in zip(made_up.rows, made_up.lean, strict=True):
            logits = rng.normal(size=(len(row.choices or ()), self.k)) * (1.5 if lean < 0 else 0.5)
            logits[cast(int, row.index)] += 1 + lean
            rows.append(_softmax(logits))
        return rows


@stage("ensemble", version=1)
def gather(context: StageContext) -> None:
    parts: Sequence[Sequence[FloatArray]] = [
        list(ragged_of(read_arrays(folder / FILE))) for folder in folders_of(context, "part")
    ]
    rows = [_softmax(np.stack(scores, axis=1)) for scores in zip(*parts, strict=True)]
    write_arrays(context.out / FILE, to_arrays("option_array", rows))


def _softmax(scores: FloatArray) -> FloatArray:
    """(options, k), each column by itself."""
    weights = np.exp(scores - scores.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0))


READING = Ensemble
