"""Split-half agreement of orders: known answers, and what must not matter."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from cell_builder import make_cells
from w2s_bench.results import leaderboard
from w2s_bench.results.pages.standing import standing
from w2s_bench.results.statistics import Answered, split_half
from w2s_bench.types import BoolArray

ARMS = ("a", "b", "c", "d")
PAIRS = list(combinations(ARMS, 2))


def drawn(levels: dict[str, float], seed: int = 0, items: int = 400, seeds: int = 3) -> dict[str, BoolArray]:
    rng = np.random.default_rng(seed)
    return {arm: rng.random((seeds, items)) < level for arm, level in levels.items()}


def test_arms_far_apart_have_one_order_and_equal_ones_none() -> None:
    apart = drawn(dict(zip(ARMS, (0.2, 0.4, 0.6, 0.8), strict=True)))
    assert split_half([Answered(apart, 0.3)], PAIRS) == 1.0
    same = dict.fromkeys(ARMS, apart["a"])
    assert split_half([Answered(same, 0.3)], PAIRS) == 0.0, "ties tell nothing"
    # Two halves of equal arms are independent; over many boards their orders agree as often as not.
    by_lot = [split_half([Answered(drawn(dict.fromkeys(ARMS, 0.6), n), 0.3)], PAIRS) or 0.0 for n in range(30)]
    assert abs(np.mean(by_lot)) < 0.2


def test_clusters_are_halved_whole() -> None:
    """Each cluster is right in one arm alone: what one half has too many of one arm, the other has too few."""
    clusters = np.repeat(np.arange(40), 10)
    correct = {"a": (clusters % 2 == 0)[None], "b": (clusters % 2 == 1)[None]}
    whole, alone = (split_half([Answered(correct, 0.3, c)], [("a", "b")]) for c in (clusters, None))
    assert whole is not None and alone is not None
    assert -1.0 <= whole < -0.6 and -1.0 <= alone < -0.6
    everything = np.zeros(400, dtype=np.int64)
    everything[200:] = 1
    halves = {"a": (everything == 0)[None], "b": (everything == 1)[None]}
    assert split_half([Answered(halves, 0.3, everything)], [("a", "b")]) == -1.0


def test_the_order_of_items_domains_gaps_weigh_and_names_do_not() -> None:
    apart = drawn(dict(zip(ARMS, (0.5, 0.55, 0.6, 0.65), strict=True)), items=200)
    other = drawn(dict(zip(ARMS, (0.65, 0.6, 0.55, 0.5), strict=True)), seed=1, items=200)
    steady = split_half([Answered(apart, 0.3)], PAIRS)
    assert steady is not None and 0.3 < steady < 1.0
    assert (
        steady
        == split_half([Answered(apart, 0.3)], [(b, a) for a, b in PAIRS])
        == split_half([Answered(apart, 0.6)], PAIRS)
    )
    against = split_half([Answered(apart, 0.3), Answered(other, 0.3)], PAIRS)
    mostly = split_half([Answered(apart, 0.03), Answered(other, 0.3)], PAIRS)
    assert against is not None and mostly is not None and against < mostly, "a small gap makes large PGRs"


def test_two_digits_hang_on_no_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other halvings move the second digit by one at most, where the order is as unsteady as on a small board."""
    apart = [drawn(dict(zip(ARMS, (0.5, 0.52, 0.54, 0.58), strict=True)), n, items=800) for n in range(3)]
    frozen, found = np.random.RandomState, []
    for seed in range(12):
        monkeypatch.setattr(np.random, "RandomState", lambda _, seed=seed: frozen(seed))
        found.append(split_half([Answered(correct, 0.3) for correct in apart], PAIRS))
    told = np.array(found, dtype=np.float64)
    assert 0.5 < told.mean() < 0.95 and np.abs(told - told.mean()).max() < 0.02


def test_without_a_pair_or_a_domain_there_is_none() -> None:
    apart = drawn(dict.fromkeys(ARMS, 0.5))
    assert split_half([], PAIRS) is None and split_half([Answered(apart, 0.3)], []) is None


def test_a_board_says_how_stable_its_order_is() -> None:
    board = leaderboard.build(make_cells().values(), Path("somewhere"))
    assert board.stability == pytest.approx(0.9, abs=0.1), "both tracks have two arms three points or more apart"
    (said,) = [sentence for sentence in standing(board, str) if "τ" in sentence]
    assert f"Kendall's τ {board.stability:.2f} on average" in said
    alone = {arm: cell for arm, cell in make_cells().items() if not arm.startswith("acme/")}
    few = leaderboard.build(alone.values(), Path("somewhere"))
    assert few.stability is None and not any("τ" in sentence for sentence in standing(few, str))
