"""How checks call a trust function: built, fitted and asked for scores as in a run, on made-up rows; and two calls compared."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import numpy as np

from w2s_bench.errors import TrustFunctionError, W2SBenchError
from w2s_bench.hookspecs import TrustFunction
from w2s_bench.isolation.process_state import generators_kept, noting_torch
from w2s_bench.isolation.watch import left_as_found
from w2s_bench.protocol.evidence.view import read_only
from w2s_bench.testing.evidence import MemoryEvidence, synthetic_evidence
from w2s_bench.testing.expecting import guarded
from w2s_bench.testing.smallest import moved, smallest, told
from w2s_bench.types import BoolArray, FloatArray, IntArray, Kind

Factory = Callable[[], TrustFunction]
T = TypeVar("T")
TRUST_SIZE, POOL_SIZE = 32, 40
ALL: IntArray = np.arange(POOL_SIZE)
#: Where it is noted what calls did not leave as they found it.
_LEFT: ContextVar[list[str] | None] = ContextVar("left", default=None)


class Fitted:
    """The last function that the checks of one list fitted, so that those which ask what scoring does share one fit.

    Also what all functions did not leave as they found it, in whichever check: much is changed once alone.
    """

    def __init__(self) -> None:
        self._known: tuple[Factory, Kind, TrustFunction] | None = None
        self._left: list[tuple[Factory, Kind, list[str]]] = []

    def left(self, factory: Factory, kind: Kind) -> list[str]:
        """What is noted of a factory's functions on one kind of domain."""
        for known, of, left in self._left:
            if (known, of) == (factory, kind):
                return left
        self._left.append((factory, kind, []))
        return self._left[-1][2]

    def fresh(self, factory: Factory, kind: Kind) -> TrustFunction:
        """A fitted function that has scored nothing yet. One that cannot be copied is fitted anew each time."""
        if self._known is None or self._known[:2] != (factory, kind):
            self._known = (factory, kind, fitted_once(factory, kind))
        try:
            return copy.deepcopy(self._known[2])
        except Exception:  # noqa: BLE001  # the author's own class may refuse in any way
            return fitted_once(factory, kind)


@contextmanager
def noting(left: list[str]) -> Iterator[None]:
    """Meanwhile calls add to `left` what they did not leave as they found it."""
    token = _LEFT.set(left)
    try:
        yield
    finally:
        _LEFT.reset(token)


def watched(function: TrustFunction, what: str, call: Callable[[], T]) -> T:
    """What a call of the method `what` gives. The process is put back as it was; what the call had changed is noted.

    So a function that changes the process breaks the rule about that, and no other rule nor another function.
    """
    made: list[T] = []
    try:
        with noting_torch(), left_as_found(type(function).__name__, what):
            made.append(call())
    except TrustFunctionError as error:
        if not made:  # it raised this itself
            raise
        if (left := _LEFT.get()) is not None and str(error) not in left:
            left.append(str(error))
    return made[0]


def fitted_once(factory: Factory, kind: Kind, trust: tuple[MemoryEvidence, BoolArray] | None = None) -> TrustFunction:
    """A new function, fitted on `trust` (None: the made-up trust set) if it learns."""
    function = factory()
    if function.supervision != "none":
        evidence, correct = trust or synthetic_evidence(kind, TRUST_SIZE, 0)
        right = read_only(correct.copy())
        privileged = function.supervision == "privileged"
        seen = evidence.declaring(function.needs, fitting=True, privileged=privileged).shown()
        rng = np.random.default_rng(0)
        guarded("fit", lambda: watched(function, "fit", lambda: function.fit(seen, right, rng=rng)))
    return function


def call_score(function: TrustFunction, pool: MemoryEvidence, *, seed: int = 1) -> FloatArray:
    """(n,) finite scores of the pool's rows; a fault of the function is an `AssertionError`."""
    from w2s_bench.protocol.trust import validated

    seen = pool.declaring(function.needs, privileged=function.supervision == "privileged").shown()
    rng = np.random.default_rng(seed)
    scores = guarded("score", lambda: watched(function, "score", lambda: function.score(seen, rng=rng)))
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
