"""Many comparisons at once: Holm within a table, ranks that tests leave open, who is tied for first; what enters means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from itertools import permutations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell_builder import change, make_cells, steady
from w2s_bench._cli.board_table import print_board
from w2s_bench.controls import rivals
from w2s_bench.names import short
from w2s_bench.results import leaderboard, statistics
from w2s_bench.results.board import LEAST_DISCORDANT, LEAST_GAP, Leaderboard
from w2s_bench.results.cells import Cell
from w2s_bench.results.comparison import Comparison, mean_differences
from w2s_bench.results.pages.markdown import render
from w2s_bench.results.pages.ties import draw_ties
from w2s_bench.results.statistics import (
    Estimate,
    cliques,
    holm,
    improvement,
    interquartile_mean,
    pgr_by_seed,
    rank_intervals,
)
from w2s_bench.types import BoolArray


def board_of(*domains: dict[str, Cell]) -> Leaderboard:
    return leaderboard.build([cell for cells in domains for cell in cells.values()], Path("somewhere"))


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    return board_of(make_cells("w2s-bench/math", seeds=5, items=600), make_cells("w2s-bench/chess", seeds=5, items=600))


def test_holm_of_a_known_case() -> None:
    """The example of Wright 1992, Biometrics 48, 1005: .01 is below .05 / 3, .04 and .03 are not."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_is_never_below_p_nor_above_bonferronis(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p) or q == pytest.approx(min(1.0, len(p_values) * p))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_a_board_of_equal_arms_seldom_shows_a_difference() -> None:
    """Under a global null, 12 comparisons a table: the share of tables with any bold difference stays near 5 %."""
    rng, bold = np.random.default_rng(4), 0
    for _ in range(200):
        shared = rng.random((1, 300))
        weak, ceiling = shared + rng.normal(0, 0.3, (5, 300)) < 0.5, shared + rng.normal(0, 0.3, (5, 300)) < 0.9
        students = [shared + rng.normal(0, 0.3, (5, 300)) + rng.normal(0, 0.01, (5, 1)) < 0.7 for _ in range(7)]
        ratios = [statistics.pgr_difference(a, b, weak, ceiling) for a in students[:4] for b in students[4:]]
        p_values = [ratio.p for ratio in ratios if isinstance(ratio, Estimate) and ratio.p is not None]
        bold += min(holm(p_values)) < 0.05
    assert bold / 200 < 0.08


def test_ranks_are_what_known_differences_leave() -> None:
    better = {("a", "c"), ("a", "d"), ("b", "d")}
    assert rank_intervals("abcd", better) == {"a": (1, 2), "b": (1, 3), "c": (2, 4), "d": (3, 4)}
    assert cliques("abcd", better) == [("a", "b"), ("b", "c"), ("c", "d")]
    assert cliques("abc", set()) == [("a", "b", "c")]
    assert cliques("ab", {("a", "b")}) == []


def test_p_values_are_corrected_within_a_table_and_bold_says_so(board: Leaderboard) -> None:
    trusting = [row for row in board.rows if row.mean_minus]
    tables = [[row.mean_minus[rival] for row in trusting for rival in rivals()]]
    tables += [
        [row.entries[domain].minus[rival] for row in trusting for rival in rivals()] for domain in ("math", "chess")
    ]
    for ratios in tables:
        found = [ratio for ratio in ratios if isinstance(ratio, Estimate)]
        assert len(found) == len(trusting) * len(rivals())
        assert [ratio.adjusted for ratio in found] == holm([ratio.p or 0.0 for ratio in found])
    page = render(board, "p")
    for row in trusting:
        line = next(
            line for line in page[page.index("## What trust functions add") :].splitlines() if f" {row.arm} " in line
        )
        assert line.count("**") == 2 * sum(isinstance(m, Estimate) and m.holds for m in row.mean_minus.values())


def test_trust_functions_of_a_track_are_tested_against_each_other(board: Leaderboard) -> None:
    assert [(pair.track, pair.first, pair.second) for pair in board.pairs] == [
        ("none", "confidence", "acme/margin"),
        ("trust_set", "acme/verifier:layer=-1", "probe"),
    ]
    clear, close = (pair.difference for pair in board.pairs)
    assert isinstance(clear, Estimate) and isinstance(close, Estimate)
    assert clear.holds and clear.p == clear.adjusted
    rows = {row.arm: row for row in board.rows}
    for pair in board.pairs:
        means = [rows[arm].mean_pgr for arm in (pair.first, pair.second)]
        assert isinstance(means[0], Estimate) and isinstance(means[1], Estimate)
        assert isinstance(pair.difference, Estimate)
        assert pair.difference.value == pytest.approx(means[0].value - means[1].value)


