"""A suite submitted to a cluster: the same cells as of a local run, and what is refused before anything is submitted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fake_slurm import FakeSlurm
from support import TOY, bodies, toy_registry, toy_suite
from w2s_bench._cli.app import app
from w2s_bench.errors import SuiteError
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.runs import submit as submitting
from w2s_bench.runs.execute import execute, make_plan
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.runs.submit import collected, submit_suite


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """One row of one domain, with one seed; jobs have the toy plugin installed too."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    registry = toy_registry(monkeypatch)
    suite = toy_suite(tmp_path / "models", seeds=1)
    return plan(suite, registry, domains=["largest"], trust=[], rows=["w2s-bench-toy.largest/weak"])


@pytest.mark.slow
def test_cells_of_a_submission_are_those_of_a_local_run(toy: Plan, tmp_path: Path) -> None:
    there = submit_suite(toy, out=tmp_path / "there", store=tmp_path / "there" / "store", cluster="local")
    assert there.end == (0, "")
    here = tmp_path / "here"
    report = execute(toy, out=here, store=here / "store", executor=LocalExecutor(1), events=lambda event: None)
    assert report.ok
    assert bodies(tmp_path / "there") == bodies(here)
    assert len(bodies(here)) == 1
    for name in ("README.md", "suite.yaml"):
        assert (tmp_path / "there" / "toy" / name).read_text() == (here / "toy" / name).read_text()

    again = submit_suite(toy, out=tmp_path / "again", store=here / "store", cluster="local")
    assert (again.jobs, again.last, again.end) == ({}, None, (0, ""))
    assert bodies(tmp_path / "again") == bodies(here)
    assert collected(again.folder).cells[0].body == report.cells[0].body


@pytest.mark.slow
def test_a_suite_that_cannot_be_filled_is_refused_before_anything_is_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeSlurm(tmp_path / "slurm", monkeypatch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    toy_registry(monkeypatch)
    suite = toy_suite(tmp_path / "models", seeds=1)
    domain = suite.domains[0]
    sizes = domain.sizes.model_copy(update={"transfer": 100_000})
    greedy = suite.model_copy(update={"domains": (domain.model_copy(update={"sizes": sizes}),)})
    with pytest.raises(SuiteError, match="100000"):
        submit_suite(make_plan(greedy, trust=[]), out=tmp_path / "out", store=tmp_path / "store")
    assert fake.jobs() == {}
    assert not (tmp_path / "out" / "toy" / submitting.SUBMISSIONS).exists()


def test_the_last_job_makes_the_same_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    suite = toy_suite(tmp_path / "models")
    trust = ["confidence", "probe:folds=3"]
    for planned in (plan(suite, registry), plan(suite, registry, domains=["sums"], trust=trust)):
        request = json.loads(json.dumps(submitting._request(planned, Path("out"))))
        again = submitting._planned(request)
        assert (again.suite.digest, again.problems) == (planned.suite.digest, planned.problems)
        assert [cell.row for cell in again.cells] == [cell.row for cell in planned.cells]
        assert [one.node for one in again.targets()] == [one.node for one in planned.targets()]
    assert Path(request["out"]) == Path.cwd() / "out"


@pytest.mark.slow
def test_the_command_hands_everything_in_and_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSlurm(tmp_path / "slurm", monkeypatch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    toy_registry(monkeypatch)
    path = tmp_path / "toy.yaml"
    path.write_text(toy_suite(tmp_path / "models", seeds=1).to_yaml())
    call = ["run", str(path), "--domain", "largest", "--trust", "confidence", "--executor", "slurm"]
    call += ["--slurm", "mem=2G", "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store"), "--json"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["jobs"] == len(fake.jobs()) - 1 > 10 and told["stored"] >= 1
    assert Path(told["submission"]) == tmp_path / "out" / "toy" / submitting.SUBMISSIONS / "0001"
    assert not (tmp_path / "out" / "toy" / "README.md").exists(), "the last job writes it"
