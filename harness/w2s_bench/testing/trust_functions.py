"""Checks of a trust function, each one property on a few dozen rows of made-up evidence."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from w2s_bench.errors import TrustFunctionError, W2SBenchError
from w2s_bench.hookspecs import TrustFunction
from w2s_bench.isolation.process_state import generators_kept
from w2s_bench.isolation.watch import left_as_found
from w2s_bench.plugins import checks as contract
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.needs import planned_needs
from w2s_bench.testing.evidence import MemoryEvidence, synthetic_evidence
from w2s_bench.testing.expecting import expect, guarded
from w2s_bench.types import BoolArray, FloatArray, IntArray, Kind

Factory = Callable[[], TrustFunction]
_TRUST_SIZE, _POOL_SIZE = 32, 40
#: Shares of the scores' range and of their size that are rounding: a network in float32 gives a row other last digits in
#: another batch. What reads other rows, ids or the order of options moves scores by far more.
_OF_RANGE, _OF_SIZE = 1e-4, 1e-6


class _Fitted:
    """The last function that the checks of one list fitted, so that those which ask what scoring does share one fit."""

    def __init__(self) -> None:
        self._fitted_once: tuple[Factory, Kind, TrustFunction] | None = None

    def fresh(self, factory: Factory, kind: Kind) -> TrustFunction:
        """A fitted function that has scored nothing yet. One that cannot be copied is fitted anew each time."""
        if self._fitted_once is None or self._fitted_once[:2] != (factory, kind):
            self._fitted_once = (factory, kind, _fitted(factory, kind))
        try:
            return copy.deepcopy(self._fitted_once[2])
        except Exception:  # noqa: BLE001  # the author's own class may refuse in any way
            return _fitted(factory, kind)


@dataclass(frozen=True)
class Check:
    """One property of a trust function, on evidence of one kind of domain. Call it with the factory."""

    name: str
    kind: Kind
    function: Callable[[Factory, Kind, _Fitted], None]
    fitted: _Fitted = field(default_factory=_Fitted, repr=False, compare=False)

    def __call__(self, factory: Factory) -> None:
        if self.function is not _contract and self.kind not in contract.kinds_of(factory()):
            return  # no domain of this kind ever meets the function
        with _one_thread():
            self.function(factory, self.kind, self.fitted)

    def __str__(self) -> str:
        return f"{self.name}-{self.kind}"


def trust_function_checks(kinds: Sequence[Kind] = ("choice", "generate")) -> list[Check]:
    """Every check on every kind of domain. A function's own `kinds` count too: checks of another kind pass at once."""
    fitted = _Fitted()
    return [Check(check.__name__.removeprefix("_"), kind, check, fitted) for kind in kinds for check in _CHECKS]


def check_trust_function(factory: Factory, kinds: Sequence[Kind] = ("choice", "generate")) -> None:
    """All of `trust_function_checks`, up to the first that fails."""
    for check in trust_function_checks(kinds):
        check(factory)


def _contract(factory: Factory, kind: Kind, fitted: _Fitted) -> None:
    """Attributes and signatures are right, and parameters can be left out."""
    try:
        contract.check_parameters("the factory", "name", factory, {})
        declared = contract.check_trust_function("the trust function", factory())
        # The harness knows its own readings. Only another's need the installed plugins.
        elsewhere = any("/" in need.read for need in declared.needs)
        planned_needs(Registry.load() if elsewhere else Registry.of(()), declared.needs, "the trust function")
    except W2SBenchError as error:
        raise AssertionError(str(error)) from error


def _scores_are_finite(factory: Factory, kind: Kind, fitted: _Fitted) -> None:
    """One finite number a row; only declared evidence is read, and nothing written to."""
    _call_score(fitted.fresh(factory, kind), _evidence(kind, _POOL_SIZE, 1)[0])


def _same_every_time(factory: Factory, kind: Kind, fitted: _Fitted) -> None:
    """Equal generators give equal scores, whatever the state of the global ones."""
    scores = []
    for seed in (1, 2):
        with generators_kept(seed):
            scores.append(_score(factory, kind))
    same = np.array_equal(scores[0], scores[1])
    expect(same, "two runs with the same rng differ; take all randomness from `rng`, none from a global generator")


def _process_left_as_found(factory: Factory, kind: Kind, fitted: _Fitted) -> None:
    """Global generators, environment, working directory and processes are what they were before."""
    try:
        # Nobody else uses this seed, so that a function that seeds is noticed.
        with generators_kept(20_240_601), left_as_found(type(factory()).__name__, "fit or score"):
            _score(factory, kind)
    except TrustFunctionError as error:
        raise AssertionError(str(error)) from error