def test_the_board_says_who_is_first_and_who_is_tied_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    far = {"w2s-bench/confidence": 0.82, "w2s-bench/probe": 0.80, "acme/verifier:layer=-1": 0.80}
    board = board_of(*(make_cells(name, seeds=5, items=600, accuracies=far) for name in ("a/math", "a/chess")))
    places = {row.arm: row.places for row in board.rows}
    assert (places["confidence"], places["acme/margin"]) == ((1, 1), (2, 2))
    assert places["probe"] == places["acme/verifier:layer=-1"] == (1, 2)
    assert places["naive"] is None
    page = render(board, "p")
    assert "Track none: **confidence** is first." in page
    tied = [row.arm for row in board.rows if row.track == "trust_set"]
    assert (
        f"Track trust set: **{tied[0]}** and **{tied[1]}** are tied for first; no test tells them from the best."
        in page
    )
    print_board(board)
    assert "confidence is first." in capsys.readouterr().out
    assert places["acme/engine"] is None and "Track privileged" not in page, "one alone in its track is no winner"
    (line,) = (line for line in page.splitlines() if line.startswith("| acme/engine") and "privileged" in line)
    cells = [cell.strip() for cell in line.strip("| ").split("|")]
    assert cells[1:3] == ["–", "–"] and "**" not in line


def test_the_diagram_of_ties_names_the_ranked_arms_and_joins_those_that_no_test_tells_apart() -> None:
    board = board_of(make_cells("w2s-bench/math"))
    text = draw_ties(board)
    ElementTree.fromstring(text)
    ranked = {"confidence", "acme/margin", "acme/verifier:layer=-1", "probe"}
    assert all(f"<!-- {name} -->" in text for name in ranked)
    assert not any(f"<!-- {name} -->" in text for name in ("acme/engine", "naive"))
    tied = [pair for pair in board.pairs if pair.known is None]
    assert text.count("stroke: #222222; stroke-width: 3") == len(tied) == 1
    alone = draw_ties(board_of(make_cells(arms=["weak", "ceiling", "naive"])))
    assert "no track has two ranked trust functions" in alone


def test_many_pairs_are_shown_as_neighbours(board: Leaderboard) -> None:
    many = replace(board, pairs=board.pairs * 30)
    page = render(many, "p")
    assert "Neighbours alone, of 60 pairs" in page


def test_seeds_one_by_one_have_the_pgr_as_their_mean(board: Leaderboard) -> None:
    for row in board.rows:
        for entry in row.entries.values():
            assert isinstance(entry.pgr, Estimate)
            assert len(entry.pgr_by_seed) == len(entry.seeds)
            assert np.mean(entry.pgr_by_seed) == pytest.approx(entry.pgr.value)
        assert isinstance(row.mean_pgr, Estimate)
        assert np.mean(row.pgr_by_seed) == pytest.approx(row.mean_pgr.value)
        values = [value for entry in row.entries.values() for value in entry.pgr_by_seed]
        assert row.iqm == interquartile_mean(values)
        assert (row.improvement is None) == (row.arm == "naive")


@pytest.mark.parametrize("left", [0, 1, 2])
def test_an_arm_with_one_seed_left_of_several_is_compared_with_nothing(left: int) -> None:
    """Whoever lost seeds would seem the surer: one seed says nothing of how seeds differ, and items alone too little."""
    lost = {("w2s-bench/probe", seed): "stopped" for seed in range(3) if seed != left}
    board = board_of(make_cells("a/math", failed=lost), make_cells("a/chess"))
    row = next(row for row in board.rows if row.arm == "probe")
    entry = row.entries["a/math"]
    assert entry.seeds == (left,) and isinstance(entry.accuracy, Estimate)
    compared = [entry.pgr, entry.recovery, row.mean_pgr, *entry.minus.values(), *row.mean_minus.values()]
    assert not [figure for figure in compared if isinstance(figure, Estimate)]
    assert (row.rank, row.places, row.iqm, row.improvement) == (None, None, None, None)
    assert "probe" not in {arm for pair in board.pairs for arm in (pair.first, pair.second)}
    assert "one seed" in next(line for line in render(board, "p").splitlines() if line.startswith("| probe"))
    two = board_of(make_cells("a/math", failed=dict([*lost.items()][:1])), make_cells("a/chess"))
    assert next(row for row in two.rows if row.arm == "probe").places, (
        "of two seeds the tests have one degree of freedom"
    )


