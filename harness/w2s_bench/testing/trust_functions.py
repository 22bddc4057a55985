"""Checks of a trust function, each one property on a few dozen rows of made-up evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from w2s_bench.errors import W2SBenchError
from w2s_bench.isolation.process_state import generators_kept
from w2s_bench.isolation.watch import put_back
from w2s_bench.plugins import checks as contract
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.needs import planned_needs
from w2s_bench.testing.calls import (
    ALL,
    POOL_SIZE,
    TRUST_SIZE,
    Factory,
    Fitted,
    call_score,
    expect_equal,
    expect_unmoved,
    fault_of,
    fitted_once,
    noting,
    one_thread,
    score,
    under,
)
from w2s_bench.testing.evidence import MemoryEvidence, synthetic_evidence
from w2s_bench.testing.smallest import moved, smallest, told, told_of_rows
from w2s_bench.types import BoolArray, FloatArray, IntArray, Kind

_MOST_TOLD = 3  # changes of the process that one failure tells


@dataclass(frozen=True)
class Check:
    """One property of a trust function, on evidence of one kind of domain. Call it with the factory."""

    name: str
    kind: Kind
    function: Callable[[Factory, Kind, Fitted], None]
    fitted: Fitted = field(default_factory=Fitted, repr=False, compare=False)

    def __call__(self, factory: Factory) -> None:
        with put_back(), noting(self.fitted.left(factory, self.kind)), one_thread():
            if self.function is not _contract and self.kind not in contract.kinds_of(factory()):
                return  # no domain of this kind ever meets the function
            self.function(factory, self.kind, self.fitted)

    @property
    def is_last(self) -> bool:
        """It tells what all the others met, so that whoever orders them has it after them."""
        return self.function is _process_left_as_found

    def __str__(self) -> str:
        return f"{self.name}-{self.kind}"


def trust_function_checks(kinds: Sequence[Kind] = ("choice", "generate")) -> list[Check]:
    """Every check on every kind of domain. A function's own `kinds` count too: checks of another kind pass at once."""
    fitted = Fitted()
    return [Check(check.__name__.removeprefix("_"), kind, check, fitted) for kind in kinds for check in _CHECKS]


def check_trust_function(factory: Factory, kinds: Sequence[Kind] = ("choice", "generate")) -> None:
    """All of `trust_function_checks`, up to the first that fails."""
    for check in trust_function_checks(kinds):
        check(factory)


