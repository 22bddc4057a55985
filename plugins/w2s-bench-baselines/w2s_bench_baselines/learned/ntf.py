"""The Neural Trust Function: a small residual network on the state in which the label was finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned import networks
from w2s_bench_baselines.learned.features import NEEDS, cheap_features
from w2s_bench_baselines.learned.networks import Trained, Training, dropped, uniform
from w2s_bench_baselines.learned.parameters import (
    check_flag,
    check_not_negative,
    check_one_of,
    check_positive,
    check_reader,
    check_share,
    check_whole,
)
from w2s_bench_baselines.learned.states import STRENGTHS, States, What, choose

if TYPE_CHECKING:
    import torch

Where = Literal["last", "middle", "all", "contrast", "prompt"]
WHERE = ("last", "middle", "all", "contrast", "prompt")
_EPSILON = 1e-6


class ResidualNetwork:
    """x <- x + DropPath(W3 · Dropout(SiLU(W1 · RMSNorm x) ⊙ W2 · RMSNorm x)), block after block; RMSNorm; a linear head.

    A linear map brings the features to `width` first. DropPath leaves a block out for a row with a probability that rises
    from 0 at the first block to `drop_path` at the last, and scales it up where it is kept.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        blocks: int,
        dropout: float,
        drop_path: float,
        draw: torch.Generator,
    ) -> None:
        import torch

        hidden = 2 * width
        self._dropout = dropout
        self._drop_path = [drop_path * block / max(blocks - 1, 1) for block in range(blocks)]
        self._into = [uniform(width, inputs, draw), torch.zeros(width)]
        self._blocks = [
            [
                torch.ones(width),
                uniform(hidden, width, draw),
                uniform(hidden, width, draw),
                uniform(width, hidden, draw),
            ]
            for _ in range(blocks)
        ]
        self._head = [torch.ones(width), uniform(1, width, draw), torch.zeros(1)]
        self.weights = [*self._into, *(weight for block in self._blocks for weight in block), *self._head]

    def __call__(self, x: torch.Tensor, draw: torch.Generator | None) -> torch.Tensor:
        import torch
        from torch.nn import functional as F

        x = F.linear(x, *self._into)
        width = x.shape[-1:]
        for (norm, w1, w2, w3), drop_path in zip(self._blocks, self._drop_path, strict=True):
            normed = F.rms_norm(x, width, norm, _EPSILON)
            change = F.linear(dropped(F.silu(F.linear(normed, w1)) * F.linear(normed, w2), self._dropout, draw), w3)
            if draw is not None and drop_path > 0:
                change = change * (torch.rand(len(x), 1, generator=draw) >= drop_path) / (1 - drop_path)
            x = x + change
        norm, weight, bias = self._head
        return F.linear(F.rms_norm(x, width, norm, _EPSILON), weight, bias)[:, 0]


class Ntf:
    """The paper's Neural Trust Function: a residual SwiGLU network from a hidden state to the probability that the label is right.

    Formula: `ResidualNetwork`, then a sigmoid. Loss: binary cross-entropy in which right and wrong labels weigh the same in
    sum; AdamW with weight decay. When to stop is chosen by cross-fitting within the trust set; three networks, trained on
    all of it, are averaged in log-odds. Score: a probability in [0, 1], higher = more trusted, calibrated by Platt scaling
    of the held-out log-odds (one monotone map, so that the ranking is the networks').

    Inputs, by `state`: "last" (the paper's: the last layer's state of the label's last token), "middle" (the layer half
    way up), "all" (the layer at which a logistic regression has the least held-out loss), "contrast" (that state minus
    the mean of the other options', at a third, half or two thirds of the depth, chosen likewise; choice domains alone),
    "prompt" (the last layer's state of the prompt's last token, in which a generator decides how it will answer; all
    labels of one question would score the same). `of`: the teacher's states (the paper's), or the untuned student's.
    `features`: the cheap features of `gradient_boosting` besides.

    Source: Uzunoglu, Zhang, Khashabi (2026), arXiv 2606.01000. It gives neither sizes nor rates; width, blocks, dropout,
    drop_path, learning_rate, weight_decay and the rule for stopping are guesses of this project. Read it beside `probe` and
    `contrast`, logistic regressions on the same states. Cost: one pass of the model over prompts and labels; seconds on one
    thread for a few hundred trust labels. With no right or no wrong label in the trust set: one constant.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"

    def __init__(
        self,
        of: str = "teacher",
        state: Where = "last",
        features: bool = False,
        width: int = 256,
        blocks: int = 2,
        dropout: float = 0.1,
        drop_path: float = 0.1,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-2,
        seeds: int = 3,
        folds: int = 5,
    ) -> None:
        check_one_of("state", state, WHERE)
        what: What = state if state in ("contrast", "prompt") else "label"
        self.state, self.features = state, check_flag("features", features)
        self._states = States(check_reader(of), what, -1 if state in ("last", "prompt") else None)
        self.needs: tuple[Need, ...] = (*self._states.needs, *(NEEDS if features else ()))
        if state == "contrast":
            self.kinds = ("choice",)
        self.width, self.blocks = check_whole("width", width, 1), check_whole("blocks", blocks, 1)
        self.dropout, self.drop_path = check_share("dropout", dropout), check_share("drop_path", drop_path)
        self._training = Training(
            epochs=60,
            patience=6,
            learning_rate=check_positive("learning_rate", learning_rate),
            weight_decay=check_not_negative("weight_decay", weight_decay),
            batch=64,
            folds=check_whole("folds", folds, 2),
            seeds=check_whole("seeds", seeds, 1),
        )
        self._place = 0
        self._trained: Trained | None = None

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Choose the layer, where one is to be chosen, and the number of epochs by cross-fitting; then train on all rows."""
        states = self._states.read(evidence)
        if self.state == "middle":
            self._place = (states.shape[1] - 1) // 2
        elif states.shape[1] > 1:
            self._place = choose(states, correct, STRENGTHS, self._training.folds).place
        self._trained = networks.train(self._network, self._inputs(evidence, states), correct, self._training, rng)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._trained is None:
            raise TrustFunctionError("Ntf was not fitted; call fit with a trust set before score")
        return self._trained.probabilities(self._inputs(evidence, self._states.read(evidence)))

    def _network(self, inputs: int, draw: torch.Generator) -> ResidualNetwork:
        return ResidualNetwork(inputs, self.width, self.blocks, self.dropout, self.drop_path, draw)

    def _inputs(self, evidence: Evidence, states: FloatArray) -> FloatArray:
        """(n, d), or (n, d + f) with the cheap features."""
        chosen = states[:, self._place]
        return np.concatenate([chosen, cheap_features(evidence)], axis=1) if self.features else chosen
