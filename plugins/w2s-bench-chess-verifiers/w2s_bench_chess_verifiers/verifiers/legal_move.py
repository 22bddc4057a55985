"""Is the label a move that the rules allow?"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray
from w2s_bench_chess_verifiers.verifiers.moves import OutsideVerifier, board_of, move_of


class LegalMove(OutsideVerifier):
    """Legality: 1 where the label is a legal move of the position in the prompt, 0 where it is none, or there is no position.

    Ties are the harness's to break. It tells something where moves are written out, and nothing where every option is legal.
    Cost: a moment.
    """

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return np.array(
            [
                float((board := board_of(prompt)) is not None and move_of(board, label) is not None)
                for prompt, label in zip(evidence.prompts, evidence.labels, strict=True)
            ]
        )
