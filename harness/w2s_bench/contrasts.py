"""What a model makes of a label beside what it makes of the other options: for trust functions on `option_states`."""

from __future__ import annotations

from typing import cast

import numpy as np

from w2s_bench.errors import EvidenceError
from w2s_bench.types import FloatArray, IntArray, Ragged


def contrast(states: Ragged, label_index: IntArray | None) -> FloatArray:
    """The label's state minus the mean of the other options' states: (n, layers, d).

    `states` is what `option_states` gives, (options, layers, d) a row; any other numbers an option do as well, and keep
    their shape. `label_index` (n,) is the label's place among a row's options. A row of one option has no others: zeros.
    What all options of a question share cancels out, and what sets the label apart stays. Raises `EvidenceError` where there
    are no options, or as many rows as labels.
    """
    if label_index is None:
        raise EvidenceError("contrast needs options, and this domain's answers are generated; read hidden_states")
    if len(states) != len(label_index):
        raise EvidenceError(
            f"contrast of {len(states)} rows of states and {len(label_index)} labels; give equally many"
        )
    if not len(states):
        return np.zeros((0, *states.values.shape[1:]))
    starts, counts = states.offsets[:-1], np.diff(states.offsets)
    outside = np.flatnonzero((label_index < 0) | (label_index >= counts))
    if len(outside):
        row = int(outside[0])
        raise EvidenceError(f"label {int(label_index[row])} of row {row}, which has {int(counts[row])} options")
    own = states.values[starts + label_index]
    others = np.maximum(counts - 1, 1).reshape(-1, *[1] * (own.ndim - 1))
    contrasted = own - (np.add.reduceat(states.values, starts) - own) / others
    contrasted[counts == 1] = 0.0
    return cast(FloatArray, contrasted)
