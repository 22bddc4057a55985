"""PGR and its interval: identities, invariances, agreement with brute force, and coverage in simulations."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.random import Generator, default_rng

from w2s_bench.results import statistics
from w2s_bench.results.statistics import Estimate, Unresolved, auroc
from w2s_bench.types import BoolArray, FloatArray

ITEM, ARM_ITEM = 1.2, 0.5  # standard deviations on the logit scale: of items, and of items anew for each arm
LOGITS = {"weak": 0.2, "student": 1.3, "ceiling": 2.5}
SEED_SHARE = {"weak": 1.5, "student": 1.0, "ceiling": 0.7}  # weak models vary most from seed to seed


def draw(rng: Generator, seeds: int, items: int, seed_sd: float) -> dict[str, BoolArray]:
    """Correctness (seeds, items) of three arms whose items are shared and whose seeds are random effects."""
    item = rng.normal(0, ITEM, items)
    tables = {}
    for arm, level in LOGITS.items():
        seed = rng.normal(0, seed_sd * SEED_SHARE[arm], (seeds, 1))
        logit = level + item + rng.normal(0, ARM_ITEM, items) + seed
        tables[arm] = rng.random((seeds, items)) < 1 / (1 + np.exp(-logit))
    return tables


@cache
def true_pgr(seed_sd: float) -> float:
    """PGR of the population that `draw` samples, by quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    means = {}
    for arm, level in LOGITS.items():
        spread = np.sqrt(ITEM**2 + ARM_ITEM**2 + (seed_sd * SEED_SHARE[arm]) ** 2)
        means[arm] = float((weights / weights.sum() / (1 + np.exp(-(level + points * spread)))).sum())
    return (means["student"] - means["weak"]) / (means["ceiling"] - means["weak"])


def resolved(ratio: statistics.Ratio) -> Estimate:
    assert isinstance(ratio, Estimate), ratio
    return ratio


def pgr(tables: dict[str, BoolArray]) -> statistics.Ratio:
    return statistics.pgr(tables["student"], tables["weak"], tables["ceiling"])


@pytest.fixture
def tables() -> dict[str, BoolArray]:
    return draw(default_rng(7), 3, 800, 0.1)


def test_pgr_is_the_ratio_of_means_over_seeds(tables: dict[str, BoolArray]) -> None:
    weak, student, ceiling = (tables[arm].mean() for arm in ("weak", "student", "ceiling"))
    found = resolved(pgr(tables))
    assert found.value == pytest.approx((student - weak) / (ceiling - weak))
    assert found.low < found.value < found.high
    assert (found.seeds, found.items) == (3, 800)
    assert statistics.recovery(tables["student"], tables["weak"], tables["ceiling"]) == found


def test_pgr_of_the_ceiling_is_exactly_1_and_of_weak_exactly_0(tables: dict[str, BoolArray]) -> None:
    weak, ceiling = tables["weak"], tables["ceiling"]
    top = resolved(statistics.pgr(ceiling, weak, ceiling))
    bottom = resolved(statistics.pgr(weak, weak, ceiling))
    assert (top.low, top.value, top.high) == (1.0, 1.0, 1.0)
    assert (bottom.low, bottom.value, bottom.high) == (0.0, 0.0, 0.0)


def test_pgr_is_never_clipped(tables: dict[str, BoolArray]) -> None:
    above = resolved(statistics.pgr(tables["ceiling"], tables["weak"], tables["student"]))
    below = resolved(statistics.pgr(tables["weak"], tables["student"], tables["ceiling"]))
    assert above.value > 1
    assert below.value < 0


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(60, 200))
def test_pgr_does_not_know_the_names_of_seeds_or_the_order_of_items(number: int, seeds: int, items: int) -> None:
    rng = default_rng(number)
    before = draw(rng, seeds, items, 0.1)
    by_seed, by_item = rng.permutation(seeds), rng.permutation(items)
    first, second = pgr(before), pgr({arm: table[by_seed][:, by_item] for arm, table in before.items()})
    assume(isinstance(first, Estimate))
    first, second = resolved(first), resolved(second)
    assert second.value == pytest.approx(first.value)
    assert (second.low, second.high) == pytest.approx((first.low, first.high), rel=1e-6, abs=1e-8)
    assert first.low <= first.value <= first.high


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_any_correctness_gives_a_figure_or_a_reason(number: int, seeds: int, easy: float, hard: float) -> None:
    rng = default_rng(number)
    weak, student, ceiling = (rng.random((seeds, 25)) < level for level in (hard, easy, max(easy, hard)))
    ratio = statistics.pgr(student, weak, ceiling)
    gap = statistics.accuracy_difference(ceiling, weak)
    if isinstance(ratio, Unresolved):
        assert gap.low <= 0 or "no end" in ratio.reason
        assert "ceiling − weak" in ratio.reason
    else:
        assert gap.low > 0
        assert np.isfinite([ratio.low, ratio.value, ratio.high, ratio.df]).all()
        assert ratio.low <= ratio.value <= ratio.high


