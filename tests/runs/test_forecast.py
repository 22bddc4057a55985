"""What a dry run tells of a run's cost: counted from the plan, timed by what the store has seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from support import toy_registry, toy_suite
from w2s_bench import api
from w2s_bench._cli.app import app
from w2s_bench._cli.dry_run import trainings
from w2s_bench.executors.timings import Timings, amount_of, timed_as
from w2s_bench.runs.forecast import forecast
from w2s_bench.runs.plan import Plan
from w2s_bench.runs.plan import plan as make_plan
from w2s_bench.suite import Suite
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
    assert cost.steps == teachers * domain.teacher.steps + students * domain.student.steps
    assert (cost.converging, cost.iterations) == (0, 0)
    read = [stage for stage in planned.stages() if stage.timed_as and stage.name != "train"]
    assert cost.items == sum(map(amount_of, read)) > 0
    sizes = domain.sizes
    assert cost.gold["knowledge"] == {
        "weak_train": sizes.weak_train,
        "trust": sizes.trust,
        "transfer": sizes.transfer,
    }


def test_a_dry_run_counts_the_gold_of_the_domains_that_are_run_alone(tmp_path: Path) -> None:
    arguments = ["run", "tiny", "--domain", "knowledge", "--trust", "confidence", "--dry-run", "--store", str(tmp_path)]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0
    assert "Gold labels a seed, knowledge" in told.stdout and "math" not in told.stdout


def test_a_teacher_that_nobody_trains_costs_no_gold(tmp_path: Path) -> None:
    """Gold with noise has no teacher, though its suite keeps the split so that the others are those of `tiny`."""
    noise = load_suite("tiny-noise")
    assert all(domain.sizes.weak_train for domain in noise.domains)
    cost = forecast(noise, [], Timings.of_store(tmp_path))
    assert {*cost.gold} == {"knowledge", "math", "chess"}
    assert all({*of} == {"trust", "transfer"} for of in cost.gold.values())


@pytest.mark.parametrize(
    ("suite", "trust_set", "pool"),
    [
        ("tiny", "for trust functions", "for ceiling and privileged arms alone"),
        ("tiny-majority", "for trust functions", "for ceiling and privileged arms alone"),
        ("tiny-diagnostics", "for trust functions", "for ceiling, privileged arms and the difficulty of items alone"),
        (
            "tiny-noise",
            "for the label source and trust functions",
            "for the label source, ceiling and privileged arms alone",
        ),
        (
            "tiny-scarce",
            "for the label source and trust functions",
            "for ceiling and privileged arms, 64 of them also for the label source.",
        ),
    ],
)
def test_gold_that_a_label_source_gives_as_labels_is_told(
    suite: str, trust_set: str, pool: str, tmp_path: Path
) -> None:
    sizes = load_suite(suite).domain("math").sizes
    call = ["run", suite, "--domain", "math", "--dry-run", "--store", str(tmp_path / "s"), "--out", str(tmp_path)]
    told = CliRunner().invoke(app, call, env={"COLUMNS": "400"})
    (line,) = [line for line in told.stdout.splitlines() if line.startswith("Gold labels a seed")]
    assert f"{sizes.trust:,} {trust_set}, {sizes.transfer:,} {pool}" in line


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


@pytest.mark.parametrize(
    ("ridge", "objective", "converges"),
    [([0.1, 1.0], "xent", True), ([], "xent", False), ([0.1], "soft", True), ([0.1], "logconf", False)],
)
def test_steps_are_told_of_trainings_that_have_a_number_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ridge: list[float], objective: str, converges: bool
) -> None:
    """A head with a penalty and an objective in closed form is fitted until it has converged: its steps are no number."""
    content = toy_suite(tmp_path / "models").model_dump(mode="json")
    (choice,) = [domain for domain in content["domains"] if domain["name"].endswith("largest")]
    given = {"model": choice["student"]["model"], "steps": 7, "batch_size": 4, "learning_rate": 0.01}
    choice["student"] = given | {"recipe": "head", "ridge": ridge, "objective": objective}
    suite = Suite.model_validate(content | {"domains": [choice]})
    stages = make_plan(suite, toy_registry(monkeypatch), trust=()).stages()
    cost = forecast(suite, stages, Timings.of_store(tmp_path))
    heads = sum(stage.name == "train_head" for stage in stages)
    teachers = [stage for stage in stages if stage.name == "train"]
    assert heads > 0 and cost.trainings == heads + len(teachers)
    own = sum(stage.params["steps"] for stage in teachers)
    rows = sum(stage.amount for stage in teachers)
    expected = (own, rows, heads, 7) if converges else (own + 7 * heads, rows + 28 * heads, 0, 0)
    assert (cost.steps, cost.rows, cost.converging, cost.iterations) == expected
    shown = trainings(cost)
    if converges:
        assert f"{len(teachers)} of {own:,} optimizer steps" in shown
        assert f"{heads} of heads fitted to convergence, in at most 7 iterations a fit" in shown
    else:
        assert f"of {own + 7 * heads:,} optimizer steps" in shown and "convergence" not in shown


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
    assert (cost.trainings, cost.steps, cost.rows, cost.items, cost.seconds, cost.untimed) == (0, 0, 0, 0, 0, ())
