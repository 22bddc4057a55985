"""The domain `chess-depth`: verdicts of a search that looks a few squares far, against exact ones and by hand."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from w2s_bench import PluginError
from w2s_bench_tasks.chess.domain import domain as chess
from w2s_bench_tasks.chess.making.words import VERBS
from w2s_bench_tasks.chess_depth.domain import domain
from w2s_bench_tasks.chess_depth.shallow import WHOLE_BOARD, training_document, verdict


@cache
def documents() -> list[dict[str, Any]]:
    """A quarter of all items."""
    lines = (chess().yaml.parent / "items.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[::4]]


def asked(position: str, pair: str, question: str, depth: int) -> str:
    return verdict({"position": position, "pair": pair, "stratum": question}, depth)


@pytest.mark.parametrize("depth", [WHOLE_BOARD, WHOLE_BOARD + 1])
def test_a_search_that_sees_the_whole_board_gives_the_verdicts_that_grade(depth: int) -> None:
    """Written apart from the solver that made the items; 7 squares are the longest line."""
    assert all(verdict(d, depth) == d["options"][d["answer"]] for d in documents())


@pytest.mark.parametrize(
    ("depth", "least", "most"), [(1, 0.61, 0.67), (2, 0.74, 0.80), (3, 0.84, 0.89), (4, 0.91, 0.95)]
)
def test_what_share_of_its_verdicts_is_right_is_as_the_data_card_has_it(depth: int, least: float, most: float) -> None:
    right = [verdict(d, depth) == d["options"][d["answer"]] for d in documents()]
    assert least < sum(right) / len(right) < most


@pytest.mark.parametrize(
    ("question", "pair", "depth", "expected"),
    [
        # Qd4 and ra4 stand 3 squares apart, the knight on b4 2 from the queen.
        ("strike", "Qd4 ra4", 3, "stopped"),
        ("strike", "Qd4 ra4", 2, "stopped"),  # what is met first lies in sight
        ("strike", "Qd4 ra4", 1, "idle"),  # nothing is met
        ("screen", "Qd4 ra4", 2, "friend"),
        ("screen", "Qd4 ra4", 1, "blind"),
        ("screen", "ra4 Qd4", 1, "foe"),
        # The pawn on d5 is next to the queen.
        ("strike", "Qd4 pd5", 1, "free"),
        ("duel", "Qd4 pd5", 1, "former"),
        # A knight jumps as near as can be; a king's walk has no lines.
        ("strike", "Nb4 pd5", 1, "free"),
        ("duel", "ke8 Qd4", 7, "neither"),
        ("pace", "Nb4 pd5", 1, "once"),
        # A queen goes from d4 to a4 in one move, or in two or three short ones.
        ("pace", "Qd4 ra4", 3, "once"),
        ("pace", "Qd4 ra4", 2, "twice"),
        ("pace", "Qd4 ra4", 1, "long"),
    ],
)
def test_verdicts_by_hand(question: str, pair: str, depth: int, expected: str) -> None:
    assert question in VERBS
    assert asked("Ke1 Qd4 Nb4 ke8 ra4 pd5", pair, question, depth) == expected


def test_who_takes_back_from_afar_is_not_seen() -> None:
    position = "Ke1 Qd4 Nb1 kg8 pd5 rd8"  # the rook on d8 takes back on d5, 3 squares away
    assert [asked(position, "Qd4 pd5", "strike", depth) for depth in (1, 2, 3, 7)] == [
        "free",
        "free",
        "costly",
        "costly",
    ]


def test_a_piece_that_is_pinned_within_sight_does_not_take_back() -> None:
    position = "Kb1 Qd4 Rg1 kg8 pd5 ng5"  # of no use: the knight on g5 does not reach d5
    assert asked(position, "Qd4 pd5", "strike", 7) == "free"
    position = "Kb1 Qd4 Rg1 kg8 pf6 ng7"  # the knight on g7 is pinned by the rook; it does not reach f6 either
    assert asked(position, "Qd4 pf6", "strike", 7) == "free"
    position = "Kb1 Qd5 Rg1 kg8 pf5 ng7"  # it reaches f5, and is pinned from 6 squares away
    assert asked(position, "Qd5 pf5", "strike", 7) == "free"
    assert asked(position, "Qd5 pf5", "strike", 3) == "costly", "who does not see the rook sees no pin"


def test_a_training_document_has_another_answer_and_is_the_same_otherwise() -> None:
    near = [training_document(d, depth=2) for d in documents()]
    assert all({**n, "answer": d["answer"]} == d for n, d in zip(near, documents(), strict=True))
    assert sum(n["answer"] != d["answer"] for n, d in zip(near, documents(), strict=True)) > 300


def test_its_parameter_and_what_it_shares_with_chess() -> None:
    near, exact = domain(label_depth=2), domain()
    assert exact.training_document is None and domain(WHOLE_BOARD).training_document is None
    assert near.training_document is not None and near.yaml == chess().yaml and near.files == chess().files
    prints = [domain(depth).fingerprint() for depth in (None, 1, 2, 3)]
    assert len(set(prints)) == 4 and chess().fingerprint() not in prints
    for bad in (0, 8, 2.0, True, "2"):
        with pytest.raises(PluginError, match="label_depth must be a whole number of squares from 1 to 7"):
            domain(label_depth=bad)  # type: ignore[arg-type]