def test_unresolved_where_the_ceiling_is_near_or_below_weak(tables: dict[str, BoolArray]) -> None:
    again = draw(default_rng(8), 3, 800, 0.1)
    near = statistics.pgr(tables["student"], tables["weak"], again["weak"])
    below = statistics.pgr(tables["student"], tables["ceiling"], tables["weak"])
    same = statistics.pgr(tables["student"], tables["weak"], tables["weak"])
    assert all(isinstance(ratio, Unresolved) for ratio in (near, below, same))
    assert isinstance(below, Unresolved)
    assert below.reason.startswith("ceiling − weak is -0.")


def test_the_interval_is_where_the_test_of_each_ratio_does_not_reject(tables: dict[str, BoolArray]) -> None:
    """Fieller by its definition: at either bound, the contrast's own 95 % interval just touches 0."""
    from scipy import stats

    weak, student, ceiling = (tables[arm].astype(float) for arm in ("weak", "student", "ceiling"))
    found = resolved(pgr(tables))
    for bound in (found.low, found.high):
        z = student - weak - bound * (ceiling - weak)
        seeds, items = z.shape
        rest = z - z.mean(0) - z.mean(1, keepdims=True) + z.mean()
        squares = np.array([items * z.mean(1).var(ddof=1), seeds * z.mean(0).var(ddof=1), (rest**2).sum() / (2 * 799)])
        total = max(squares[0] + squares[1] - squares[2], *squares)
        df = total**2 / (squares**2 / [2, 799, 2 * 799]).sum()
        assert abs(z.mean()) == pytest.approx(stats.t.ppf(0.975, df) * np.sqrt(total / z.size), rel=1e-6)


def test_one_seed_gives_the_interval_over_items_alone(tables: dict[str, BoolArray]) -> None:
    one = {arm: table[:1] for arm, table in tables.items()}
    found = resolved(pgr(one))
    assert (found.seeds, found.df) == (1, 799)
    accuracy = statistics.accuracy(one["student"])
    half = 1.963 * one["student"].std(ddof=1) / np.sqrt(800)
    assert (accuracy.low, accuracy.high) == pytest.approx((accuracy.value - half, accuracy.value + half), abs=1e-4)


def test_an_accuracy_interval_stays_between_0_and_1() -> None:
    nearly = np.ones((2, 40), dtype=np.bool_)
    nearly[0, 0] = False
    found = statistics.accuracy(nearly)
    assert found.high == 1.0
    assert 0.8 < found.low < found.value < 1.0


def test_differences_are_paired_and_agree_with_their_p_value(tables: dict[str, BoolArray]) -> None:
    weak, student, ceiling = (tables[arm] for arm in ("weak", "student", "ceiling"))
    same = resolved(statistics.pgr_difference(student, student, weak, ceiling))
    assert (same.low, same.value, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    assert not same.excludes_zero
    nearly = student.copy()
    nearly[:, :40] = True  # the same arm but for 40 items: hardly any noise is left
    paired = statistics.accuracy_difference(nearly, student)
    assert paired.high - paired.low < statistics.accuracy(student).high - statistics.accuracy(student).low
    assert paired.excludes_zero
    rng = default_rng(5)
    for a, b in product([student, nearly, weak, rng.permuted(student, axis=1)], repeat=2):
        found = resolved(statistics.pgr_difference(a, b, weak, ceiling))
        assert found.p is not None
        assert found.excludes_zero == (found.p < 0.05)


def test_a_bootstrap_of_seeds_and_items_agrees_where_there_are_many_seeds() -> None:
    rng = default_rng(3)
    many = draw(rng, 40, 300, 0.5)  # little of the variance is within cells, which this bootstrap triples
    found = resolved(pgr(many))
    means = []
    for _ in range(2000):
        by_seed, by_item = rng.integers(0, 40, 40), rng.integers(0, 300, 300)
        weak, student, ceiling = (many[arm][np.ix_(by_seed, by_item)].mean() for arm in LOGITS)
        means.append((student - weak) / (ceiling - weak))
    low, high = np.quantile(means, [0.025, 0.975])
    assert found.high - found.low == pytest.approx(high - low, rel=0.15)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.15 * (high - low))


