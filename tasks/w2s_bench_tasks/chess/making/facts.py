"""What is true of two pieces of a position, by exact search: lines, what stands in them, captures and recaptures, distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from w2s_bench_tasks.chess.making.board import (
    BETWEEN,
    BIT,
    BLACK_KING,
    PIECES,
    REACH,
    WHITE_KING,
    WORTH,
    Boards,
    Bools,
    Ints,
    attacks,
)

#: All 30 ordered pairs of slots, in the order of every second axis below.
FIRST: Ints = np.repeat(np.arange(6), 5)
SECOND: Ints = np.array([b for a in range(6) for b in range(6) if a != b])
NOBODY = -1
NEVER = 0


def _distances() -> Ints:
    """`[code, from, to]` the moves that a piece needs on an otherwise empty board, `NEVER` if it cannot get there."""
    moves = np.zeros((len(PIECES), 64, 64), dtype=np.int64)
    for code, piece in enumerate(PIECES):
        if piece == "p":  # how pawns move is not told by how they take; nobody asks for it
            continue
        step = REACH[code]
        frontier = np.eye(64, dtype=bool)
        reached = frontier.copy()
        for count in range(1, 8):
            frontier = (frontier.astype(np.int64) @ step.astype(np.int64) > 0) & ~reached
            moves[code][frontier] = count
            reached |= frontier
    return moves


DISTANCE = _distances()


@dataclass(frozen=True)
class Facts:
    """For n positions and 30 ordered pairs of pieces (a, b), each array (n, 30).

    `line`     a could move or take to b's square if nothing stood between
    `open`     … and nothing stands between: a attacks b
    `blocker`  the slot of the piece in between that is nearest to a, `NOBODY` without a line or on an open one
    `legal`    b is an enemy, no king, and a can take it without leaving its own king in check
    `retaker`  where `legal`: the slot of the cheapest piece that can then legally take back, `NOBODY` for none
    `moves`    how many moves a would need to b's square on an empty board, `NEVER` if it cannot get there
    """

    line: Bools
    open: Bools
    blocker: Ints
    legal: Bools
    retaker: Ints
    moves: Ints


def _king_safe(boards: Boards, white: Bools, king: Ints, occupied: np.ndarray, gone: list[Ints]) -> Bools:
    """(n, 30) whether no enemy of the side (`white` or not) attacks `king`, the slots in `gone` having left the board."""
    safe = np.ones(king.shape, dtype=bool)
    for enemy in range(6):
        there = white == (enemy >= 3)
        for slot in gone:
            there = there & (slot != enemy)
        codes, squares = boards.codes[:, enemy, None], boards.squares[:, enemy, None]
        safe &= ~(there & attacks(codes, squares, king, occupied))
    return safe


def facts(boards: Boards) -> Facts:
    """All facts of all pairs."""
    codes, squares = boards.codes, boards.squares
    a, b = squares[:, FIRST], squares[:, SECOND]
    occupied = np.broadcast_to(boards.occupied()[:, None], a.shape)
    line = REACH[codes[:, FIRST], a, b]
    between = BETWEEN[a, b] & occupied
    is_open = line & (between == 0)

    blocker, nearest = np.full(a.shape, NOBODY), np.full(a.shape, 99)
    for slot in range(6):
        square = squares[:, slot, None]
        steps = np.maximum(abs(square % 8 - a % 8), abs(square // 8 - a // 8))
        closer = line & ((BETWEEN[a, b] & BIT[square]) != 0) & (steps < nearest)
        blocker, nearest = np.where(closer, slot, blocker), np.where(closer, steps, nearest)

    first, second = np.broadcast_to(FIRST, a.shape), np.broadcast_to(SECOND, a.shape)
    white = first < 3
    own_king = squares[:, np.where(FIRST < 3, WHITE_KING, BLACK_KING)]
    taken = occupied & ~BIT[a]  # a now stands on b's square, which stays occupied
    king = np.where((first == WHITE_KING) | (first == BLACK_KING), b, own_king)
    enemies = (first < 3) != (second < 3)
    legal = is_open & enemies & (second % 3 != 0) & _king_safe(boards, white, king, taken, [second])

    retaker, price = np.full(a.shape, NOBODY), np.full(a.shape, 99)
    their_king = squares[:, np.where(FIRST < 3, BLACK_KING, WHITE_KING)]
    for slot in range(6):
        reaches = attacks(codes[:, slot, None], squares[:, slot, None], b, taken)
        king = b if slot in (WHITE_KING, BLACK_KING) else their_king
        back = taken & ~BIT[squares[:, slot, None]]
        may = legal & reaches & (white == (slot >= 3)) & (second != slot)
        may &= _king_safe(boards, ~white, king, back, [first])
        worth = WORTH[codes[:, slot, None]]
        cheaper = may & (worth < price)
        retaker, price = np.where(cheaper, slot, retaker), np.where(cheaper, worth, price)
    return Facts(line, is_open, blocker, legal, retaker, DISTANCE[codes[:, FIRST], a, b])
