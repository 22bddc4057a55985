"""A classifier of a hidden state: three layers of a plain network."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned import networks
from w2s_bench_baselines.learned.networks import Trained, Training, uniform
from w2s_bench_baselines.learned.parameters import check_layer, check_reader, check_whole
from w2s_bench_baselines.learned.states import STRENGTHS, States, choose

if TYPE_CHECKING:
    import torch

_WIDTHS = (256, 128, 64)


class Perceptron:
    """Linear maps to 256, 128, 64 and 1 numbers, with max(0, x) between them."""

    def __init__(self, inputs: int, draw: torch.Generator) -> None:
        import torch

        sizes = (inputs, *_WIDTHS, 1)
        self.weights: list[torch.Tensor] = []
        for before, after in pairwise(sizes):
            self.weights += [uniform(after, before, draw), torch.zeros(after)]

    def __call__(self, x: torch.Tensor, draw: torch.Generator | None) -> torch.Tensor:
        from torch.nn import functional as F

        *inner, weight, bias = self.weights
        for map_, shift in zip(inner[::2], inner[1::2], strict=True):
            x = F.relu(F.linear(x, map_, shift))
        return F.linear(x, weight, bias)[:, 0]


class Saplma:
    """SAPLMA: a 256-128-64 perceptron from a hidden state to the probability that the label is right.

    Score: a probability in [0, 1], higher = more trusted: a sigmoid of the log-odds of three networks on average, Platt
    scaled on held-out rows. Input: the state of the label's last token, of the teacher or (`of`) the untuned student, at the
    layer given, else at the one where a logistic regression has the least held-out loss.

    Source: Azaria & Mitchell (2023), arXiv 2304.13734, who train five epochs with Adam. Here, with a few hundred labels, the
    number of epochs is chosen by cross-fitting within the trust set, and right and wrong labels weigh the same in sum. Cost:
    one pass of the model over prompts and labels, seconds for the fit. With no right or no wrong label in the trust set: one
    constant.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"

    def __init__(self, of: str = "teacher", layer: int | None = None, seeds: int = 3, folds: int = 5) -> None:
        self._states = States(check_reader(of), "label", check_layer(layer))
        self.needs: tuple[Need, ...] = self._states.needs
        self._training = Training(
            epochs=60,
            patience=6,
            learning_rate=3e-4,
            weight_decay=1e-2,
            batch=32,
            folds=check_whole("folds", folds, 2),
            seeds=check_whole("seeds", seeds, 1),
        )
        self._place = 0
        self._trained: Trained | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Choose the layer and the number of epochs by cross-fitting, then train on the whole trust set."""
        states = self._states.read(evidence)
        if states.shape[1] > 1:
            self._place = choose(states, correct, STRENGTHS, self._training.folds).place
        self._trained = networks.train(Perceptron, states[:, self._place], correct, self._training, rng)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._trained is None:
            raise TrustFunctionError("Saplma was not fitted; call fit with a trust set before score")
        return self._trained.probabilities(self._states.read(evidence)[:, self._place])
