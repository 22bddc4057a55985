"""Weak-to-strong's own: scores that were proposed for choosing what a strong student learns from a weak teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.weak_to_strong.em_posterior import EmPosterior
from w2s_bench_baselines.weak_to_strong.overlap_density import OverlapDensity
from w2s_bench_baselines.weak_to_strong.selective import Selective
from w2s_bench_baselines.weak_to_strong.wsconf import Wsconf

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "em_posterior": EmPosterior,
    "overlap_density": OverlapDensity,
    "selective": Selective,
    "wsconf": Wsconf,
}
