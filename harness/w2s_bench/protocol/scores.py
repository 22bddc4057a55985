"""Trust scores ↔ one file: eight bytes a row and the row's id, so that the scores of a million rows fit into any memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from w2s_bench.protocol.files import SCORES
from w2s_bench.record import read_arrays, write_arrays
from w2s_bench.types import FloatArray, IntArray


@dataclass(frozen=True)
class Scores:
    """n trust scores and the ids of their rows; `text[offsets[i]:offsets[i + 1]]` is the id of row i in UTF-8."""

    values: FloatArray  # (n,) finite, higher = more trusted
    text: NDArray[np.uint8]
    offsets: IntArray  # (n + 1,)

    @classmethod
    def of(cls, ids: Sequence[str], values: FloatArray) -> Scores:
        encoded = [name.encode() for name in ids]
        if len(encoded) != len(values):
            raise ValueError(f"{len(encoded)} ids for {len(values)} scores")
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return cls(values, np.frombuffer(b"".join(encoded), dtype=np.uint8), ends)

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
