"""What a model says of an item's options with its dropout left on, pass after pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import numpy as np
from numpy.random import Generator

from w2s_bench.errors import NotApplicableError
from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values
from w2s_bench.types import FloatArray, Form, Kind, Synthetic, TrainingRow


class McDropout(BuiltInReading):
    """Form "option_array": (options, k) a row, probabilities in [0, 1]; each column's sum is 1, and is a pass of its own."""

    form: ClassVar[Form] = "option_array"
    kinds: ClassVar[tuple[Kind, ...]] = ("choice",)
    draws: ClassVar[bool] = True
    call = 'read(Need(of, "mc_dropout", k=8))'
    says = (
        "a row an item: (options, k), the probabilities of k passes with the dropout of the model's layers left on. For models that have "
        "some; many of today's have none. Choice domains only"
    )
    instead = "this domain's answers are generated, there are no options (`choices` is None)"

    def __init__(self, k: int = 8) -> None:
        if type(k) is not int or not 1 <= k <= 1000:
            raise ValueError(f"k must be a whole number from 1 to 1000, got {k!r}")
        self.k = k

    @property
    def of_head(self) -> OfHead:
        return "untuned"  # a head has no dropout, the model below it may

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        assert rng is not None, "it draws"
        with dropping(model.model, int(rng.integers(1 << 62))):
            passes = [model.choice_scores(rows) for _ in range(self.k)]
        return [_softmax(np.stack(scores, axis=1)) for scores in zip(*passes, strict=True)]

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """On right labels the passes agree, on wrong ones they differ."""
        rows = []
        for row, lean in zip(made_up.rows, made_up.lean, strict=True):
            logits = rng.normal(size=(len(row.choices or ()), self.k)) * (1.5 if lean < 0 else 0.5)
            logits[cast(int, row.index)] += 1 + lean
            rows.append(_softmax(logits))
        return rows


@contextmanager
def dropping(model: Any, seed: int) -> Iterator[None]:
    """The model with its dropout layers on, and torch's generator at `seed`; after it, all is as it was.

    Dropout that a layer applies by a number of its own (of attention weights, mostly) stays off. Where there is none: `NotApplicableError`.
    """
    import torch

    layers = [m for m in model.modules() if isinstance(m, torch.nn.Dropout) and m.p > 0]
    if not layers:
        name = getattr(model.config, "name_or_path", "") or type(model).__name__
        raise NotApplicableError(
            f"mc_dropout asks for a model with dropout, and model {name!r} has no layer of it; take a trust "
            "function that does not read mc_dropout, or a model whose layers have dropout"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            for layer in layers:
                layer.training = True
            yield
        finally:
            for layer in layers:
                layer.training = False


def _softmax(scores: FloatArray) -> FloatArray:
    """(options, k), each column by itself."""
    weights = np.exp(scores - scores.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0))


READING = McDropout
