"""PGR and its interval: identities, invariances, agreement with brute force. Coverage: test_coverage.py."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.random import Generator, default_rng
from scipy.special import stdtrit

from w2s_bench.results import statistics
from w2s_bench.results.pages.column import difference_column
from w2s_bench.results.places import holm_corrected
from w2s_bench.results.statistics import Estimate, Unresolved, auroc, auroc_within
from w2s_bench.results.statistics.table import Table
from w2s_bench.results.statistics.variance import Variance
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


def half_width(z: FloatArray) -> float:
    """Half of the interval of the mean of a contrast z (seeds, units), by its definition."""
    from scipy import stats

    seeds, units = z.shape
    rest = z - z.mean(0) - z.mean(1, keepdims=True) + z.mean()
    of_seeds, of_units = units * z.mean(1).var(ddof=1), seeds * z.mean(0).var(ddof=1)
    of_rest = (rest**2).sum() / ((seeds - 1) * (units - 1))
    t_seeds, t_units = (stats.t.ppf(0.975, df) for df in (seeds - 1, units - 1))
    squared = t_seeds**2 * of_seeds + t_units**2 * max(of_units - of_rest, 0)
    return float(np.sqrt(max(squared, t_units**2 * of_units) / z.size))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([0.0, 0.1, 0.4]))
def test_the_interval_is_where_the_test_of_each_ratio_does_not_reject(number: int, seeds: int, seed_sd: float) -> None:
    """Fieller by its definition: at either bound, the contrast's own 95 % interval just touches 0, and outside it does not."""
    tables = draw(default_rng(number), seeds, 200, seed_sd)
    found = pgr(tables)
    assume(isinstance(found, Estimate))
    weak, student, ceiling = (tables[arm].astype(float) for arm in ("weak", "student", "ceiling"))

    def excess(r: float) -> float:
        z = student - weak - r * (ceiling - weak)
        return abs(float(z.mean())) - half_width(z)

    found = resolved(found)
    for bound, outwards in ((found.low, -1), (found.high, 1)):
        assert excess(bound) == pytest.approx(0, abs=1e-9)
        assert all(excess(bound + outwards * step) > 0 for step in (0.01, 0.1, 1, 10, 1000))


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
    nearly = student.copy()
    nearly[:, :80] = True  # the same arm but for 80 items: hardly any noise is left
    paired = statistics.accuracy_difference(nearly, student)
    assert paired.high - paired.low < statistics.accuracy(student).high - statistics.accuracy(student).low
    assert paired.low > 0
    rng = default_rng(5)
    for a, b in product([student, nearly, weak, rng.permuted(student, axis=1)], repeat=2):
        found = resolved(statistics.pgr_difference(a, b, weak, ceiling))
        assert found.p is not None
        assert (found.low > 0 or found.high < 0) == (found.p < 0.05)


def test_where_nothing_varies_there_is_no_p() -> None:
    right, wrong = np.ones((3, 40), dtype=np.bool_), np.zeros((3, 40), dtype=np.bool_)
    whole = statistics.accuracy(right)
    assert (whole.low, whole.value, whole.high) == (1, 1, 1)
    apart = statistics.accuracy_difference(right, wrong)
    assert (apart.low, apart.value, apart.high, apart.p) == (1, 1, 1, None) and apart.nothing_varies
    equal = statistics.accuracy_difference(right, right)
    assert equal.p == 1 and not equal.nothing_varies
    units = resolved(statistics.pgr_difference(right, wrong, wrong, right))
    assert units.p is None and units.nothing_varies
    noisy = draw(default_rng(1), 3, 400, 0.05)
    varied = statistics.pgr_difference(noisy["student"], noisy["weak"], noisy["weak"], noisy["ceiling"])
    assert resolved(statistics.mean_over_domains({"a": units, "b": varied})).p is not None
    assert resolved(statistics.mean_over_domains({"a": units, "b": units})).p is None
    corrected = holm_corrected({("a", "b"): units, ("a", "c"): varied})
    told, other = (resolved(ratio) for ratio in corrected.values())
    assert told.adjusted is None and not told.holds and other.adjusted == other.p
    column = difference_column("minus", "−", lambda ratio: ratio)
    assert column.aside(told) == "p –: nothing varies" and column.aside(other).startswith("p ")


