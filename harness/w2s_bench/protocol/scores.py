"""Trust scores ↔ one file: eight bytes a row and the row's id, so that the scores of a million rows fit into any memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from w2s_bench.protocol.files import SCORES
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_arrays, write_arrays
from w2s_bench.types import FloatArray, IntArray


class PackedIds:
    """The ids of many rows as they come, in a few bytes each."""

    def __init__(self) -> None:
        self._text, self._ends = bytearray(), array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, name: str) -> None:
        self._text += name.encode()
        self._ends.append(len(self._text))

    def at(self, row: int) -> str:
        return self._text[self._ends[row] : self._ends[row + 1]].decode()

    def with_scores(self, values: FloatArray) -> Scores:
        """These ids with the scores (n,) of their rows; no id can be added then, as the bytes are shared."""
        if len(self) != len(values):
            raise ValueError(f"{len(self)} ids for {len(values)} scores")
        return Scores(values, np.frombuffer(self._text, dtype=np.uint8), np.frombuffer(self._ends, dtype=np.int64))


def by_trust(scores: Mapping[str, float], ids: Iterable[str], seed: int) -> list[str]:
    """The ids from the highest score to the lowest; equal scores by a seeded hash of the id."""
    return sorted(ids, key=lambda name: (-scores[name], hash_rank("tie", seed, name)))


@dataclass(frozen=True)
class Scores:
    """n trust scores and the ids of their rows; `text[offsets[i]:offsets[i + 1]]` is the id of row i in UTF-8."""

    values: FloatArray  # (n,) finite, higher = more trusted
    text: NDArray[np.uint8]
    offsets: IntArray  # (n + 1,)

    @classmethod
    def of(cls, ids: Sequence[str], values: FloatArray) -> Scores:
        packed = PackedIds()
        for name in ids:
            packed.add(name)
        return packed.with_scores(values)

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The rows of all parts, one part after another."""
        starts = np.cumsum([0, *(len(part.text) for part in parts)])
        ends = [part.offsets[1:] + start for part, start in zip(parts, starts, strict=False)]
        none = cls.of((), np.zeros(0))  # so that joining no parts gives no rows
        return cls(
            np.concatenate([none.values, *(part.values for part in parts)]),
            np.concatenate([none.text, *(part.text for part in parts)]),
            np.concatenate([none.offsets, *ends]),
        )

    def __len__(self) -> int:
        return len(self.values)

    def id(self, row: int) -> str:
        return self.text[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    def items(self) -> Iterator[tuple[str, float]]:
        """(id, score) of every row."""
        return ((self.id(row), float(value)) for row, value in enumerate(self.values))

    def write(self, folder: Path) -> None:
        write_arrays(folder / SCORES, {"values": self.values, "text": self.text, "offsets": self.offsets})

    @classmethod
    def read(cls, folder: Path) -> Scores:
        arrays = read_arrays(folder / SCORES)
        return cls(
            cast(FloatArray, arrays["values"]),
            cast("NDArray[np.uint8]", arrays["text"]),
            cast(IntArray, arrays["offsets"]),
        )
