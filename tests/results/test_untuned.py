"""Whether trust functions made the student better than it was before any training, as a board tells it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from cell_builder import TRUST, change, make_cells
from w2s_bench.names import short
from w2s_bench.results import leaderboard
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.cells import Cell
from w2s_bench.results.pages.plots import draw
from w2s_bench.results.pages.standing import standing
from w2s_bench.results.statistics import Estimate

DOMAINS = ("w2s-bench/math", "w2s-bench/chess")


def board_of(*domains: dict[str, Cell]) -> Leaderboard:
    return leaderboard.build([cell for cells in domains for cell in cells.values()], Path("somewhere"))


def with_answers_of_base(cells: dict[str, Cell], arm: str) -> dict[str, Cell]:
    """The cells with the untuned student's answers under another arm's name."""
    answered = ("correct", "accuracy", "by_stratum")
    seeds = [
        seed.model_copy(update={field: getattr(base, field) for field in answered})
        for seed, base in zip(cells[arm].body.seeds, cells["base"].body.seeds, strict=True)
    ]
    return {**cells, arm: change(cells[arm], seeds=tuple(seeds))}


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    """An untuned student of .75: between `acme/margin` (.60) and `acme/engine` (.85); `probe` answers as it does."""
    cells = [make_cells(name, seeds=5, items=900, accuracies={"base": 0.75}) for name in DOMAINS]
    return board_of(*(with_answers_of_base(own, "w2s-bench/probe") for own in cells))


def test_who_made_the_student_better_and_who_worse(board: Leaderboard) -> None:
    assert board.untuned is not None
    assert set(board.untuned.minus) == {short(name) for name in TRUST}
    assert "acme/engine" in board.untuned.better and "acme/margin" in board.untuned.worse
    same = board.untuned.minus["probe"]
    assert isinstance(same, Estimate) and same.value == 0, "the same answers are no gain, whatever their PGR"
    assert "probe" not in (*board.untuned.better, *board.untuned.worse)
    by_domain = [d.references["base"].pgr for d in board.domains]
    assert board.untuned.pgr.value == pytest.approx(
        sum(pgr.value for pgr in by_domain if isinstance(pgr, Estimate)) / 2
    )


def test_the_board_says_so_in_words_and_in_its_plot(board: Leaderboard) -> None:
    assert board.untuned is not None
    (said,) = [sentence for sentence in standing(board, str.upper) if "`base`" in sentence]
    better, worse = len(board.untuned.better), len(board.untuned.worse)
    assert f"PGR {board.untuned.pgr.value:.2f}" in said and f"of {len(TRUST)} trust functions" in said
    assert "ACME/ENGINE" in said and "ACME/MARGIN" in said
    assert f"of the other {len(TRUST) - better - worse} no test tells" in said and "dotted line" in said
    text = draw(board)
    ElementTree.fromstring(text)
    assert text.count("<!-- base -->") == 3, "a line in each domain and in their mean"


def test_a_student_that_starts_below_its_teacher_is_in_the_plot_alone() -> None:
    """As a line that the legend explains, or in words where there is no room for one: a reader looks for it either way."""
    below = board_of(*(make_cells(name, seeds=5, items=900) for name in DOMAINS))
    assert below.untuned is not None and below.untuned.pgr.high < 0
    assert not [sentence for sentence in standing(below, str) if "`base`" in sentence]
    text = draw(below)
    assert "<!-- base -->" not in text and "<!-- base: untuned -->" not in text
    told = [below.untuned.pgr, *(d.references["base"].pgr for d in below.domains)]
    for pgr in told:
        assert isinstance(pgr, Estimate) and f"<!-- base −{-pgr.value:.2f}, off the axis -->" in text
    near = board_of(*(make_cells(name, seeds=5, items=900, accuracies={"base": 0.42}) for name in DOMAINS))
    assert near.untuned is not None and near.untuned.pgr.high < 0 and near.untuned.pgr.value > -0.4
    text = draw(near)
    assert not [sentence for sentence in standing(near, str) if "`base`" in sentence]
    lines = text.count("<!-- base -->")
    assert "<!-- base: untuned -->" in text and lines == 3 and "off the axis" not in text
    missing = [make_cells(name, seeds=5, items=900, arms=["weak", "ceiling", "naive", *TRUST]) for name in DOMAINS]
    none = board_of(*missing)
    assert none.untuned is None
    assert "<!-- base" not in draw(none) and not [s for s in standing(none, str) if "`base`" in s]
