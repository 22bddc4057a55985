"""The gradient of the label's loss by the weights of a linear head on an option's state."""

from __future__ import annotations

from typing import cast

import numpy as np

from w2s_bench import Evidence, FloatArray, Need, Ragged

PROBABILITIES = Need("student", "choice_probs")


def needs_of(layer: int) -> tuple[Need, ...]:
    if type(layer) is not int:
        raise ValueError(f"layer must be an integer, got {layer!r}")
    return PROBABILITIES, Need("student", "option_states", layers=layer)


def gradients(evidence: Evidence, layer: int) -> FloatArray:
    """(n, d): Σ_o (p_o - 1[o is the label]) h_o, of -log softmax(w · h_o + zero-shot score)[label] by w, at w = 0.

    p are the untuned student's probabilities of the options, h their states in this layer. A head on frozen states starts there, and
    of a model that is tuned whole it is the last layer's share.
    """
    assert evidence.label_index is not None, "for choice domains alone"
    probs, need = evidence.choice_probs("student"), needs_of(layer)[1]
    states = cast(Ragged, evidence.read(need))
    rows = []
    for p, h, at in zip(probs, states, evidence.label_index, strict=True):
        error = np.array(p, dtype=np.float64)
        error[int(at)] -= 1
        # Summed in an order of their own, options give the same to the last digit however they are arranged.
        parts = np.sort(error[:, None] * np.asarray(h)[:, 0].astype(np.float64), axis=0)
        rows.append(parts.sum(0))
    return np.array(rows)