@pytest.mark.parametrize("parts", [(2.0, 1.0, 1.5), (0.1, 1.0, 1.5), (0.0, 0.5, 0.5), (1.0, 0.0, 0.9)])
def test_p_is_of_the_widest_interval_that_just_reaches_0(parts: tuple[float, float, float]) -> None:
    variance = Variance(*parts, seeds_df=2, items_df=300)
    for value in (0.3, 2.0, 5.0):
        p = variance.p_value(value)
        assert variance.p_value(-value) == p
        assert 0 < p < 1
        assert variance.half_width(1 - p) == pytest.approx(value, rel=1e-6)
    assert variance.p_value(0.0) == 1.0


def test_items_alone_are_students_t_and_seeds_alone_are_on_their_own_degrees_of_freedom() -> None:
    from scipy import stats

    items = Variance(0.0, 0.49, 0.49, 2, 300)
    assert items.half_width() == pytest.approx(0.7 * stats.t.ppf(0.975, 300))
    assert items.p_value(1.5) == pytest.approx(2 * stats.t.sf(1.5 / 0.7, 300))
    assert items.df == 300
    seeds = Variance(0.49, 0.0, 0.001, 2, 300)
    assert seeds.p_value(1.5) == pytest.approx(2 * stats.t.sf(1.5 / 0.7, 2))
    assert seeds.df == pytest.approx(2, abs=1e-3)
    assert np.isnan(Variance(0.0, 0.0, 0.0, 2, 300).p_value(0.1)), "nothing to hold it against"


def halved(variance: Variance, value: float) -> float:
    """p by its definition: halving the range of log p finds where the interval ends at 0, the quantiles by `stdtrit`."""
    if variance.seeds == variance.items == variance.alone == 0:
        return 1.0 if value == 0 else np.nan
    low, high = np.log(1e-30), 0.0
    for _ in range(60):
        middle = (low + high) / 2
        seeds, items = (stdtrit(df, np.exp(middle) / 2) ** 2 for df in (variance.seeds_df, variance.items_df))
        wider = max(seeds * variance.seeds + items * variance.items, items * variance.alone) > value * value
        low, high = (middle, high) if wider else (low, middle)
    return float(np.exp((low + high) / 2)) if high < 0 else 1.0


PARTS = st.one_of(st.just(0.0), st.floats(-14, 2).map(lambda x: 10**x))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(PARTS, PARTS, PARTS, st.floats(1, 300), st.floats(1, 1e5), st.floats(-9, 3), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
@example([(0.0, 0.0, 1.0, 1.0, 1.0, -8.0, True)])
@example([(0.0, 0.0, 0.0, 2.0, 300.0, 0.0, True), (1.0, 1.0, 1.0, 2.0, 300.0, -9.0, True)])
@example(
    [
        (1e-14, 1.0, 0.0, 2.0, 300.0, 0.9, True),
        (1.0, 1e-14, 1.0, 2.0, 300.0, 3.0, True),
        (1.0, 1.0, 1.0, 1.0, 9.0, 3.0, False),
    ]
)
def test_p_values_are_those_of_the_definition_one_by_one_and_together(
    drawn: list[tuple[float, float, float, float, float, float, bool]],
) -> None:
    """Near 0 and near 1, of parts that are 0 or nothing beside the other: values from 1e-9 to 1e3 standard errors.

    Near 1 `stdtrit` itself is some 1e-8 off, on four degrees of freedom say, and so is what the definition finds there.
    """
    variances = [Variance(*case[:5]) for case in drawn]
    sizes = [np.sqrt(max(v.seeds + v.items, v.alone)) or 1.0 for v in variances]
    values = [float(size * 10 ** case[5]) if case[6] else 0.0 for size, case in zip(sizes, drawn, strict=True)]
    expected = [halved(v, value) for v, value in zip(variances, values, strict=True)]
    alone = [float(v.p_value(value)) for v, value in zip(variances, values, strict=True)]
    allowed = [1e-9 * p if p < 0.9999 else 1e-7 for p in expected]
    where = ~np.isnan(expected)  # of a value without variance there is no p
    assert (np.isnan(alone) == ~where).all()
    assert (np.abs(np.subtract(alone, expected)) <= allowed)[where].all(), (alone, expected)
    together = Variance(*map(np.array, zip(*(case[:5] for case in drawn), strict=True))).p_value(np.array(values))
    assert (np.isnan(together) == ~where).all()
    assert (np.abs(together - expected) <= allowed)[where].all(), (together, expected)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 30))
