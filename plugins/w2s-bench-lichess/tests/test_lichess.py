"""Lichess puzzles as domains: which move is right, which are offered, what a file may look like."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chess
import pytest

from w2s_bench import PluginError
from w2s_bench.testing import check_domain
from w2s_bench_lichess import move, puzzles, w2s_domains
from w2s_bench_lichess.reading import questions

#: After the knight's move, rook and queen both give mate on the eighth rank.
BEFORE = "6k1/5ppp/8/8/8/8/5n2/R2QK3 b - - 0 1"
MATE = f"{BEFORE},f2h1 a1a8,900"
FREE = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1,e2e4 e7e5,1600"


def made_up(count: int) -> list[str]:
    """Positions after random legal moves, with any legal move as the solution."""
    draws, lines = random.Random(7), []
    while len(lines) < count:
        board = chess.Board()
        for _ in range(draws.randrange(4, 30)):
            if board.is_game_over():
                break
            board.push(draws.choice(list(board.legal_moves)))
        before = board.fen()
        moves = []
        for _ in range(2):
            if board.is_game_over():
                break
            moves.append(draws.choice(list(board.legal_moves)))
            board.push(moves[-1])
        if len(moves) == 2:
            lines.append(f"{before},{' '.join(one.uci() for one in moves)},{draws.randrange(600, 2800)}")
    return lines


LINES = made_up(300)


def asked(*lines: str, options: int = 8) -> dict[str, dict[str, Any]]:
    """Best move → the document, among enough others."""
    documents = questions([*lines, *LINES[:20]], "puzzles.csv", most=1000, options=options)
    return {document["best"]: document for document in documents}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "lichess_db_puzzle.csv").write_text("\n".join(LINES) + "\n")
    monkeypatch.setenv("W2S_BENCH_DATA", str(tmp_path))
    yield tmp_path


def test_the_opponent_moves_first_and_other_mates_are_not_offered() -> None:
    board = chess.Board(BEFORE)
    board.push_uci("f2h1")
    mates = {one.uci() for one in board.legal_moves if _mates(board, one)}
    assert "a1a8" in mates and len(mates) > 1
    document = asked(MATE, options=0)["a1a8"]
    assert document["position"] == board.fen() and document["side"] == "White"
    assert document["choices"][document["answer"]] == "Ra8#"
    assert sum(choice.endswith("#") for choice in document["choices"]) == 1
    assert len(document["choices"]) == board.legal_moves.count() - len(mates) + 1


def _mates(board: chess.Board, one: chess.Move) -> bool:
    after = board.copy()
    after.push(one)
    return after.is_checkmate()


@pytest.mark.parametrize(("options", "offered"), [(2, 2), (8, 8), (0, 20)])
def test_options_are_legal_moves_and_the_best_among_them(options: int, offered: int) -> None:
    document = asked(FREE, options=options)["e7e5"]
    board = chess.Board(document["position"])
    assert len(set(document["choices"])) == offered
    assert {board.parse_san(choice) for choice in document["choices"]} <= set(board.legal_moves)
    assert board.parse_san(document["choices"][document["answer"]]).uci() == "e7e5"
    assert document["stratum"] == "1600 to 1999"


def test_where_the_best_option_stands_says_nothing() -> None:
    documents = questions(LINES, "puzzles.csv", most=1000, options=4)
    places = [document["answer"] for document in documents if len(document["choices"]) == 4]
    assert min(places.count(place) for place in range(4)) > len(places) / 8


def test_a_file_with_lichess_s_header_is_the_same_puzzles() -> None:
    header = "PuzzleId,FEN,Moves,Rating,RatingDeviation,Themes"
    lines = []
    for number, line in enumerate(LINES):
        fen, moves, rating = line.split(",")
        lines.append(f"p{number},{fen},{moves},{rating},80,middlegame short")
    named = questions([header, *lines], "puzzles.csv", most=1000, options=0)
    plain = questions(LINES, "puzzles.csv", most=1000, options=0)
    assert {document["key"]: document["best"] for document in named} == {
        document["key"]: document["best"] for document in plain
    }
    assert all(document["id"].startswith("p") for document in named)


def test_fewer_puzzles_are_some_of_them_whatever_their_order_in_the_file() -> None:
    few = questions(LINES, "puzzles.csv", most=50, options=8)
    assert len(few) == 50 and few == questions(LINES[::-1], "puzzles.csv", most=50, options=8)
    every = questions(LINES, "puzzles.csv", most=1000, options=8)
    assert {document["id"] for document in few} < {document["id"] for document in every}


@pytest.mark.parametrize("name", ["puzzles", "move"])
def test_the_domain_keeps_the_rules_of_domains(name: str, data: Path) -> None:
    check_domain(w2s_domains()[name]())


def test_a_generated_move_is_found_in_what_was_written(data: Path) -> None:
    task = move().task()
    document = next(iter(task.test_docs()))
    best = task.doc_to_target(document)
    assert [task.process_results(document, [answer])["exact_match"] for answer in (best, "a1a1")] == [1.0, 0.0]


def test_parameters_are_part_of_what_the_items_are(data: Path) -> None:
    domains = (puzzles(), puzzles(options=4), puzzles(most=50), move())
    assert len({domain.fingerprint() for domain in domains}) == 4
    assert puzzles().fingerprint() == puzzles(file="elsewhere.csv").fingerprint()  # where data lie is no part of it
    assert not puzzles().self_contained


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not a position,e2e4 e7e5,1500", r"puzzles.csv, line 1: no puzzle that can be played"),
        (FREE.replace("e7e5", "e7e4"), r"line 1: no puzzle that can be played"),
        (FREE.replace("e2e4 e7e5", "e2e4"), r"line 1: no puzzle that can be played"),
        (FREE.replace("1600", "high"), r"line 1: expected FEN, Moves, Rating, got"),
        ("PuzzleId,FEN,Themes", r"no column Moves, Rating; its columns are PuzzleId, FEN, Themes"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        questions([line, *LINES], "puzzles.csv", most=1000, options=8)


def test_a_bad_parameter_or_folder_is_told_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PluginError, match=r"options is 1; expected 0"):
        puzzles(options=1)
    with pytest.raises(PluginError, match=r"most is 3; expected at least 10"):
        move(most=3)
    monkeypatch.delenv("W2S_BENCH_DATA", raising=False)
    with pytest.raises(PluginError, match=r"run with --data DIR"):
        puzzles().task()
    monkeypatch.setenv("W2S_BENCH_DATA", str(tmp_path))
    with pytest.raises(PluginError, match=r"no file 'lichess_db_puzzle.csv' in"):
        puzzles().task()
    with pytest.raises(PluginError, match=r"lies outside"):
        puzzles(file="../else.csv").task()
    (tmp_path / "lichess_db_puzzle.csv").write_text(FREE + "\n")
    with pytest.raises(PluginError, match=r"holds 1 puzzles that can be asked"):
        puzzles().task()
