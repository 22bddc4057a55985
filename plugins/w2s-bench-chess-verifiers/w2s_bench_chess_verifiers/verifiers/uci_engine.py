"""How much of the winning chances a move gives away, by an engine that speaks UCI."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, TrustFunctionError
from w2s_bench_chess_verifiers.verifiers.moves import OutsideVerifier, board_of, move_of

if TYPE_CHECKING:
    import chess
    import chess.engine

#: Where there is no legal move to judge: the game is given away.
NO_MOVE: Final = -1.0


class UciEngine(OutsideVerifier):
    """An engine's verdict: the mover's winning chances after the label's move less those after the engine's own best move.

    In [-1, 0], higher = more trusted; -1 where the label is no legal move, or the prompt has no position. Chances from centipawns are
    1 / (1 + exp(-0.00368208 cp)), Lichess's curve; mates count as sure. `engine`: a program's name or path, `nodes` searched for each of
    the two, on one thread with a table cleared for every row, so that a row's score is its own. Where such a program is not installed
    the cells fail, and say so. Cost: that of the engine, some 0.01 to 0.1 s a row at 20,000 nodes.
    """

    def __init__(self, engine: str = "stockfish", nodes: int = 20_000) -> None:
        if not isinstance(engine, str) or not engine.strip():
            raise ValueError(f"engine must be the name or path of a program, got {engine!r}")
        if type(nodes) is not int or nodes < 1:
            raise ValueError(f"nodes must be a whole number from 1 on, got {nodes!r}")
        self.engine, self.nodes = engine, nodes

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        asked = [self._asked(*row) for row in zip(evidence.prompts, evidence.labels, strict=True)]
        if not any(asked):
            return np.full(len(asked), NO_MOVE)
        import chess.engine

        program = shutil.which(self.engine)
        if program is None:
            raise TrustFunctionError(
                f"no program {self.engine!r} is installed; install a UCI engine such as Stockfish, or name one: engine=PATH"
            )
        with chess.engine.SimpleEngine.popen_uci([program]) as engine:
            if "Threads" in engine.options:
                engine.configure({"Threads": 1})
            return np.array([NO_MOVE if row is None else self._given_away(engine, *row) for row in asked])

    def _asked(self, prompt: str, label: str) -> tuple[chess.Board, chess.Move] | None:
        board = board_of(prompt)
        move = None if board is None else move_of(board, label)
        return None if board is None or move is None else (board, move)

    def _given_away(self, engine: chess.engine.SimpleEngine, board: chess.Board, move: chess.Move) -> float:
        best, own = (self._chances(engine, board, moves) for moves in (None, [move]))
        return min(own - best, 0.0)

    def _chances(self, engine: chess.engine.SimpleEngine, board: chess.Board, moves: list[chess.Move] | None) -> float:
        import chess.engine

        # A game of its own: the engine forgets what it found for other rows.
        told = engine.analyse(board, chess.engine.Limit(nodes=self.nodes), root_moves=moves, game=object())
        return chances(told["score"].relative.score(mate_score=100_000))


def chances(centipawns: float) -> float:
    """Winning chances in [0, 1] from a value for who is to move."""
    return float(1 / (1 + np.exp(-0.00368208 * np.clip(centipawns, -10_000, 10_000))))