def test_where_weak_and_ceiling_share_one_seed_of_several_nothing_is_compared() -> None:
    board = board_of(make_cells("a/math", failed={("ceiling", 0): "stopped", ("ceiling", 2): "stopped"}))
    assert not [row.arm for row in board.rows if row.places or isinstance(row.mean_pgr, Estimate)]
    assert board.pairs == () and board.detectable is None and board.domains[0].gap is None
    page = render(board, "p")
    assert "is first" not in page and "differ in" not in page
    assert "> **No PGR in a/math:** weak and ceiling have fewer than two seeds in common." in page


@pytest.mark.parametrize("lacks", [0, 1, 2])
def test_an_arm_that_answers_as_naive_does_outdoes_it_half_the_time_whichever_seed_it_lacks(lacks: int) -> None:
    cells = make_cells("a/math", failed={("w2s-bench/probe", lacks): "stopped"})
    probe, answered = cells["w2s-bench/probe"], ("correct", "accuracy", "by_stratum")
    seeds = [
        own if own.error else own.model_copy(update={name: getattr(naive, name) for name in answered})
        for own, naive in zip(probe.body.seeds, cells["naive"].body.seeds, strict=True)
    ]
    cells["w2s-bench/probe"] = change(probe, seeds=tuple(seeds))
    (row,) = (row for row in board_of(cells).rows if row.arm == "probe")
    assert row.improvement == 0.5


def test_an_arm_that_lacks_a_domain_has_no_summary_of_the_others() -> None:
    math, chess = make_cells("w2s-bench/math"), make_cells("w2s-bench/chess")
    del chess["w2s-bench/probe"]
    row = next(row for row in board_of(math, chess).rows if row.arm == "probe")
    assert (row.iqm, row.improvement, row.pgr_by_seed, row.places) == (None, None, (), None)


def test_interquartile_mean_and_improvement_of_known_cases() -> None:
    from scipy.stats import trim_mean

    rng = np.random.default_rng(0)
    for count in (1, 3, 4, 5, 15, 30):
        values = rng.normal(size=count)
        assert interquartile_mean(values.tolist()) == pytest.approx(trim_mean(values, 0.25))
    assert interquartile_mean([]) is None
    assert improvement([([1.0, 2.0], [1.0, 0.0])]) == pytest.approx(0.875)
    assert improvement([([1.0], [0.0]), ([0.0], [1.0]), ([], [1.0])]) == 0.5
    assert improvement([]) is None


def test_seeds_that_win_as_many_items_are_equal() -> None:
    """By whole numbers: of means the last digit says otherwise, and a tie would count as a win or as a defeat."""

    def answered(right: Sequence[int]) -> BoolArray:
        return np.array([[item < count for item in range(421)] for count in right])

    weak, ceiling = answered((150, 137, 163)), answered((380, 370, 390))
    arm, naive = answered((250, 237, 263)), answered((251, 236, 263))  # 100, 100, 100 and 101, 99, 100 items won
    of_arm, of_naive = (pgr_by_seed(student, weak, ceiling) for student in (arm, naive))
    assert len(set(of_arm)) == 1 and of_naive[2] == of_arm[0]
    assert improvement([(of_arm, of_naive)]) == 0.5
    assert np.mean(of_arm) == pytest.approx(100 / 230)