def _rows_are_scored_alone(factory: Factory, kind: Kind, fitted: _Fitted) -> None:
    """Scope "row": a subset's scores are the subset of the scores, in any order, down to a single row."""
    if factory().scope != "row":
        return
    pool = _evidence(kind, _POOL_SIZE, 1)[0]
    whole = _call_score(fitted.fresh(factory, kind), pool)
    apart = fitted.fresh(factory, kind)  # this one has never seen the whole pool
    for rows in (np.array([7]), np.arange(0, _POOL_SIZE, 3), np.random.default_rng(3).permutation(_POOL_SIZE)):
        moved = _moved(whole, rows, _call_score(apart, pool.take(rows)))
        expect(
            moved is None, f'scores change with the pool\'s other rows or their order ({moved}); declare scope = "pool"'
        )


def _ids_and_option_order_mean_nothing(factory: Factory, kind: Kind, fitted: _Fitted) -> None:
    """Other ids and another order of the options give the same scores."""
    pool = _evidence(kind, _POOL_SIZE, 1)[0]
    plain, disguised = (_call_score(fitted.fresh(factory, kind), shown) for shown in (pool, pool.disguised(5)))
    moved = _moved(plain, np.arange(_POOL_SIZE), disguised)
    expect(
        moved is None,
        f"scores change with the rows' ids or the order of the options ({moved}), which mean nothing; do not use them",
    )


def _score_twice(factory: Factory, kind: Kind, fitted: _Fitted) -> None:
    """Scoring changes nothing: a second call gives the same scores."""
    function = fitted.fresh(factory, kind)
    first, second = (_call_score(function, _evidence(kind, _POOL_SIZE, 1)[0]) for _ in range(2))
    expect(np.array_equal(first, second), "a second call of score gives other scores; keep no state between calls")


def _poor_trust_sets(factory: Factory, kind: Kind, fitted: _Fitted) -> None:
    """A trust set with all labels right, all wrong, one of either, or four rows still gives finite scores."""
    if factory().supervision == "none":
        return
    evidence, correct = _evidence(kind, _TRUST_SIZE, 0)
    everything = np.arange(len(correct))
    single = np.concatenate([np.flatnonzero(correct), np.flatnonzero(~correct)[:1]])
    few = np.concatenate([np.flatnonzero(correct)[:2], np.flatnonzero(~correct)[:2]])
    cases: list[tuple[str, Any, BoolArray]] = [
        ("all labels right", everything, np.ones(_TRUST_SIZE, dtype=np.bool_)),
        ("all labels wrong", everything, np.zeros(_TRUST_SIZE, dtype=np.bool_)),
        ("one wrong label", single, correct[single]),
        ("four rows", few, correct[few]),
    ]
    for name, rows, right in cases:
        try:
            _score(factory, kind, trust=(evidence.take(rows), right))
        except AssertionError as error:
            raise AssertionError(f"trust set with {name}: {error}") from error


_CHECKS: tuple[Callable[[Factory, Kind, _Fitted], None], ...] = (
    _contract,
    _scores_are_finite,
    _same_every_time,
    _process_left_as_found,
    _score_twice,
    _rows_are_scored_alone,
    _ids_and_option_order_mean_nothing,
    _poor_trust_sets,
)


def _evidence(kind: Kind, n: int, seed: int) -> tuple[MemoryEvidence, BoolArray]:
    evidence, correct = synthetic_evidence(kind, n, seed)
    return evidence, correct


def _fitted(factory: Factory, kind: Kind, trust: tuple[MemoryEvidence, BoolArray] | None = None) -> TrustFunction:
    function = factory()
    if function.supervision != "none":
        evidence, correct = trust or _evidence(kind, _TRUST_SIZE, 0)
        correct.flags.writeable = False
        privileged = function.supervision == "privileged"
        seen = evidence.declaring(function.needs, fitting=True, privileged=privileged)
        guarded("fit", lambda: function.fit(seen, correct, rng=np.random.default_rng(0)))
    return function


def _call_score(function: TrustFunction, pool: MemoryEvidence) -> FloatArray:
    from w2s_bench.protocol.trust import validated

    seen = pool.declaring(function.needs, privileged=function.supervision == "privileged")
    scores = guarded("score", lambda: function.score(seen, rng=np.random.default_rng(1)))
    try:
        return validated(type(function).__name__, scores, len(pool))
    except W2SBenchError as error:
        raise AssertionError(str(error)) from error


def _score(factory: Factory, kind: Kind, *, trust: tuple[MemoryEvidence, BoolArray] | None = None) -> FloatArray:
    """Build, fit on the trust set if it learns, score the pool."""
    return _call_score(_fitted(factory, kind, trust), _evidence(kind, _POOL_SIZE, 1)[0])


def _moved(whole: FloatArray, rows: IntArray, part: FloatArray) -> str | None:
    """By how much the scores of some rows differ from what they are in the whole pool, where it is more than rounding."""
    size, spread = float(np.abs(whole).max()), float(np.ptp(whole))
    difference = float(np.abs(part - whole[rows]).max())
    if difference <= _OF_RANGE * spread + _OF_SIZE * size:
        return None
    return f"by up to {difference:.3g}, where all scores lie within {spread:.3g}"


@contextmanager
def _one_thread() -> Iterator[None]:
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