def _contract(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """Attributes and signatures are right, and parameters can be left out."""
    try:
        contract.check_parameters("the factory", "name", factory, {})
        declared = contract.check_trust_function("the trust function", factory())
        # The harness knows its own readings. Only another's need the installed plugins.
        elsewhere = any("/" in need.read for need in declared.needs)
        planned_needs(Registry.load() if elsewhere else Registry.of(()), declared.needs, "the trust function")
    except W2SBenchError as error:
        raise AssertionError(str(error)) from error


def _scores_are_finite(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """One finite number a row; only declared evidence is read, and nothing written to."""
    trust, correct = synthetic_evidence(kind, TRUST_SIZE, 0)

    def fault_in_fit(rows: IntArray) -> str:
        return fault_of(lambda: fitted_once(factory, kind, (trust.take(rows), correct[rows])))

    if fault_of(lambda: fitted.fresh(factory, kind)):
        _expect_none(fault_in_fit, np.arange(TRUST_SIZE), trust)
    pool = synthetic_evidence(kind, POOL_SIZE, 1)[0]
    _expect_none(lambda rows: fault_of(lambda: call_score(fitted.fresh(factory, kind), pool.take(rows))), ALL, pool)


def _same_every_time(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """Equal generators give equal scores, whatever the state of the global ones."""
    pool = synthetic_evidence(kind, POOL_SIZE, 1)[0]

    def twice(rows: IntArray) -> list[FloatArray]:
        return [under(seed, lambda: call_score(fitted_once(factory, kind), pool.take(rows))) for seed in (1, 2)]

    expect_equal(
        twice, pool, "two runs with the same rng differ; take all randomness from `rng`, none from a global generator"
    )


def _gold_of_the_pool_is_not_seen(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """Other gold of the pool gives the same scores, but in track privileged, which is shown it."""
    if factory().supervision == "privileged":
        return
    pool = synthetic_evidence(kind, POOL_SIZE, 1)[0]
    other = replace(pool, answers=tuple(np.random.default_rng(7).permutation(pool.answers).tolist()))

    def twice(rows: IntArray) -> list[FloatArray]:
        return [call_score(fitted.fresh(factory, kind), shown.take(rows)) for shown in (pool, other)]

    expect_equal(
        twice, pool, "scores change with the gold of the pool; read nothing that holds it, or declare `privileged`"
    )


def _rows_are_scored_alone(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """Scope "row": a subset's scores are the subset of the scores, in any order, down to a single row."""
    if factory().scope != "row":
        return
    pool = synthetic_evidence(kind, POOL_SIZE, 1)[0]
    whole = call_score(fitted.fresh(factory, kind), pool)
    apart = fitted.fresh(factory, kind)  # this one has never seen the whole pool

    def of(rows: IntArray) -> FloatArray:
        return call_score(fitted.fresh(factory, kind), pool.take(rows))

    for rows in (np.array([7]), np.arange(0, POOL_SIZE, 3), np.random.default_rng(3).permutation(POOL_SIZE)):
        part = call_score(apart, pool.take(rows))
        how = moved(whole[rows], part, whole)
        if how is not None:
            few = smallest(rows, lambda rows: moved(whole[rows], of(rows), whole) is not None)
            example = told(pool, few, whole[few], of(few), ("among all rows", "among these"))
            raise AssertionError(
                f'scores change with the pool\'s other rows or their order ({how}); declare scope = "pool" ({example})'
            )


def _row_order_means_nothing(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """Scope "pool": rows in another order have the same scores. What draws from `rng` may give other ones there."""
    if factory().scope != "pool":
        return
    pool = synthetic_evidence(kind, POOL_SIZE, 1)[0]
    whole = call_score(fitted.fresh(factory, kind), pool)
    if not np.array_equal(whole, call_score(fitted.fresh(factory, kind), pool, seed=2)):
        return
    expect_unmoved(
        lambda rows: call_score(fitted.fresh(factory, kind), pool.take(rows)),
        lambda rows: call_score(fitted.fresh(factory, kind), pool.take(rows[::-1]))[::-1],
        pool,
        whole,
        "scores change with the order of the rows ({how}), which means nothing; do not use it",
        ("in this order", "in the opposite one"),
    )


def _ids_and_option_order_mean_nothing(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """Other ids and another order of the options give the same scores."""
    pool = synthetic_evidence(kind, POOL_SIZE, 1)[0]
    disguised = pool.disguised(5)
    expect_unmoved(
        lambda rows: call_score(fitted.fresh(factory, kind), pool.take(rows)),
        lambda rows: call_score(fitted.fresh(factory, kind), disguised.take(rows)),
        pool,
        call_score(fitted.fresh(factory, kind), pool),
        "scores change with the rows' ids or the order of the options ({how}), which mean nothing; do not use them",
        ("as they are", "in disguise"),
    )


def _score_twice(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """Scoring changes nothing: a second call gives the same scores."""
    pool = synthetic_evidence(kind, POOL_SIZE, 1)[0]

    def twice(rows: IntArray) -> list[FloatArray]:
        function = fitted.fresh(factory, kind)
        return [call_score(function, pool.take(rows)) for _ in range(2)]

    expect_equal(twice, pool, "a second call of score gives other scores; keep no state between calls")


def _poor_trust_sets(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """A trust set with all labels right, all wrong, one of either, or four rows still gives finite scores."""
    if factory().supervision == "none":
        return
    evidence, correct = synthetic_evidence(kind, TRUST_SIZE, 0)
    everything = np.arange(len(correct))
    single = np.concatenate([np.flatnonzero(correct), np.flatnonzero(~correct)[:1]])
    few = np.concatenate([np.flatnonzero(correct)[:2], np.flatnonzero(~correct)[:2]])
    cases: list[tuple[str, IntArray, BoolArray]] = [
        ("all labels right", everything, np.ones(TRUST_SIZE, dtype=np.bool_)),
        ("all labels wrong", everything, np.zeros(TRUST_SIZE, dtype=np.bool_)),
        ("one wrong label", single, correct),
        ("four rows", few, correct),
    ]
    for name, rows, right in cases:

        def fault(rows: IntArray, right: BoolArray = right) -> str:
            return fault_of(lambda: score(factory, kind, trust=(evidence.take(rows), right[rows])))

        _expect_none(fault, rows, evidence, f"trust set with {name}: ")


def _process_left_as_found(factory: Factory, kind: Kind, fitted: Fitted) -> None:
    """Global generators, environment, working directory and processes are what they were before.

    It counts what `fit` and `score` had changed in any check: what is changed once, as a setting, is changed in the first.
    """
    # Nobody else uses this seed, so that a function that seeds is noticed.
    with generators_kept(20_240_601):
        score(factory, kind)
    left = fitted.left(factory, kind)
    if left:
        raise AssertionError("; also: ".join(left[:_MOST_TOLD]))


def _expect_none(fault: Callable[[IntArray], str], rows: IntArray, of: MemoryEvidence, where: str = "") -> None:
    """There is no fault on these rows; else it is told, with the fewest of them that have one."""
    if first := fault(rows):
        few = smallest(rows, lambda rows: bool(fault(rows)))
        raise AssertionError(f"{where}{first} ({told_of_rows(of, few)})")


_CHECKS: tuple[Callable[[Factory, Kind, Fitted], None], ...] = (
    _contract,
    _scores_are_finite,
    _same_every_time,
    _score_twice,
    _gold_of_the_pool_is_not_seen,
    _rows_are_scored_alone,
    _row_order_means_nothing,
    _ids_and_option_order_mean_nothing,
    _poor_trust_sets,
    _process_left_as_found,  # last: it tells what all of them met
)
