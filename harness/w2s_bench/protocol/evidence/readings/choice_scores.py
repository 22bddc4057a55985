"""What `choice_probs` is made of: the options' scores, which no softmax has put on one scale."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.readings.base import Values
from w2s_bench.protocol.evidence.readings.choice_probs import ChoiceProbs
from w2s_bench.store.stage import Stage
from w2s_bench.types import FloatArray, Need, Synthetic


class ChoiceScores(ChoiceProbs):
    """Form "options": natural logarithms, summed over an option's tokens; of a model tuned by recipe `head` its logits."""

    call = 'read(Need(of, "choice_scores"))'
    says = (
        "a row an item: of each option the summed log-probability of its tokens (a head's logit), in the order of "
        "`choices`. Choice domains only"
    )
    instead: ClassVar[str] = ChoiceProbs.instead

    def stage(self, ask: Ask) -> Stage:
        return super().stage(replace(ask, need=Need(ask.need.of, "choice_probs")))  # that stage stores the scores

    def shown(self, row: FloatArray) -> FloatArray:
        return row

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """Some constant a row below the logarithms of probabilities that `choice_probs` could give."""
        return [np.log(row) - rng.exponential(3) for row in super().synthetic(made_up, rng=rng)]


READING = ChoiceScores
