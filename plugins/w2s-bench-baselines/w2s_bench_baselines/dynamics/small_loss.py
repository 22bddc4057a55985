"""Labels that are learned early are mostly right: which of two kinds of loss is this one?"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Scope
from w2s_bench_baselines.dynamics.path import AlongThePath, checked_point


class SmallLoss(AlongThePath):
    """Small loss: the posterior that an early student's loss on the label comes from the lower of two Gaussians.

    l is the loss of the student at `point` of `points`, -log p(label) among the options (generate: minus the mean
    log-probability of its tokens), scaled to [0, 1] over the pool; two Gaussians are fitted by EM, from k-means, and the score is the
    posterior of the one of smaller mean, in [0, 1]. Where fewer than two losses differ, or with `mixture` false: -l, unscaled.
    Higher = more trusted. Arazo et al. (2019), arXiv 1904.11238; Li et al. (2020, DivideMix), arXiv 2002.07394. Cost: as of `aum`.
    """

    scope: Scope = "pool"

    def __init__(self, point: int = 2, points: int = 6, mixture: bool = True) -> None:
        super().__init__(points)
        if type(mixture) is not bool:
            raise ValueError(f"mixture must be true or false, got {mixture!r}")
        self.point, self.mixture = checked_point(point, points), mixture
        if not mixture:
            self.scope = "row"

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        loss = -self.path(evidence, "log_probability")[:, self.point]
        return lower_of_two(loss) if self.mixture and len(np.unique(loss)) > 1 else -loss


def lower_of_two(loss: FloatArray) -> FloatArray:
    """(n,) posteriors, in [0, 1], that losses (n,) come from the Gaussian of smaller mean. Their order means nothing."""
    from sklearn.mixture import GaussianMixture

    order = np.argsort(loss, kind="stable")
    scaled = ((loss - loss.min()) / np.ptp(loss))[order, None]
    # Both settings are DivideMix's. The seed is for k-means, which parts losses that lie sorted on a line.
    mixture = GaussianMixture(2, tol=1e-2, max_iter=100, reg_covar=5e-4, random_state=0).fit(scaled)
    posterior = np.empty(len(loss))
    posterior[order] = mixture.predict_proba(scaled)[:, int(np.argmin(mixture.means_[:, 0]))]
    return posterior
