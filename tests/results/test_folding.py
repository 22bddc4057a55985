"""Large boards: the best first and the rest to unfold, families of domains, a page a domain, and nothing is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import cell_builder
from cell_builder import make_cells, write_cells
from w2s_bench.errors import CellError
from w2s_bench.results import board as boards
from w2s_bench.results import folding
from w2s_bench.results.board import MOST_DOMAINS, MOST_FUNCTIONS, Leaderboard
from w2s_bench.results.checking.rules import check
from w2s_bench.results.folding import BEST, OTHERS, families, family, first_rows
from w2s_bench.results.leaderboard import build, write_leaderboard
from w2s_bench.results.pages.plots import compose
from w2s_bench.results.pages.standing import not_shown
from w2s_bench.results.pages.ties import draw_ties
from w2s_bench.results.places import first_in_track
from w2s_bench.results.statistics import Estimate

WIDE = [f"lm-eval/mmlu_{name}" for name in ("law", "virology", "ethics")]
WIDE += ["lm-eval/arc_easy", "lm-eval/arc_challenge", "w2s-bench/knowledge", "acme/knowledge:kind=rivers"]
WIDE += ["w2s-bench/math", "acme/flat"]


@pytest.mark.parametrize(
    ("domain", "word"),
    [
        ("lm-eval/mmlu_law", "mmlu"),
        ("lm-eval/arc-easy", "arc"),
        ("w2s-bench/knowledge", "knowledge"),
        ("acme/knowledge:kind=rivers", "knowledge"),
        ("knowledge/rivers", "rivers"),
        ("math", "math"),
    ],
)
def test_a_family_is_the_first_word_of_a_name_without_its_distribution(domain: str, word: str) -> None:
    assert family(domain) == word


def test_families_part_the_domains() -> None:
    kin = families(WIDE)
    assert [*kin] == ["mmlu", "arc", "knowledge", OTHERS]
    assert sorted(domain for own in kin.values() for domain in own) == sorted(WIDE)
    assert families([f"acme/d{n}x" for n in range(12)]) == {}  # no two are kin: the mean says it all


def large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *domains: str, functions: int, items: int = 60
) -> tuple[Path, Leaderboard]:
    trust = {f"acme/function_{n}": (0.55 + 0.005 * n, "none", 0.7) for n in range(functions - 2)}
    trust |= {f"acme/function_0:layer={n}": (0.83 + 0.01 * n, "none", 0.7) for n in (1, 2)}
    monkeypatch.setattr(cell_builder, "TRUST", trust)
    made = [make_cells(domain, items=items) for domain in domains]
    return tmp_path / "toy", write_leaderboard(write_cells(tmp_path / "toy", *made))


def test_many_trust_functions_fold_to_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = BEST + 4
    assert most < MOST_FUNCTIONS  # every two functions of a board are compared: so many are dear
    for module in (boards, folding):
        monkeypatch.setattr(module, "MOST_FUNCTIONS", most)
    results, board = large(tmp_path, monkeypatch, "w2s-bench/math", "w2s-bench/chess", functions=most + 1)
    best = first_rows(board.rows)
    functions = [row.arm for row in best if not row.is_control]
    assert len(functions) == BEST and functions[0] == board.rows[0].arm
    assert (
        len({arm.partition(":")[0] for arm in functions}) == BEST
    )  # of settings of one function the best stands for all
    assert [row.arm for row in best if row.is_control] == [row.arm for row in board.rows if row.is_control]
    page = (results / "README.md").read_text()
    opening, _, rest = page.partition("<details>")
    lines = [line for line in opening.splitlines() if line.startswith("| ")]
    assert len(lines) == len(best) + 1
    for row in board.rows:
        assert f"\n| {row.arm} " in rest, row.arm
    assert page.count("<details>") == page.count("</details>") > 4
    # A table is read as one only with an empty line before it.
    assert not re.search(r"</summary>\n\|", page)
    assert (results / "pgr.svg").read_text().count("<!-- acme/function") <= BEST
    (told,) = not_shown(board).values()
    first, ranked = (
        first_in_track(board.rows, "none"),
        [row for row in board.rows if row.track == "none" and row.places],
    )
    hidden = len({*first} - {*functions})
    assert told.startswith(f"{BEST} of {len(ranked)} shown")
    assert hidden == 0 or told.endswith(f"{len(first)} are tied for first, {hidden} of them not shown")
    assert f"<!-- {told} -->" in (results / "ties.svg").read_text(), "in the picture"
    assert f"![Trust functions that no test tells apart; track none: {told}](ties.svg)" in page, "and in its words"
    assert check(results).passed


def test_of_arms_that_are_tied_for_first_a_picture_tells_how_many_it_does_not_show() -> None:
    board = build(make_cells().values(), Path("somewhere"))
    assert not_shown(board) == {}, "all of a small board are shown"
    (row,) = [row for row in board.rows if row.arm == "confidence"]
    many = [
        replace(row, arm=f"acme/f{n}", rank=n + 1, places=(1, MOST_FUNCTIONS + 1)) for n in range(MOST_FUNCTIONS + 1)
    ]
    large = replace(board, rows=tuple(many))
    hidden = MOST_FUNCTIONS + 1 - BEST
    told = f"{BEST} of {MOST_FUNCTIONS + 1} shown; {MOST_FUNCTIONS + 1} are tied for first, {hidden} of them not shown"
    assert not_shown(large) == {"none": told} and f"<!-- {told} -->" in draw_ties(large)
    one = replace(large, rows=(replace(many[0], places=(1, 1)), *(replace(r, places=(2, 9)) for r in many[1:])))
    assert not_shown(one) == {"none": f"{BEST} of {MOST_FUNCTIONS + 1} shown"}


@pytest.mark.slow
def test_many_domains_fold_to_families_and_have_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(WIDE) > MOST_DOMAINS
    results, board = large(tmp_path, monkeypatch, *WIDE, functions=5, items=200)
    page = (results / "README.md").read_text()
    head = next(line for line in page.splitlines() if line.startswith("| arm"))
    assert set(board.families) == {"mmlu", "arc", "knowledge", OTHERS}
    assert re.findall(r"mean of \d: \w+", head) == [f"mean of {len(own)}: {kin}" for kin, own in board.families.items()]
    assert "PGR math" not in head
    row = board.rows[0]
    own = [row.entries[domain].pgr for domain in board.families["mmlu"]]
    mean, values = row.family_pgr["mmlu"], [pgr.value for pgr in own if isinstance(pgr, Estimate)]
    assert isinstance(mean, Estimate) and mean.value == pytest.approx(sum(values) / len(own))
    linked = re.findall(r"\]\((domains/[^)]+)\)", page)
    assert len(linked) == len(WIDE)
    for name in linked:
        told = (results / name).read_text()
        assert "(../README.md)" in told
        assert all(f"| {row.arm} " in told for row in board.rows)
    assert "## Domain " not in page
    assert check(results).passed
    (results / linked[0]).write_text("edited")
    assert [finding.file for finding in check(results).errors] == [linked[0]]


def test_a_link_in_place_of_the_pages_folder_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, _ = large(tmp_path, monkeypatch, "w2s-bench/math", functions=3)
    (results / "domains").symlink_to(tmp_path)
    with pytest.raises(CellError, match="is a link"):
        write_leaderboard(results)


@pytest.mark.parametrize("resolved", [0, 1])
def test_many_domains_without_kin_of_which_at_most_one_has_a_gap_have_a_page(tmp_path: Path, resolved: int) -> None:
    """Neither families nor a mean over several are there to draw: the plot ended the whole run."""
    even = {"base": 0.5, "weak": 0.5, "ceiling": 0.5}
    names = [f"acme/{letter}x" for letter in "abcdefghi"]
    assert len(names) > MOST_DOMAINS and families(names) == {}
    made = [
        make_cells(name, items=60 if number >= resolved else 300, accuracies=even if number >= resolved else None)
        for number, name in enumerate(names)
    ]
    board = write_leaderboard(write_cells(tmp_path / "toy", *made))
    assert len(board.mean_domains) == resolved and board.families == {}
    title = compose(board).axes[0].get_title()
    assert title == ("mean of 1 domain" if resolved else "mean of 0 domains")
