"""What is true after a white move: for every question, which piece answers it (a slot), found by exact search."""

from __future__ import annotations

import numpy as np

from w2s_bench_tasks.chess.board import (
    _BIT,
    BLACK_KING,
    BLACK_SLOTS,
    EMPTY,
    WHITE_SLOTS,
    WORTH,
    Boards,
    Bools,
    Ints,
    attacked_by,
    attacks,
)

#: The questions, in this order everywhere. Each has one piece as its answer, or none.
QUESTIONS = ("risk", "drop", "taker", "guard", "threat", "prey", "target", "loose")


def black_takes(after: Boards) -> Bools:
    """(n, 3, 3) which black slot (3 + first index) can legally take which white slot; the white king never can be taken."""
    can = np.zeros((len(after), 3, 3), dtype=bool)
    occupied = after.occupied()
    king = after.squares[:, BLACK_KING]
    for i, taker in enumerate(BLACK_SLOTS):
        start = after.squares[:, taker]
        left = np.where(start >= 0, occupied & ~_BIT[start], occupied)
        for victim in WHITE_SLOTS[1:]:
            to = after.squares[:, victim]
            reaches = attacks(after.codes[:, taker], start, to, occupied)
            king_then = to if taker == BLACK_KING else king
            can[:, i, victim] = reaches & ~attacked_by(after, WHITE_SLOTS, king_then, left, without=victim)
    return can


def _pick(may: Bools, codes: Ints, first_slot: int, *, dearest: bool) -> Ints:
    """The slot of the dearest (or cheapest) piece among `may` (n, 3); the lower slot of two equals; `EMPTY` if there is none."""
    worth = WORTH[codes[:, first_slot : first_slot + 3]]
    rank = np.where(may, worth if dearest else 9 - worth, -1)
    return np.where(may.any(axis=1), rank.argmax(axis=1) + first_slot, EMPTY)


def answers(after: Boards, mover: Ints) -> dict[str, Ints]:
    """Question → (n,) the slot of the piece that answers it, `EMPTY` for none; `mover` is the slot of the piece that has moved.

    risk    the dearest white piece that Black can take
    drop    the dearest white piece that Black can take and no white piece protects
    taker   the cheapest black piece that can take the piece that has moved
    guard   the cheapest white piece that protects it
    threat  the dearest black piece, not the king, that White attacks
    prey    the dearest black piece, not the king, that White attacks and no black piece protects
    target  the dearest black piece, the king too, that the moved piece attacks
    loose   the dearest black piece, not the king, that no black piece protects

    "Can take" is a legal move; "attacks" and "protects" do not ask whether the attacker is pinned.
    """
    n = len(after)
    rows, occupied = np.arange(n), after.occupied()
    takes = black_takes(after)
    at: Bools = np.zeros((n, 6, 6), dtype=bool)  # [attacker, on whose square], friend or foe
    for i in range(6):
        for j in range(6):
            if i != j:
                at[:, i, j] = attacks(after.codes[:, i], after.squares[:, i], after.squares[:, j], occupied)
    takeable = takes.any(axis=1)
    guarded_white, guarded_black = at[:, :3, :3].any(axis=1), at[:, 3:, 3:].any(axis=1)
    alive_black = after.squares[:, 3:] >= 0
    no_king = np.array([False, True, True])
    attacked_black = at[:, :3, 3:].any(axis=1) & no_king
    loose = alive_black & ~guarded_black & no_king
    codes = after.codes
    return {
        "risk": _pick(takeable, codes, 0, dearest=True),
        "drop": _pick(takeable & ~guarded_white, codes, 0, dearest=True),
        "taker": _pick(takes[rows, :, mover], codes, 3, dearest=False),
        "guard": _pick(at[rows, :3, mover], codes, 0, dearest=False),
        "threat": _pick(attacked_black, codes, 3, dearest=True),
        "prey": _pick(attacked_black & loose, codes, 3, dearest=True),
        "target": _pick(at[rows, mover, 3:], codes, 3, dearest=True),
        "loose": _pick(loose, codes, 3, dearest=True),
    }
