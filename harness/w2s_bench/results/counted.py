"""The arms of one domain that share seeds, counted once: what is asked of one arm is computed for all, who are asked next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from w2s_bench.controls import CEILING
from w2s_bench.results import statistics
from w2s_bench.results.statistics import Counts, Estimate, Figures, Ratio, Table, Unresolved
from w2s_bench.types import BoolArray, IntArray


class Counted:
    """Figures of arms of equal seeds and items, by their names."""

    def __init__(self, correct: Mapping[str, BoolArray], clusters: IntArray | None) -> None:
        """`correct`: arm → (seeds, items); `clusters` (items,) one number a cluster, or None."""
        self._at = {arm: at for at, arm in enumerate(correct)}
        self._counts = Counts.of(list(correct.values()), clusters)
        self._all = np.arange(len(correct))
        self._accuracies: list[Estimate] = []
        self._differences: dict[str, list[Estimate]] = {}
        self._ratios: dict[tuple[str, str, bool], list[Estimate] | Unresolved] = {}

    def accuracy(self, arm: str) -> Estimate:
        if not self._accuracies:
            table = Table.of_counts(self._counts, [(1, self._all)], [])
            self._accuracies = statistics.accuracy_of(table).each()
        return self._accuracies[self._at[arm]]

    def accuracy_difference(self, a: str, b: str) -> Estimate:
        if b not in self._differences:
            table = Table.of_counts(self._counts, [(1, self._all), (-1, self._at[b])], [])
            self._differences[b] = statistics.difference_of(table).each()
        return self._differences[b][self._at[a]]

    def ratio(self, a: str, b: str, bottom: str, *, with_p: bool = False) -> Ratio:
        """(a − b) / (ceiling − bottom); `p` tests a = b."""
        asked = (b, bottom, with_p)
        if asked not in self._ratios:
            figures = self._figures(self._all, self._at[b], bottom, with_p=with_p)
            self._ratios[asked] = figures if isinstance(figures, Unresolved) else figures.each()
        column = self._ratios[asked]
        return column if isinstance(column, Unresolved) else column[self._at[a]]

    def ratios(self, pairs: Sequence[tuple[str, str]], bottom: str) -> Figures | Unresolved:
        """The same of every pair (a, b), all at once and without p."""
        first, second = (np.array([self._at[pair[side]] for pair in pairs]) for side in (0, 1))
        return self._figures(first, second, bottom)

    def _figures(self, a: IntArray, b: int | IntArray, bottom: str, *, with_p: bool = False) -> Figures | Unresolved:
        gap = [(1, self._at[CEILING]), (-1, self._at[bottom])]
        table = Table.of_counts(self._counts, [(1, a), (-1, b)], gap)
        return statistics.ratio_of(table, f"ceiling − {bottom}", with_p=with_p)
