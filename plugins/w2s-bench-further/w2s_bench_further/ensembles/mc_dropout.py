"""One model with its dropout left on: do its passes agree on the label?"""

from __future__ import annotations

from typing import Literal, get_args

from w2s_bench import Need
from w2s_bench_further.ensembles.opinions import Measure, OfOpinions

Who = Literal["teacher", "student"]


class McDropout(OfOpinions):
    """MC dropout: what `k` passes with the model's dropout left on make of the label.

    `measure` as of `seed_ensemble`: "mean", "entropy", "disagreement", or "bald", minus H[mean p] - mean H[p], nats, at most 0
    (Houlsby et al. 2011; Gal et al. 2017). Higher = more trusted. `of`: "teacher" or "student", the untuned one. Gal & Ghahramani
    (2016). Of a model without dropout in its layers there is none: its cells say so. Cost: `k` passes over the options.
    """

    def __init__(self, measure: Measure = "bald", of: Who = "teacher", k: int = 8) -> None:
        if of not in get_args(Who):
            raise ValueError(f"of must be 'teacher' or 'student', got {of!r}")
        super().__init__(Need(of, "mc_dropout", k=k), measure)
