"""The calibration error of a report is that of a cell: one definition, with fewer bins where a trust set is small."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from w2s_bench.results.statistics import selective
from w2s_bench.scoring.figures import calibration_error, calibration_of


@pytest.mark.parametrize(("rows", "bins"), [(5, 1), (19, 1), (35, 3), (99, 9), (100, 10), (1000, 10)])
def test_a_report_and_a_cell_have_one_calibration_error(rows: int, bins: int) -> None:
    rng = np.random.default_rng(rows)
    scores = rng.permutation(rows) / rows
    right = rng.uniform(size=rows) < scores
    error = calibration_error(cast(Any, SimpleNamespace(trust=scores, right=right)))
    assert error == selective.calibration_error(scores, right, bins)
    found = calibration_of(scores, right)
    assert len(found) == bins and sum(n for *_, n in found) == rows
    assert [(n, score, share) for score, share, _, _, n in found] == [
        (one.rows, one.score, one.right) for one in selective.reliability(scores, right, bins)
    ]
    assert all(low <= share <= high for _, share, low, high, _ in found)
    assert error == pytest.approx(sum(n * abs(share - score) for score, share, _, _, n in found) / rows)


def test_no_rows_have_no_bins() -> None:
    assert calibration_of(np.zeros(0), np.zeros(0, dtype=bool)) == []
