"""What functions that learn from no gold have in common."""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, Scope, Supervision


class Unfitted:
    """Track `none`; a row's score depends on that row alone, unless a function says otherwise."""

    supervision: Supervision = "none"
    scope: Scope = "row"

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Nothing to learn."""
