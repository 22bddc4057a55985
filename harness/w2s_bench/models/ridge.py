"""A head fitted to convergence under a ridge penalty, whose strength cross-validation chooses among the training labels alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from w2s_bench.errors import ModelError
from w2s_bench.models.head import Head, States, moments
from w2s_bench.models.objectives import XENT, ClosedForm, Step, Whose, flat
from w2s_bench.types import FloatArray, IntArray

#: Parts that cross-validation cuts the groups of the training rows into, and how often it draws them anew.
FOLDS, DRAWS = 5, 5
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
        """(1 + d,) where the loss is lowest, by at most `steps` iterations of L-BFGS from `start`; `then` is told of each."""
        if steps == 0:
            return start
        from scipy.optimize import minimize

        found = minimize(
            lambda at: self.loss(at, ridge),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[_SCALES] + [(None, None)] * (len(start) - 1),
            callback=then,
            options={"maxiter": steps, "maxfun": 20 * steps, "gtol": tolerance, "ftol": tolerance**2},
        )
        if not np.isfinite(found.fun):
            raise ModelError(f"a head under ridge {ridge:g} has loss {found.fun}; give stronger ones")
        solution: FloatArray = found.x
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
    draws: int = DRAWS,
    groups: Sequence[str] | None = None,
) -> tuple[Head, list[float], float]:
    """The head at the minimum, the loss at its start and after every iteration, and the strength that `choose` took.

    States, offsets, labels, weights and `probs` are as `train_head` has them, the rest as `choose` has. At most `steps`
    iterations; none: the untuned model.
    """
    problem = problem_of(states, offsets, labels, zero_shot=zero_shot, weights=weights, by=objective, probs=probs)
    ridge = choose(problem, grid, folds=folds, draws=draws, steps=steps, seed=seed, groups=groups)
    solution, losses = problem.solve(ridge, untuned(problem), steps=steps)
    mean, scale = moments(states)
    return Head(solution[1:].astype(np.float32), mean, scale, float(solution[0])), losses, ridge
