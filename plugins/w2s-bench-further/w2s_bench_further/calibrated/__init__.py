"""Calibrated: the teacher's confidence as a probability that the label is right, learned on the trust set."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_further.calibrated.venn_abers import VennAbers

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {"venn_abers": VennAbers}

__all__ = ["FUNCTIONS", "VennAbers"]
