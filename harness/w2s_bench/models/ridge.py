"""A head fitted to convergence under a ridge penalty, whose strength cross-validation chooses among the training labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.models.head import Head, States, moments
from w2s_bench.models.objectives import XENT, ClosedForm, Step, Whose, flat
from w2s_bench.types import FloatArray, IntArray

#: Parts that cross-validation cuts the training items into, all rows of an item in one.
FOLDS = 5
#: A fit has converged where no entry of its gradient is larger.
_TOLERANCE, _ROUGH = 1e-6, 1e-4
#: The scale of the zero-shot score: never below 0, which would turn its ranking round.
_SCALES = (1e-3, 1e3)


class Problem:
    """Items with standardised states `x` (options of all items, d), `zero_shot` (options,), labels and weights (items,).

    `probs` are those that the objective needs, as `ClosedForm.losses_and_slopes` has them.

    A solution is (1 + d,): the scale of the zero-shot score, and the weights of the state.
    """

    def __init__(
        self,
        x: FloatArray,
        zero_shot: FloatArray,
        offsets: IntArray,
        labels: IntArray,
        weights: FloatArray,
        by: ClosedForm,
        probs: Mapping[Whose, FloatArray],
    ) -> None:
        self.x, self.zero_shot, self.offsets, self.labels, self.weights, self.by, self.probs = (
            x, zero_shot, offsets, labels, weights, by, probs,
        )  # fmt: skip

    def of(self, items: IntArray) -> Problem:
        """The problem of these items alone, in this order."""
        widths = np.diff(self.offsets)
        rows = np.concatenate([np.arange(self.offsets[item], self.offsets[item + 1]) for item in items])
        offsets = np.concatenate([[0], np.cumsum(widths[items])])
        probs = {whose: given[rows] for whose, given in self.probs.items()}
        own = (self.labels[items], self.weights[items], self.by, probs)
        return Problem(self.x[rows], self.zero_shot[rows], offsets, *own)

    def loss(self, solution: FloatArray, ridge: float = 0.0) -> tuple[float, FloatArray]:
        """Mean loss an item + ridge · |w|² / 2, and its gradient (1 + d,)."""
        weight = solution[1:]
        logits = solution[0] * self.zero_shot + self.x @ weight
        losses, slopes = self.by.losses_and_slopes(logits, self.offsets, self.labels, Step(0, 1), self.probs)
        slopes = np.repeat(self.weights, np.diff(self.offsets)) * slopes / len(self.labels)
        gradient = np.concatenate([[slopes @ self.zero_shot], slopes @ self.x + ridge * weight])
        return float(np.mean(self.weights * losses) + ridge * (weight @ weight) / 2), gradient

    def solve(
        self, ridge: float, start: FloatArray, *, steps: int, tolerance: float = _TOLERANCE
    ) -> tuple[FloatArray, list[float]]:
        """The minimum, by at most `steps` iterations of L-BFGS from `start`, and the loss there and after every iteration."""
        losses = [self.loss(start, ridge)[0]]
        if steps == 0:
            return start, losses
        from scipy.optimize import minimize

        minimum = minimize(
            lambda at: self.loss(at, ridge),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[_SCALES] + [(None, None)] * (len(start) - 1),
            callback=lambda at: losses.append(self.loss(at, ridge)[0]),
            options={"maxiter": steps, "maxfun": 20 * steps, "gtol": tolerance, "ftol": tolerance**2},
        )
        if not np.isfinite(minimum.fun):
            raise ModelError(f"a head under ridge {ridge:g} has loss {minimum.fun}; give stronger ones")
        return minimum.x, losses


def choose(
    problem: Problem, grid: Sequence[float], *, folds: int, steps: int, seed: int, ids: Sequence[str] | None = None
) -> float:
    """The strength with the lowest mean loss on rows held out; of equal ones, and where all are of one item, the strongest.

    `seed` draws the folds. The labels are those that the head is trained on: no others are known here. `ids` (rows,) say which
    item each row is of, without them each is of its own: rows of one item are in one fold, since a repeated row that stood on
    both sides would be foretold perfectly, by the weakest penalty best.
    """
    strengths = sorted(grid, reverse=True)
    rows_of = _rows_of_items(len(problem.labels), ids)
    if len(strengths) == 1 or len(rows_of) < 2:
        return strengths[0]
    order = np.random.default_rng(seed).permutation(len(rows_of))
    sums = np.zeros(len(strengths))
    for items in np.array_split(order, min(folds, len(rows_of))):
        held = np.concatenate([rows_of[item] for item in items])
        kept, rest = problem.of(np.setdiff1d(np.arange(len(problem.labels)), held)), problem.of(held)
        solution = untuned(problem)
        # From the strongest penalty on, each solution is a start close to the next.
        for index, ridge in enumerate(strengths):
            solution, _ = kept.solve(ridge, solution, steps=steps, tolerance=_ROUGH)
            sums[index] += rest.loss(solution)[0] * len(held)
    return strengths[int(np.argmin(sums))]


def _rows_of_items(rows: int, ids: Sequence[str] | None) -> list[IntArray]:
    """Of every item the numbers of its rows, items in the order of their ids."""
    if ids is None:
        return list(np.arange(rows)[:, None])
    _, item, counts = np.unique(np.asarray(ids), return_inverse=True, return_counts=True)
    return np.split(np.argsort(item, kind="stable"), np.cumsum(counts)[:-1])


def untuned(problem: Problem) -> FloatArray:
    """The solution that is the untuned model: its score as it is, and no correction."""
    return np.concatenate([[1.0], np.zeros(problem.x.shape[1])])


def problem_of(
    states: States,
    offsets: IntArray,
    labels: IntArray,
    *,
    zero_shot: FloatArray,
    weights: FloatArray | None,
    by: ClosedForm = XENT,
    probs: Mapping[Whose, Sequence[FloatArray]] | None = None,
) -> Problem:
    mean, scale = moments(states)
    own = np.ones(len(labels)) if weights is None else weights
    given = flat(probs or {}, offsets, labels)
    return Problem((states.astype(np.float64) - mean) / scale, zero_shot, offsets, labels, own, by, given)


def fit_head(
    states: States,
    offsets: IntArray,
    labels: IntArray,
    *,
    grid: Sequence[float],
    folds: int,
    steps: int,
    seed: int,
    zero_shot: FloatArray,
    weights: FloatArray | None = None,
    objective: ClosedForm = XENT,
    probs: Mapping[Whose, Sequence[FloatArray]] | None = None,
    ids: Sequence[str] | None = None,
) -> tuple[Head, list[float], float]:
    """The head at the minimum, the loss at its start and after every iteration, and the strength chosen from `grid`.

    States, offsets, labels, weights and `probs` are as `train_head` has them, `ids` as `choose` has. At most `steps` iterations;
    none: the untuned model.
    """
    problem = problem_of(states, offsets, labels, zero_shot=zero_shot, weights=weights, by=objective, probs=probs)
    ridge = choose(problem, grid, folds=folds, steps=steps, seed=seed, ids=ids)
    solution, losses = problem.solve(ridge, untuned(problem), steps=steps)
    mean, scale = moments(states)
    return Head(solution[1:].astype(np.float32), mean, scale, float(solution[0])), losses, ridge
