"""Confidence: how sure a model is of the label by its own probabilities. Learns from nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.confidence.batch_calibrated import BatchCalibrated
from w2s_bench_baselines.confidence.confidence import Confidence
from w2s_bench_baselines.confidence.doctor import Doctor
from w2s_bench_baselines.confidence.energy import Energy
from w2s_bench_baselines.confidence.length_residual import LengthResidual
from w2s_bench_baselines.confidence.mean_logprob import MeanLogprob
from w2s_bench_baselines.confidence.min_logprob import MinLogprob
from w2s_bench_baselines.confidence.neg_entropy import NegEntropy
from w2s_bench_baselines.confidence.option_margin import OptionMargin
from w2s_bench_baselines.confidence.quantile_logprob import QuantileLogprob
from w2s_bench_baselines.confidence.self_certainty import SelfCertainty
from w2s_bench_baselines.confidence.sequence_logprob import SequenceLogprob
from w2s_bench_baselines.confidence.short_label import ShortLabel
from w2s_bench_baselines.confidence.token_spread import TokenSpread

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "batch_calibrated": BatchCalibrated,
    "confidence": Confidence,
    "doctor": Doctor,
    "energy": Energy,
    "length_residual": LengthResidual,
    "option_margin": OptionMargin,
    "mean_logprob": MeanLogprob,
    "min_logprob": MinLogprob,
    "neg_entropy": NegEntropy,
    "quantile_logprob": QuantileLogprob,
    "self_certainty": SelfCertainty,
    "sequence_logprob": SequenceLogprob,
    "short_label": ShortLabel,
    "token_spread": TokenSpread,
}
