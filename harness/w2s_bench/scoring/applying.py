"""A trust function on a user's labels: fitted on the trust set, by cross-fitting for the trust set's own rows, then applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.random import Generator

from w2s_bench.errors import LabelsError
from w2s_bench.isolation.watch import left_as_found, unchanged
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.evidence.readings.base import Values
from w2s_bench.protocol.evidence.view import read_only
from w2s_bench.protocol.trust import guarded, validated
from w2s_bench.randomness import derived_seed, hash_rank
from w2s_bench.scoring.evidence import Available, in_order, view_of
from w2s_bench.scoring.functions import Wanted, built
from w2s_bench.scoring.rows import Row
from w2s_bench.types import FloatArray, IntArray, Need

#: Parts of the trust set, each scored by a function that learnt from the others.
FOLDS = 5
Read = Mapping[Need, Values]


def folds_of(rows: Sequence[Row], seed: int) -> IntArray:
    """(n,) the fold of each row, 0 to `FOLDS` - 1, by a hash of its prompt: rows of one prompt are in one fold."""
    return np.array([int(hash_rank("fold", seed, row.prompt)[:12], 16) % FOLDS for row in rows], dtype=np.int64)


def in_half(row: Row, seed: int) -> bool:
    """Whether a row of the trust set is one that functions learn from where a guarantee is asked for; the others certify."""
    return int(hash_rank("half", seed, row.prompt)[:12], 16) % 2 == 0


def taken(read: Read, places: IntArray) -> Read:
    """What was read of some of the rows, in the order of their places."""
    return {
        need: values[places] if isinstance(values, np.ndarray) else [values[index] for index in places.tolist()]
        for need, values in read.items()
    }


@dataclass
class Applied:
    """A trust function ready to score. `of_fold` are those that have not learnt from a fold; `fold_of` says who is in which."""

    wanted: Wanted
    function: Any
    available: Available
    seed: int
    of_fold: dict[int, Any] = field(default_factory=dict)
    fold_of: dict[str, int] = field(default_factory=dict)
    _rngs: dict[Any, Generator] = field(default_factory=dict, repr=False)

    @classmethod
    def fitted(
        cls, registry: Registry, wanted: Wanted, trust: Sequence[Row], available: Available, read: Read, *, seed: int
    ) -> Applied:
        """`trust` are the rows to learn from, `read` what models said of them; a function of track `none` learns from nothing."""
        new = cls(wanted, built(registry, wanted)[0], available, seed)
        if not wanted.learns:
            return new
        folds = folds_of(trust, seed)
        new._fit(new.function, trust, read, "all")
        for fold in sorted({int(fold) for fold in folds}):
            others = np.flatnonzero(folds != fold)
            function = built(registry, wanted)[0]
            new._fit(function, [trust[index] for index in others.tolist()], taken(read, others), fold)
            new.of_fold[fold] = function
        new.fold_of = {row.id: int(fold) for row, fold in zip(trust, folds, strict=True)}
        return new

    def score(self, rows: Sequence[Row], read: Read) -> FloatArray:
        """(n,) the scores of rows in their order; of those that it learnt from, by a function that did not."""
        scores = self._scored(self.function, rows, read, "all")
        folds = np.array([self.fold_of.get(row.id, -1) for row in rows], dtype=np.int64)
        for fold in sorted({int(fold) for fold in folds if fold >= 0}):
            own = np.flatnonzero(folds == fold)
            if self.wanted.scope == "pool":  # a score depends on all rows, so all are shown
                scores[own] = self._scored(self.of_fold[fold], rows, read, fold)[own]
            else:
                part = [rows[index] for index in own.tolist()]
                scores[own] = self._scored(self.of_fold[fold], part, taken(read, own), fold)
        return scores

    def _fit(self, function: Any, rows: Sequence[Row], read: Read, what: int | str) -> None:
        name = self.wanted.spec
        right = sum(bool(row.right) for row in rows)
        if right in (0, len(rows)):
            told = "no" if right == 0 else "only"
            raise LabelsError(
                f"trust function {name!r} would learn from {len(rows)} rows with {told} right labels; give a larger trust set, or "
                "another --seed, which deals it anew"
            )
        salt = f"trust {self.seed} {what}"
        view = view_of(rows, self.wanted.needs, self.available, read, salt=salt, fitting=True)
        correct = read_only(
            np.array([bool(rows[index].right) for index in in_order(rows, salt).tolist()], dtype=np.bool_)
        )
        with left_as_found(name, "fit"), unchanged(name, "fit", label_index=view.label_index, correct=correct):
            guarded(name, "fit", lambda: function.fit(view, correct, rng=self._rng(f"fit {what}")))

    def _scored(self, function: Any, rows: Sequence[Row], read: Read, what: int | str) -> FloatArray:
        name, salt = self.wanted.spec, f"pool {self.seed}"
        view = view_of(rows, self.wanted.needs, self.available, read, salt=salt, fitting=False)
        with left_as_found(name, "score"), unchanged(name, "score", label_index=view.label_index):
            given = guarded(name, "score", partial(function.score, view, rng=self._rng(f"score {what}")))
        scores = np.empty(len(rows), dtype=np.float64)
        scores[in_order(rows, salt)] = validated(name, given, len(rows))
        return scores

    def _rng(self, role: str) -> Generator:
        """One stream a function and role, which goes on from part to part."""
        if role not in self._rngs:
            self._rngs[role] = np.random.default_rng(derived_seed(self.seed, self.wanted.spec, 0, role))
        return self._rngs[role]
