"""Ensembles: several readers that differ by chance alone, and how far they agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_further.ensembles.ensem_w2s import EnsemW2S
from w2s_bench_further.ensembles.mc_dropout import McDropout
from w2s_bench_further.ensembles.seed_ensemble import SeedEnsemble

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "ensem_w2s": EnsemW2S,
    "mc_dropout": McDropout,
    "seed_ensemble": SeedEnsemble,
}

__all__ = ["FUNCTIONS", "EnsemW2S", "McDropout", "SeedEnsemble"]
