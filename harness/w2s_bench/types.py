"""Arrays and records that pass between the layers. Imports nothing heavier than numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: What JSON can hold; parameters, manifests and records are made of it.
JSON = Any

#: Metadata of a record's field that is written only where it is not its default: files from before it was there stay as they are.
UNWRITTEN_DEFAULT: Final = MappingProxyType({"written by default": False})

Kind = Literal["choice", "generate"]
KINDS: tuple[Kind, ...] = ("choice", "generate")
Supervision = Literal["none", "trust_set", "privileged"]
Scope = Literal["row", "pool"]
#: How a model is tuned: see `protocol.recipes`.
RecipeName = Literal["full", "lora", "head"]
#: What a model's products are computed in; its weights, and everything that is summed, are float32 either way.
Precision = Literal["float32", "bfloat16"]
Split = Literal["dev", "test", "weak_train", "trust", "transfer"]
SPLITS: tuple[Split, ...] = ("dev", "test", "weak_train", "trust", "transfer")

#: Who read the weak labels: the teacher that made them, the untuned student, or the student tuned on the trust set's gold.
Reader = Literal["teacher", "student", "verifier"]
#: What a reader can say of a weak label.
Reading = Literal["choice_probs", "label_logprobs", "hidden_states"]


@dataclass(frozen=True, order=True)
class Need:
    """A piece of evidence that a trust function declares; the harness computes it once for all who need it.

    `layer` goes with `hidden_states` alone: an index into the reader's layers as transformers counts them (0 is the
    embedding, -1 the last), or `"all"` for every layer stacked. `when` says that it is read in domains of one kind alone,
    so that no other kind computes it; it is no part of what is read, and equality leaves it out.
    """

    of: Reader
    read: Reading
    layer: int | Literal["all"] | None = None
    when: Kind | None = field(default=None, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        if (self.layer is not None) != (self.read == "hidden_states"):
            raise ValueError(
                f"{self!r}: a layer belongs to hidden_states, and to nothing else; give layer=-1 or layer='all'"
            )

    def applies(self, kind: Kind) -> bool:
        """Whether it is read in domains of this kind."""
        return self.when is None or self.when == kind

    def __str__(self) -> str:
        return f"{self.of}.{self.read}" + (f"[{self.layer}]" if self.layer is not None else "")


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: `values[offsets[i]:offsets[i + 1]]` is row i; `offsets` has n + 1 entries."""

    values: FloatArray
    offsets: IntArray

    def __post_init__(self) -> None:
        if self.offsets.ndim != 1 or len(self.offsets) == 0 or int(self.offsets[-1]) != len(self.values):
            raise ValueError(
                f"offsets must rise from 0 to {len(self.values)}, the number of values; got {self.offsets!r}"
            )

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[float] | FloatArray]) -> Ragged:
        lengths = [len(row) for row in rows]
        values = np.concatenate([np.asarray(row, dtype=np.float64) for row in rows]) if rows else np.zeros(0)
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> FloatArray:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[FloatArray]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True)
class Item:
    """One question of a domain, without its answer. `choices` are the continuations lm-eval scores; None: generated."""

    id: str
    group: str
    key: str
    stratum: str
    prompt: str
    choices: tuple[str, ...] | None


@dataclass(frozen=True)
class Answer:
    """The gold of one item: the document that lm-eval grades with, and the text a student is trained on.

    `index` is the gold option of a choice item, None where the answer is generated (and then ended by the end-of-sequence
    token). `item` is the digest of the item it answers.
    """

    id: str
    document: Mapping[str, JSON]
    completion: str
    index: int | None
    item: str


@dataclass(frozen=True)
class Prediction:
    """What a model answered to one item; a weak label is a prediction of the teacher.

    `answer` is the text that is graded, `completion` the text a student is trained on. A choice item has the chosen
    option's `index` and `choice_scores`, one an option (summed log-probability; a probe's logit). `ended` says that a
    generated answer stopped by itself; one that ran into the limit must not teach a student to stop there.
    """

    id: str
    answer: str
    completion: str
    ended: bool
    index: int | None = None
    choice_scores: tuple[float, ...] | None = None


@dataclass(frozen=True)
class TrainingRow:
    """One row a model trains on: gold or a weak label, the two look alike.

    `weight` is what a selection gave it, above 0 (1: kept); only the proportions of rows' weights matter.
    """

    id: str
    prompt: str
    completion: str
    ended: bool
    choices: tuple[str, ...] | None
    index: int | None
    weight: float = field(default=1.0, metadata=UNWRITTEN_DEFAULT)
