"""What a reading of the harness's own tells of itself, and how the numbers of each form are stored and taken back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.layers import Layers
from w2s_bench.store.stage import Stage
from w2s_bench.types import (
    KINDS,
    OPTION_FORMS,
    FloatArray,
    Form,
    Kind,
    Prediction,
    Ragged,
    Reader,
    Synthetic,
    TrainingRow,
)

#: What there is of a model tuned by recipe `head`: the head's score of every option, or states of the frozen model that the
#: head itself is read from (both without loading the model), or what the untuned model says.
OfHead = Literal["scores", "states", "untuned"]
#: (options, layers, d) an item: its options' frozen states in the layers that are asked for.
Frozen = Callable[[Layers], Sequence[NDArray[np.float32]]]
#: Rows among which those of like length are read together. In bfloat16 every figure's last bits hang on it.
_ROWS_AT_ONCE = 512
Values = NDArray[Any] | Sequence[NDArray[Any]]
Arrays = Mapping[str, NDArray[np.generic]]


class BuiltInReading(ABC):
    """`hookspecs.Reading`, with what only the harness's own may say. Built from the parameters of a need.

    Its arguments are checked by who builds it: a `ValueError` says what is wrong with a value.
    """

    form: ClassVar[Form]
    kinds: ClassVar[tuple[Kind, ...]] = KINDS
    #: How it is asked of evidence, and what it gives: its row in the documentation.
    call: ClassVar[str]
    says: ClassVar[str]
    #: Ends the error of whoever reads it where there is none of it: why, and what to read in its place.
    instead: ClassVar[str] = ""

    #: The readers that it can be had of; None: all.
    readers: ClassVar[tuple[Reader, ...] | None] = None
    #: Whether models like the one that is asked are trained for it, so that there is none of one that is used as it is.
    trains_asked: ClassVar[bool] = False
    #: Whether it compares models that are alike but for how long or from what seed they are trained, so that there is none of a model
    #: that comes out the same whichever these are.
    trains_apart: ClassVar[bool] = False
    #: Whether `read` asks for log-probabilities of texts' tokens alone, which other engines than the harness's own tell too.
    of_texts: ClassVar[bool] = False
    #: Whether `read` draws at random; its stage then has a seed, and `rng` is made of it.
    draws: ClassVar[bool] = False

    @property
    def of_head(self) -> OfHead | None:
        """What stands for it where the model was tuned by recipe `head`; None: nothing does."""
        return None

    def comes_with_labels(self, of: Reader) -> bool:
        """Whether `from_label` gives it for this reader, so that no stage is needed."""
        return False

    def from_label(self, label: Prediction) -> FloatArray:
        """A row as `read` would give it; of those alone that come with labels."""
        raise NotImplementedError(f"{type(self).__name__} says that it comes with labels; write its from_label")

    def stage(self, ask: Ask) -> Stage:
        """The stage that makes it: of the asked model, as its recipe reads. One that takes more than a call says so here."""
        return ask.recipe.read(ask if self.draws else replace(ask, seed=None))

    def read(self, model: ReadingModel, rows: Sequence[TrainingRow], *, rng: Generator | None = None) -> Values:
        """A row for each of `rows`, as it is stored: the engine's call. One whose `stage` is made of others has none."""
        raise NotImplementedError(f"{type(self).__name__} asks no model itself; write its read, or its stage")

    def shown(self, row: FloatArray) -> FloatArray:
        """A stored row (of any form but "array") as trust functions see it; options keep their order here."""
        return row

    def of_frozen(self, frozen: Frozen, rows: Sequence[TrainingRow]) -> Values:
        """What `read` gives, out of the states of `rows`' items; of those alone that are "states" of a head."""
        raise NotImplementedError(
            f"{type(self).__name__} says that it is among the states of a head; write its of_frozen"
        )

    @abstractmethod
    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """Its twin for tests: as it is shown, of made-up labels. Equal parameters or not, it draws the same from `rng`."""


def states_by_parts(
    model: ReadingModel, rows: Sequence[TrainingRow], layers_of: Callable[[int], list[int]], **how: Any
) -> NDArray[np.float32]:
    """(n, layers, d) hidden states of `rows` in some layers; `layers_of` tells which, of how many there are. `how`: see the engine."""
    if not rows:
        return np.zeros((0, 0, 0), dtype=np.float32)
    layers = layers_of(model.hidden_states(rows[:1], "all").shape[1])
    starts = range(0, len(rows), _ROWS_AT_ONCE)
    return np.concatenate([model.hidden_states(rows[i : i + _ROWS_AT_ONCE], layers, **how) for i in starts])


def to_arrays(form: Form, values: Values) -> Arrays:
    """A reading's numbers as its file holds them."""
    if form == "array":
        return {"states": np.asarray(values)}  # the name is older than other arrays than states
    if form == "option_array":
        whole = np.concatenate(list(values)) if len(values) else np.zeros((0, 0, 0))
        offsets = np.cumsum([0, *map(len, values)], dtype=np.int64)
        return {"values": whole.astype(np.float32), "offsets": offsets}
    ragged = Ragged.from_rows(list(values))
    return {"values": ragged.values, "offsets": ragged.offsets}


def part_of(form: Form, file: Any, start: int, end: int) -> Arrays:
    """Rows `start` to `end` out of an open safetensors file; nothing else of it is read."""
    if form == "array":
        return {"states": _part(file.get_slice("states"), start, end)}
    offsets = _part(file.get_slice("offsets"), start, end + 1)
    values = _part(file.get_slice("values"), int(offsets[0]), int(offsets[-1]))
    return {"values": values, "offsets": offsets - offsets[0]}


def array_of(arrays: Arrays) -> NDArray[np.generic]:
    """The numbers of form "array", (n, …), out of what `to_arrays` or `part_of` gave."""
    return arrays["states"]


def ragged_of(arrays: Arrays) -> Ragged:
    """The rows of the other forms."""
    return Ragged(arrays["values"].astype(np.float64), arrays["offsets"].astype(np.int64))


def arranged(form: Form, arrays: Arrays, order: Sequence[int], permutations: Sequence[Sequence[int]] | None) -> Arrays:
    """The rows `order`, in that order; what has an entry an option, each with its options as its permutation says."""
    rows = np.array(order, dtype=np.int64)
    if form == "array":
        return {"states": arrays["states"][rows]}
    offsets = arrays["offsets"].astype(np.int64)
    lengths = np.diff(offsets)[rows]
    ends = np.concatenate([[0], np.cumsum(lengths)])
    if form in OPTION_FORMS and permutations is not None:
        inner = np.array([index for to in permutations for index in to], dtype=np.int64)
    else:
        inner = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
    return {"values": arrays["values"][np.repeat(offsets[rows], lengths) + inner], "offsets": ends}


def _part(array: Any, start: int, end: int) -> NDArray[Any]:
    # safetensors refuses an empty slice at an end.
    return array[start:end] if start < end else np.zeros((0, *array.get_shape()[1:]))
