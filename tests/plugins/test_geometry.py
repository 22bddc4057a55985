"""Scores by where labels lie: plain cases on paper, parity with libraries, and what they must not depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from w2s_bench import FloatArray, Need, TrustFunction
from w2s_bench.testing import MemoryEvidence, synthetic_evidence
from w2s_bench_baselines.consistency.pairs import less_texts
from w2s_bench_baselines.geometry import FUNCTIONS
from w2s_bench_baselines.geometry.class_distance_ratio import ClassDistanceRatio
from w2s_bench_baselines.geometry.density import Density
from w2s_bench_baselines.geometry.fine import Fine, main_direction
from w2s_bench_baselines.geometry.gaussian import squared_distances
from w2s_bench_baselines.geometry.intrinsic_dimension import IntrinsicDimension
from w2s_bench_baselines.geometry.knn_agreement import KnnAgreement
from w2s_bench_baselines.geometry.mahalanobis import Mahalanobis
from w2s_bench_baselines.geometry.relative_mahalanobis import RelativeMahalanobis
from w2s_bench_baselines.geometry.topofilter import Topofilter
from w2s_bench_baselines.states import centred, label_classes, neighbours

RNG = np.random.default_rng(0)


def labelled(states: FloatArray, labels: list[str], at_label: FloatArray | None = None) -> MemoryEvidence:
    """Weak labels with these states of the student at one layer; each item offers all texts. `at_label`: those at labels' ends."""
    names = tuple(f"{i:04d}" for i in range(len(labels)))
    options = tuple(sorted(set(labels)))
    index = np.array([options.index(label) for label in labels])
    readings: dict[Need, Any] = {
        Need("student", "hidden_states", -1): states if at_label is None else at_label,
        Need("student", "prompt_states", layers=-1): states[:, None],
    }
    return MemoryEvidence(names, names, tuple(labels), (options,) * len(labels), index, readings, names)


def scored(function: TrustFunction, evidence: MemoryEvidence) -> FloatArray:
    return function.score(evidence.declaring(function.needs), rng=RNG)


def two_clusters(per_class: int, wrong: int, width: int = 5) -> tuple[MemoryEvidence, FloatArray]:
    """Two tight classes; the first `wrong` rows carry the other's label."""
    rng = np.random.default_rng(1)
    side = np.repeat([1.0, -1.0], per_class)
    states = rng.normal(0, 0.3, (2 * per_class, width))
    states[:, 0] += 4 * side
    names = np.where(side > 0, "yes", "no")
    names[:wrong] = "no"
    return labelled(states, names.tolist()), np.arange(2 * per_class) >= wrong


@pytest.mark.parametrize(
    "make",
    [KnnAgreement, Topofilter, Mahalanobis, RelativeMahalanobis, Fine, ClassDistanceRatio],
    ids=lambda make: make.__name__,
)
def test_a_label_among_those_of_another_class_is_trusted_least(make: Callable[..., Any]) -> None:
    evidence, right = two_clusters(40, 4)
    scores = scored(make(layer=-1), evidence)
    # The square of a direction is the same at both ends: FINE tells them apart by their class's own.
    if make is Fine:
        states = evidence.hidden_states("student").copy()
        states[:, 0] = np.where(states[:, 0] > 0, states[:, 0], 0)
        states[:, 1] = np.where(states[:, 0] > 0, 0, 4)
        scores = scored(make(layer=-1), labelled(states, list(evidence.labels)))
    assert scores[~right].max() < scores[right].min()


@pytest.mark.parametrize("k", [1, 4, 30])
def test_neighbours_are_scipys_nearest(k: int) -> None:
    from scipy.spatial import cKDTree

    points = np.random.default_rng(k).normal(size=(700, 3))  # more than are looked at at once
    distances, nearest = neighbours(points, k)
    theirs, at = cKDTree(points).query(points, k + 1)
    np.testing.assert_allclose(distances, theirs[:, 1:], atol=1e-6)
    np.testing.assert_array_equal(nearest, at[:, 1:])


def test_neighbours_of_few_points_and_of_one() -> None:
    assert neighbours(np.zeros((1, 2)), 5)[0].shape == (1, 0)
    assert neighbours(np.zeros((0, 2)), 5)[0].shape == (0, 0)
    assert sorted(neighbours(np.arange(3.0)[:, None], 5)[1][0].tolist()) == [1, 2]


