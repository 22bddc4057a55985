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
from w2s_bench_tasks.chess.board import EMPTY, PIECES, Boards, play, random_boards, white_moves
from w2s_bench_tasks.chess.facts import QUESTIONS, answers
from w2s_bench_tasks.chess.loader import load
from w2s_bench_tasks.chess.make import dump, fen, make
from w2s_bench_tasks.chess.pretrain import IGNORED, text_batch
from w2s_bench_tasks.chess.symmetry import canonical

FOLDER = Path(words.__file__).parent
ORDER = "pnbrqk"


@cache
def documents() -> list[dict[str, Any]]:
    return list(load(metadata="ignored")["test"])


def boards_of(positions: list[str]) -> Boards:
    placed = [[(PIECES.index(word[0]), words.SQUARES.index(word[1:])) for word in text.split()] for text in positions]
    array = np.array(placed, dtype=np.int64)
    return Boards(array[..., 0], array[..., 1])


def named(position: str, move: str) -> dict[str, str]:
    """Question → the piece on its square that answers it, after `move`."""
    boards = boards_of([position])
    slot = np.array([[word[0] for word in position.split()].index(move[0])])
    after, _, legal = play(boards, slot, np.array([words.SQUARES.index(move[2:])]))
    assert legal.all()
    found = {question: int(slots[0]) for question, slots in answers(after, slot).items()}
    return {
        question: "" if at == EMPTY else PIECES[after.codes[0, at]] + words.SQUARES[after.squares[0, at]]
        for question, at in found.items()
    }


def by_python_chess(item: dict[str, Any]) -> dict[str, str]:
    """The same, by python-chess, from the item's FEN: written apart from the domain's own solver."""
    import chess

    board = chess.Board(item["fen"])
    assert board.is_valid() and not board.is_check()
    letter, target = item["move"].split("-")
    to = chess.parse_square(target)
    (start,) = [s for s, piece in board.piece_map().items() if piece.symbol() == letter]
    move = chess.Move(start, to)
    assert move in board.legal_moves
    board.push(move)

    def of(color: bool) -> list[int]:
        return [s for s, piece in board.piece_map().items() if piece.color == color]

    def attacked(square: int, color: bool) -> bool:
        return bool(board.attackers(color, square))

    captures = [m for m in board.legal_moves if board.is_capture(m)]
    kings = (board.king(chess.WHITE), board.king(chess.BLACK))
    blacks = [s for s in of(chess.BLACK) if s not in kings]
    best: dict[str, tuple[list[int], bool]] = {
        "risk": ([m.to_square for m in captures], True),
        "drop": ([m.to_square for m in captures if not attacked(m.to_square, chess.WHITE)], True),
        "taker": ([m.from_square for m in captures if m.to_square == to], False),
        "guard": (list(board.attackers(chess.WHITE, to)), False),
        "threat": ([s for s in blacks if attacked(s, chess.WHITE)], True),
        "prey": ([s for s in blacks if attacked(s, chess.WHITE) and not attacked(s, chess.BLACK)], True),
        "target": ([s for s in of(chess.BLACK) if s in board.attacks(to)], True),
        "loose": ([s for s in blacks if not attacked(s, chess.BLACK)], True),
    }
    result = {}
    for question, (squares, dearest) in best.items():
        letters = sorted((board.piece_at(s).symbol() for s in squares), key=lambda p: ORDER.index(p.lower()))  # type: ignore[union-attr]
        result[question] = (letters[-1] if dearest else letters[0]) if letters else ""
    return result


def test_known_answers() -> None:
    found = named("Ka1 Qd1 Nc3 kd8 rh4 pe6", "Q-d4")
    assert found == {
        "risk": "Qd4",  # the rook takes along the fourth rank,
        "drop": "Qd4",  # and nothing takes back
        "taker": "rh4",
        "guard": "",
        "threat": "rh4",
        "prey": "rh4",
        "target": "kd8",
        "loose": "rh4",  # nor is the pawn protected, but a rook is worth more
    }
    # a pinned pawn cannot take: white bishop c6 behind d7 holds the king on e8
    pinned = named("Ka1 Rh7 Bb5 ke8 nh1 pd7", "K-b1")
    assert pinned["risk"] == ""
    # the king may not take a protected rook, but may take it unprotected
    assert named("Ka1 Rd1 Nc5 ke8 nh1 ph2", "R-d7")["taker"] == ""
    assert named("Ka1 Rd1 Na5 ke8 nh1 ph2", "R-d7")["taker"] == "ke8"


def test_solver_agrees_with_python_chess() -> None:
    pytest.importorskip("chess")
    for item in documents()[::9]:
        ours, theirs = named(item["position"], item["move"]), by_python_chess(item)
        assert {q: piece[:1] .lower() for q, piece in ours.items()} == {q: piece.lower() for q, piece in theirs.items()}, item
        verdict = words.VERDICTS[item["stratum"]][theirs[item["stratum"]]]
        assert item["options"][item["answer"]] == verdict, item


def test_moves_agree_with_python_chess() -> None:
    chess = pytest.importorskip("chess")
    boards = random_boards(np.random.default_rng(5), 900)
    moves = white_moves(boards)
    for row in range(0, len(boards), 4):
        one = boards[[row] * 192]
        slot, to = np.repeat(np.arange(3), 64), np.tile(np.arange(64), 3)
        legal = play(one, slot, to)[2] & moves[row].ravel()
        board = chess.Board(fen(boards.codes[row].tolist(), boards.squares[row].tolist()))
        ours = {(int(boards.squares[row, s]), int(t)) for s, t in zip(slot[legal], to[legal], strict=True)}
        assert ours == {(m.from_square, m.to_square) for m in board.legal_moves}
