"""Planning: noise is found as it was put in, what is foretold is what larger boards then have, and pages say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator, default_rng

from cell_builder import make_cells, steady, write_cells
from w2s_bench.errors import CellError
from w2s_bench.results import leaderboard, noise, planning, statistics
from w2s_bench.results.noise import Noise
from w2s_bench.results.statistics import Components, Estimate, components, pooled
from w2s_bench.results.statistics.variance import of_sum
from w2s_bench.suite_files import load_suite
from w2s_bench.types import BoolArray

GAP = 0.4


def draw(rng: Generator, seeds: int, items: int, by: float = 0.0, seed: float = 0.05) -> tuple[BoolArray, ...]:
    """Two arms `by` apart that differ by an item and a seed effect; the gap is the same in every seed."""
    apart = by + rng.normal(0, seed, (seeds, 1)) + rng.choice([-0.25, 0.25], (1, items))
    a, b = rng.random((seeds, items)) < 0.6 + apart, rng.random((seeds, items)) < 0.6
    weak = np.zeros((seeds, items), dtype=np.bool_)
    ceiling = np.broadcast_to(np.arange(items) < GAP * items, (seeds, items))
    return a, b, weak, ceiling


def test_components_are_those_that_were_put_in() -> None:
    rng = default_rng(0)
    found = [components(*draw(rng, 8, 500)) for _ in range(100)]
    seed, cluster, rest = (np.mean([getattr(c, name) for c in found]) * GAP**2 for name in ("seed", "cluster", "rest"))
    assert seed == pytest.approx(0.05**2, rel=0.25)
    assert cluster == pytest.approx(0.25**2, rel=0.1)
    assert rest == pytest.approx(2 * 0.6 * 0.4 - 0.25**2 - 0.05**2, rel=0.1)


def test_the_variance_of_the_same_size_is_that_of_the_table() -> None:
    a, b, weak, ceiling = draw(default_rng(3), 6, 300)
    clusters = np.arange(300) // 3
    ratio = statistics.pgr_difference(a, b, weak, ceiling, clusters=clusters)
    assert isinstance(ratio, Estimate) and ratio.variance is not None
    found = components(a, b, weak, ceiling, clusters=clusters)
    again = found.variance(6, 100)
    assert vars(again) == pytest.approx(vars(ratio.variance))
    assert found.true(6, 100) == pytest.approx(again.seeds + again.items)


def test_what_is_foretold_is_what_a_larger_board_has() -> None:
    rng = default_rng(1)
    small = pooled([components(*draw(rng, 5, 300)) for _ in range(60)])
    foretold = float(small.variance(10, 1200).half_width())
    large = []
    for _ in range(40):
        ratio = statistics.pgr_difference(*draw(rng, 10, 1200))
        assert isinstance(ratio, Estimate) and ratio.variance is not None
        large.append(float(ratio.variance.half_width()))
    assert np.median(large) == pytest.approx(foretold, rel=0.15)


@pytest.mark.slow
def test_what_a_board_is_said_to_tell_apart_is_found_four_times_in_five() -> None:
    """By few seeds, of which each arm's own variance is known badly: the noise of the arms together is near the true one."""
    rng = default_rng(4)
    arms = [[components(*draw(rng, 3, 300, seed=0.1)) for _ in range(4)] for _ in range(200)]
    said = [noise.detectable([Noise("math", pooled(parts), 300)], 3, 0.8) for parts in arms]
    true = Components(0.1**2 / GAP**2, 0.25**2 / GAP**2, (2 * 0.24 - 0.25**2 - 0.1**2) / GAP**2)
    shifted = noise.detectable([Noise("math", true, 300)], 3, 0.8)
    assert np.mean(said) == pytest.approx(shifted, rel=0.06)
    found = []
    for _ in range(400):
        a, b, weak, ceiling = draw(rng, 3, 300, by=-shifted * GAP, seed=0.1)
        ratio = statistics.pgr_difference(a, b, weak, ceiling)
        assert isinstance(ratio, Estimate)
        found.append((ratio.p or 0.0) < 0.05)
    assert 0.72 <= np.mean(found) <= 0.88


def test_a_negative_component_counts_as_none_and_one_seed_tells_nothing() -> None:
    assert Components(-1.0, -0.1, 0.8).variance(4, 100) == Components(0.0, 0.0, 0.8).variance(4, 100)
    with pytest.raises(ValueError, match="one seed says nothing"):
        components(*draw(default_rng(0), 1, 50))
    with pytest.raises(ValueError, match="one seed does not show"):
        statistics.detectable([(Components(1.0, 0.1, 0.8), 100)], 1, 0.8)


#: (components, clusters) of three domains: seeds are most of it, or items are.
BY_SEEDS = [
    (Components(0.02, 0.1, 1.0), 300.0),
    (Components(0.01, 0.2, 2.0), 500.0),
    (Components(0.03, 0.1, 1.0), 300.0),
]
BY_ITEMS = [(Components(0.0005, 0.4, 2.0), 400.0)]


