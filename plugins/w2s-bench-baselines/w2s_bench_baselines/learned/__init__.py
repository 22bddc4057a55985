"""Learned: what the trust set's gold teaches about the labels, by a fit on evidence or by a tuned reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.learned.probe import Probe
from w2s_bench_baselines.learned.student_probe import StudentProbe
from w2s_bench_baselines.learned.verifier import Verifier

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "probe": Probe,
    "student_probe": StudentProbe,
    "verifier": Verifier,
}
