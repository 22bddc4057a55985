"""Objective `sce`: symmetric cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from w2s_bench.models.objectives import Step, Targets, Whose, label_readings, mean_of, over_asked, refuse_outside
from w2s_bench.types import FloatArray, IntArray

if TYPE_CHECKING:
    import torch


class Symmetric:
    """Symmetric cross-entropy of the label: −α ln p_y − β A (1 − p_y) (Wang et al. 2019).

    The second term is the cross-entropy of the label under the student's distribution, with `floor`, A, for the logarithm of 0;
    it resists labels that the student doubts, the first one learns the rest. `alpha` and `beta` are from 0 and not both 0, A is
    below 0. Defaults are the authors' for ten classes: α .1, β 1, A −4. A label of gold is a label. `over` as for `xent`.
    """

    needs: tuple[Whose, ...] = ()

    def __init__(self, alpha: float = 0.1, beta: float = 1.0, floor: float = -4.0, over: str = "tokens") -> None:
        refuse_outside("alpha", alpha, 0)
        refuse_outside("beta", beta, 0)
        if alpha == beta == 0:
            raise ValueError("alpha and beta are both 0, which leaves nothing to learn; give one of them")
        refuse_outside("floor", floor, -1e6, 0, below=True)
        self.alpha, self.reverse, self.over = alpha, -beta * floor, over_asked(over)

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        import torch
        from torch.nn.functional import cross_entropy

        plain = cross_entropy(logits, targets.label, reduction="none")
        return mean_of(self.alpha * plain - self.reverse * torch.expm1(-plain), weights)

    def losses_and_slopes(
        self,
        logits: FloatArray,
        starts: IntArray,
        labels: IntArray,
        step: Step,
        probs: Mapping[Whose, FloatArray],
    ) -> tuple[FloatArray, FloatArray]:
        logprobs, slopes = label_readings(logits, starts, labels)
        pull = self.alpha + self.reverse * np.exp(logprobs)
        return -self.alpha * logprobs - self.reverse * np.expm1(logprobs), np.repeat(pull, np.diff(starts)) * slopes
