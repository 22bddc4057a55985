"""What a reader says of the label, for choice and generate domains alike."""

from __future__ import annotations

from typing import Literal

from w2s_bench import Evidence, FloatArray, Need, Reader
from w2s_bench_baselines.likelihood import label_probability, margin, of_options, pooled_log_probability

Measure = Literal["probability", "margin"]
MEASURES: tuple[Measure, ...] = ("probability", "margin")


def needs_of(*readers: Reader) -> tuple[Need, ...]:
    """What `said` reads of each."""
    return tuple(
        need
        for of in readers
        for need in (Need(of, "choice_probs", when="choice"), Need(of, "label_logprobs", when="generate"))
    )


def said(evidence: Evidence, of: Reader, measure: Measure = "probability") -> FloatArray:
    """(n,) Choice: the label's probability among its options, or its margin. Generate: the mean (for "margin" the least)
    log-probability of its tokens.
    """
    if evidence.choices is None:
        return pooled_log_probability(evidence, of, "mean" if measure == "probability" else "min")
    return label_probability(evidence, of) if measure == "probability" else of_options(evidence, of, margin)
