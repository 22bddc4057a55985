"""A linear probe on hidden states: does the reader know, inside, that the label is right?"""

from __future__ import annotations

from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Need, Reader, Scope, Supervision, TrustFunctionError
from w2s_bench_baselines.learned.logistic import Logistic, fit_path
from w2s_bench_baselines.learned.parameters import check_layer, check_positive, check_whole
from w2s_bench_baselines.learned.states import STRENGTHS, States, What, choose


class Probe:
    """Logistic regression from the teacher's hidden state at the label's last token to "this label is right".

    Score: the log-odds w · h + b, any real number, higher = more trusted. Features are standardised on the trust set.
    The layer and the L2 strength are those of least held-out log-loss in a stratified cross-fitting of the trust set,
    unless given as `layer` (an index as transformers counts, -1 the last) and `l2`. Layer 0 is tried only if it is given:
    it is the embedding of the label's own last token, by which a probe tells answers apart and not right from wrong. After
    Alain & Bengio (2016); for truth in hidden states Azaria & Mitchell (2023) and Kadavath et al. (2022). Cost: one pass of
    the teacher over prompts and labels, and seconds for the fit.

    With fewer than two right or two wrong labels in the trust set nothing can be chosen: the last layer and an L2 of 1.
    With none, every score is log((right + 1) / (wrong + 1)), one constant.
    """

    supervision: Supervision = "trust_set"
    scope: Scope = "row"
    of: Reader = "teacher"
    what: What = "label"

    def __init__(self, layer: int | None = None, l2: float | None = None, folds: int = 5) -> None:
        self.l2, self.folds = None if l2 is None else check_positive("l2", l2), check_whole("folds", folds, 2)
        self._states = States(self.of, self.what, check_layer(layer))
        self.needs: tuple[Need, ...] = self._states.needs
        self._model: Logistic | None = None
        self._place = 0

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Choose layer and strength by cross-fitting, then fit on the whole trust set. Uses no randomness."""
        states = self._states.read(evidence)
        chosen = choose(states, correct, STRENGTHS if self.l2 is None else (self.l2,), self.folds)
        self._place = chosen.place
        self._model = fit_path(states[:, chosen.place], correct, [chosen.strength])[0]

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        if self._model is None:
            raise TrustFunctionError(f"{type(self).__name__} was not fitted; call fit with a trust set before score")
        return self._model.log_odds(self._states.read(evidence)[:, self._place])
