"""The task's questions: verdicts on an ordered pair of pieces, made of the facts."""

from __future__ import annotations

import numpy as np

from w2s_bench_tasks.chess.making.board import BLACK_KING, PIECES, WHITE_KING, Boards, Ints
from w2s_bench_tasks.chess.making.facts import FIRST, NEVER, NOBODY, SECOND, Facts

#: Where a question is not asked of a pair.
UNASKED = -1

_ENEMIES = (FIRST < 3) != (SECOND < 3)
_KINGS = (WHITE_KING, BLACK_KING)
_REVERSE = np.array([np.flatnonzero((b == FIRST) & (a == SECOND))[0] for a, b in zip(FIRST, SECOND, strict=True)])


def verdicts(boards: Boards, found: Facts) -> dict[str, Ints]:
    """Question → (n, 30) the index of the verdict in `words.VERDICTS`, or `UNASKED`.

    strike  a takes the enemy b (no king): 0 no line, 1 something stands in the line, 2 legal and b's side can legally take
            back, 3 legal and it cannot. Not asked where the capture is illegal for a pin.
    screen  a looks towards the enemy b (no king): 0 no line, 1 nothing between, 2 or 3 the piece next to a on the line is
            of a's or of b's side
    duel    two enemies, no kings: 0 neither attacks the other, 1 only a attacks b, 2 only b attacks a, 3 both
    pace    a (no pawn) goes to b's square on an otherwise empty board: 0 never, 1 one move, 2 two, 3 more
    """
    no_king_second = ~np.isin(SECOND, _KINGS)
    blocked = found.blocker != NOBODY
    asked = _ENEMIES & no_king_second

    strike = np.where(found.line, np.where(blocked, 1, np.where(found.retaker != NOBODY, 2, 3)), 0)
    strike = np.where(asked & ~(found.open & ~found.legal), strike, UNASKED)

    friend = (found.blocker < 3) == (FIRST < 3)
    screen = np.where(found.line, np.where(blocked, np.where(friend, 2, 3), 1), 0)
    screen = np.where(asked, screen, UNASKED)

    back = found.open[:, _REVERSE]
    duel = found.open.astype(np.int64) + 2 * back
    duel = np.where(asked & ~np.isin(FIRST, _KINGS), duel, UNASKED)

    pace = np.where(found.moves == NEVER, 0, np.minimum(found.moves, 3))
    pace = np.where(boards.codes[:, FIRST] != PIECES.index("p"), pace, UNASKED)
    return {"strike": strike, "screen": screen, "duel": duel, "pace": pace}
