"""The first principal component of contrast pairs."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need, Scope
from w2s_bench_baselines.consistency.pairs import need_of, normalised, pairs_of, signed
from w2s_bench_baselines.learned.parameters import check_reader
from w2s_bench_baselines.unfitted import Unfitted


class CrcTpc(Unfitted):
    """CRC-TPC: where the label lies on the first principal component of an option's state less its rivals'.

    φ = normalised state of the option - normalised mean of the item's other options'. States are taken less the mean of their option's
    text, where that recurs, and the two are normalised apart over the pool; the component is that of greatest variance over all
    options. Score: φ(label) along it, any real number, higher = more trusted; its sign is the one by which labels score more than other
    options on average. `of`: teacher or untuned student; `layer`: None the middle one. Burns et al. (2022), arXiv 2212.03827, for two
    options; the mean of the others stands for "no". Cost: a pass of the model over options.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(self, of: str = "teacher", layer: int | None = None) -> None:
        self.of, self.layer = check_reader(of), layer
        self.needs: tuple[Need, ...] = (need_of(self.of, layer),)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        pairs = pairs_of(evidence, self.of, self.layer)
        if len(evidence) < 2:
            return np.zeros(len(evidence))
        contrast = normalised(pairs.own) - normalised(pairs.rivals)
        _, vectors = np.linalg.eigh(contrast.T @ contrast)
        return signed(contrast @ vectors[:, -1], pairs.is_label)[pairs.label]
