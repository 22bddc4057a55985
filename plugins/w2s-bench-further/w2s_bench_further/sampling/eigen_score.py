"""How much room the answers take that a model draws to one prompt."""

from __future__ import annotations

from typing import Literal, cast, get_args

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_further.unfitted import Unfitted

Who = Literal["teacher", "student"]


class EigenScore(Unfitted):
    """EigenScore (INSIDE): minus the log-determinant of the covariance of k answers' states: answers that mean one thing lie together.

    -(1 / k) log det(Σ + `alpha` I), nats, any sign; higher = more trusted, and at most -log `alpha`. Σ (k, k) is the covariance, over the d
    numbers of a state, of k sampled answers' last tokens half way up. Generate: k answers drawn at `temperature`. Choice: nothing is drawn;
    an option o stands for k p(o) answers, p the reader's probabilities, and by Sylvester's identity the score is
    -(1 / k) [k log α + log det(I + (k / α) √p G √p)], G the covariance of the options' states: of whole k p(o) it is the score of that many
    copies of each option. It does not ask which answer the label is. `of`: teacher or untuned student. Chen et al. (2024, ICLR),
    arXiv 2402.03744, α = 0.001. Cost: k generations a label and a pass over them (generate), a pass over the options (choice).
    """

    def __init__(self, k: int = 8, temperature: float = 1.0, of: Who = "teacher", alpha: float = 1e-3) -> None:
        if type(k) is not int or not 2 <= k <= 1000:
            raise ValueError(f"k must be a whole number from 2 to 1000, got {k!r}")
        if of not in get_args(Who):
            raise ValueError(f"of must be 'teacher' or 'student', got {of!r}")
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha <= 1e6:
            raise ValueError(f"alpha must be above 0, got {alpha!r}")
        self.k, self.of, self.alpha = k, of, float(alpha)
        self.needs: tuple[Need, ...] = (
            Need(of, "choice_probs", when="choice"),
            Need(of, "option_states", layers="middle", when="choice"),
            Need(of, "sample_covariance", k=k, temperature=float(temperature), when="generate"),
        )

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if evidence.choices is None:
            drawn = cast(FloatArray, evidence.read(self.needs[2]))
            return np.array([-eigen_score(each, self.alpha) for each in drawn], dtype=np.float64)
        told = zip(evidence.option_states(self.of, "middle"), evidence.choice_probs(self.of), strict=True)
        return np.array([-expected(middle(states), p, self.k, self.alpha) for states, p in told], dtype=np.float64)


def middle(states: FloatArray) -> FloatArray:
    """(options, layers, d) → (options, d): the layer in the middle of those that were read."""
    return np.asarray(states[:, states.shape[1] // 2])


def eigen_score(covariance: FloatArray, alpha: float) -> float:
    """(1 / k) log det(Σ + α I) of a covariance (k, k), in nats."""
    k = len(covariance)
    return float(np.linalg.slogdet(covariance + alpha * np.eye(k))[1]) / k


def expected(states: FloatArray, p: FloatArray, k: int, alpha: float) -> float:
    """The same of k answers of which k p are each option; `states` (options, d), `p` (options,)."""
    values = np.asarray(states, dtype=np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    roots = np.sqrt(np.asarray(p, dtype=np.float64))[:, None] * centred
    inner = roots @ roots.T / max(values.shape[1] - 1, 1)
    return float(np.log(alpha)) + float(np.linalg.slogdet(np.eye(len(values)) + k / alpha * inner)[1]) / k
