"""What a call asks for, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from w2s_bench.scoring.functions import Wanted
from w2s_bench.scoring.labels import Labels
from w2s_bench.scoring.schema import Columns
from w2s_bench.scoring.selecting import Goal, Kept
from w2s_bench.types import BoolArray, FloatArray, Reader


@dataclass(frozen=True)
class Asked:
    """All that a call says. `labels` and `trust_set` as `label_tables.table_of` takes them; `models` by who reads with them."""

    labels: Any
    columns: Columns
    trust: Sequence[str] = ()
    trust_set: Any = None
    models: Mapping[Reader, str] | None = None
    goal: Goal = field(default_factory=Goal)
    split: str | None = None
    delimiter: str = " "
    seed: int = 0


@dataclass(frozen=True)
class Of:
    """What a trust function said: of the pool (n,), and of the rows of the trust set that may judge it with their correctness."""

    wanted: Wanted
    pool: FloatArray
    trust: FloatArray
    right: BoolArray
    kept: Kept


@dataclass(frozen=True)
class Scored:
    """What came of a call. `functions` in the order in which they were named; the first decides what is kept."""

    asked: Asked
    labels: Labels
    functions: tuple[Of, ...]
    in_trust: BoolArray
    #: Rows of the trust set that the functions which learn from it learnt from, where the others certify; else 0.
    learnt_from: int
    seconds: float
    versions: Mapping[str, str]
    #: Of the functions that `all` stood for, those that failed, and how.
    faults: Mapping[str, str]

    @property
    def kept(self) -> BoolArray:
        return self.functions[0].kept.rows
