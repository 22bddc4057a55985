"""The order of a run, without a process or a store: what is ready, what the end of one stage means, what goes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stage_functions import named
from support import ended
from w2s_bench.executors import Ahead, Done, Ended, Event, Failed
from w2s_bench.executors.schedule import Schedule, Work
from w2s_bench.record import digest_of
from w2s_bench.store.manifest import Result
from w2s_bench.store.stage import Stage, walk


def stage(name: str, *inputs: Stage, **params: Any) -> Stage:
    return named(name, params, inputs={f"i{n}": one for n, one in enumerate(inputs)}, label=name)


def result(work: Work, content: str = "") -> Result:
    """A made-up result whose content follows from the key alone, as a deterministic stage's does."""
    return Result(Path(work.key), work.key, content or digest_of([work.key]), {}, 1.0, 1.0, "2026-01-01T00:00:00+00:00")


def schedule(*targets: Stage, seconds: dict[str, float] | None = None) -> tuple[Schedule, list[Event]]:
    events: list[Event] = []
    return Schedule(targets, lambda s: (seconds or {}).get(s.name, 1.0), events.append), events


def all_absent(plan: Schedule) -> None:
    """The store holds nothing."""
    while plan.fresh:
        plan.found(plan.fresh.pop(0), None)


def run_serially(plan: Schedule, failing: frozenset[str] = frozenset()) -> list[str]:
    """Names in the order in which one place runs them; `failing` ones fail."""
    order = []
    all_absent(plan)
    while plan.waiting(False):
        work = plan.pop(False)
        order.append(work.stage.name)
        if work.stage.name in failing:
            plan.ended(work, Failed(work.stage.name, "no", work.nodes[0]))
        else:
            plan.ended(work, Done(result(work), new=True))
        all_absent(plan)
    return order


def graph_of(shape: list[list[int]]) -> list[Stage]:
    """Stage k uses those of the earlier stages that `shape[k]` points to."""
    made: list[Stage] = []
    for number, uses in enumerate(shape):
        chosen = sorted({use % number for use in uses}) if number else []
        made.append(stage(f"s{number}", *(made[one] for one in chosen)))
    return made


SHAPES = st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=14)


