"""Teachers of other seeds: is the label what they would say too?"""

from __future__ import annotations

from w2s_bench import Need
from w2s_bench_further.ensembles.opinions import Measure, OfOpinions


class SeedEnsemble(OfOpinions):
    """Seed ensemble: what `k` teachers trained on the same gold on other seeds make of the label.

    `measure`: "mean", the mean probability of the label, in [0, 1]; "entropy", minus the entropy of the mean over the options;
    "disagreement", minus the standard deviation of the label's probability; "bald", minus H[mean p] - mean H[p], the part of the doubt
    that is disagreement (Houlsby et al. 2011); nats, at most 0. Higher = more trusted. Lakshminarayanan et al. (2017). Not applicable to
    a teacher that is used as it is. Cost: `k` trainings of the teacher, and as many passes over the options.
    """

    def __init__(self, measure: Measure = "mean", k: int = 3) -> None:
        super().__init__(Need("teacher", "ensemble", k=k), measure)
