"""The functions that a combination is made of: found by name, built, fitted and scored as one would alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from numpy.random import Generator

from w2s_bench import BoolArray, Evidence, FloatArray, Kind, Need, Supervision, TrustFunction, TrustFunctionError
from w2s_bench_baselines.confidence import FUNCTIONS as CONFIDENCE
from w2s_bench_baselines.consistency import FUNCTIONS as CONSISTENCY
from w2s_bench_baselines.cross_fitted import FUNCTIONS as CROSS_FITTED
from w2s_bench_baselines.cross_model import FUNCTIONS as CROSS_MODEL
from w2s_bench_baselines.dynamics import FUNCTIONS as DYNAMICS
from w2s_bench_baselines.geometry import FUNCTIONS as GEOMETRY
from w2s_bench_baselines.learned import FUNCTIONS as LEARNED
from w2s_bench_baselines.sampling import FUNCTIONS as SAMPLING
from w2s_bench_baselines.verifiers import FUNCTIONS as VERIFIERS
from w2s_bench_baselines.weak_to_strong import FUNCTIONS as WEAK_TO_STRONG

#: Tracks from the one that learns from nothing to the one that learns from most.
_TRACKS: tuple[Supervision, ...] = ("none", "trust_set", "privileged")
_KINDS: tuple[Kind, ...] = ("choice", "generate")
#: Name → factory of what can be combined: the functions of the other families.
KNOWN: Mapping[str, Callable[..., TrustFunction]] = {
    **CONFIDENCE,
    **CONSISTENCY,
    **CROSS_FITTED,
    **CROSS_MODEL,
    **DYNAMICS,
    **GEOMETRY,
    **LEARNED,
    **SAMPLING,
    **VERIFIERS,
    **WEAK_TO_STRONG,
}


class Components:
    """Two functions or more, of different names. All learn from what the trust set allows the one that learns from most."""

    def __init__(self, of: str) -> None:
        self.names = of.split("+") if isinstance(of, str) else []
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise ValueError(f"of must name two different functions or more, joined by +, as a+b; got {of!r}")
        if unknown := [name for name in self.names if name not in KNOWN]:
            raise ValueError(
                f"of names {unknown[0]!r}, which cannot be combined; known are {', '.join(sorted(KNOWN))} (a function of "
                "another plugin runs in a process of its own; combine them in a plugin of yours)"
            )
        self.functions: list[TrustFunction] = [KNOWN[name]() for name in self.names]
        self.supervision = max((one.supervision for one in self.functions), key=_TRACKS.index)
        self.needs: tuple[Need, ...] = _union(self.functions)
        kinds = [getattr(one, "kinds", _KINDS) for one in self.functions]
        self.kinds: tuple[Kind, ...] = tuple(kind for kind in _KINDS if all(kind in each for each in kinds))
        if not self.kinds:
            told = ", ".join(f"{name} for {' and '.join(of)}" for name, of in zip(self.names, kinds, strict=True))
            raise ValueError(f"of {of!r} has no kind of domain that all are for ({told}); combine others")
        self.fitted = False

    def fit(self, evidence: Evidence, correct: BoolArray, rng: Generator) -> None:
        for one, own in zip(self.functions, rng.spawn(len(self.functions)), strict=True):
            if one.supervision != "none":
                one.fit(evidence, correct, rng=own)
        self.fitted = True

    def scores(self, evidence: Evidence, rng: Generator) -> FloatArray:
        """(components, n) what each says, on its own scale."""
        if self.supervision != "none" and not self.fitted:
            raise TrustFunctionError(f"{'+'.join(self.names)} was not fitted; call fit with a trust set before score")
        spawned = rng.spawn(len(self.functions))
        told = [one.score(evidence, rng=own) for one, own in zip(self.functions, spawned, strict=True)]
        return np.stack(told).astype(np.float64)


def _union(functions: list[TrustFunction]) -> tuple[Need, ...]:
    """Needs of all. One that a function reads in a kind of domain and another in the other is read in both."""
    kinds: dict[Need, set[Kind | None]] = {}
    for one in functions:
        own = getattr(one, "kinds", _KINDS)
        for need in one.needs:
            kinds.setdefault(need, set()).add(need.when or (own[0] if len(own) == 1 else None))
    return tuple(
        Need(need.of, need.read, need.layer, written=need.written, when=next(iter(when)) if len(when) == 1 else None)
        for need, when in kinds.items()
    )


def rank_shares(scores: FloatArray) -> FloatArray:
    """(…, n) the share of the pool that a row stands above, ties by half, in (0, 1)."""
    from scipy.stats import rankdata

    return cast(FloatArray, (rankdata(scores, axis=-1) - 0.5) / scores.shape[-1])