def test_mahalanobis_is_scipys_with_the_shrunk_covariance_within_classes() -> None:
    from scipy.spatial.distance import mahalanobis

    states = np.random.default_rng(2).normal(size=(30, 4)) @ np.diag([1, 2, 3, 4])
    classes = np.arange(30) % 3
    means = np.stack([states[classes == c].mean(axis=0) for c in range(3)])
    apart = states - means[classes]
    covariance = apart.T @ apart / 30
    shrunk = 0.8 * covariance + 0.2 * np.trace(covariance) / 4 * np.eye(4)
    expected = [mahalanobis(h, means[c], np.linalg.inv(shrunk)) ** 2 for h, c in zip(states, classes, strict=True)]
    np.testing.assert_allclose(squared_distances(states, classes, 0.2), expected)
    # Shrinkage 1 leaves the identity: Euclidean distance, up to the scale.
    level = np.trace(covariance) / 4
    np.testing.assert_allclose(squared_distances(states, classes, 1.0), (apart**2).sum(axis=1) / level)


def test_relative_mahalanobis_is_the_difference_of_two() -> None:
    evidence, _ = two_clusters(20, 2)
    states = evidence.hidden_states("student")
    whole = squared_distances(states, np.zeros(40, dtype=np.int64), 0.1)
    own = scored(Mahalanobis(layer=-1), evidence)
    np.testing.assert_allclose(scored(RelativeMahalanobis(layer=-1), evidence), whole + own)


@pytest.mark.parametrize(("dimension", "low", "high"), [(1, 0.7, 1.4), (3, 2.2, 3.6)])
def test_the_intrinsic_dimension_of_a_plane_is_its_own(dimension: int, low: float, high: float) -> None:
    rng = np.random.default_rng(5)
    # On the sphere, since states are taken at length 1; in 12 dimensions of which `dimension` + 1 are used.
    flat = np.zeros((600, 12))
    flat[:, : dimension + 1] = rng.normal(size=(600, dimension + 1))
    scores = scored(IntrinsicDimension(k=20, layer=-1), labelled(flat, ["a"] * 600))
    assert low < -np.median(scores) < high


def test_equal_states_have_a_finite_dimension_and_density() -> None:
    evidence = labelled(np.ones((20, 4)), ["a", "b"] * 10)
    for make in FUNCTIONS.values():
        assert np.isfinite(scored(make(layer=-1), evidence)).all()


def test_density_is_the_mean_distance_to_the_nearest() -> None:
    states = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    root = np.sqrt(2)
    np.testing.assert_allclose(scored(Density(k=2, layer=-1), labelled(states, list("abcd"))), [-root] * 4)
    np.testing.assert_allclose(
        scored(Density(k=3, layer=-1), labelled(states, list("abcd"))), [-(2 * root + 2) / 3] * 4
    )


def test_the_share_of_equal_neighbours() -> None:
    angles = np.radians([0, 10, 21, 180, 190])
    states = np.column_stack([np.cos(angles), np.sin(angles)])
    evidence = labelled(states, ["a", "a", "b", "b", "b"])
    points = centred(states)
    nearest = neighbours(points, 1)[1][:, 0]
    names = np.array(evidence.labels)
    assert scored(KnnAgreement(k=1, layer=-1), evidence).tolist() == (names[nearest] == names).astype(float).tolist()


def test_a_core_is_the_largest_piece_and_a_tie_is_all_of_them() -> None:
    line = np.array([0.0, 1, 2, 10, 11, 50, 51])[:, None]
    evidence = labelled(np.column_stack([line, np.zeros(7)]), ["a"] * 5 + ["b"] * 2)
    from w2s_bench_baselines.geometry.topofilter import cores

    nearest = neighbours(line, 1)[1]
    assert cores(nearest, label_classes(evidence)).tolist() == [True, True, True, False, False, True, True]
    assert cores(nearest, np.arange(7)).all(), "each alone in its class"


def test_the_ratio_of_distances_by_hand() -> None:
    # Points of length 1 already, with mean 0: a square.
    states = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    evidence = labelled(states, ["a", "a", "b", "c"])
    root = np.sqrt(2)
    expected = [root / (root + root), root / (root + root), 0.0, 0.0]
    np.testing.assert_allclose(scored(ClassDistanceRatio(trim=0, layer=-1), evidence), expected)
    assert scored(ClassDistanceRatio(trim=0, layer=-1), labelled(states, ["a"] * 4)).tolist() == [0.5] * 4


