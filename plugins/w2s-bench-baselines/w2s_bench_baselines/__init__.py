"""The trust functions that every new one is measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench.hookspecs import TrustFunction, hookimpl
from w2s_bench_baselines.confidence import Confidence
from w2s_bench_baselines.probe import Probe
from w2s_bench_baselines.student_probe import StudentProbe
from w2s_bench_baselines.verifier import Verifier


@hookimpl
def w2s_trust_functions() -> Mapping[str, Callable[..., TrustFunction]]:
    return {"confidence": Confidence, "probe": Probe, "student_probe": StudentProbe, "verifier": Verifier}
