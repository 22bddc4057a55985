"""What a dry run tells of a run's cost: counted from the plan, timed by what the store has seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from w2s_bench import api
from w2s_bench.executors.timings import Timings, amount_of, timed_as
from w2s_bench.runs.forecast import forecast
from w2s_bench.runs.plan import Plan
from w2s_bench.suite_files import load_suite


@pytest.fixture(scope="module")
def planned() -> Plan:
    return api.make_plan("tiny", domains=["knowledge"], trust=["confidence"], seeds=2)


def test_trainings_rows_and_gold_are_those_of_the_plan(planned: Plan, tmp_path: Path) -> None:
    cost = forecast(planned.suite, planned.stages(), Timings.of_store(tmp_path))
    domain = planned.suite.domain("knowledge")
    trained = [stage for stage in planned.stages() if stage.name == "train"]
    teachers = planned.suite.seeds
    students = len(trained) - teachers
    rows = {role: how.steps * how.batch_size for role, how in (("t", domain.teacher), ("s", domain.student))}
    assert (cost.trainings, cost.rows) == (len(trained), teachers * rows["t"] + students * rows["s"])
    read = [stage for stage in planned.stages() if stage.timed_as and stage.name != "train"]
    assert cost.items == sum(map(amount_of, read)) > 0
    sizes = domain.sizes
    assert cost.gold["knowledge"] == {
        "weak_train": sizes.weak_train,
        "trust": sizes.trust,
        "transfer": sizes.transfer,
    }


def test_a_teacher_that_nobody_trains_costs_no_gold(tmp_path: Path) -> None:
    """Gold with noise has no teacher, though its suite keeps the split so that the others are those of `tiny`."""
    noise = load_suite("tiny-noise")
    assert all(domain.sizes.weak_train for domain in noise.domains)
    cost = forecast(noise, [], Timings.of_store(tmp_path))
    assert {*cost.gold} == {"knowledge", "math", "chess"}
    assert all({*of} == {"trust", "transfer"} for of in cost.gold.values())


def test_suites_of_label_sources_have_the_splits_of_tiny() -> None:
    """So that ceilings, and what else hangs on no weak label, are computed once."""
    tiny = load_suite("tiny")
    names = ("tiny-noise", "tiny-noise-systematic", "tiny-scarce", "tiny-majority", "tiny-self-certainty")
    for name in names:
        suite = load_suite(name)
        assert (suite.seed, suite.seeds, suite.coverage) == (tiny.seed, tiny.seeds, tiny.coverage)
        for domain in suite.domains:
            like = tiny.domain(domain.name)
            assert (domain.sizes, domain.student) == (like.sizes, like.student) and domain.teacher.source is not None


def test_time_is_told_of_the_kinds_that_ran_and_the_others_are_named(planned: Plan, tmp_path: Path) -> None:
    stages, timings = planned.stages(), Timings.of_store(tmp_path)
    untimed = set(forecast(planned.suite, stages, timings).untimed)
    trained = [stage for stage in stages if stage.name == "train"]
    assert {timed_as(stage) for stage in trained} <= untimed
    before = forecast(planned.suite, stages, timings).seconds
    for stage in {timed_as(stage): stage for stage in trained}.values():
        timings.learn(stage, 3.0)
    after = forecast(planned.suite, stages, timings)
    assert after.seconds == pytest.approx(before + 3.0 * len(trained))
    assert set(after.untimed) == untimed - {timed_as(stage) for stage in trained}


def test_of_nothing_to_run_there_is_no_cost(planned: Plan, tmp_path: Path) -> None:
    cost = forecast(planned.suite, [], Timings.of_store(tmp_path))
    assert (cost.trainings, cost.rows, cost.items, cost.seconds, cost.untimed) == (0, 0, 0, 0, ())
