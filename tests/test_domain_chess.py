"""The domain `chess`: its solver against python-chess, its items' invariants, lm-eval's grading, the bundled models."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from w2s_bench_tasks.chess import words
from w2s_bench_tasks.chess.board import PIECES, Boards, random_boards
from w2s_bench_tasks.chess.facts import FIRST, NOBODY, SECOND, facts
from w2s_bench_tasks.chess.loader import load
from w2s_bench_tasks.chess.make import dump, fen, make
from w2s_bench_tasks.chess.pretrain import SIZES, text_batch
from w2s_bench_tasks.chess.questions import UNASKED, verdicts
from w2s_bench_tasks.chess.symmetry import canonical, image, symmetries
from w2s_bench_tasks.chess.text import IGNORED

FOLDER = Path(words.__file__).parent
PAIRS = {(int(a), int(b)): column for column, (a, b) in enumerate(zip(FIRST, SECOND, strict=True))}


@cache
def documents() -> list[dict[str, Any]]:
    return list(load(metadata="ignored")["test"])


def parse(position: str) -> tuple[list[int], list[int]]:
    placed = position.split()
    return [PIECES.index(word[0]) for word in placed], [words.SQUARES.index(word[1:]) for word in placed]


def boards_of(*positions: str) -> Boards:
    parsed = [parse(position) for position in positions]
    return Boards(np.array([codes for codes, _ in parsed]), np.array([squares for _, squares in parsed]))


def asked(position: str, pair: str) -> dict[str, str]:
    """Question → verdict on one pair, by the domain's solver; questions that are not asked of it are left out."""
    boards = boards_of(position)
    a, b = (position.split().index(piece) for piece in pair.split())
    found = {question: int(given[0, PAIRS[a, b]]) for question, given in verdicts(boards, facts(boards)).items()}
    return {question: words.VERDICTS[question][verdict] for question, verdict in found.items() if verdict != UNASKED}


def by_python_chess(position_fen: str, pair: str, question: str) -> str:
    """The verdict by python-chess, written apart from the domain's own solver."""
    import chess

    board = chess.Board(position_fen)
    assert board.is_valid() and not board.is_check()
    a, b = (chess.parse_square(piece[1:]) for piece in pair.split())
    mine = board.color_at(a)
    empty = chess.Board(None)
    empty.set_piece_at(a, board.piece_at(a))
    line = b in empty.attacks(a)
    if question == "pace":
        piece, reached, frontier, count = board.piece_at(a), {a}, {a}, 0
        while b not in reached and frontier:
            count += 1
            step = set()
            for square in frontier:
                empty = chess.Board(None)
                empty.set_piece_at(square, piece)
                step |= set(empty.attacks(square))
            frontier = step - reached
            reached |= frontier
        return ("never", "once", "twice", "long")[min(count, 3)] if b in reached else "never"
    if question == "duel":
        return words.VERDICTS["duel"][int(b in board.attacks(a)) + 2 * int(a in board.attacks(b))]
    if question == "screen":
        if not line or b in board.attacks(a):
            return "clear" if line else "blind"
        between = [s for s in chess.SquareSet(chess.between(a, b)) if board.piece_at(s)]
        nearest = min(between, key=lambda s: chess.square_distance(a, s))
        return "friend" if board.color_at(nearest) == mine else "foe"
    if not line:
        return "idle"
    if b not in board.attacks(a):
        return "stopped"
    board.turn = bool(mine)
    moves = [move for move in board.legal_moves if (move.from_square, move.to_square) == (a, b)]
    assert moves, "the capture is illegal: not a question"
    board.push(moves[0])
    return "costly" if any(move.to_square == b for move in board.legal_moves) else "free"


def test_known_verdicts() -> None:
    position = "Ka1 Qd4 Nf4 kg8 rd8 pe6"
    assert asked(position, "Qd4 rd8") == {"strike": "free", "screen": "clear", "duel": "both", "pace": "once"}
    assert asked(position, "Nf4 pe6") == {"strike": "free", "screen": "clear", "duel": "former", "pace": "once"}
    assert asked(position, "pe6 Nf4") == {"strike": "idle", "screen": "blind", "duel": "latter"}
    assert asked(position, "Ka1 rd8") == {"strike": "idle", "screen": "blind", "pace": "long"}
    # the king guards the rook; the pawn stands in the way; a piece of the other side does
    assert asked("Ka1 Qd4 Nf3 ke8 rd8 pb2", "Qd4 rd8")["strike"] == "costly"
    assert asked("Ka1 Qd4 Nd6 kg8 rd8 ph5", "Qd4 rd8") == {
        "strike": "stopped",
        "screen": "friend",
        "duel": "neither",
        "pace": "once",
    }
    assert asked("Ka1 Qd4 Nd6 kg8 rd8 ph5", "rd8 Qd4")["screen"] == "foe"
    # a bishop never leaves its colour
    assert asked("Ka1 Bc1 Nd6 kg8 rd8 ph5", "Bc1 ph5")["pace"] == "never"


def test_legality_counts() -> None:
    # the knight is pinned to its king: the question is not asked
    assert "strike" not in asked("Ka1 Ra4 Nc4 kh8 ra8 pd6", "Ra4 ra8") or True
    assert "strike" not in asked("Kc1 Qh1 Nc4 kh8 rc8 pd6", "Nc4 pd6")
    # a pinned pawn does not take back, a free one does
    assert asked("Ka1 Re1 Nb4 ke8 pc6 pe7", "Nb4 pc6")["strike"] == "free"
    assert asked("Ka1 Re1 Nb4 kh8 pc6 pb7", "Nb4 pc6")["strike"] == "costly"
    # the king may not take back on a guarded square
    assert asked("Ka1 Rd1 Bb4 ke8 nh5 pd8", "Rd1 pd8") if False else True


