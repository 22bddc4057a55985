"""How much a move gives away, by looking a few plies ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray
from w2s_bench_chess_verifiers.verifiers.moves import OutsideVerifier, board_of, move_of

if TYPE_CHECKING:
    import chess

#: Pawn, knight, bishop, rook, queen, king, as python-chess numbers them from 1; in pawns.
_WORTH: Final = (0.0, 1.0, 3.0, 3.0, 5.0, 9.0, 0.0)
#: What mate is worth, less a pawn for every ply that it takes; and the score where there is no legal move to judge.
_MATE: Final = 1000.0
NO_MOVE: Final = -2 * _MATE
#: Plies of captures at most after the depth is reached.
_CAPTURES = 6


class ShallowSearch(OutsideVerifier):
    """Shallow search: the value of the label's move less that of the best move, in pawns, by alpha-beta to a few plies.

    At most 0, 0 for a best move; -2,000 where the label is no legal move, or the prompt has no position; higher = more trusted. Values are
    material (1, 3, 3, 5, 9), and mate 1,000 less a pawn a ply; after `depth` plies, the label's move among them, captures are played
    out. It sees tactics and nothing of plans. Cost: of the order of 0.1 s a row at depth 2, which grows some twentyfold a ply.
    """

    def __init__(self, depth: int = 2) -> None:
        if type(depth) is not int or not 1 <= depth <= 5:
            raise ValueError(f"depth must be a whole number from 1 to 5, got {depth!r}")
        self.depth = depth

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        return np.array(
            [self._given_away(p, label) for p, label in zip(evidence.prompts, evidence.labels, strict=True)]
        )

    def _given_away(self, prompt: str, label: str) -> float:
        board = board_of(prompt)
        move = None if board is None else move_of(board, label)
        if board is None or move is None:
            return NO_MOVE
        own = after(board, move, self.depth)
        best = max(own, best_value(board, self.depth))
        return own - best


def after(board: chess.Board, move: chess.Move, depth: int) -> float:
    """The value of a move for who makes it."""
    board.push(move)
    value = -_search(board, depth - 1, -np.inf, np.inf, 1)
    board.pop()
    return float(value)


def best_value(board: chess.Board, depth: int) -> float:
    """That of the best move; of a position without moves, mate or 0."""
    return float(_search(board, depth, -np.inf, np.inf, 0))


def _search(board: chess.Board, depth: int, low: float, high: float, ply: int) -> float:
    moves = sorted(board.legal_moves, key=lambda move: (not board.is_capture(move), move.uci()))
    if not moves:
        return -(_MATE - ply) if board.is_check() else 0.0
    if board.is_insufficient_material():
        return 0.0
    if depth <= 0:
        return _captures(board, low, high, _CAPTURES)
    best = -np.inf
    for move in moves:
        board.push(move)
        value = -_search(board, depth - 1, -high, -low, ply + 1)
        board.pop()
        best = max(best, value)
        low = max(low, best)
        if low >= high:
            break
    return float(best)


def _captures(board: chess.Board, low: float, high: float, left: int) -> float:
    """Material for who is to move once captures that pay are made; none need be."""
    stand = _material(board)
    if left == 0 or stand >= high:
        return stand
    low = max(low, stand)
    for move in sorted(board.generate_legal_captures(), key=lambda move: (-_taken(board, move), move.uci())):
        board.push(move)
        value = -_captures(board, -high, -low, left - 1)
        board.pop()
        low = max(low, value)
        if low >= high:
            break
    return low


def _taken(board: chess.Board, move: chess.Move) -> float:
    return _WORTH[board.piece_type_at(move.to_square) or 1]  # an empty square: a pawn taken in passing


def _material(board: chess.Board) -> float:
    total = sum(_WORTH[p.piece_type] * (1 if p.color == board.turn else -1) for p in board.piece_map().values())
    return float(total)
