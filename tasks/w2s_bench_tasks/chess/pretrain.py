"""Pretraining of the bundled models of this domain (development only).

    python -m w2s_bench_tasks.chess.pretrain [s|m|l …] --out DIR

The text is endless and made while training: positions, white moves, and remarks that name a piece on its square
(`Ke1 Qd4 Nf3 ke8 ra8 pd5 : Q-d8 x= Qd8 by= ra8 ; …`). It holds what the task asks in another form: neither the task's verbs nor
its verdicts occur in it, nor any of its positions.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from w2s_bench_tasks.chess.board import EMPTY, PIECES, Boards, Ints, play, random_boards, white_moves
from w2s_bench_tasks.chess.facts import QUESTIONS, answers
from w2s_bench_tasks.chess.words import BEGIN, FIRST_MOVE, FIRST_PLACED, NEXT, NONE, REMARKS, TOKEN, VOCABULARY

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from w2s_bench_tasks.pretraining import Batch

MOVES, REMARKS_A_MOVE = 3, 4
IGNORED = -100


def text_batch(rng: np.random.Generator, rows: int) -> tuple[Ints, Ints]:
    """Token ids (rows, length) of fresh text, and the targets: the remarks' answers."""
    boards = random_boards(rng, rows * 3)
    while len(boards) < rows:
        more = random_boards(rng, rows * 3)
        boards = Boards(np.concatenate([boards.codes, more.codes]), np.concatenate([boards.squares, more.squares]))
    boards = boards[:rows]
    moves = white_moves(boards).reshape(rows, -1)
    drawn = np.argsort(np.where(moves, rng.random(moves.shape), 2.0), axis=1)[:, :MOVES]
    columns = [FIRST_PLACED + boards.codes * 64 + boards.squares]
    wanted = [np.zeros((rows, 6), dtype=bool)]

    def add(ids: Ints, is_answer: bool = False) -> None:
        columns.append(ids[:, None])
        wanted.append(np.full((rows, 1), is_answer))

    for k in range(MOVES):
        slot, to = drawn[:, k] // 64, drawn[:, k] % 64
        after, _, _ = play(boards, slot, to)
        add(np.full(rows, TOKEN[NEXT if k else BEGIN]))
        add(FIRST_MOVE + boards.codes[np.arange(rows), slot] * 64 + to)
        named = answers(after, slot)
        found = np.stack([named[question] for question in QUESTIONS], axis=1)
        # remarks that name a piece come first more often: "no piece" would be most of the text
        order = np.argsort(rng.random(found.shape) + 0.5 * (found == EMPTY), axis=1)[:, :REMARKS_A_MOVE]
        signs = np.array([TOKEN[REMARKS[question]] for question in QUESTIONS])
        for j in range(REMARKS_A_MOVE):
            which = order[:, j]
            piece = found[np.arange(rows), which]
            placed = FIRST_PLACED + after.codes[np.arange(rows), piece] * 64 + after.squares[np.arange(rows), piece]
            add(signs[which])
            add(np.where(piece == EMPTY, TOKEN[NONE], placed), is_answer=True)
    ids = np.concatenate(columns, axis=1)
    return ids, np.where(np.concatenate(wanted, axis=1), ids, IGNORED)