def test_mean_over_domains_keeps_asymmetry_and_adds_degrees_of_freedom() -> None:
    skewed = Estimate(0.5, 0.4, 0.8, df=4, seeds=3, items=100)
    mean = resolved(statistics.mean_over_domains({"a": skewed, "b": skewed, "c": skewed}))
    assert mean.value == pytest.approx(0.5)
    assert mean.df == pytest.approx(12)
    assert (mean.high - 0.5) / (0.5 - mean.low) == pytest.approx(3)
    assert 0.5 - mean.low < 0.1 / np.sqrt(3)  # narrower than one domain's, and t has more degrees of freedom
    assert mean.items == 300
    alone = resolved(statistics.mean_over_domains({"a": skewed}))
    assert (alone.low, alone.high) == pytest.approx((0.4, 0.8))
    spoilt = statistics.mean_over_domains({"a": skewed, "b": Unresolved("flat")})
    assert isinstance(spoilt, Unresolved)
    assert "b" in spoilt.reason
    assert isinstance(statistics.mean_over_domains({}), Unresolved)


def test_mean_difference_has_a_p_value_that_agrees_with_its_interval() -> None:
    domains = [draw(default_rng(n), 3, 400, 0.05) for n in (1, 2)]
    ratios = {
        str(n): statistics.pgr_difference(d["student"], d["weak"], d["weak"], d["ceiling"])
        for n, d in enumerate(domains)
    }
    mean = resolved(statistics.mean_over_domains(ratios))
    assert mean.excludes_zero
    assert mean.p is not None
    assert 0 < mean.p < 0.05


@pytest.mark.parametrize(
    ("scores", "correct", "expected"),
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([4, 3, 2, 1], [0, 0, 1, 1], 0.0),
        ([5, 5, 5, 5], [0, 1, 0, 1], 0.5),
        ([1, 2, 2, 3], [0, 0, 1, 1], 0.875),
        ([1, 2], [1, 1], None),
        ([1, 2], [0, 0], None),
    ],
)
def test_auroc_of_known_cases(scores: list[float], correct: list[int], expected: float | None) -> None:
    assert auroc(np.array(scores, dtype=float), np.array(correct, dtype=bool)) == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auroc_counts_pairs(rows: list[tuple[int, bool]]) -> None:
    right, wrong = [s for s, c in rows if c], [s for s, c in rows if not c]
    found = auroc(np.array([s for s, _ in rows], dtype=float), np.array([c for _, c in rows], dtype=bool))
    if not right or not wrong:
        assert found is None
    else:
        pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in right for b in wrong]
        assert found == pytest.approx(np.mean(pairs))


def test_wrong_shapes_are_refused_with_what_was_expected() -> None:
    ok, other = np.ones((3, 10), dtype=np.bool_), np.ones((2, 10), dtype=np.bool_)
    with pytest.raises(ValueError, match=r"one shape.*\(2, 10\), \(3, 10\)"):
        statistics.accuracy_difference(ok, other)
    with pytest.raises(ValueError, match="items ≥ 2"):
        statistics.accuracy(np.ones((3, 1), dtype=np.bool_))
    with pytest.raises(ValueError, match="finite"):
        auroc(np.array([np.nan, 1.0]), np.array([True, False]))


