"""Moves are judged by the rules, by search, and by whatever engine speaks UCI; rows without chess have the lowest score."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Any

import chess
import numpy as np
import pytest

from w2s_bench import TrustFunctionError
from w2s_bench.testing import Check, MemoryEvidence, trust_function_checks
from w2s_bench_chess_verifiers.verifiers import FUNCTIONS, LegalMove, ShallowSearch, UciEngine
from w2s_bench_chess_verifiers.verifiers.moves import board_of, move_of
from w2s_bench_chess_verifiers.verifiers.shallow_search import NO_MOVE, after, best_value
from w2s_bench_chess_verifiers.verifiers.uci_engine import chances

RNG = np.random.default_rng(0)
#: White mates by the rook on the last rank; the queen on h3 hangs.
MATE = "6k1/5ppp/8/8/8/7q/5PPP/3R2K1 w - - 0 1"


@pytest.mark.parametrize("check", trust_function_checks(), ids=str)
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_keeps_the_contract(name: str, check: Check) -> None:
    check(FUNCTIONS[name])


def rows(*pairs: tuple[str, str]) -> MemoryEvidence:
    prompts = tuple(f"Chess position (FEN): {fen}\nWhite to move. Best move:" if fen else "2 + 2 =" for fen, _ in pairs)
    labels = tuple(f" {label}" for _, label in pairs)
    ids = tuple(str(i) for i in range(len(pairs)))
    return MemoryEvidence(ids, prompts, labels, None, None, {}, labels)


def test_legality_in_both_notations() -> None:
    told = rows(
        (MATE, "Rd8#"),
        (MATE, "d1d8"),
        (MATE, "Rd8"),
        (MATE, "Kg3"),
        (MATE, ""),
        (MATE, "0000"),
        ("", "Rd8"),
        ("8/8", "Rd8"),
    )
    assert LegalMove().score(told, rng=RNG).tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    board = board_of(told.prompts[0])
    assert board is not None and move_of(board, " gxh3 and wins") == chess.Move.from_uci("g2h3")
    assert board_of("Chess position (FEN): 8/8/8/8/8/8/8/8 w - - 0 1\n") is None, "no kings, no position"


def test_a_search_sees_mate_before_a_queen_and_a_queen_before_a_pawn_move() -> None:
    mate, queen, quiet, none = ShallowSearch(2).score(
        rows((MATE, "Rd8"), (MATE, "gxh3"), (MATE, "f3"), (MATE, "Kg3")), rng=RNG
    )
    assert mate == 0.0 > queen > quiet > none == NO_MOVE
    hanging = "4k3/8/8/3p4/4P3/8/8/4K3 w - - 0 1"
    took, left = ShallowSearch(1).score(rows((hanging, "exd5"), (hanging, "Kd1")), rng=RNG)
    assert (took, left) == (0.0, -2.0), "the pawn is taken, or takes"


def plain(board: Any, depth: int, ply: int) -> float:
    """The same by minimax without cuts, captures played out to the same length."""
    from w2s_bench_chess_verifiers.verifiers import shallow_search as s

    moves = list(board.legal_moves)
    if not moves:
        return -(1000.0 - ply) if board.is_check() else 0.0
    if board.is_insufficient_material():
        return 0.0
    if depth <= 0:
        return s._captures(board, -np.inf, np.inf, s._CAPTURES)
    values = []
    for move in moves:
        board.push(move)
        values.append(-plain(board, depth - 1, ply + 1))
        board.pop()
    return max(values)


@pytest.mark.parametrize("fen", [MATE, "4k3/8/2n5/3p4/4P3/5N2/8/4K3 w - - 0 1", "8/8/8/8/5k2/7q/8/7K w - - 0 1"])
def test_cutting_branches_changes_no_value(fen: str) -> None:
    board = chess.Board(fen)
    assert best_value(board, 2) == pytest.approx(plain(board, 2, 0))
    moves = list(board.legal_moves)
    if moves:
        assert max(after(board, move, 2) for move in moves) == pytest.approx(best_value(board, 2))
    assert board.fen() == chess.Board(fen).fen(), "the board is left as it was"


ENGINE = """#!{python}
import sys
for line in sys.stdin:
    words = line.split()
    if words[:1] == ["uci"]:
        print("id name made-up", "uciok", sep="\\n", flush=True)
    elif words[:1] == ["isready"]:
        print("readyok", flush=True)
    elif words[:1] == ["go"]:
        moves = words[words.index("searchmoves") + 1:] if "searchmoves" in words else ["d1d8"]
        value = 300 if "d1d8" in moves else -100
        print(f"info depth 1 nodes 1 score cp {{value}} pv {{moves[0]}}", f"bestmove {{moves[0]}}", sep="\\n", flush=True)
    elif words[:1] == ["quit"]:
        break
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a script is the engine")
def test_an_engine_is_asked_for_the_best_move_and_for_the_label(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.write_text(ENGINE.format(python=sys.executable))
    engine.chmod(engine.stat().st_mode | stat.S_IXUSR)
    best, other, none = UciEngine(str(engine), nodes=1).score(rows((MATE, "Rd8"), (MATE, "f3"), ("", "Rd8")), rng=RNG)
    assert (best, none) == (0.0, -1.0) and other == pytest.approx(chances(-100) - chances(300))
    with pytest.raises(TrustFunctionError, match="no program 'no-such-engine' is installed; install a UCI engine"):
        UciEngine("no-such-engine").score(rows((MATE, "Rd8")), rng=RNG)


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match="depth must be a whole number from 1 to 5, got 9"):
        ShallowSearch(9)
    with pytest.raises(ValueError, match="nodes must be"):
        UciEngine(nodes=0)
    with pytest.raises(ValueError, match="engine must be"):
        UciEngine(" ")
    assert (chances(0), round(chances(300), 3)) == (0.5, 0.751)
