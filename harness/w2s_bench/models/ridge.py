"""A head fitted to convergence under a ridge penalty, whose strength cross-validation chooses among the training labels alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.models.head import Head, States, moments
from w2s_bench.models.objectives import XENT, ClosedForm, Step, Whose, flat
from w2s_bench.types import FloatArray, IntArray

#: Parts that cross-validation cuts the groups of the training rows into, and how often it draws them anew.
FOLDS, DRAWS = 5, 5
#: A fit has converged where no entry of its gradient is larger.
_TOLERANCE, _ROUGH = 1e-6, 1e-4
#: The part of the largest sum of squares below which a direction holds but round-off.
_NOTHING = 1e-12
#: The scale of the zero-shot score: never below 0, which would turn its ranking round.
_SCALES = (1e-3, 1e3)


@dataclass(frozen=True)
class Problem:
    """Items with features `x` (options of all items, r) of their states, `zero_shot` (options,), labels and weights (items,).

    `probs` are those that the objective needs, as `ClosedForm.losses_and_slopes` has them. `curvature` (1 + r,): about how fast the
    mean loss bends along each entry of a solution.

    A solution is (1 + r,): the scale of the zero-shot score, and the weights of the features.
    """

    x: FloatArray
    zero_shot: FloatArray
    offsets: IntArray
    labels: IntArray
    weights: FloatArray
    by: ClosedForm
    probs: Mapping[Whose, FloatArray]
    curvature: FloatArray

    def of(self, items: IntArray) -> Problem:
        """The problem of these items alone, in this order."""
        widths = np.diff(self.offsets)
        rows = np.concatenate([np.arange(self.offsets[item], self.offsets[item + 1]) for item in items])
        offsets = np.concatenate([[0], np.cumsum(widths[items])])
        probs = {whose: given[rows] for whose, given in self.probs.items()}
        own = (self.labels[items], self.weights[items], self.by, probs, self.curvature)
        return Problem(self.x[rows], self.zero_shot[rows], offsets, *own)

    def loss(self, solution: FloatArray, ridge: float = 0.0) -> tuple[float, FloatArray]:
        """Mean loss an item + ridge · |w|² / 2, and its gradient (1 + r,)."""
        weight = solution[1:]
        logits = solution[0] * self.zero_shot + self.x @ weight
        losses, slopes = self.by.losses_and_slopes(logits, self.offsets, self.labels, Step(0, 1), self.probs)
        slopes = np.repeat(self.weights, np.diff(self.offsets)) * slopes / len(self.labels)
        gradient = np.concatenate([[slopes @ self.zero_shot], slopes @ self.x + ridge * weight])
        return float(np.mean(self.weights * losses) + ridge * (weight @ weight) / 2), gradient

    def solve(self, ridge: float, start: FloatArray, *, steps: int) -> tuple[FloatArray, list[float]]:
        """The `minimum`, and the loss at the start and after every iteration."""
        losses = [self.loss(start, ridge)[0]]
        solution = self.minimum(ridge, start, steps=steps, then=lambda at: losses.append(self.loss(at, ridge)[0]))
        return solution, losses

    def minimum(
        self,
        ridge: float,
        start: FloatArray,
        *,
        steps: int,
        tolerance: float = _TOLERANCE,
        then: Callable[[FloatArray], None] | None = None,
    ) -> FloatArray:
        """(1 + r,) where the loss is lowest, by at most `steps` iterations of L-BFGS from `start`; `then` is told of each.

        It walks in units in which the loss bends about equally fast all round, and so takes few iterations under any penalty.
        """
        if steps == 0:
            return start
        from scipy.optimize import minimize

        bends = self.curvature + np.concatenate([[0.0], np.full(len(start) - 1, ridge)])
        unit = 1 / np.sqrt(np.where(bends > 0, bends, 1.0))

        def loss(at: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = self.loss(unit * at, ridge)
            return value, unit * gradient

        found = minimize(
            loss,
            start / unit,
            jac=True,
            method="L-BFGS-B",
            bounds=[(_SCALES[0] / unit[0], _SCALES[1] / unit[0])] + [(None, None)] * (len(start) - 1),
            callback=None if then is None else lambda at: then(unit * at),
            options={"maxiter": steps, "maxfun": 20 * steps, "gtol": tolerance, "ftol": tolerance**2},
        )
        if not np.isfinite(found.fun):
            raise ModelError(f"a head under ridge {ridge:g} has loss {found.fun}; give stronger ones")
        solution: FloatArray = unit * found.x
        return solution


def choose(
    problem: Problem,
    grid: Sequence[float],
    *,
    folds: int,
    steps: int,
    seed: int,
    draws: int = DRAWS,
    groups: Sequence[str] | None = None,
) -> float:
    """The strength at which the mean loss on rows held out is lowest, between those of `grid`; the strongest of equal ones.

    `seed` draws the folds, `draws` times: of one draw the best strength is partly luck. The labels are those that the head is
    trained on: no others are known here. `groups` (rows,) say which rows are alike, without them each is of its own. Rows of
    one group are in one fold: an item that stands several times, or two that ask one fact, would be foretold too well where
    they stood on both sides, by the weakest penalty best. Where all are of one group, the strongest is taken.
    """
    strengths = sorted(set(grid), reverse=True)
    rows_of = _rows_of_groups(len(problem.labels), groups)
    if len(strengths) == 1 or len(rows_of) < 2:
        return strengths[0]
    sums = np.zeros(len(strengths))
    for draw in range(draws):
        order = np.random.default_rng([seed, draw]).permutation(len(rows_of))
        for part in np.array_split(order, min(folds, len(rows_of))):
            held = np.concatenate([rows_of[group] for group in part])
            sums += len(held) * _losses_held_out(problem, held, strengths, steps=steps)
    return _lowest(strengths, sums)


def _losses_held_out(problem: Problem, held: IntArray, strengths: Sequence[float], *, steps: int) -> FloatArray:
    """(strengths,) the mean loss of the rows `held` under heads that are fitted to all others; the strongest comes first."""
    kept, rest = problem.of(np.setdiff1d(np.arange(len(problem.labels)), held)), problem.of(held)
    solution, losses = untuned(problem), []
    for ridge in strengths:  # each solution is a start close to the next
        solution = kept.minimum(ridge, solution, steps=steps, tolerance=_ROUGH)
        losses.append(rest.loss(solution)[0])
    return np.array(losses)


def _lowest(strengths: Sequence[float], losses: FloatArray) -> float:
    """Where the parabola in log strength through the lowest loss and those beside it is lowest; of an outermost one: there.

    The losses are smooth in the strength, so that three of them tell where between them the lowest lies.
    """
    best = int(np.argmin(losses))
    if best in (0, len(strengths) - 1):
        return strengths[best]
    (x0, x1, x2), (y0, y1, y2) = np.log(strengths[best - 1 : best + 2]), losses[best - 1 : best + 2]
    rise, fall = (y2 - y1) * (x1 - x0), (y1 - y0) * (x2 - x1)  # y0 > y1, the first of equal ones: never equal
    return float(np.exp((rise * (x1 + x0) - fall * (x2 + x1)) / (2 * (rise - fall))))


def _rows_of_groups(rows: int, groups: Sequence[str] | None) -> list[IntArray]:
    """Of every group the numbers of its rows, groups in the order of their names."""
    if groups is None:
        return list(np.arange(rows)[:, None])
    _, group, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return np.split(np.argsort(group, kind="stable"), np.cumsum(counts)[:-1])


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
) -> tuple[Problem, FloatArray]:
    """The problem in the principal axes of the standardised states, and these axes (d, r): `axes @ w` weighs the states.

    Of the states only what sets an item's options apart is left: objectives are of probabilities, which do not see the rest.
    No solution of least loss leaves the axes, of which there are at most as many as there are states.
    """
    mean, scale = moments(states)
    widths = np.diff(offsets)

    def set_apart(values: FloatArray) -> FloatArray:
        means = np.add.reduceat(values, offsets[:-1]) / widths.reshape(-1, *[1] * (values.ndim - 1))
        apart: FloatArray = values - np.repeat(means, widths, axis=0)
        return apart

    x = set_apart((states.astype(np.float64) - mean) / scale)
    axes, squares = _principal_axes(x)
    # At equal probabilities of k options, each of n items bends the mean loss by its squares over k n.
    curvature = np.concatenate([[np.sum(set_apart(zero_shot) ** 2)], squares]) / len(zero_shot)
    own = np.ones(len(labels)) if weights is None else weights
    given = flat(probs or {}, offsets, labels)
    return Problem(x @ axes, zero_shot, offsets, labels, own, by, given, curvature), axes


def _principal_axes(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(d, r) orthonormal directions that hold all rows of `x` (n, d), and (r,) the sum of the squares along each, above 0."""
    n, d = x.shape
    squares, vectors = np.linalg.eigh(x.T @ x if d <= n else x @ x.T)
    held = squares > _NOTHING * max(squares[-1], np.finfo(float).tiny)
    squares, vectors = squares[held], vectors[:, held]
    return (vectors if d <= n else x.T @ vectors / np.sqrt(squares)), squares


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
    draws: int = DRAWS,
    groups: Sequence[str] | None = None,
) -> tuple[Head, list[float], float]:
    """The head at the minimum, the loss at its start and after every iteration, and the strength that `choose` took.

    States, offsets, labels, weights and `probs` are as `train_head` has them, the rest as `choose` has. At most `steps`
    iterations; none: the untuned model.
    """
    problem, axes = problem_of(states, offsets, labels, zero_shot=zero_shot, weights=weights, by=objective, probs=probs)
    ridge = choose(problem, grid, folds=folds, draws=draws, steps=steps, seed=seed, groups=groups)
    solution, losses = problem.solve(ridge, untuned(problem), steps=steps)
    mean, scale = moments(states)
    return Head((axes @ solution[1:]).astype(np.float32), mean, scale, float(solution[0])), losses, ridge
