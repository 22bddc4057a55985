"""What a call of a trust function takes, in time and memory, on made-up rows, and whether it tells them apart: for its author to
know. Nothing is judged."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Callable

import numpy as np

from w2s_bench.hookspecs import TrustFunction
from w2s_bench.plugins import checks as contract
from w2s_bench.testing.calls import call_score, watched
from w2s_bench.testing.evidence import MemoryEvidence, synthetic_evidence
from w2s_bench.types import Kind

#: Two sizes of the pool, so that a call that takes the square of its rows is seen.
SIZES = (40, 400)


def tell_cost(factory: Callable[[], TrustFunction], fitted: Callable[[Kind], TrustFunction]) -> None:
    """Warn of time and memory of a call of `score`, and of scores that are all equal, a kind of domain each: check-plugin shows
    warnings as remarks."""
    for kind in contract.kinds_of(factory()):
        function = fitted(kind)
        pools = [synthetic_evidence(kind, size, 1)[0] for size in SIZES]
        told = ", ".join(_told(function, pool) for pool in pools)
        warnings.warn(f"{kind}: a call of score takes {told} (Python and numpy)", UserWarning, stacklevel=2)
        if np.ptp(call_score(function, pools[-1])) == 0:
            same = f"{kind}: all {len(pools[-1])} made-up rows have one score"
            warnings.warn(f"{same}; rows of equal score are kept by lot, as `random` does", UserWarning, stacklevel=2)


def _told(function: TrustFunction, pool: MemoryEvidence) -> str:
    seen = pool.declaring(function.needs, privileged=function.supervision == "privileged").shown()

    def score() -> float:
        """Seconds that a call takes."""
        began = time.perf_counter()
        function.score(seen, rng=np.random.default_rng(1))
        return time.perf_counter() - began

    def peak() -> int:
        """Bytes that a call takes at most."""
        tracing = tracemalloc.is_tracing()
        if not tracing:
            tracemalloc.start()
        try:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            score()
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            if not tracing:
                tracemalloc.stop()

    watched(function, "score", score)  # readings are made up when they are asked for first
    seconds, taken = watched(function, "score", score), watched(function, "score", peak)
    return f"{1000 * seconds:.1f} ms and {taken / 1e6:.2f} MB for {len(pool)} rows"