@given(SHAPES, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_whatever_order_works_end_in_each_stage_runs_once_after_its_inputs(shape: list[list[int]], rng: Any) -> None:
    stages = graph_of(shape)
    plan, events = schedule(*stages)
    running: list[Work] = []
    begun: list[str] = []
    all_absent(plan)
    while not plan.complete:
        while plan.waiting(False) and (not running or rng.random() < 0.6):
            running.append(plan.pop(False))
            begun.append(running[-1].stage.name)
            inputs = running[-1].stage.inputs.values()
            assert all(isinstance(plan.outcomes.get(one.node), Done) for one in inputs)
        work = running.pop(rng.randrange(len(running)))
        plan.ended(work, Done(result(work), new=True))
        all_absent(plan)
    assert sorted(begun) == sorted(one.name for one in stages)
    assert {one.name for one in ended(events, "new")} == set(begun)
    assert plan.ahead(places=1) == Ahead(0.0)


@given(SHAPES, st.sets(st.integers(0, 13), max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_failure_takes_what_needs_it_and_nothing_else(shape: list[list[int]], broken: set[int]) -> None:
    stages = graph_of(shape)
    failing = frozenset(f"s{number}" for number in broken)
    plan, events = schedule(*stages)
    run_serially(plan, failing)
    doomed = {one.name for one in stages if any(up.name in failing for up in walk([one]))}
    assert plan.complete
    plan.name_causes()
    assert {one.name for one in stages if isinstance(plan.outcomes[one.node], Failed)} == doomed
    assert sorted(one.name for one in ended(events, "failed")) == sorted(doomed)
    for one in stages:
        outcome = plan.outcomes[one.node]
        if isinstance(outcome, Failed):
            causes = {up.node: up.name for up in walk([one])}
            assert causes[outcome.cause_node] in failing


def test_the_longest_chain_in_seconds_goes_first_not_the_one_of_most_stages() -> None:
    slow = stage("slow")
    chain = stage("c3", stage("c2", stage("c1")))
    plan, _ = schedule(chain, slow, seconds={"slow": 10.0})
    assert run_serially(plan) == ["slow", "c1", "c2", "c3"]


def test_time_left_is_the_longest_chain_or_all_that_is_ahead_shared_out() -> None:
    plan, _ = schedule(stage("slow"), *(stage(f"quick{n}") for n in range(4)), seconds={"slow": 10.0})
    all_absent(plan)
    assert plan.ahead(places=1) == Ahead(14.0)
    assert plan.ahead(places=4) == Ahead(10.0)
    work = plan.pop(False)
    plan.ended(work, Done(result(work), new=True))
    assert plan.ahead(places=2) == Ahead(2.0)


def test_what_runs_counts_for_what_is_left_of_it_and_is_unknown_once_it_takes_longer() -> None:
    now = [100.0]
    plan = Schedule([stage("slow")], lambda s: 60.0, lambda event: None, clock=lambda: now[0])
    all_absent(plan)
    plan.pop(False)
    now[0] += 45
    assert plan.ahead(places=1) == Ahead(15.0)
    now[0] += 45
    assert plan.ahead(places=1) == Ahead(0.0, unknown=1)


def test_no_time_is_told_of_a_stage_whose_kind_was_never_measured() -> None:
    known = {"quick": 1.0}
    plan = Schedule(
        [stage("huge", stage("quick"))], lambda s: 5.0, lambda event: None, known_seconds=lambda s: known.get(s.name)
    )
    assert plan.ahead(places=1) == Ahead(1.0, unknown=1)
    known["huge"] = 3600.0
    assert plan.ahead(places=1) == Ahead(3601.0)


def test_what_takes_a_gpu_waits_apart_from_what_takes_none() -> None:
    on_gpu = named("train", device="cuda")
    plan, _ = schedule(on_gpu, stage("grade"), stage("predict"))
    all_absent(plan)
    assert plan.waiting(gpu=True) and plan.waiting(gpu=False)
    assert plan.pop(gpu=True).stage is on_gpu
    assert not plan.waiting(gpu=True)


def test_a_stored_result_is_told_as_stored_and_opens_what_needs_it() -> None:
    top = stage("top")
    plan, events = schedule(stage("end", top))
    (work,) = plan.fresh
    plan.fresh.clear()
    plan.found(work, result(work))
    assert isinstance(events[0], Ended) and ended(events[:1], "stored") == [work.stage]
    assert [one.stage.name for one in plan.fresh] == ["end"]


def lost_input() -> tuple[Schedule, Work]:
    """A run whose first stage is found in the store, and whose second is about to run."""
    plan, _ = schedule(stage("end", stage("top")), stage("other"))
    top = next(work for work in plan.fresh if work.stage.name == "top")
    plan.fresh.remove(top)
    plan.found(top, result(top))
    all_absent(plan)
    end = plan.pop(False)
    assert end.stage.name == "end"
    return plan, end


def test_an_input_that_vanished_is_made_again_and_then_the_stage_runs() -> None:
    plan, end = lost_input()
    plan.lacking(end, ["i0"])
    names = []
    while plan.waiting(False):
        work = plan.pop(False)
        names.append(work.stage.name)
        plan.ended(work, Done(result(work), new=True))
    assert sorted(names) == ["end", "other", "top"]
    assert names.index("top") < names.index("end")
    assert plan.complete and all(isinstance(one, Done) for one in plan.outcomes.values())


def test_an_input_that_comes_out_otherwise_fails_what_was_named_by_it() -> None:
    plan, end = lost_input()
    plan.lacking(end, ["i0"])
    while plan.waiting(False):
        work = plan.pop(False)
        plan.ended(work, Done(result(work, content="something else"), new=True))
    failed = plan.outcomes[end.nodes[0]]
    assert isinstance(failed, Failed) and "came out otherwise" in failed.reason
    assert sum(isinstance(one, Failed) for one in plan.outcomes.values()) == 1


def test_an_input_that_cannot_be_made_again_fails_what_waits_for_it() -> None:
    plan, end = lost_input()
    plan.lacking(end, ["i0"])
    while plan.waiting(False):
        work = plan.pop(False)
        if work.stage.name == "top":
            plan.ended(work, Failed("top", "the teacher is gone", work.nodes[0]))
        else:
            plan.ended(work, Done(result(work), new=True))
    failed = plan.outcomes[end.nodes[0]]
    assert isinstance(failed, Failed) and failed.reason == "the teacher is gone"
    assert plan.complete


def test_a_store_that_loses_everything_again_and_again_ends_in_a_reason() -> None:
    plan, end = lost_input()
    for _ in range(20):
        if isinstance(plan.outcomes.get(end.nodes[0]), Failed):
            break
        plan.lacking(end, ["i0"])
        while plan.waiting(False):
            work = plan.pop(False)
            if work is not end:
                plan.ended(work, Done(result(work), new=True))
    failed = plan.outcomes[end.nodes[0]]
    assert isinstance(failed, Failed) and "vanished from the store" in failed.reason


def test_the_schedule_of_a_random_graph_does_not_depend_on_the_order_of_targets() -> None:
    rng = np.random.default_rng(0)
    stages = graph_of([rng.integers(0, 30, size=2).tolist() for _ in range(12)])
    forward, _ = schedule(*stages)
    backward, _ = schedule(*stages[::-1])
    assert forward.urgency == backward.urgency
    assert set(run_serially(forward)) == set(run_serially(backward))
