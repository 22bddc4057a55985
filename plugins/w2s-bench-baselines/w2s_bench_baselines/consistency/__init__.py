"""Consistency: a direction in which an option and its rivals are told apart, found without any gold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.consistency.ccs import Ccs
from w2s_bench_baselines.consistency.crc_tpc import CrcTpc

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {"ccs": Ccs, "crc_tpc": CrcTpc}