def coverage(seeds: int, seed_sd: float, runs: int) -> tuple[float, float, float]:
    """Share of intervals that hold the truth, the same for means of three domains, and the share unresolved."""
    rng = default_rng([seeds, int(1000 * seed_sd)])
    truth = true_pgr(seed_sd)
    held, held_mean, unresolved = [], [], 0
    for _ in range(runs):
        domains = {str(n): pgr(draw(rng, seeds, items, seed_sd)) for n, items in enumerate((600, 800, 1000))}
        found = [r for r in domains.values() if isinstance(r, Estimate)]
        held += [r.low <= truth <= r.high for r in found]
        unresolved += 3 - len(found)
        mean = statistics.mean_over_domains(domains)
        if isinstance(mean, Estimate):
            held_mean.append(mean.low <= truth <= mean.high)
    return float(np.mean(held)), float(np.mean(held_mean)), unresolved / (3 * runs)


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_cover_in_a_short_simulation(seeds: int) -> None:
    held, held_mean, _ = coverage(seeds, 0.1, 100)
    assert 0.92 <= held <= 0.99
    assert 0.91 <= held_mean <= 1.0  # 100 draws: a standard error of .02


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("seed_sd", [0.0, 0.05, 0.1, 0.2, 0.3])
def test_intervals_cover_in_a_long_simulation(seeds: int, seed_sd: float) -> None:
    """Seeds' standard deviation .1 on the logit scale is 1.7 points of a student's accuracy, 2.8 of the teacher's."""
    held, held_mean, unresolved = coverage(seeds, seed_sd, 400)
    print(f"S={seeds} seed sd {seed_sd}: {held:.3f}, mean of 3 domains {held_mean:.3f}, unresolved {unresolved:.3f}")
    assert 0.92 <= held <= 0.99
    assert 0.92 <= held_mean <= 0.995


def test_figures_are_plain_floats(tables: dict[str, BoolArray]) -> None:
    """They go to JSON."""
    found: list[FloatArray | float] = [*vars(resolved(pgr(tables))).values()]
    assert all(isinstance(value, float | int | None) and not isinstance(value, np.generic) for value in found)


# The fast ways to a figure give its every bit, which boards and digests that are committed depend on.


@given(seed=st.integers(0, 2**32), seeds=st.sampled_from([1, 2, 3, 10]), items=st.sampled_from([2, 5, 60]))
@settings(max_examples=60, deadline=None)
def test_one_contrast_is_what_an_array_of_contrasts_has_in_its_place(seed: int, seeds: int, items: int) -> None:
    rng = default_rng(seed)
    tables = [rng.random((seeds, items)) < level for level in rng.uniform(0, 1, 4)]
    table = statistics._Table.of(*tables)
    r = np.concatenate([[0.0], rng.normal(0, 10.0 ** rng.integers(-3, 4), 50)])
    errors, dfs = table.spread(1.0, -r)
    assert [table.spread_at(1.0, -float(one)) for one in r] == list(zip(errors.tolist(), dfs.tolist(), strict=True))
    excess = np.abs(table.mean[0] - r * table.mean[1]) - statistics._quantiles(dfs) * errors
    assert [table.excess(float(one)) for one in r] == excess.tolist()
    assert table.last_kept(r) == max(np.flatnonzero(excess <= 0), default=0)


def test_quantiles_and_p_values_are_those_of_scipys_t_distribution() -> None:
    from scipy import stats

    rng = default_rng(0)
    df = np.concatenate([np.arange(1.0, 2000), rng.uniform(1, 5, 5000), 10 ** rng.uniform(0, 8, 5000)])
    assert np.array_equal(statistics._quantiles(df), stats.t.ppf(0.975, df))
    for value, one in zip(rng.normal(0, 5, 500), rng.choice(df, 500), strict=True):
        assert statistics._p_value(value, 0.7, one) == float(2 * stats.t.sf(abs(value) / 0.7, one))


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=60))
def test_auroc_gives_ties_the_mean_of_their_ranks(rows: list[tuple[int, bool]]) -> None:
    from scipy.stats import rankdata

    scores, correct = np.array([score / 3 for score, _ in rows]), np.array([right for _, right in rows])
    right = int(correct.sum())
    assume(0 < right < len(rows))
    expected = (rankdata(scores)[correct].sum() - right * (right + 1) / 2) / (right * (len(rows) - right))
    assert auroc(scores, correct) == expected
