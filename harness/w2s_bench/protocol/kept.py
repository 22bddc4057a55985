"""Which rows a selection keeps, and with what weight ↔ one file. Dropping a row is to give it the weight 0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from w2s_bench.errors import SuiteError
from w2s_bench.protocol.files import KEPT
from w2s_bench.record import read_json, write_json


@dataclass(frozen=True)
class Kept:
    """`weights`: id → weight of every row that is kept, above 0; `wanted` is how many were to be."""

    weights: Mapping[str, float]
    wanted: int

    @property
    def shortfall(self) -> int:
        """How many rows there were too few of."""
        return self.wanted - len(self.weights)

    @classmethod
    def whole(cls, ids: Iterable[str], wanted: int) -> Kept:
        """Every one of `ids` with weight 1."""
        return cls(dict.fromkeys(ids, 1.0), wanted)

    @classmethod
    def weighted(cls, weights: Mapping[str, float], wanted: int) -> Kept:
        """Rows by what a selection gave them: 0 drops a row, and of two rows twice the weight counts twice."""
        for row, weight in weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise SuiteError(
                    f"a selection gave row {row!r} the weight {weight}; a finite number from 0 is expected"
                )
        return cls({row: float(weight) for row, weight in weights.items() if weight > 0}, wanted)

    def write(self, folder: Path) -> None:
        """Weights are written where one of them is not 1."""
        content = {"ids": sorted(self.weights), "wanted": self.wanted, "shortfall": self.shortfall}
        if any(weight != 1 for weight in self.weights.values()):
            content["weights"] = dict(self.weights)
        write_json(folder / KEPT, content)

    @classmethod
    def read(cls, folder: Path) -> Kept:
        content = read_json(folder / KEPT)
        weights = content.get("weights")
        return cls.whole(content["ids"], content["wanted"]) if weights is None else cls(weights, content["wanted"])
