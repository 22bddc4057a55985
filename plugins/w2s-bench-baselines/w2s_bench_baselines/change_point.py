"""One change of the mean in a series, as binary segmentation finds it."""

from __future__ import annotations

import numpy as np

from w2s_bench import FloatArray


def change_point(series: FloatArray, jump: int = 1, least: int = 2) -> int:
    """Where the second of two segments begins, so that the squares around the two means are least.

    It is what binary segmentation with the cost `l2` finds as its first change point (ruptures: `Binseg(model="l2", jump=…)`,
    whose jump is 5 unless told otherwise). A segment has at least `least` values, and it begins at a multiple of `jump`. Of equal
    places the last is taken. Where no place will do, the length.
    """
    n = len(series)
    places = np.arange(0, n, jump)
    places = places[(places >= least) & (n - places >= least)]
    if len(places) == 0:
        return n
    centred = series - series.mean()  # the gain is the same, and nothing large is subtracted
    before = np.concatenate([[0.0], np.cumsum(centred)])[places]
    # With the whole's mean at 0, a segment of m values that sum to s lessens the squares by s² / m.
    gain = before**2 / places + before**2 / (n - places)
    return int(places[len(gain) - 1 - np.argmax(gain[::-1])])
