"""Objective `gce`: generalised cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from w2s_bench.models.objectives import (
    Step,
    Targets,
    Whose,
    label_readings,
    mean_of,
    over_asked,
    refuse_outside,
)
from w2s_bench.types import FloatArray, IntArray

if TYPE_CHECKING:
    import torch


class Generalised:
    """Generalised cross-entropy of the label: (1 − p_yᑫ) / q (Zhang & Sabuncu 2018).

    A row pulls by p_yᑫ times what it does in the cross-entropy, so that labels that the student doubts count less. `q` is above
    0 and at most 1: the cross-entropy as q goes to 0, the mean absolute error at 1; the authors' .7 is the default. A label of
    gold is a label. `over` as for `xent`.
    """

    needs: tuple[Whose, ...] = ()

    def __init__(self, q: float = 0.7, over: str = "tokens") -> None:
        refuse_outside("q", q, 0, 1, above=True)
        self.q, self.over = q, over_asked(over)

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        import torch
        from torch.nn.functional import cross_entropy

        logprobs = -cross_entropy(logits, targets.label, reduction="none")
        return mean_of(-torch.expm1(self.q * logprobs) / self.q, weights)

    def losses_and_slopes(
        self,
        logits: FloatArray,
        starts: IntArray,
        labels: IntArray,
        step: Step,
        probs: Mapping[Whose, FloatArray],
    ) -> tuple[FloatArray, FloatArray]:
        logprobs, slopes = label_readings(logits, starts, labels)
        pull = np.exp(self.q * logprobs)
        return -np.expm1(self.q * logprobs) / self.q, np.repeat(pull, np.diff(starts)) * slopes
