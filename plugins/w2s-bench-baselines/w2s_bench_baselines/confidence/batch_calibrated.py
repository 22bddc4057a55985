"""How likely the label is here against how likely it is elsewhere."""

from __future__ import annotations

from collections import defaultdict
from typing import cast

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, IntArray, Kind, Need, Reader, Scope
from w2s_bench_baselines.likelihood import label_probability, logarithm, one_of
from w2s_bench_baselines.unfitted import Unfitted


class BatchCalibrated(Unfitted):
    """How much likelier the teacher finds the label here than where else its text is an option: a prior taken out.

    log p(label | this item) - log q(label), nats, any sign; higher = more trusted. q is the mean probability that the teacher
    gives this very text over all items of the pool that offer it, with `prior_items` items at 1 / (number of options) put
    before them, so that a text offered once counts as one without a prior. A teacher that prefers one answer whatever is
    asked gains nothing by it. It is a PMI (Holtzman et al. 2021) whose unconditional probability is the pool's: batch
    calibration, Zhou et al. (2023). `of` = "teacher" or "student", the untuned one. Cost: none for the teacher.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(self, of: Reader = "teacher", prior_items: float = 1.0) -> None:
        one_of("of", of, ("teacher", "student"))
        if not prior_items >= 0:
            raise ValueError(f"prior_items must be at least 0, got {prior_items!r}")
        self.of: Reader = of
        self.prior_items = prior_items
        self.needs: tuple[Need, ...] = (Need(of, "choice_probs"),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        shown = evidence.choices or ()
        given: dict[str, list[float]] = defaultdict(list)
        for options, probabilities in zip(shown, evidence.choice_probs(self.of), strict=True):
            for option, probability in zip(options, probabilities, strict=True):
                given[option].append(float(probability))
        # Summed in order of size, so that the order of rows shows in no digit.
        sums = {text: sum(sorted(found)) for text, found in given.items()}
        prior = np.zeros(len(shown))
        for row, (options, at) in enumerate(zip(shown, cast(IntArray, evidence.label_index), strict=True)):
            label = options[at]
            prior[row] = (sums[label] + self.prior_items / len(options)) / (len(given[label]) + self.prior_items)
        return logarithm(label_probability(evidence, self.of)) - logarithm(prior)
