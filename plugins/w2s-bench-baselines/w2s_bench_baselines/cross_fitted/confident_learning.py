"""Confident learning: is the label what a student that has not seen it would say, by what is usual for that label?"""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Scope
from w2s_bench_baselines.likelihood import one_of
from w2s_bench_baselines.states import count_of
from w2s_bench_baselines.unfitted import Unfitted

Measure = Literal["self_confidence", "normalized_margin"]
MEASURES: tuple[Measure, ...] = ("self_confidence", "normalized_margin")


class ConfidentLearning(Unfitted):
    """Confident learning on out-of-sample probabilities: the label's, measured against what its class usually gets.

    p are a cross-fitted student's probabilities over the options. The class of an option is its text; the threshold t_c is the
    mean of p_c over rows labelled c (texts that fewer than `least` rows are labelled with share one threshold, the mean over all
    such rows). q_o ∝ p_o - t_o + max t over the row's options; score: q of the label, in [0, 1]; with `measure`
    "normalized_margin" (q(label) - max q(other) + 1) / 2. Higher = more trusted. With `thresholds` false q is p. Northcutt et al.
    (2021), arXiv 1911.00068, with the adjustment of Kuan & Mueller (2022). Cost: five students, each of the suite's steps.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"
    needs: tuple[Need, ...] = (Need("student_cv", "choice_probs"),)

    def __init__(self, measure: Measure = "self_confidence", thresholds: bool = True, least: int = 5) -> None:
        one_of("measure", measure, MEASURES)
        if type(thresholds) is not bool:
            raise ValueError(f"thresholds must be true or false, got {thresholds!r}")
        self.measure, self.thresholds, self.least = measure, thresholds, count_of("least", least)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        probs, choices, index = evidence.choice_probs("student_cv"), evidence.choices, evidence.label_index
        assert choices is not None and index is not None, "for choice domains alone"
        rows = list(zip(probs, choices, (int(at) for at in index), strict=True))
        scores = np.zeros(len(rows))
        usual, rest = class_thresholds(rows, self.least) if self.thresholds else ({}, 0.0)
        for row, (p, options, at) in enumerate(rows):
            q = adjusted(p, np.array([usual.get(option.strip(), rest) for option in options]))
            others = np.delete(q, at)
            margin = (q[at] - others.max(initial=0.0) + 1) / 2
            scores[row] = q[at] if self.measure == "self_confidence" else margin
        return scores


Row = tuple[FloatArray, tuple[str, ...], int]


def class_thresholds(rows: list[Row], least: int) -> tuple[dict[str, float], float]:
    """Text → mean probability of the option of that text over rows labelled so; and that of all rarer texts together."""
    told: dict[str, list[float]] = defaultdict(list)
    for p, options, at in rows:
        told[options[at].strip()].append(float(p[at]))
    common = {text: float(np.sort(ps).mean()) for text, ps in told.items() if len(ps) >= least}
    rare = [p for text, ps in told.items() if text not in common for p in ps]
    everything = rare or [p for ps in told.values() for p in ps]
    return common, float(np.sort(everything).mean()) if everything else 0.0


def adjusted(p: FloatArray, thresholds: FloatArray) -> FloatArray:
    """(options,) probabilities less what is usual, lifted so that none is negative, of sum 1."""
    lifted = p - thresholds + thresholds.max()
    return np.asarray(lifted / lifted.sum())