def test_tables_from_counts_are_sums_of_squares_of_deviations(number: int, seeds: int, count: int) -> None:
    """Mean squares by the textbook, from the scores of clusters, against those from whole numbers."""
    rng = default_rng(number)
    arms, clusters = rng.random((4, seeds, 60)) < 0.7, rng.integers(0, count, 60)
    assume(len(np.unique(clusters)) > 1)
    table = Table.of(*arms, clusters)
    z = np.stack([arms[0] * 1.0 - arms[1], arms[2] * 1.0 - arms[3]])
    mean = z.mean(axis=(1, 2), keepdims=True)
    names, codes = np.unique(clusters, return_inverse=True)
    units = len(names)
    off = units / 60 * np.stack([(z - mean)[:, :, codes == c].sum(axis=2) for c in range(units)], axis=2)
    of_seed, of_unit = off.mean(axis=2, keepdims=True), off.mean(axis=1, keepdims=True)
    expected = {
        "seed": (units * of_seed, max(seeds - 1, 1)),
        "item": (seeds * of_unit, units - 1),
        "rest": (off - of_seed - of_unit, max((seeds - 1) * (units - 1), 1)),
    }
    weights = {"seed": units, "item": seeds, "rest": 1}
    for name, (deviation, df) in expected.items():
        flat = deviation.reshape(2, -1)
        products = flat @ flat.T / weights[name] / df
        form = getattr(table, name)
        assert (form.xx, form.xy, form.yy) == pytest.approx((products[0, 0], products[0, 1], products[1, 1]), abs=1e-12)
    assert (table.numerator, table.denominator) == pytest.approx(mean.ravel())


def test_three_seeds_that_agree_by_luck_do_not_count_as_hundreds() -> None:
    """As much noise from seeds as from items: what one seed in a hundred decides, no test of three calls certain."""
    alike = Variance(0.25, 0.75, 0.9, 2, 800)
    from scipy import stats

    assert alike.p_value(4.0) > 10 * 2 * stats.t.sf(4.0, alike.df)


def test_clusters_of_one_item_change_no_bit(tables: dict[str, BoolArray]) -> None:
    weak, student, ceiling = (tables[arm] for arm in ("weak", "student", "ceiling"))
    own = default_rng(0).permutation(800)
    assert statistics.pgr(student, weak, ceiling, clusters=own) == statistics.pgr(student, weak, ceiling)
    assert statistics.accuracy(student, clusters=own) == statistics.accuracy(student)
    assert statistics.pgr_difference(student, weak, weak, ceiling, clusters=own) == statistics.pgr_difference(
        student, weak, weak, ceiling
    )


