"""How checks call a trust function: built, fitted and asked for scores as in a run, on made-up rows; and two calls compared."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from w2s_bench.errors import W2SBenchError
from w2s_bench.hookspecs import TrustFunction
from w2s_bench.isolation.process_state import generators_kept
from w2s_bench.testing.evidence import MemoryEvidence, synthetic_evidence
from w2s_bench.testing.expecting import guarded
from w2s_bench.testing.smallest import moved, smallest, told
from w2s_bench.types import BoolArray, FloatArray, IntArray, Kind

Factory = Callable[[], TrustFunction]
TRUST_SIZE, POOL_SIZE = 32, 40
ALL: IntArray = np.arange(POOL_SIZE)


class Fitted:
    """The last function that the checks of one list fitted, so that those which ask what scoring does share one fit."""

    def __init__(self) -> None:
        self._known: tuple[Factory, Kind, TrustFunction] | None = None

    def fresh(self, factory: Factory, kind: Kind) -> TrustFunction:
        """A fitted function that has scored nothing yet. One that cannot be copied is fitted anew each time."""
        if self._known is None or self._known[:2] != (factory, kind):
            self._known = (factory, kind, fitted_once(factory, kind))
        try:
            return copy.deepcopy(self._known[2])
        except Exception:  # noqa: BLE001  # the author's own class may refuse in any way
            return fitted_once(factory, kind)


def fitted_once(factory: Factory, kind: Kind, trust: tuple[MemoryEvidence, BoolArray] | None = None) -> TrustFunction:
    """A new function, fitted on `trust` (None: the made-up trust set) if it learns."""
    function = factory()
    if function.supervision != "none":
        evidence, correct = trust or synthetic_evidence(kind, TRUST_SIZE, 0)
        correct.flags.writeable = False
        privileged = function.supervision == "privileged"
        seen = evidence.declaring(function.needs, fitting=True, privileged=privileged)
        guarded("fit", lambda: function.fit(seen, correct, rng=np.random.default_rng(0)))
    return function


def call_score(function: TrustFunction, pool: MemoryEvidence, *, seed: int = 1) -> FloatArray:
    """(n,) finite scores of the pool's rows; a fault of the function is an `AssertionError`."""
    from w2s_bench.protocol.trust import validated

    seen = pool.declaring(function.needs, privileged=function.supervision == "privileged")
    scores = guarded("score", lambda: function.score(seen, rng=np.random.default_rng(seed)))
    try:
        return validated(type(function).__name__, scores, len(pool))
    except W2SBenchError as error:
        raise AssertionError(str(error)) from error


def score(factory: Factory, kind: Kind, *, trust: tuple[MemoryEvidence, BoolArray] | None = None) -> FloatArray:
    """Build, fit on the trust set if it learns, score the pool."""
    return call_score(fitted_once(factory, kind, trust), synthetic_evidence(kind, POOL_SIZE, 1)[0])


def fault_of(call: Callable[[], object]) -> str:
    """What a call that breaks a rule says; empty where it breaks none."""
    try:
        call()
    except AssertionError as error:
        return str(error)
    return ""


def under(seed: int, call: Callable[[], FloatArray]) -> FloatArray:
    """What a call gives where the global generators stand at `seed`."""
    with generators_kept(seed):
        return call()


def expect_equal(twice: Callable[[IntArray], list[FloatArray]], pool: MemoryEvidence, otherwise: str) -> None:
    """Two calls on the same rows give equal scores, bit for bit."""
    one, other = twice(ALL)
    if not np.array_equal(one, other):

        def differ(rows: IntArray) -> bool:
            first, second = twice(rows)
            return not np.array_equal(first, second)

        rows = smallest(ALL, differ)
        one, other = twice(rows)
        raise AssertionError(f"{otherwise} ({told(pool, rows, one, other, ('at first', 'then'))})")


def expect_unmoved(
    as_is: Callable[[IntArray], FloatArray],
    otherwise: Callable[[IntArray], FloatArray],
    pool: MemoryEvidence,
    whole: FloatArray,
    fault: str,
    ways: tuple[str, str],
) -> None:
    """Both give the same scores of the same rows, to rounding. `whole`: scores of all rows; `fault` has a place for `how`."""
    how = moved(whole, otherwise(ALL), whole)
    if how is None:
        return
    rows = smallest(ALL, lambda rows: moved(as_is(rows), otherwise(rows), whole) is not None)
    example = told(pool, rows, as_is(rows), otherwise(rows), ways)
    raise AssertionError(f"{fault.format(how=how)} ({example})")


@contextmanager
def one_thread() -> Iterator[None]:
    """As in a run: threads of several trust functions get into each other's way, and take longer than one."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
