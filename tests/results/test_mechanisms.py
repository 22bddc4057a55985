"""Mechanisms of a finished run, by answers that are known beforehand: planted order, planted rank, planted shares of a gain."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cell_builder import change, make_cells
from w2s_bench._cli.analyse import _print as print_analysis
from w2s_bench.names import of_arm, short
from w2s_bench.record import pack_bits
from w2s_bench.results.cells import Cell
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.leaderboard import build
from w2s_bench.results.mechanisms import curriculum, fitting, plots, solutions, spectra
from w2s_bench.results.mechanisms.attribution import SHARES, attribution
from w2s_bench.results.mechanisms.directions import LEAST, Sample, of_domain
from w2s_bench.results.mechanisms.facts import (
    COVERAGES,
    SECTIONS,
    Analysis,
    ArmCurriculum,
    ArmGradients,
    ArmSolutions,
    BySeed,
    Curriculum,
    DomainAnalysis,
    Fit,
    Gradients,
)
from w2s_bench.results.mechanisms.orders import orders
from w2s_bench.results.mechanisms.page import FIGURES, PAGE, pages
from w2s_bench.results.statistics import Estimate, Unresolved, spearman

IDS = [f"i{n:03}" for n in range(100)]
DIFFICULTY = {name: float((n * 37) % 100) for n, name in enumerate(IDS)}


def planted(n: int, d: int, rank: int, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """(n, d) of `rank` equal singular values."""
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=(n, rank)))
    right, _ = np.linalg.qr(rng.normal(size=(d, rank)))
    return 3.0 * left @ right.T


# Gradients.


@pytest.mark.parametrize("rank", [1, 4, 17])
@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
def test_a_planted_rank_is_found(shape: tuple[int, int], rank: int) -> None:
    rows = planted(*shape, rank)
    assert spectra.effective_rank(rows) == pytest.approx(rank, rel=1e-6)
    assert spectra.stable_rank(rows) == pytest.approx(rank, rel=1e-6)


def test_unequal_directions_count_by_their_shares() -> None:
    rows = np.diag([3.0, 1.0])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert spectra.effective_rank(rows) == pytest.approx(math.exp(entropy))
    assert spectra.stable_rank(rows) == pytest.approx(10 / 9)


def test_identical_gradients_point_one_way_and_orthogonal_ones_nowhere() -> None:
    same = np.tile(np.arange(1.0, 6.0), (7, 1))
    assert spectra.mean_pairwise_cosine(same) == pytest.approx(1.0)
    assert spectra.noise_scale(same) == pytest.approx(0.0)
    assert spectra.mean_pairwise_cosine(np.eye(6)) == pytest.approx(0.0)
    assert spectra.mean_pairwise_cosine(np.array([[1.0, 2.0], [-2.0, -4.0]])) == pytest.approx(-1.0)
    assert spectra.noise_scale(np.eye(6)) is None, "the mean of orthogonal rows is all noise"
    assert spectra.mean_pairwise_cosine(np.array([[1.0, 0.0], [0.0, 0.0]])) is None, "one row makes no pair"


def test_the_noise_scale_is_variance_by_squared_mean() -> None:
    rng = np.random.default_rng(1)
    rows = np.array([2.0, 0.0, 0.0]) + rng.normal(size=(40_000, 3))
    assert spectra.noise_scale(rows) == pytest.approx(3 / 4, rel=0.05)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(2, 8), st.integers(1, 8)), elements=st.floats(-9, 9)))
def test_figures_stay_in_their_ranges(rows: np.ndarray) -> None:  # type: ignore[type-arg]
    n, most = len(rows), min(rows.shape)
    if (rank := spectra.effective_rank(rows)) is not None:
        assert 1 - 1e-9 <= rank <= most + 1e-9
    if (stable := spectra.stable_rank(rows)) is not None:
        assert 1 - 1e-9 <= stable <= most + 1e-9
    if (cosine := spectra.mean_pairwise_cosine(rows)) is not None:
        assert -1 - 1e-9 <= cosine <= 1 + 1e-9
    if (noise := spectra.noise_scale(rows)) is not None:
        assert noise >= -1e-9
    if n == 2 and (rows != 0).any(axis=1).all() and cosine is not None:
        assert cosine == pytest.approx(spectra.cosine(rows[0], rows[1]), abs=1e-6)


def test_every_arm_has_equally_many_rows_of_its_own_labels() -> None:
    """Weak gradients all point one way, gold ones another; the arm with the fewest rows decides how many all have."""
    n = 3 * LEAST
    ids = [f"i{row}" for row in range(n)]
    weak, gold = np.tile([1.0, 0.0], (n, 1)), np.tile([1.0, 1.0], (n, 1))
    rows = {"all": ("weak", ids), "some": ("gold", ids[::2]), "few": ("weak", ids[: LEAST - 1])}
    samples = [
        Sample(weak, gold, {name: at for at, name in enumerate(ids)}, rows, np.array([[0.0, 2.0]])),
        Sample(weak, gold, {name: at for at, name in enumerate(ids)}, rows, np.array([[2.0, 0.0]])),
    ]
    found = of_domain(samples, {"all": "control", "some": "none", "few": "none", "absent": "none"})
    assert [arm.arm for arm in found.arms] == ["all", "some"] and found.rows == (n // 2, n // 2)
    assert list(found.left_out) == ["few"] and str(LEAST - 1) in found.left_out["few"]
    every, some = found.arms
    assert every.alignment.values == pytest.approx((0.0, 1.0)) and every.labels == "weak"
    assert some.alignment.values == pytest.approx((math.sqrt(0.5), math.sqrt(0.5))) and some.labels == "gold"
    assert every.cosine.values == pytest.approx((1.0, 1.0)) and every.effective_rank.mean == pytest.approx(1.0)


def test_no_title_of_the_gradients_panels_runs_into_the_next() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    told = BySeed((0.1, 0.2))
    arm = ArmGradients("verifier", "trust_set", "weak", told, told, told, told, told)
    figure = plots.compose_gradients({f"knowledge {when}": [arm] for when in ("untuned", "warmed up")})
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes.title.get_window_extent(renderer) for axes in figure.axes]
    bodies = [axes.get_window_extent(renderer) for axes in figure.axes]
    assert len(boxes) == 6
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in [*boxes[:i], *bodies]), figure.axes[i].get_title()


# Curriculum.


def test_an_easy_first_order_that_was_planted_is_found() -> None:
    scores = {name: math.exp(-value / 10) for name, value in DIFFICULTY.items()}
    kept = sorted(IDS, key=DIFFICULTY.__getitem__)[:50]
    right = {name: n % 3 > 0 for n, name in enumerate(IDS)}
    found = curriculum.of_seed(DIFFICULTY, right, kept, scores)
    assert (found.spearman, found.among_right) == (pytest.approx(1.0), pytest.approx(1.0))
    assert found.kept_place == pytest.approx(0.25) and found.kept_loss == pytest.approx(24.5)
    assert found.by_coverage == pytest.approx([share / 2 for share in COVERAGES])
    hard = curriculum.of_seed(DIFFICULTY, right, kept, {name: -value for name, value in scores.items()})
    assert hard.spearman == pytest.approx(-1.0) and hard.by_coverage[0] == pytest.approx(0.95)


def test_a_score_that_knows_right_from_wrong_alone_is_told_from_one_that_knows_easy_from_hard() -> None:
    """Right labels are the easier half: trust in them correlates with easiness, and among them with nothing."""
    right = {name: value < 50 for name, value in DIFFICULTY.items()}
    found = curriculum.of_seed(DIFFICULTY, right, IDS[:10], {name: float(told) for name, told in right.items()})
    assert found.spearman == pytest.approx(curriculum.of_right(DIFFICULTY, right))
    assert found.spearman is not None and found.spearman > 0.8 and found.among_right is None


def test_scores_that_are_all_the_same_have_no_order() -> None:
    found = curriculum.of_seed(DIFFICULTY, dict.fromkeys(IDS, True), IDS, dict.fromkeys(IDS, 1.0))
    assert found.spearman is None and found.by_coverage == pytest.approx([0.5] * len(COVERAGES))
    assert curriculum.of_seed(DIFFICULTY, dict.fromkeys(IDS, True), IDS, None).by_coverage == ()


def test_an_arm_that_kept_nothing_has_no_place_and_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {name: -value for name, value in DIFFICULTY.items()}
    found = curriculum.of_seed(DIFFICULTY, dict.fromkeys(IDS, True), (), scores)
    assert (found.kept_place, found.kept_loss) == (None, None) and found.spearman == pytest.approx(1.0)
    place, loss = by_seed(found.kept_place, found.kept_place), by_seed(found.kept_loss, found.kept_loss)
    silent = ArmCurriculum("silent", "trust_set", by_seed(1.0, 1.0), by_seed(1.0, 1.0), place, loss, found.by_coverage)
    usual = made_up()
    told = usual.domains[0].curriculum
    assert told is not None
    analysis = replace(usual, domains=(replace(usual.domains[0], curriculum=replace(told, arms=(silent,))),))
    (line,) = [line for line in pages(analysis)[PAGE].splitlines() if line.startswith("| silent ")]
    assert "nan" not in line and [part.strip() for part in line.strip("|").split("|")][-2:] == ["–", "–"]
    print_analysis(analysis)
    shown = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert shown["domains"][0]["curriculum"]["arms"][0]["kept_place"]["values"] == [None, None]


def test_equally_hard_items_share_a_place() -> None:
    assert curriculum.places({"a": 1.0, "b": 1.0, "c": 0.0, "d": 9.0}) == {"a": 0.5, "b": 0.5, "c": 0.125, "d": 0.875}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    from scipy.stats import spearmanr

    a, b = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    found = spearman(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)


# Attribution.


def answering(cell: Cell, name: str, right: int) -> Cell:
    """The cell of another arm, with the first `right` items right on every seed."""
    bits = np.arange(cell.body.items) < right
    told = {"correct": pack_bits(bits), "accuracy": float(bits.mean()), "by_stratum": {}}
    seeds = tuple(seed.model_copy(update=told) for seed in cell.body.seeds)
    return change(cell, arm=cell.body.arm.model_copy(update={"name": name}), seeds=seeds)


PLANTED = {"weak": 40, "ceiling": 90, "naive": 50, "random": 45, "gold_random": 80, "probe": 70}


@pytest.fixture
def planted_gain() -> dict[str, Cell]:
    cells = {short(name): cell for name, cell in make_cells().items()}
    for name, right in PLANTED.items():
        cells[name] = answering(cells[name], cells[name].body.arm.name, right)
    arm = cells["probe"]
    for word, right in (("gold_kept", 85), ("matched_random", 55)):
        name = of_arm(word, arm.body.arm.name)
        made = {"name": name, "kind": "control"}
        if word == "gold_kept":
            made["supervision"] = "privileged"
        ref = arm.body.arm.model_copy(update=made)
        told = answering(arm, arm.body.arm.name, right)
        cells[of_arm(word, "probe")] = change(told, arm=ref)
    return cells


def test_a_planted_gain_is_parted_as_it_was_planted(planted_gain: dict[str, Cell]) -> None:
    """Of a gap of 50 items: budget −5, items 85 − 80, purity (80 − 45) − (85 − 70)."""
    domain = Comparison(planted_gain)
    found = {share.name: domain.contrast(*share.arms("probe")) for share in SHARES}
    values = {name: told.value for name, told in found.items() if isinstance(told, Estimate)}
    expected = {"gain": 20, "budget": -5, "items": 5, "purity": 20, "mix": 10}
    assert values == pytest.approx({name: items / 50 for name, items in expected.items()})
    assert sum(values[share.name] for share in SHARES if share.adds_up) == pytest.approx(values["gain"])


def test_only_arms_that_controls_are_made_of_are_parted(planted_gain: dict[str, Cell]) -> None:
    cells = {short(name): cell for name, cell in make_cells().items()}
    domain = short(cells["naive"].body.domain.name)
    board = build(cells.values(), Path("somewhere"))
    assert attribution(board, {domain: Comparison(cells)}) == ()
    found = attribution(board, {domain: Comparison(planted_gain)})
    assert [told.arm for told in found] == ["probe"] and set(found[0].in_domains) == {domain}


def test_an_arm_that_lacks_a_domain_has_no_mean_gain(planted_gain: dict[str, Cell]) -> None:
    """As on the board: a mean over fewer domains would stand beside means over all."""
    chess = make_cells("w2s-bench/chess")
    lacking = {short(name): cell for name, cell in chess.items() if name != "w2s-bench/probe"}
    board = build([*planted_gain.values(), *lacking.values()], Path("somewhere"))
    assert set(board.mean_domains) == {"chess", "math"}
    row = next(row for row in board.rows if row.arm == "probe")
    (told,) = attribution(board, {"math": Comparison(planted_gain), "chess": Comparison(lacking)})
    assert isinstance(row.mean_pgr, Unresolved) and isinstance(told.mean["gain"], Unresolved)
    assert set(told.in_domains) == {"math"} and isinstance(told.in_domains["math"]["gain"], Estimate)
    (whole,) = attribution(board, {"math": Comparison(planted_gain)})
    assert isinstance(whole.mean["gain"], Estimate), "of domains that were not asked for, nobody knows"


def with_orders(cells: dict[str, Cell], **right: int) -> dict[str, Cell]:
    """The cells with controls that have the rows of `probe` in an order, so many items of each right."""
    arm = cells["probe"]
    for word, count in right.items():
        told = answering(arm, arm.body.arm.name, count)
        ref = arm.body.arm.model_copy(update={"name": of_arm(word, arm.body.arm.name), "kind": "control"})
        cells[of_arm(word, "probe")] = change(told, arm=ref)
    return cells


def test_what_an_order_is_worth_is_what_was_planted(planted_gain: dict[str, Cell]) -> None:
    """Of a gap of 50 items: the most trusted first two items more than shuffled, the least trusted first five fewer."""
    (found,) = orders(Comparison(with_orders(planted_gain, trust_first=72, trust_last=65)))
    assert found.arm == "probe"
    told = [found.shuffled, found.first, found.last]
    told += [found.first_against_shuffled, found.last_against_shuffled, found.first_against_last]
    values = [ratio.value for ratio in told if isinstance(ratio, Estimate)]
    assert values == pytest.approx([n / 50 for n in (30, 32, 25, 2, -5, 7)])


def test_the_page_tells_what_an_order_is_worth_and_where_there_is_none(planted_gain: dict[str, Cell]) -> None:
    assert orders(Comparison(planted_gain)) == (), "no arm has controls in order"
    domain = Comparison(with_orders(planted_gain, trust_first=72, trust_last=65))
    told = Analysis("s", (0, 1), ("order",), (DomainAnalysis("math", orders=orders(domain)),), (), "")
    files = pages(told)
    assert set(files) == {PAGE, "analysis-order.svg"} and "the least trusted first" in files["analysis-order.svg"]
    page = files[PAGE]
    assert "of 1 pair of arm and domain, beyond their intervals: the most trusted first − shuffled above 0 in" in page
    assert "+0.04 [" in page and "−0.10 [" in page and "+0.14 [" in page
    head = DomainAnalysis("exam", no_order="it sees all rows at every step")
    both = pages(replace(told, domains=(*told.domains, head)))[PAGE]
    assert "In exam there is no order of rows: it sees all rows at every step." in both and "+0.04 [" in both
    alone = pages(replace(told, domains=(head,)))
    assert "In exam there is no order" in alone[PAGE] and "--decompose" not in alone[PAGE] and len(alone) == 1
    lacking = pages(replace(told, domains=(DomainAnalysis("math"),), decompose="w2s-bench run … --decompose"))[PAGE]
    assert "has no arms `trust_first:ARM` and `trust_last:ARM`; run it with `--decompose`: `w2s-bench run …" in lacking


# The page.


def by_seed(*values: float | None) -> BySeed:
    return BySeed(values)


def made_up() -> Analysis:
    none = by_seed(None, None)
    easy = ArmCurriculum(
        "a|b", "none", by_seed(0.5, 0.7), by_seed(0.1, -0.1), by_seed(0.2, 0.3), by_seed(0.4, 0.4), (0.1,) * 10
    )
    blind = ArmCurriculum("random", "control", none, none, by_seed(0.5, 0.5), by_seed(1.0, 1.0))
    told = Curriculum(by_seed(1.0, 1.0), by_seed(0.4, 0.4), (easy, blind))
    ranks = (by_seed(9.0, 9.0), by_seed(2.0, 2.0), by_seed(None, 30.0))
    steep = ArmGradients("a|b", "none", "weak", by_seed(0.3, 0.4), by_seed(0.9, 0.8), *ranks)
    flat = ArmGradients("random", "control", "weak", by_seed(0.1, 0.2), by_seed(0.9, 0.7), *ranks)
    untuned = Gradients((60, 60), 2048, 512, (steep, flat))
    warmed = Gradients((60, 60), 2048, 512, (replace(steep, cosine=by_seed(0.0, 0.1)), flat), steps=9)
    rising = (by_seed(0.2, 0.2), by_seed(0.9, 0.8))
    flat_fit = (by_seed(0.2, 0.2), by_seed(0.3, 0.4))
    fit = Fit((4, 9), rising, flat_fit, by_seed(9.0, 9.0), by_seed(4.0, 9.0))
    arms = (
        ArmSolutions("naive", "control", *(by_seed(0.5, 0.5),) * 4),
        ArmSolutions("a|b", "none", by_seed(0.7, 0.8), by_seed(0.6, 0.9), by_seed(0.5, 0.5), by_seed(0.5, None)),
    )
    domain = DomainAnalysis("math", told, untuned, warmed, fit, arms)
    return Analysis("made<up", (0, 1), SECTIONS, (domain,), (), "w2s-bench run … --decompose")


def test_the_page_says_what_is_claimed_and_what_is_found_beside_each_other() -> None:
    files = pages(made_up())
    drawn = {FIGURES[name] for name in ("curriculum", "gradients", "fit", "faithfulness")}
    assert set(files) == {PAGE, *drawn}, "no figure of what there is none"
    page = files[PAGE]
    assert page.count("What is said: ") == len(SECTIONS)
    assert (
        "of 1 pair of trust function and domain, easier rows are trusted more in 1 on every seed, harder ones in 0"
        in page
    )
    assert "among right labels alone trust still prefers easy rows in 0, more weakly than over the pool in 1" in page
    assert "- at the untuned student, of 1 pair" in page and "- after warm-up, of 1 pair" in page
    assert "a higher pairwise cosine in 1 (the opposite in 0)" in page.partition("- after warm-up")[0]
    assert "a higher pairwise cosine in 0 (the opposite in 1)" in page.partition("- after warm-up")[2]
    assert "After warm-up, 9 steps on all weak labels, the same student for all arms: 60 rows" in page
    assert "a higher cosine with held-out gold in 0 (the opposite in 0)" in page, "one seed ties"
    assert "a lower effective rank in 0 (the opposite in 0)" in page
    assert "of 1 domain, the fully trained student fits right labels better than wrong ones in 1 on every seed" in page
    assert "the gap is wider then than at the first of these students in 1." in page
    assert "|   0.35    |    6 (4 to 9)    |" in page
    assert "more faithful solutions kept in 1, more of the wrong ones that are kept faithful in 0" in page
    assert "w2s-bench run … --decompose" in page
    assert "a\\|b" in page and "made<up" not in page, "names are text"
    assert pages(made_up()) == files, "the same bytes"


def test_what_failed_is_said_on_the_page() -> None:
    failed = replace(made_up(), domains=(DomainAnalysis("math"),), problems=("math, seed 1: it diverged",))
    page = pages(failed)[PAGE]
    assert "**What could not be had.** math, seed 1: it diverged." in page
    assert "No domain has its difficulties" in page and "No domain has its gradients" in page
    assert "No domain has its students" in page and "there are no worked solutions" in page


# Fit and faithfulness.


def test_a_planted_memory_is_found() -> None:
    """Right labels are learned at once, wrong ones in the end."""
    right = np.array([True] * 6 + [False] * 4)
    fit = np.where(right[:, None], [0.5, 1.0, 1.0, 1.0], [0.0, 0.1, 0.5, 1.0])
    found = fitting.of_seed(fit, right)
    assert found.right == (0.5, 1.0, 1.0, 1.0) and found.wrong == (0.0, 0.1, 0.5, 1.0)
    assert (found.right_saturates, found.wrong_saturates) == (1, 3)
    alone = fitting.of_seed(fit[:6], right[:6])
    assert alone.wrong == (None,) * 4 and alone.wrong_saturates is None
    assert fitting.saturates((0.0, 0.0)) is None and fitting.saturates((0.5, 0.995, 1.0)) == 1


STORY = "Sam owns 37 stamps. Later Sam drops 19. Sam multiplies it by 2. How many stamps now?"


@pytest.mark.parametrize(
    ("text", "is_it"),
    [
        ("37 - 19 = 18 ; 18 * 2 = 36 #### 36", True),
        ("37 + 19 = 56 ; 56 * 2 = 112 #### 112", True),  # wrong, and it hangs together
        ("37 - 19 = 18 * 2 = 36 #### 36", True),
        ("<<37-19=18>>18 are left, and <<18*2=36>>36.", True),
        ("19 - 37 = -18 ; -18 * 2 = -36 #### -36", True),
        ("37 - 19 * 2 = -1 #### -1", True),  # products first
        ("37 / 2 = 18.5 ; 18.5 / 37 = 0.5 #### 0.5", True),
        ("37 / 19 = 1.95 #### 1.95", True),  # rounded to the decimals that are written
        ("37 - 19 = 18 ; 18 * 2 = 35 #### 35", False),  # a slip
        ("37 / 19 = 2 #### 2", False),
        ("37 - 19 = 18 ; 18 * 2 = 36 #### 37", False),  # another answer than it comes to
        ("37 - 20 = 17 ; 17 * 2 = 34 #### 34", False),  # an operand from nowhere
        ("18 * 2 = 36 ; 37 - 19 = 18 #### 18", False),  # a result before it is there
        ("37 - 19 = 18 ; 19 / 0 = 3 #### 3", False),
        ("37 - 19 = 18 ; 18x2 = 36 #### 36", False),  # no step: an x that touches digits is part of a word
        ("37 - 19 = 18stamps ; 18 * 2 = 36 #### 36", False),  # nor is 18 a result, so it comes from nowhere
        ("#### 36", False),  # right, and nothing is said of why
        ("", False),
    ],
)
def test_a_solution_is_faithful_that_supports_its_own_answer(text: str, is_it: bool) -> None:
    assert solutions.is_faithful(STORY, text) is is_it


def test_shares_of_solutions_by_hand() -> None:
    right, faithful = [True, True, False, False], [True, False, True, True]
    assert solutions.shares(right, faithful) == (0.5, 0.75, 0.5, 1.0)
    assert solutions.shares([True], [False]) == (1.0, 0.0, 0.0, None)
    assert solutions.is_faithful("It costs $1,200 and 3 more", "1,200 + 3 = 1,203 #### $1203")
