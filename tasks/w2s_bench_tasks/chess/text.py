"""The pretraining text, endless and made on the fly: positions and remarks on two of their pieces, as token ids.

    Ke1 Qd4 Nf3 ke8 ra8 pd5 : Qd4 pd5 via + Nf3 pd5 in 3 Qd4 pd5 then = …

`a b via` is followed by `-` (no line from a to b), `+` (an open line) or the first piece that stands in it; `a b then` (where a
can take b) by the cheapest piece that can take back, or `=`; `a b in` by the moves that a needs on an empty board, or `x`.
"""

from __future__ import annotations

import numpy as np

from w2s_bench_tasks.chess.board import PIECES, Boards, Ints, random_boards
from w2s_bench_tasks.chess.facts import FIRST, NEVER, NOBODY, SECOND, Facts, facts
from w2s_bench_tasks.chess.words import (
    BEGIN,
    COUNTS,
    FIRST_PLACED,
    IN,
    NO_LINE,
    OPEN,
    SAFE,
    THEN,
    TOKEN,
    UNREACHABLE,
    VIA,
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
    """(n, 90) how often each pair is remarked on with `via`, `then` and `in`: the rare answers more often."""
    via = np.where(found.line, np.where(found.open, 0.4, 3.0), 0.05)
    then = np.where(found.legal, np.where(found.retaker == NOBODY, 0.4, 3.0), 0.0)
    steps = np.where(found.moves == NEVER, 0.15, np.array([0.0, 0.2, 0.06, 0.12, 0.12, 0.12, 0.12, 0.12])[found.moves])
    steps = np.where(boards.codes[:, FIRST] == PIECES.index("p"), 0.0, steps)
    return np.concatenate([via, then, steps], axis=1)


def text_batch(rng: np.random.Generator, rows: int) -> tuple[Ints, Ints]:
    """Token ids (rows, 7 + 4 × REMARKS) of fresh text, and the targets: the answers, elsewhere `IGNORED`."""
    boards, found = _draw_boards(rng, rows)
    placed = FIRST_PLACED + boards.codes * 64 + boards.squares
    everyone = np.arange(rows)[:, None]
    via = np.where(found.line, np.where(found.open, TOKEN[OPEN], placed[everyone, found.blocker]), TOKEN[NO_LINE])
    then = np.where(found.retaker == NOBODY, TOKEN[SAFE], placed[everyone, found.retaker])
    answers = np.concatenate([via, then, _MOVES[found.moves]], axis=1)
    signs = np.repeat([TOKEN[VIA], TOKEN[THEN], TOKEN[IN]], len(FIRST))

    weights = _weights(boards, found)
    # weighted draws without replacement: the largest of random ** (1 / weight)
    order = np.where(weights > 0, np.log(rng.random(weights.shape)) / np.maximum(weights, 1e-9), -np.inf)
    drawn = np.argsort(-order, axis=1)[:, :REMARKS]
    drawn = rng.permuted(drawn, axis=1)
    pair = drawn % len(FIRST)
    a, b = placed[everyone, FIRST[pair]], placed[everyone, SECOND[pair]]
    remarks = np.stack([signs[drawn], a, b, answers[everyone, drawn]], axis=2).reshape(rows, -1)
    ids = np.concatenate([placed, np.full((rows, 1), TOKEN[BEGIN]), remarks], axis=1)
    targets = np.full_like(ids, IGNORED)
    targets[:, 10::4] = ids[:, 10::4]
    return ids, targets
