"""The leaderboard on a terminal of any width: figures stay whole, and a gap that is not resolved is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cell_builder import CONTROLS, TRUST, make_cells
from w2s_bench._cli.causes import likely_cause
from w2s_bench._cli.report import print_leaderboard
from w2s_bench.results import leaderboard
from w2s_bench.results.board import DomainSummary, Leaderboard

INTERVAL = re.compile(r"−?\d\.\d{2,3} \[−?\d\.\d{2,3}, −?\d\.\d{2,3}\]")
ARMS = len(TRUST) + len(CONTROLS)


def board_of(*domains: str, **changes: object) -> Leaderboard:
    cells = [cell for name in domains for cell in make_cells(name, **changes).values()]  # type: ignore[arg-type]
    return leaderboard.build(cells, Path("somewhere"))


def shown(board: Leaderboard, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    print_leaderboard(board, as_json=False)
    return capsys.readouterr().out


THREE = board_of("w2s-bench/chess", "w2s-bench/knowledge", "w2s-bench/math")
PARTIAL = board_of("w2s-bench/math", failed={(arm, 1): "killed" for arm in (*TRUST, *CONTROLS)})
TEN = board_of(*(f"acme/a-domain-{n}" for n in range(9)), "acme-of-a-long-name/and_a_domain_of_a_long_name")


@pytest.mark.parametrize("board", [THREE, TEN, PARTIAL], ids=["three", "ten", "partial"])
@pytest.mark.parametrize("width", [40, 60, 80, 100, 132, 160, 300])
def test_no_interval_is_broken_and_no_line_is_wider_than_the_terminal(
    board: Leaderboard, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = shown(board, width, monkeypatch, capsys)
    assert max(len(line.rstrip()) for line in said.splitlines()) <= width
    assert len(INTERVAL.findall(said)) == ARMS * (len(board.domains) + 1), "each domain and the mean"
    assert "…" not in said, "nothing is cut"
    assert said.count("(2 of 3 seeds)") == (ARMS if board is PARTIAL else 0)
    for row in board.rows:
        assert row.arm in said or width < 80, "an arm's name is folded where there is no room at all"


def test_where_there_is_room_there_is_one_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(THREE, 160, monkeypatch, capsys).count("probe") == 1
    assert shown(THREE, 80, monkeypatch, capsys).count("probe") > 1


def test_a_domain_without_a_gap_shows_accuracies_and_the_likely_cause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = board_of("acme/flat", accuracies={"ceiling": 0.51})
    said = shown(board, 120, monkeypatch, capsys)
    assert "acme/flat (accuracy)" in " ".join(said.split())
    assert len(INTERVAL.findall(said)) == ARMS + 1, "an accuracy with its interval an arm, and the gap below"
    assert "acme/flat: gap unresolved, so accuracies and no PGR. Too few items or seeds" in said


def summary(seeds: int = 3, items: int = 300, **accuracies: float) -> DomainSummary:
    return board_of("w2s-bench/math", seeds=seeds, items=items, accuracies=accuracies).domains[0]


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        (summary(ceiling=0.15), "is below the untuned student"),
        (summary(ceiling=0.25, weak=0.3), "too few steps, or too low a learning rate"),
        (summary(ceiling=0.5, weak=0.6), "The teacher is as good as the student trained on ground truth"),
        (summary(ceiling=0.62, weak=0.5, items=24), "Too few items or seeds to tell the gap from none"),
        # The ceiling is .24 above the untuned student and the teacher .06 above it, as far as two seeds tell.
        (
            summary(ceiling=0.475, base=0.263, weak=0.481, seeds=2, items=80),
            "Too few items or seeds to tell whether ground",
        ),
        (
            summary(ceiling=0.475, base=0.263, weak=0.481, seeds=2, items=80),
            "Seeds are most of its width: take more (`--seeds 5`",
        ),
        (
            summary(ceiling=0.5, base=0.2, weak=0.5, seeds=2),
            "Too few items or seeds to tell the gap from none",
        ),
        (summary(ceiling=0.62, weak=0.55, seeds=1, items=40), "times as many test items would do; or widen the gap"),
        (board_of("w2s-bench/math", arms=["weak", "naive"]).domains[0], "There is no result of ceiling"),
    ],
)
def test_the_likely_cause_of_a_lost_gap_is_told(domain: DomainSummary, said: str) -> None:
    assert not domain.resolved
    assert said in likely_cause(domain)
