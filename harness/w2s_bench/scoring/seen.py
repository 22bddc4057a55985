"""What the report shows of single rows, gathered while they are written: a file may be long, and is not read again for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from w2s_bench.scoring.outcome import Scored
from w2s_bench.scoring.rows import Row
from w2s_bench.types import FloatArray

_AT_EACH_END = 4


@dataclass
class Seen:
    """`kept` labels of each class, where labels are classes, and the `rows` at both ends by their place in the file."""

    scored: Scored
    kept: Counter[str] = field(default_factory=Counter)
    rows: dict[int, Row] = field(default_factory=dict)

    @cached_property
    def ends(self) -> Mapping[str, Sequence[int]]:
        """Title → places of the rows that the first function trusts most, and least."""
        return _ends(self.scored.functions[0].pool)

    def watching(self, parts: Iterable[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        """The parts of the file as they are, in their order."""
        wanted = [place for places in self.ends.values() for place in places]
        start = 0
        for part in parts:
            if self.scored.labels.classes is not None:
                kept = np.flatnonzero(self.scored.kept[start : start + len(part)])
                self.kept.update(part[place].label.strip() for place in kept.tolist())
            self.rows |= {place: part[place - start] for place in wanted if start <= place < start + len(part)}
            start += len(part)
            yield part


def _ends(scores: FloatArray) -> dict[str, Sequence[int]]:
    order = np.argsort(-scores, kind="stable")
    most = order[:_AT_EACH_END].tolist()
    least = [index for index in order[::-1][:_AT_EACH_END].tolist() if index not in most]
    return {"Most trusted:": most, **({"Least trusted:": least} if least else {})}
