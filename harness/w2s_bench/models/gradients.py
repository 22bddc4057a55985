"""What each training row would have a model do: the gradient of its own loss, projected to few numbers that keep angles.

The projection is a count sketch (Charikar, Chen & Farach-Colton 2002; feature hashing, Weinberger et al. 2009): every parameter
falls into one of D places with a sign, both drawn once, and the places sum what falls into them. Inner products keep their
values in expectation, with a deviation of at most sqrt(2 / D) of the product of the norms. One pass over the gradient does it,
where a dense matrix of as many rows as a model has parameters would not fit into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from w2s_bench.errors import ModelError
from w2s_bench.models.assumptions import anatomy_of
from w2s_bench.models.encoding import Pair
from w2s_bench.models.scoring import completion_logits


def sketch_of(parameters: Sequence[torch.Tensor], dimensions: int, seed: int) -> list[torch.Tensor]:
    """For every number of each parameter its place from 0 to 2 · D − 1: its dimension, plus D where it counts negatively.

    Drawn on the processor, so that every device projects alike.
    """
    drawn = torch.Generator().manual_seed(seed)
    return [
        torch.randint(2 * dimensions, (p.numel(),), generator=drawn, dtype=torch.int32).to(p.device) for p in parameters
    ]


def sketched(values: Sequence[torch.Tensor | None], places: Sequence[torch.Tensor], dimensions: int) -> torch.Tensor:
    """(D,) the projection of one gradient, given parameter by parameter; None: a parameter that the loss does not touch."""
    total = torch.zeros(2 * dimensions, dtype=torch.float32, device=places[0].device)
    for value, where in zip(values, places, strict=True):
        if value is not None:
            own = total if where.device == total.device else torch.zeros_like(total, device=where.device)
            own.index_add_(0, where, value.reshape(-1).float())
            if own is not total:
                total += own.to(total.device)
    return total[:dimensions] - total[dimensions:]


def projected_gradients(model: Any, pairs: Sequence[Pair], *, dimensions: int, seed: int) -> NDArray[np.float32]:
    """(n, dimensions) of every pair the gradient of the mean cross-entropy over its completion's tokens.

    By all parameters that train; as the model answers (no dropout). Nothing of the model changes.
    """
    model.eval()
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ModelError("no parameter of this model trains, so there are no gradients; take recipe 'lora' or 'full'")
    places, anatomy = sketch_of(parameters, dimensions, seed), anatomy_of(model)
    sketches = np.empty((len(pairs), dimensions), dtype=np.float32)
    for row, pair in enumerate(pairs):
        logits, targets, _ = completion_logits(model, [pair], anatomy)
        loss = F.cross_entropy(logits.float(), targets)
        gradient = torch.autograd.grad(loss, parameters, allow_unused=True)
        sketches[row] = sketched(gradient, places, dimensions).cpu().numpy()
    return sketches
