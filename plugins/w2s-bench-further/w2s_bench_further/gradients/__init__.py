"""Gradients: what a step on the label would do to the untuned student's last layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_further.gradients.gradient_alignment import GradientAlignment
from w2s_bench_further.gradients.grand import Grand

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {"gradient_alignment": GradientAlignment, "grand": Grand}

__all__ = ["FUNCTIONS", "GradientAlignment", "Grand"]
