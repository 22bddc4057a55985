"""Prompts and labels → positions and moves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, Need, Scope, Supervision

if TYPE_CHECKING:
    import chess

_POSITION: Final = re.compile(r"FEN\)?:\s*([^\n]+)")


class OutsideVerifier:
    """Track `privileged`: it finds the answer itself. It reads prompt and label, and neither gold nor what models say."""

    supervision: Supervision = "privileged"
    scope: Scope = "row"
    needs: tuple[Need, ...] = ()

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Nothing to learn."""


def board_of(prompt: str) -> chess.Board | None:
    """The position that a prompt gives last, if it is one that can be played on."""
    import chess

    found = _POSITION.findall(prompt)
    if not found:
        return None
    try:
        board = chess.Board(found[-1].strip())
    except ValueError:
        return None
    return board if board.is_valid() else None


def move_of(board: chess.Board, label: str) -> chess.Move | None:
    """The legal move that a label begins with, in UCI or in standard notation."""
    import chess

    word = label.split()[0] if label.split() else ""
    for parse in (board.parse_uci, board.parse_san):
        try:
            move = parse(word)
        except ValueError:
            continue
        return move if move != chess.Move.null() else None
    return None
