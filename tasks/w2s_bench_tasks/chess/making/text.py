"""The pretraining text, endless and made on the fly: positions and remarks on two of their pieces, as token ids.

    Ke1 Qd4 Nb4 ke8 ra4 pd5 : Qd4 ra4 sees N ra4 Nb4 takes Q Nb4 pd5 reaches 1 Qd4 ra4 faces no …

`a b sees` is followed by `no` (no line from a to b), `yes` (an open line) or the letter of the first piece in it; `a b takes`
by `no`, `held` (something stands in the line), the letter of the cheapest piece that can take back, or `safe`; `a b faces` by
`yes` or `no`, whether a attacks b and nothing about b; `a b reaches` by the moves that a needs on an empty board, or `off`.
"""

from __future__ import annotations

import numpy as np

from w2s_bench_tasks.chess.making.board import PIECES, Boards, Ints, random_boards
from w2s_bench_tasks.chess.making.facts import FIRST, NEVER, NOBODY, SECOND, Facts, facts
from w2s_bench_tasks.chess.making.words import (
    BEGIN,
    COUNTS,
    FIRST_LETTER,
    FIRST_PLACED,
    NO_LINE,
    OPEN,
    SAFE,
    STOPPED,
    TOKEN,
    UNREACHABLE,
    VERBS,
)

#: Remarks a position, and how many positions are looked at for one that is used.
REMARKS, LOOKED_AT = 7, 4
#: Only the remarks' answers are trained on.
IGNORED = -100
_MOVES = np.array([TOKEN[UNREACHABLE], *(TOKEN[count] for count in COUNTS)])


def _draw_boards(rng: np.random.Generator, rows: int) -> tuple[Boards, Facts]:
    """`rows` positions; those with a blocked line or a recapture, which are rare, come more often."""
    boards = random_boards(rng, rows * LOOKED_AT * 3)
    found = facts(boards)
    telling = (found.blocker != NOBODY).any(axis=1) + 0.7 * (found.retaker != NOBODY).any(axis=1)
    best = np.argsort(-(telling * (rng.random(len(boards)) < 0.7)) - rng.random(len(boards)) * 0.1)[:rows]
    taken = rng.permutation(best)
    arrays = {name: value[taken] for name, value in vars(found).items()}
    return boards[taken], Facts(**arrays)


def _weights(boards: Boards, found: Facts) -> np.ndarray:
    """(n, 120) how often each pair is remarked on in each of the four ways: the rare answers more often."""
    blocked = found.blocker != NOBODY
    enemies = ((FIRST < 3) != (SECOND < 3)) & (SECOND % 3 != 0)
    takes = np.where(blocked, 1.0, np.where(found.retaker != NOBODY, 4.0, np.where(found.legal, 0.8, 0.06)))
    takes = np.where(enemies & ~(found.open & ~found.legal), takes, 0.0)
    sees = np.where(blocked, 2.5, np.where(found.open, 0.3, 0.04))
    faces = np.where(blocked, 0.5, np.where(found.open, 0.35, 0.04))
    reaches = np.where(
        found.moves == NEVER, 0.15, np.array([0.0, 0.2, 0.06, 0.12, 0.12, 0.12, 0.12, 0.12])[found.moves]
    )
    reaches = np.where(boards.codes[:, FIRST] == PIECES.index("p"), 0.0, reaches)
    return np.concatenate([takes, sees, faces, reaches], axis=1)


def text_batch(rng: np.random.Generator, rows: int) -> tuple[Ints, Ints]:
    """Token ids (rows, 7 + 4 × REMARKS) of fresh text, and the targets: the answers, elsewhere `IGNORED`."""
    boards, found = _draw_boards(rng, rows)
    placed = FIRST_PLACED + boards.codes * 64 + boards.squares
    letters = FIRST_LETTER + boards.codes
    everyone = np.arange(rows)[:, None]
    blocked = found.blocker != NOBODY
    retaken = np.where(found.retaker == NOBODY, TOKEN[SAFE], letters[everyone, found.retaker])
    takes = np.where(found.open, retaken, np.where(blocked, TOKEN[STOPPED], TOKEN[NO_LINE]))
    sees = np.where(found.open, TOKEN[OPEN], np.where(blocked, letters[everyone, found.blocker], TOKEN[NO_LINE]))
    faces = np.where(found.open, TOKEN[OPEN], TOKEN[NO_LINE])
    answers = np.concatenate([takes, sees, faces, _MOVES[found.moves]], axis=1)
    verbs = np.array([TOKEN[verb] for verb in VERBS.values()])
    weights = _weights(boards, found)
    # weighted draws without replacement: the largest of random ** (1 / weight)
    order = np.where(weights > 0, np.log(rng.random(weights.shape)) / np.maximum(weights, 1e-9), -np.inf)
    drawn = np.argsort(-order, axis=1)[:, :REMARKS]
    drawn = rng.permuted(drawn, axis=1)
    pair = drawn % len(FIRST)
    a, b = placed[everyone, FIRST[pair]], placed[everyone, SECOND[pair]]
    remarks = np.stack([a, b, verbs[drawn // len(FIRST)], answers[everyone, drawn]], axis=2).reshape(rows, -1)
    ids = np.concatenate([placed, np.full((rows, 1), TOKEN[BEGIN]), remarks], axis=1)
    targets = np.full_like(ids, IGNORED)
    targets[:, 10::4] = ids[:, 10::4]
    return ids, targets
