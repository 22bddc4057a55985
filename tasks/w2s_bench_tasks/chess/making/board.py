"""Six-piece endings as arrays: exact, vectorised, numpy only.

A position is K + two different pieces of Q, R, B, N against k + two of r, b, n, p; nobody is in check, nobody can castle.
White stands in slots 0–2 and Black in slots 3–5; the kings are slots 0 and 3. Squares are 0–63, a1 = 0, h1 = 7, a8 = 56.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: A piece's code is its place here. White's pieces come first.
PIECES = "KQRBNkrbnp"
WHITE_SLOTS, BLACK_SLOTS = (0, 1, 2), (3, 4, 5)
WHITE_KING, BLACK_KING = 0, 3

#: Cheaper pieces have smaller numbers within a colour: pawn, knight, bishop, rook, queen, king.
_RANKING = dict(zip("pnbrqk", range(6), strict=True))
WORTH: Ints = np.array([_RANKING[piece.lower()] for piece in PIECES], dtype=np.int64)

_STRAIGHT = ((1, 0), (-1, 0), (0, 1), (0, -1))
_DIAGONAL = ((1, 1), (1, -1), (-1, 1), (-1, -1))
_KNIGHT = ((1, 2), (2, 1), (-1, 2), (-2, 1), (1, -2), (2, -1), (-1, -2), (-2, -1))
_STEPS: dict[str, tuple[tuple[tuple[int, int], ...], int]] = {
    "k": (_STRAIGHT + _DIAGONAL, 1),
    "q": (_STRAIGHT + _DIAGONAL, 7),
    "r": (_STRAIGHT, 7),
    "b": (_DIAGONAL, 7),
    "n": (_KNIGHT, 1),
    "p": (((1, -1), (-1, -1)), 1),  # a black pawn takes towards rank 1
}


def _tables() -> tuple[Bools, NDArray[np.uint64]]:
    """`reach[code, from, to]` on an empty board, and the squares strictly between two squares as bits."""
    reach = np.zeros((len(PIECES), 64, 64), dtype=bool)
    between = np.zeros((64, 64), dtype=np.uint64)
    for code, piece in enumerate(PIECES):
        steps, longest = _STEPS[piece.lower()]
        for start in range(64):
            for right, up in steps:
                passed = 0
                for distance in range(1, longest + 1):
                    file, rank = start % 8 + right * distance, start // 8 + up * distance
                    if not (0 <= file < 8 and 0 <= rank < 8):
                        break
                    square = rank * 8 + file
                    reach[code, start, square] = True
                    between[start, square] = passed
                    passed |= 1 << square
    return reach, between


REACH, BETWEEN = _tables()
BIT = np.uint64(1) << np.arange(64, dtype=np.uint64)


@dataclass(frozen=True)
class Boards:
    """n positions: piece codes and squares, both (n, 6)."""

    codes: Ints
    squares: Ints

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Boards:
        return Boards(self.codes[rows], self.squares[rows])

    def occupied(self) -> NDArray[np.uint64]:
        """(n,) the occupied squares as bits."""
        return np.asarray(np.bitwise_or.reduce(BIT[self.squares], axis=1), dtype=np.uint64)


def attacks(codes: Ints, start: Ints, to: Ints, occupied: NDArray[np.uint64]) -> Bools:
    """Whether a piece on `start` attacks `to`: pins do not matter."""
    clear = (BETWEEN[start, to] & occupied) == 0
    return np.asarray(REACH[codes, start, to] & clear)


def attacked_by(boards: Boards, slots: tuple[int, ...], to: Ints, occupied: NDArray[np.uint64]) -> Bools:
    """Whether any piece in `slots` attacks the squares `to`."""
    hit = np.zeros(len(boards), dtype=bool)
    for slot in slots:
        hit |= attacks(boards.codes[:, slot], boards.squares[:, slot], to, occupied)
    return hit


def random_boards(rng: np.random.Generator, n: int) -> Boards:
    """About a third of `n` random draws: those that are legal, with neither king in check."""
    white = np.argsort(rng.random((n, 4)), axis=1)[:, :2] + PIECES.index("Q")
    black = rng.choice([PIECES.index(piece) for piece in "rbnpp"], size=(n, 2))
    squares = np.argsort(rng.random((n, 64)), axis=1)[:, :6]
    codes = np.zeros((n, 6), dtype=np.int64)
    codes[:, BLACK_KING] = PIECES.index("k")
    codes[:, 1:3] = np.sort(white, axis=1)
    order = np.argsort(black * 64 + squares[:, 4:], axis=1)
    codes[:, 4:] = np.take_along_axis(black, order, axis=1)
    squares[:, 4:] = np.take_along_axis(squares[:, 4:], order, axis=1)
    boards = Boards(codes, squares)
    return boards[is_playable(boards)]


def is_playable(boards: Boards) -> Bools:
    """No pawn on the first or last rank, kings apart, neither king in check."""
    pawn = boards.codes == PIECES.index("p")
    pawns_fine = ~(pawn & ((boards.squares < 8) | (boards.squares >= 56))).any(axis=1)
    occupied = boards.occupied()
    white_checked = attacked_by(boards, BLACK_SLOTS, boards.squares[:, WHITE_KING], occupied)
    black_checked = attacked_by(boards, WHITE_SLOTS, boards.squares[:, BLACK_KING], occupied)
    return np.asarray(pawns_fine & ~white_checked & ~black_checked)
