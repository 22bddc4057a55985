"""Learned: what the trust set's gold teaches about the labels, by a fit on evidence or by a tuned reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.learned.calibrated import Calibrated
from w2s_bench_baselines.learned.contrast import Contrast
from w2s_bench_baselines.learned.gradient_boosting import GradientBoosting
from w2s_bench_baselines.learned.mass_mean import MassMean
from w2s_bench_baselines.learned.ntf import Ntf
from w2s_bench_baselines.learned.pik import Pik
from w2s_bench_baselines.learned.probe import Probe
from w2s_bench_baselines.learned.reward_model import RewardModel
from w2s_bench_baselines.learned.saplma import Saplma
from w2s_bench_baselines.learned.stack import Stack
from w2s_bench_baselines.learned.student_probe import StudentProbe
from w2s_bench_baselines.learned.verifier import Verifier

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "calibrated": Calibrated,
    "contrast": Contrast,
    "gradient_boosting": GradientBoosting,
    "mass_mean": MassMean,
    "ntf": Ntf,
    "pik": Pik,
    "probe": Probe,
    "reward_model": RewardModel,
    "saplma": Saplma,
    "stack": Stack,
    "student_probe": StudentProbe,
    "verifier": Verifier,
}
