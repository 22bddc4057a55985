"""Where each label would move a model: the gradient of its loss, projected to few numbers that keep angles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.random import Generator

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, OfHead, Values
from w2s_bench.types import Form, Synthetic, TrainingRow

#: Of the projection: one for all rows of all splits, so that they can be compared.
_SEED: Final = 0
_MOST: Final = 65_536


class Gradients(BuiltInReading):
    """Form "array": (n, size); float32. By all of the model's weights, of the mean cross-entropy over the label's tokens.

    A projection to `size` numbers keeps inner products in expectation, each within sqrt(2 / size) of the product of the lengths.
    """

    form: ClassVar[Form] = "array"
    call = 'read(Need(of, "gradients", size=512))'
    says = (
        "(n, size): the gradient of the label's loss by all weights, as the model stands, projected to so many numbers that keep "
        "angles (a count sketch, the same for all rows). It costs a pass forward and one back, row by row"
    )

    def __init__(self, size: int = 512) -> None:
        if type(size) is not int or not 1 <= size <= _MOST:
            raise ValueError(f"size must be a whole number from 1 to {_MOST}, got {size!r}")
        self.size = size

    @property
    def of_head(self) -> OfHead:
        return "untuned"  # a head leaves the model as it is, and has gradients of its own

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        if not rows:
            return np.zeros((0, self.size), dtype=np.float32)
        engine = cast(Any, model)  # the harness's own reads it, which is the engine itself
        return np.asarray(engine.gradients(rows, recipe="full", lora_rank=1, dimensions=self.size, seed=_SEED))

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """Right labels pull in one direction, the same for every draw."""
        direction = np.random.default_rng(self.size).normal(size=self.size)
        pull = (1 + made_up.lean[:, None]) * direction / np.linalg.norm(direction)
        return np.asarray(pull + rng.normal(size=(len(made_up.rows), self.size)) / np.sqrt(self.size))


READING = Gradients
