"""Verifiers: what can be checked of a label by rules, without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.verifiers.answer_format import AnswerFormat
from w2s_bench_baselines.verifiers.arithmetic_steps import ArithmeticSteps

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "answer_format": AnswerFormat,
    "arithmetic_steps": ArithmeticSteps,
}