def test_doubled_items_say_as_much_as_half_of_them(tables: dict[str, BoolArray]) -> None:
    """Each item asked twice and answered alike: the clusters know, and the figures are those of each asked once."""
    once = {arm: table[:, :300] for arm, table in tables.items()}
    twice = {arm: np.repeat(table, 2, axis=1) for arm, table in once.items()}
    single = resolved(pgr(once))
    known = resolved(
        statistics.pgr(twice["student"], twice["weak"], twice["ceiling"], clusters=np.repeat(np.arange(300), 2))
    )
    assert (known.low, known.value, known.high) == pytest.approx((single.low, single.value, single.high))
    unknown = resolved(pgr(twice))
    assert unknown.high - unknown.low < known.high - known.low


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 40))
def test_clusters_keep_the_mean_and_need_no_order(number: int, seeds: int, count: int) -> None:
    rng = default_rng(number)
    tables, clusters = draw(rng, seeds, 120, 0.1), rng.integers(0, count, 120)
    assume(len(np.unique(clusters)) > 1)
    weak, student = tables["weak"], tables["student"]
    found = statistics.accuracy_difference(student, weak, clusters=clusters)
    assert found.value == statistics.accuracy_difference(student, weak).value
    order = rng.permutation(120)
    again = statistics.accuracy_difference(student[:, order], weak[:, order], clusters=1000 - clusters[order])
    assert (again.low, again.high, again.p) == pytest.approx((found.low, found.high, found.p), rel=1e-6, abs=1e-9)


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
    noise = Variance(0.01, 0.0, 0.001, 2, 99)
    half = noise.half_width()
    skewed = Estimate(0.5, 0.5 - half, 0.5 + 3 * half, df=2, seeds=3, items=100, variance=noise)
    mean = resolved(statistics.mean_over_domains({"a": skewed, "b": skewed, "c": skewed}))
    assert mean.value == pytest.approx(0.5)
    assert mean.df == pytest.approx(6)
    assert (mean.high - 0.5) / (0.5 - mean.low) == pytest.approx(3)
    assert 0.5 - mean.low < half / np.sqrt(3)  # narrower than one domain's, and t has more degrees of freedom
    assert mean.items == 300
    alone = resolved(statistics.mean_over_domains({"a": skewed}))
    assert (alone.low, alone.high) == pytest.approx((skewed.low, skewed.high))
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
    assert mean.low > 0 or mean.high < 0
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
    with pytest.raises(ValueError, match=r"one cluster an item, shape \(10,\); got \(3,\)"):
        statistics.accuracy(ok, clusters=np.arange(3))
    with pytest.raises(ValueError, match="all 10 items are of one cluster"):
        statistics.accuracy(ok, clusters=np.zeros(10, dtype=int))
    with pytest.raises(ValueError, match="finite"):
        auroc(np.array([np.nan, 1.0]), np.array([True, False]))


def test_figures_are_plain_floats(tables: dict[str, BoolArray]) -> None:
    """They go to JSON."""
    figure = asdict(resolved(pgr(tables)))
    found = [*figure.pop("variance").values(), *figure.values()]
    assert all(isinstance(value, float | int | None) and not isinstance(value, np.generic) for value in found)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=60))
def test_auroc_gives_ties_the_mean_of_their_ranks(rows: list[tuple[int, bool]]) -> None:
    from scipy.stats import rankdata

    scores, correct = np.array([score / 3 for score, _ in rows]), np.array([right for _, right in rows])
    right = int(correct.sum())
    assume(0 < right < len(rows))
    expected = (rankdata(scores)[correct].sum() - right * (right + 1) / 2) / (right * (len(rows) - right))
    assert auroc(scores, correct) == expected


@pytest.mark.parametrize(
    ("scores", "correct", "groups", "expected"),
    [
        ([1, 2, 3, 4], [0, 1, 0, 1], "aabb", 1.0),
        ([3, 4, 1, 2], [0, 1, 0, 1], "aabb", 1.0),  # whose groups are in the wrong order
        ([1, 1, 2, 2], [0, 0, 1, 1], "aabb", None),  # the group alone tells: no pair within
        ([1, 1, 2, 2, 2], [0, 1, 0, 1, 1], "aabbb", 0.5),  # scores are the group's alone
        ([1, 2, 5, 4, 3], [0, 1, 0, 1, 1], "aabbb", 1 / 3),  # one pair won of three: pairs count alike, not groups
        ([], [], "", None),
    ],
)
def test_auroc_within_groups_of_known_cases(
    scores: list[float], correct: list[int], groups: str, expected: float | None
) -> None:
    found = auroc_within(np.array(scores, dtype=float), np.array(correct, dtype=bool), list(groups))
    assert found == (expected if expected is None else pytest.approx(expected, abs=1e-12))


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.sampled_from("abc")), max_size=25))
def test_auroc_within_counts_pairs_of_one_group(rows: list[tuple[int, bool, str]]) -> None:
    pairs = [(s > t) + 0.5 * (s == t) for s, c, g in rows for t, d, h in rows if c and not d and g == h]
    scores, correct = np.array([r[0] for r in rows], dtype=float), np.array([r[1] for r in rows], dtype=bool)
    found = auroc_within(scores, correct, [g for _, _, g in rows])
    assert found == (pytest.approx(np.mean(pairs), abs=1e-12) if pairs else None)
    assert auroc_within(scores, correct, ["one"] * len(rows)) == auroc(scores, correct)


def test_auroc_within_wants_a_group_for_every_row() -> None:
    with pytest.raises(ValueError, match="got 1 for 2 rows"):
        auroc_within(np.array([1.0, 2.0]), np.array([True, False]), ["a"])