def test_what_lies_most_apart_in_a_class_is_no_neighbour() -> None:
    evidence, _ = two_clusters(30, 1)
    states = evidence.hidden_states("student").copy()
    kept = scored(ClassDistanceRatio(trim=0.1, layer=-1), evidence)
    whole = scored(ClassDistanceRatio(trim=0.0, layer=-1), evidence)
    near = np.argsort(np.linalg.norm(states - states[0], axis=1))[1:6]
    # The row of class "no" among the "yes" is the farthest of its class: unless trimmed, it is the nearest other class of those around it.
    assert (kept[near] > whole[near]).all()


@pytest.mark.parametrize(("rows", "width"), [(8, 3), (3, 8)])
def test_the_main_direction_is_the_first_singular_vector(rows: int, width: int) -> None:
    states = np.random.default_rng(rows).normal(size=(rows, width))
    expected = np.linalg.svd(states)[2][0]
    assert abs(main_direction(states) @ expected) == pytest.approx(1)


def test_rare_texts_are_one_class_together() -> None:
    evidence = labelled(np.zeros((6, 2)), ["a", "a", "a", "b", " c", "d"])
    assert label_classes(evidence, 2).tolist() == [1, 1, 1, 0, 0, 0]
    assert label_classes(evidence).tolist() == [0, 0, 0, 1, 2, 3]


@pytest.mark.parametrize("make", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_the_middle_layer_is_read_and_never_the_embedding(make: Callable[..., Any]) -> None:
    evidence, _ = synthetic_evidence("choice", 40, 1, layers=5)
    np.testing.assert_array_equal(scored(make(), evidence), scored(make(layer=2), evidence))
    with pytest.raises(ValueError, match="layer must not be 0"):
        make(layer=0)
    with pytest.raises(ValueError, match="of must be 'teacher' or 'student'"):
        make(of="verifier")


@pytest.mark.parametrize("make", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_the_order_of_rows_means_nothing(make: Callable[..., Any]) -> None:
    evidence, _ = two_clusters(25, 3)
    order = np.random.default_rng(3).permutation(50)
    scores = scored(make(layer=-1), evidence)
    np.testing.assert_allclose(scored(make(layer=-1), evidence.take(order)), scores[order], atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KnnAgreement(k=0), "k must be 1 or more"),
        (lambda: IntrinsicDimension(k=1), "k must be 2 or more"),
        (lambda: Mahalanobis(shrinkage=0), "shrinkage must lie in"),
        (lambda: RelativeMahalanobis(least=0), "least must be 1 or more"),
        (lambda: ClassDistanceRatio(trim=1), "trim must lie in"),
    ],
)
def test_parameters_out_of_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make", [KnnAgreement, Topofilter, RelativeMahalanobis, Fine, ClassDistanceRatio], ids=lambda make: make.__name__
)
def test_neighbours_are_sought_by_the_prompt_where_no_label_has_been_read(make: Callable[..., Any]) -> None:
    assert make().needs == (Need("student", "prompt_states", layers="middle"),)
    assert make(of="teacher", layer=3, state="label").needs == (Need("teacher", "hidden_states", 3),)
    evidence, right = two_clusters(40, 4)
    # At the label's end every label lies with its like, right or wrong: there all neighbours agree.
    names = np.array(evidence.labels)
    told = np.where(names == "yes", 4.0, -4.0)[:, None] + RNG.normal(0, 0.1, (80, 5))
    evidence = labelled(evidence.prompt_states("student", -1)[:, 0], list(evidence.labels), at_label=told)
    by_prompt, by_label = (scored(make(layer=-1, state=state), evidence) for state in ("prompt", "label"))
    if make is not Fine:  # the square of a direction is the same at both ends
        assert by_prompt[~right].max() < by_prompt[right].min()
    assert by_label[~right].mean() >= np.quantile(by_label[right], 0.05)
    with pytest.raises(ValueError, match="state must be"):
        make(state="middle")


def test_what_an_option_says_is_taken_out_of_its_state() -> None:
    rng = np.random.default_rng(3)
    texts = ["yes", "no"] * 30 + ["odd"] * 3 + ["other"] * 2
    means = {text: rng.normal(0, 5, 4) for text in set(texts)}
    own = rng.normal(0, 1, (len(texts), 4))
    left = less_texts(own + np.array([means[text] for text in texts]), texts)
    for text in ("yes", "no"):
        rows = [i for i, each in enumerate(texts) if each == text]
        np.testing.assert_allclose(left[rows], own[rows] - own[rows].mean(axis=0))
    np.testing.assert_allclose(left[60:].mean(axis=0), 0, atol=1e-12, err_msg="rare texts are one together")
    assert less_texts(np.zeros((0, 4)), []).shape == (0, 4)