@pytest.mark.parametrize(
    ("items", "gap", "why"),
    [(1000, 6, f"its gap is below {LEAST_GAP}"), (100, 12, f"fewer than {LEAST_DISCORDANT}"), (1000, 60, "")],
)
def test_a_gap_of_a_few_items_enters_no_mean(
    items: int, gap: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    board = board_of(make_cells("a/math"), steady(items, gap))
    math, small = board.domains
    assert small.resolved
    assert small.discordant == gap
    assert not math.left_out
    assert (why in small.left_out) if why else not small.left_out
    assert board.mean_domains == (("a/math",) if why else ("a/math", "a/steady"))
    page = render(board, "p")
    assert ("**Means leave a/steady out:** " in page) == bool(why)
    print_board(board)
    assert ("a/steady: means leave it out" in capsys.readouterr().out) == bool(why)


def test_a_gap_that_is_itself_uncertain_enters_no_mean(board: Leaderboard) -> None:
    domain = board.domains[0]
    assert domain.gap is not None
    wide = replace(domain, gap=replace(domain.gap, value=0.1, low=0.01, high=0.19))
    assert wide.resolved
    assert "1.8 times as wide as the gap" in wide.left_out


def test_a_board_without_a_mean_says_that_it_tells_nothing_apart() -> None:
    none, some = (board_of(steady(1000, gap)) for gap in (6, 60))
    said = "No domain enters a mean, since in none can the gap between weak teacher and ceiling carry a ratio"
    assert not none.mean_domains and said in render(none, "p")
    assert some.mean_domains and said not in render(some, "p")


def test_what_a_board_can_tell_apart_shrinks_with_seeds_and_is_said() -> None:
    three, ten = (board_of(make_cells(seeds=seeds)).detectable for seeds in (3, 10))
    assert three is not None and ten is not None
    assert 0 < ten < three
    controls = board_of(make_cells(arms=["weak", "ceiling", "naive", "random"]))
    assert controls.detectable is not None
    assert "with 80 % power" in render(controls, "p")
    assert board_of(make_cells(arms=["weak", "ceiling"])).detectable is None


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_board_of_fewer_than_three_seeds_ranks_nobody(seeds: int, capsys: pytest.CaptureFixture[str]) -> None:
    board = board_of(make_cells(seeds=seeds))
    page = render(board, "p", "ties.svg")
    print_board(board)
    for told in (page, capsys.readouterr().out):
        assert "Fewer than 3 seeds." in told and "take no ranking from them" in " ".join(told.split())
        assert not [claim for claim in ("first", "power", "ranks", "Kendall", "ties.svg") if claim in told]
    assert not any(row.places for row in board.rows)
    ranked = board_of(make_cells(seeds=3)).rows
    assert all(bool(row.places) == (row.track in ("none", "trust_set")) for row in ranked)


@pytest.mark.parametrize("seed_sd", [0.0, 0.05])
def test_a_difference_as_large_as_can_be_detected_is_found_four_times_in_five(seed_sd: float) -> None:
    rng, found, sizes = np.random.default_rng(1), [], []
    for _ in range(400):
        seeds = rng.normal(0, seed_sd, (5, 1))
        a, b = rng.random((5, 500)) < 0.70 + seeds, rng.random((5, 500)) < 0.70
        sizes.append(statistics.components(a, b, np.zeros_like(a), np.ones_like(a)))
    apart = statistics.detectable([(statistics.pooled(sizes), 500)], 5, 0.8)
    for _ in range(400):
        seeds = rng.normal(0, seed_sd, (5, 1))
        a, b = rng.random((5, 500)) < 0.70 + apart + seeds, rng.random((5, 500)) < 0.70
        found.append((statistics.accuracy_difference(a, b).p or 0.0) < 0.05)
    assert 0.74 <= np.mean(found) <= 0.88


def test_means_of_many_pairs_at_once_are_those_of_each() -> None:
    """Of arms that have all seeds, of one that lacks a seed in one domain, and of one that has no cell there."""
    math = make_cells("w2s-bench/math", failed={("acme/margin", 1): "out of memory"})
    chess = make_cells("w2s-bench/chess")
    del chess["acme/engine"]
    domains = {"math": Comparison(_by_short_name(math)), "chess": Comparison(_by_short_name(chess))}
    arms = ["confidence", "acme/margin", "probe", "acme/verifier:layer=-1", "acme/engine", "naive", "oracle"]
    pairs = [*permutations(arms, 2), ("probe", "probe")]
    together = mean_differences(domains, pairs)
    assert list(together) == pairs
    for a, b in pairs:
        one = statistics.mean_over_domains({name: domain.difference(a, b) for name, domain in domains.items()})
        if isinstance(one, Estimate):
            found = together[a, b]
            assert isinstance(found, Estimate)
            assert flat(found) == pytest.approx(flat(one), rel=1e-9, abs=1e-15)
            bits = [[_bits(domain, arm) for arm in (a, b, "weak", "ceiling")] for domain in domains.values()]
            if "acme/margin" not in (a, b):
                apart = statistics.mean_over_domains(
                    {str(n): statistics.pgr_difference(*matrices) for n, matrices in enumerate(bits)}
                )
                assert isinstance(apart, Estimate)
                assert flat(found) == pytest.approx(flat(apart), rel=1e-9, abs=1e-15)
        else:
            assert together[a, b] == one
            assert "acme/engine" in (a, b)
    assert mean_differences({}, pairs[:1]) == {pairs[0]: statistics.mean_over_domains({})}


def flat(estimate: Estimate) -> list[float]:
    variance = astuple(estimate)[7]
    told = (estimate.value, estimate.low, estimate.high, estimate.df, estimate.p, estimate.seeds, estimate.items)
    return [float(number) for number in (*told, *variance) if number is not None]


def _by_short_name(cells: dict[str, Cell]) -> dict[str, Cell]:
    return {short(name): cell for name, cell in cells.items()}


def _bits(domain: Comparison, arm: str) -> BoolArray:
    return domain.stacked(arm, domain.common(arm))
