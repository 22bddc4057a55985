"""Small networks from features to "this label is right", trained on a trust set: when to stop is chosen by cross-fitting.

torch is imported inside calls. All randomness comes from a generator of one's own, on one thread, so that equal evidence and
equal `rng` give equal bits and torch's global generator is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, FloatArray, IntArray
from w2s_bench_baselines.learned.calibration import Platt
from w2s_bench_baselines.learned.logistic import one_sided, stratified_folds
from w2s_bench_baselines.learned.states import usable_folds

if TYPE_CHECKING:
    import torch

#: Rows that a trained network reads at once.
_ROWS = 1024


class Network(Protocol):
    """Weights, and what they make of rows; `draw` is the generator of dropout while training, None otherwise."""

    weights: list[torch.Tensor]

    def __call__(self, x: torch.Tensor, draw: torch.Generator | None) -> torch.Tensor: ...  # (n, d) → (n,) log-odds


#: Builds an untrained network for a number of features, its weights drawn from the generator.
Make = Callable[[int, "torch.Generator"], Network]


@dataclass(frozen=True)
class Training:
    """How a network is trained: AdamW on binary cross-entropy in which right and wrong rows weigh the same in sum."""

    epochs: int  # at most
    patience: int  # epochs without a lower held-out loss after which cross-fitting stops
    learning_rate: float
    weight_decay: float
    batch: int
    folds: int
    seeds: int  # networks trained on the whole trust set, whose log-odds are averaged
    blind_epochs: int = 10  # epochs where the trust set is too one-sided to choose their number


@dataclass(frozen=True)
class Trained:
    """Networks on standardised features, and the map from their mean log-odds to a probability."""

    mean: FloatArray  # (d,)
    scale: FloatArray  # (d,)
    networks: tuple[Network, ...]
    calibration: Platt
    epochs: int

    def probabilities(self, features: FloatArray) -> FloatArray:
        """(n, d) → (n,) the probability that a row is correct."""
        return self.calibration.probabilities(self.log_odds(features))

    def log_odds(self, features: FloatArray) -> FloatArray:
        """(n, d) → (n,) mean over the networks, before calibration; 0 where there are none."""
        if not self.networks:
            return np.zeros(len(features))
        with _one_thread() as torch, torch.no_grad():
            x = torch.from_numpy(((features - self.mean) / self.scale).astype(np.float32))
            parts = [
                torch.stack([network(rows, None) for network in self.networks]).double().mean(dim=0)
                for rows in torch.split(x, _ROWS)
            ]
            odds: FloatArray = torch.cat(parts).numpy() if parts else np.zeros(0)
        return odds


def train(make: Make, features: FloatArray, correct: BoolArray, training: Training, rng: Generator) -> Trained:
    """Cross-fit to find the number of epochs and the calibration, then train on all rows that many epochs, once a seed.

    The folds' networks train side by side, epoch by epoch, until their held-out loss, taken over all rows, has not fallen for
    `patience` epochs. Platt scaling is fitted on their held-out log-odds at the best epoch. With fewer than two right or two
    wrong rows there is no cross-fitting: `blind_epochs`, and the calibration only undoes the classes' weights. With none
    the probability is (right + 1) / (n + 2) everywhere.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 1e-12 * (1 + np.abs(mean)), spread, 1.0)
    if one_sided(correct):
        return Trained(mean, scale, (), Platt.constant(correct), 0)
    folds = usable_folds(correct, training.folds)
    with _one_thread() as torch:
        draw = torch.Generator().manual_seed(int(rng.integers(2**62)))
        x = torch.from_numpy(((features - mean) / scale).astype(np.float32))
        y = torch.from_numpy(correct.astype(np.float32))
        epochs, calibration = training.blind_epochs, Platt.undoing_weights(correct)
        if folds >= 2:
            fold = stratified_folds(correct, folds)
            epochs, held_out = _cross_fitted(make, x, y, fold, training, draw)
            calibration = Platt.fitted(held_out, correct)
        learners = [_Learner(make, x, y, training, draw) for _ in range(training.seeds)]
        for learner in learners:
            for _ in range(epochs):
                learner.epoch()
    return Trained(mean, scale, tuple(learner.network for learner in learners), calibration, epochs)


def _cross_fitted(
    make: Make, x: torch.Tensor, y: torch.Tensor, fold: IntArray, training: Training, draw: torch.Generator
) -> tuple[int, FloatArray]:
    """The number of epochs of least held-out loss, and each row's log-odds (n,) then, by the network that lacked it."""
    import torch
    from torch.nn import functional as F

    places = [torch.from_numpy(np.flatnonzero(fold == held)) for held in range(int(fold.max()) + 1)]
    rest = [torch.from_numpy(np.flatnonzero(fold != held)) for held in range(len(places))]
    learners = [_Learner(make, x[rows], y[rows], training, draw) for rows in rest]
    weights = _weights(y)
    best, best_epoch, kept = float("inf"), 0, torch.zeros(len(y))
    for epoch in range(1, training.epochs + 1):
        odds = torch.empty(len(y))
        for learner, rows in zip(learners, places, strict=True):
            learner.epoch()
            with torch.no_grad():
                odds[rows] = learner.network(x[rows], None)
        loss = float(F.binary_cross_entropy_with_logits(odds, y, weights))
        if loss < best:
            best, best_epoch, kept = loss, epoch, odds
        elif epoch - best_epoch >= training.patience:
            break
    return best_epoch, kept.double().numpy()


def _weights(y: torch.Tensor) -> torch.Tensor:
    """(n,) of mean 1: the right rows and the wrong rows weigh the same in sum."""
    right = y.mean()
    return y / (2 * right) + (1 - y) / (2 * (1 - right))


class _Learner:
    """One network with its optimiser and its rows."""

    def __init__(self, make: Make, x: torch.Tensor, y: torch.Tensor, training: Training, draw: torch.Generator) -> None:
        import torch

        self.network, self._draw = make(x.shape[1], draw), draw
        for weight in self.network.weights:
            weight.requires_grad_(True)
        self._x, self._y, self._weights, self._batch = x, y, _weights(y), training.batch
        self._optimiser = torch.optim.AdamW(
            self.network.weights, training.learning_rate, weight_decay=training.weight_decay, fused=True
        )

    def epoch(self) -> None:
        """One pass over its rows in a fresh order."""
        import torch
        from torch.nn import functional as F

        for rows in torch.split(torch.randperm(len(self._y), generator=self._draw), self._batch):
            odds = self.network(self._x[rows], self._draw)
            self._optimiser.zero_grad(set_to_none=True)
            loss: Any = F.binary_cross_entropy_with_logits(odds, self._y[rows], self._weights[rows])
            loss.backward()
            self._optimiser.step()


def uniform(outputs: int, inputs: int, draw: torch.Generator) -> torch.Tensor:
    """(outputs, inputs) weights of a linear map, uniform within ± 1 / √inputs, as torch draws them."""
    import torch

    bound = 1 / max(inputs, 1) ** 0.5
    return torch.empty(outputs, inputs).uniform_(-bound, bound, generator=draw)


def dropped(x: torch.Tensor, share: float, draw: torch.Generator | None) -> torch.Tensor:
    """Dropout: a share of the numbers set to 0 and the rest scaled up, while training alone."""
    import torch

    if draw is None or share == 0:
        return x
    return x * (torch.rand(x.shape, generator=draw) >= share) / (1 - share)


@contextmanager
def _one_thread() -> Iterator[Any]:
    """torch on one thread, whoever calls: sums in another order would be other bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield torch
    finally:
        torch.set_num_threads(before)