@pytest.mark.slow
@pytest.mark.parametrize("domains", [BY_SEEDS, BY_SEEDS[:1], BY_ITEMS, BY_ITEMS * 3])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("power", [0.8, 0.95])
def test_what_is_detectable_is_found_as_often_as_was_said(
    domains: list[tuple[Components, float]], seeds: int, power: float
) -> None:
    """Means and mean squares are drawn and tested as a board tests them. What t(.975) + t(power) standard errors promise at .80 is
    found in .45 with two seeds and in .72 with three, over three domains."""
    rng, draws = default_rng(seeds), 20_000
    least = statistics.detectable(domains, seeds, power)
    seen, value = [], np.zeros(draws)
    for parts, clusters in domains:
        of_seeds = rng.chisquare(seeds - 1, draws) / (seeds - 1)
        of_clusters = rng.chisquare(clusters - 1, draws) / (clusters - 1)
        rest = rng.chisquare((seeds - 1) * (clusters - 1), draws) / ((seeds - 1) * (clusters - 1))
        seen.append(parts.variance(seeds, clusters, drawn=(of_seeds, of_clusters, rest)))
        value += rng.normal(least, np.sqrt(parts.true(seeds, clusters)), draws) / len(domains)
    p = np.asarray(of_sum(seen).times(len(domains) ** -2).p_value(value))
    assert np.mean(p < 0.05) == pytest.approx(power, abs=0.012)


def test_a_plan_of_one_seed_says_what_more_seeds_would_tell() -> None:
    suite = load_suite("tiny").model_copy(update={"seeds": 1})
    found = planning.plan(suite, planning.assumed(suite), 0.1, 0.8, measured=False)
    assert found.now is None and found.factor is None
    assert found.seeds is not None and found.seeds > 1
    assert min(seeds for seeds, _, _ in found.grid) == 2


@pytest.mark.slow
def test_a_plan_says_how_many_seeds_and_items_are_enough() -> None:
    suite = load_suite("tiny")
    assumed = planning.assumed(suite)
    found = planning.plan(suite, assumed, 0.06, 0.8, measured=False)
    told = {(seeds, factor): figure for seeds, factor, figure in found.grid}
    assert told[suite.seeds, 1.0] == found.now
    assert sorted(told.values(), reverse=True)[0] == told[2, 0.5]
    assert found.seeds is not None
    at = [
        planning.plan(suite.model_copy(update={"seeds": s}), assumed, 0.06, 0.8, measured=False).now
        for s in (found.seeds - 1, found.seeds)
    ]
    assert at[0] is not None and at[1] is not None and at[1] <= 0.06 < at[0]
    assert found.factor is None or found.factor > 1
    easy = planning.plan(suite, assumed, 0.2, 0.8, measured=False)
    assert easy.factor is not None and easy.factor < 1
    assert planning.plan(suite, assumed, 0.002, 0.8, measured=False).seeds is None
    surer = planning.plan(suite, assumed, 0.06, 0.95, measured=False).now
    assert surer is not None and found.now is not None and surer > found.now


@pytest.mark.slow
def test_noise_is_measured_from_cells_and_is_that_of_the_board(tmp_path: Path) -> None:
    results = write_cells(tmp_path, make_cells("a/math", seeds=4), make_cells("a/chess", seeds=4))
    told = planning.measured(results)
    assert told.left_out == {}
    assert [(one.domain, one.clusters) for one in told.noise] == [("a/chess", 300), ("a/math", 300)]
    found = planning.plan(told.suite, told.noise, 0.05, 0.8, measured=True)
    board = leaderboard.write_leaderboard(results)
    assert board.detectable is not None
    assert found.now == board.detectable


def test_a_plan_is_about_the_domains_that_the_boards_means_are_over(tmp_path: Path) -> None:
    results = write_cells(tmp_path, make_cells("a/math"), steady(1000, 6))
    found = planning.measured(results)
    (left_out,) = [d for d in leaderboard.write_leaderboard(results).domains if d.left_out]
    assert left_out.resolved and found.left_out == {"a/steady": left_out.left_out}
    assert [one.domain for one in found.noise] == ["a/math"]
    assert found.noise == planning.measured(write_cells(tmp_path / "alone", make_cells("a/math"))).noise


def test_a_domain_that_tells_no_noise_is_said(tmp_path: Path) -> None:
    few = make_cells("a/chess", arms=["weak", "ceiling", "naive"])
    found = planning.measured(write_cells(tmp_path, make_cells("a/math"), few))
    assert list(found.left_out) == ["a/chess"] and "lacks two seeds" in found.left_out["a/chess"]


def test_results_that_tell_no_noise_are_refused_with_the_next_step(tmp_path: Path) -> None:
    results = write_cells(tmp_path, make_cells(arms=["weak", "ceiling", "naive", "random"], seeds=1))
    with pytest.raises(CellError, match="name the suite instead of its results"):
        planning.measured(results)
