"""The verifier, in a form that can be fitted on and stacked."""

from __future__ import annotations

from typing import ClassVar

from w2s_bench import Reader, Supervision
from w2s_bench_baselines.cross_fitted.crossfit_student import CrossfitStudent


class CrossfitVerifier(CrossfitStudent):
    """How likely the label is to the student tuned on the trust set's gold; on the trust set, to one tuned on its other folds.

    Scale and `measure` as of `crossfit_student`; higher = more trusted. On the pool it is `verifier`. It is there to be combined:
    what it says of the trust set is out of sample, so that `stacked:of=crossfit_verifier+confidence` weighs it soundly. Cost: the
    verifier and five more, each tuned on four fifths of the trust set's gold.
    """

    of: ClassVar[Reader] = "verifier_cv"
    supervision: Supervision = "trust_set"
