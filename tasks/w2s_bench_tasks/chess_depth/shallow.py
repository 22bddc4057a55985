"""Verdicts on two pieces by a search that looks a few squares far, and no farther.

A document is one of the domain `chess`: six pieces, two of them named, one of four questions. What is asked of it is answered here
by the same rules, but for one: along a line a piece moves, takes and is seen at most `depth` squares away. Whoever looks 7
squares far sees the whole board, and gives the verdicts that `chess` is graded by.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from w2s_bench_tasks.chess.making.board import BETWEEN, BLACK_KING, PIECES, REACH, WHITE_KING
from w2s_bench_tasks.chess.making.words import SQUARES, VERDICTS

#: From here on the search sees the whole board.
WHOLE_BOARD = 7

#: Of moves to a square that a piece cannot get to.
NEVER = 0

#: A slot and the square that its piece stands on; who is gone has none.
Placed = dict[int, int]


def training_document(document: Mapping[str, Any], *, depth: int) -> dict[str, Any]:
    """The document with the verdict of a search that looks `depth` squares far as its answer."""
    return {**document, "answer": list(document["options"]).index(verdict(document, depth))}


def verdict(document: Mapping[str, Any], depth: int) -> str:
    """What a search that looks `depth` squares far, 1 or more, answers to a document."""
    pieces = str(document["position"]).split()
    a, b = (pieces.index(piece) for piece in str(document["pair"]).split())
    board = _Board(pieces, depth)
    question = str(document["stratum"])
    return VERDICTS[question][getattr(board, question)(a, b)]


class _Board:
    """One position; the questions give the place of their verdict among `words.VERDICTS`, as `questions.verdicts` has them."""

    def __init__(self, pieces: list[str], depth: int) -> None:
        self._codes = [PIECES.index(piece[0]) for piece in pieces]
        self._at: Placed = {slot: SQUARES.index(piece[1:]) for slot, piece in enumerate(pieces)}
        self._depth = depth

    def strike(self, a: int, b: int) -> int:
        met = self._first_met(a, b)
        if met is None:
            return 0
        return 1 if met != b else 2 if self._taken_back(a, b) else 3

    def screen(self, a: int, b: int) -> int:
        met = self._first_met(a, b)
        if met is None:
            return 0
        return 1 if met == b else 2 if _white(met) == _white(a) else 3

    def duel(self, a: int, b: int) -> int:
        return int(self._first_met(a, b) == b) + 2 * int(self._first_met(b, a) == a)

    def pace(self, a: int, b: int) -> int:
        moves = _moves(self._codes[a], self._depth)[self._at[a]][self._at[b]]
        return 0 if moves == NEVER else min(moves, 3)

    def _first_met(self, a: int, b: int) -> int | None:
        """The slot of the first piece on the line from a to b, b itself among them; None without a line, or within sight."""
        start, to = self._at[a], self._at[b]
        if not REACH[self._codes[a], start, to]:
            return None
        on_line = [slot for slot, square in self._at.items() if slot == b or int(BETWEEN[start, to]) >> square & 1]
        nearest = min(on_line, key=lambda slot: _apart(start, self._at[slot]))
        return nearest if _far(self._codes[a], start, self._at[nearest]) <= self._depth else None

    def _taken_back(self, a: int, b: int) -> bool:
        """Whether a piece of b's side can take a, which has taken b, and leave its own king unattacked."""
        after: Placed = {slot: square for slot, square in self._at.items() if slot != b} | {a: self._at[b]}
        for slot in after:
            if _white(slot) == _white(a) or not self._attacks(slot, after[a], after):
                continue
            back: Placed = {other: square for other, square in after.items() if other != a} | {slot: after[a]}
            king = back[WHITE_KING if _white(slot) else BLACK_KING]
            if not any(_white(other) == _white(a) and self._attacks(other, king, back) for other in back):
                return True
        return False

    def _attacks(self, slot: int, to: int, at: Placed) -> bool:
        """Whether a piece attacks a square that lies within sight: pins do not matter."""
        code, start = self._codes[slot], at[slot]
        if not REACH[code, start, to] or _far(code, start, to) > self._depth:
            return False
        return not any(int(BETWEEN[start, to]) >> square & 1 for square in at.values())


def _white(slot: int) -> bool:
    return slot < 3


def _apart(start: int, to: int) -> int:
    """Squares along a line, or of a king's walk."""
    return max(abs(start % 8 - to % 8), abs(start // 8 - to // 8))


def _far(code: int, start: int, to: int) -> int:
    """How far a piece looks to see a square that it reaches: a knight's jump is as near as can be."""
    return 1 if PIECES[code] in "Nn" else _apart(start, to)


@cache
def _moves(code: int, depth: int) -> list[list[int]]:
    """`[from][to]` the moves of at most `depth` squares that a piece needs on an otherwise empty board, or `NEVER`."""
    steps = [
        [to for to in range(64) if REACH[code, start, to] and _far(code, start, to) <= depth] for start in range(64)
    ]
    table = []
    for start in range(64):
        moves, frontier, reached, count = [NEVER] * 64, {start}, {start}, 0
        while frontier:
            count += 1
            frontier = {to for square in frontier for to in steps[square]} - reached
            reached |= frontier
            for square in frontier:
                moves[square] = count
        table.append(moves)
    return table
