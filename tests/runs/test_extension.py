"""A finished suite that gets more seeds, or one more trust function: what was made stays, and only what is new is made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support import bodies, run_inline, toy_registry, toy_suite
from w2s_bench.errors import CellError, SuiteError
from w2s_bench.executors import Ended, Event, Outcome
from w2s_bench.plugins.registry import Registry
from w2s_bench.results.cells import Cell
from w2s_bench.results.files import read_cell
from w2s_bench.runs import execute as api
from w2s_bench.runs.logs.told import Told
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.runs.refusals import refuse_mistakes, refuse_other_suite
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite


class Counting:
    """Runs stages in this process, and remembers those that it had to make."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.made = registry, list[Stage]()

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        put, stages = store.put, self.made

        def counted(stage: Stage, *rest: Any) -> Any:
            stages.append(stage)
            return put(stage, *rest)

        store.put = counted  # type: ignore[method-assign]
        try:
            outcomes = run_inline(targets, store, self.registry)
        finally:
            store.put = put  # type: ignore[method-assign]
        for one in walk(targets):
            events(Ended(one, outcomes[one.node]))
        return outcomes


class Following:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.trainings, self.rows = dict[str, Sequence[float]](), list[str]()

    def losses(self, training: str, values: Sequence[float]) -> None:
        self.trainings[training] = values

    def row(self, row: str, figures: Mapping[str, float], accuracies: Mapping[int, float]) -> None:
        self.rows.append(row)

    def close(self) -> None:
        pass


class Bench:
    """A suite of one toy domain, a store and a results folder."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder, self.registry, self.followed = folder, registry, Following()
        whole = toy_suite(folder / "models")
        self.suite = whole.model_copy(update={"domains": whole.domains[:1]})

    def plan(self, *, seeds: int = 2, trust: Sequence[str] = ("confidence",)) -> Plan:
        suite = Suite.model_validate({**self.suite.model_dump(), "seeds": seeds})
        return plan(suite, self.registry, trust=trust)

    def run(self, **settings: Any) -> tuple[api.RunReport, list[Stage]]:
        executor = Counting(self.registry)
        planned = self.plan(**settings)
        place = self.folder / "store"
        self.followed = Following()
        log = Told({"following": self.followed})
        report = api.execute(planned, out=self.folder, store=place, executor=executor, events=lambda e: None, log=log)
        assert not log.faults
        return report, executor.made

    @property
    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted((self.folder / "toy").rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        bench = Bench(tmp_path_factory.mktemp("finished"), toy_registry(patch))
        report, made = bench.run()
        assert report.ok and made
        yield bench


@pytest.mark.slow
def test_a_suite_is_extended_by_seeds_in_place(finished: Bench) -> None:
    before, was = bodies(finished.folder), finished.files
    digest = load_suite(finished.folder / "toy" / "suite.yaml").digest

    with pytest.raises(
        CellError, match=r"confidence\.json: these rows have 2 seeds and are not part of this run, which asks"
    ):
        finished.run(seeds=3, trust=())
    assert finished.files == was, "a refused run changes nothing"

    report, made = finished.run(seeds=3)
    labels = [stage.label for stage in made if stage.label]
    # Its models are looked at anew, since seed 2 has items of its own, which may be too long for them.
    assert labels and all(" · seed 2 · " in label or " · model of the " in label for label in labels)
    earlier = {stage.node for stage in finished.plan(seeds=2).stages()}
    assert not earlier & {stage.node for stage in made}, "nothing of seeds 0 and 1 is made again"
    after = bodies(finished.folder)
    assert after.keys() == before.keys()
    for row, body in after.items():
        assert body["seeds"][:2] == before[row]["seeds"], "seeds 0 and 1 are kept"
        assert [seed["seed"] for seed in body["seeds"]] == [0, 1, 2]
    held = load_suite(finished.folder / "toy" / "suite.yaml")
    assert (held.seeds, held.digest != digest) == (3, True)
    assert {body["suite"]["digest"] for body in after.values()} == {held.digest}, (
        "the digest is of the suite with its seeds"
    )
    assert "3 seeds, evaluated on" in (finished.folder / "toy" / "README.md").read_text()
    assert any("held 2 seeds; seed 2 joined" in note for note in report.notes)
    assert report.leaderboard.seeds == (0, 1, 2)
    notebook = report._repr_html_()
    assert notebook.startswith("<table>") and "<td>confidence</td>" in notebook and "PGR" in notebook

    _, again = finished.run(seeds=3)
    assert not again
    # Whoever follows the run is told of every training, though all of them were stored, and of every row twice: as it comes,
    # and with the board.
    trainings = {
        stage.label: stage.params["steps"] for stage in finished.plan(seeds=3).stages() if "steps" in stage.params
    }
    assert {name: len(losses) for name, losses in finished.followed.trainings.items()} == trainings
    assert sorted(finished.followed.rows) == sorted(2 * [cell.row for cell in report.cells])
    was = finished.files
    with pytest.raises(
        SuiteError, match="holds results of 3 seeds, this run asks for 2: give --seeds 3 to go on there, or"
    ):
        finished.run(seeds=2)
    assert finished.files == was

    # One more trust function.
    one, two = finished.plan(seeds=3), finished.plan(seeds=3, trust=("confidence", "probe"))
    new = {stage.node for stage in two.stages()} - {stage.node for stage in one.stages()}
    _, made = finished.run(seeds=3, trust=("confidence", "probe"))
    assert {stage.node for stage in made} <= new, "it costs its own stages alone"
    assert {"score", "top", "train", "predict"} <= {stage.name for stage in made}
    assert bodies(finished.folder).keys() - after.keys() == {"toy/results/w2s-bench-toy.largest/probe.json"}
    for row, body in after.items():
        assert bodies(finished.folder)[row] == body, "every other row stays as it is"


@pytest.mark.slow
def test_a_suite_that_differs_in_more_than_its_seeds_is_another(finished: Bench) -> None:
    held = load_suite(finished.folder / "toy" / "suite.yaml")
    other = Suite.model_validate({**held.model_dump(), "seeds": held.seeds + 1, "coverage": 0.25})
    planned = plan(other, finished.registry, trust=["confidence"])
    with pytest.raises(SuiteError, match=r"another suite 'toy' \(something but the number of seeds has changed\)"):
        api.execute(
            planned,
            out=finished.folder,
            store=finished.folder / "store",
            executor=Counting(finished.registry),
            events=lambda event: None,
        )


@pytest.mark.slow
def test_what_no_board_would_show_is_refused_before_anything_runs(finished: Bench, tmp_path: Path) -> None:
    shutil.copytree(finished.folder / "toy", tmp_path / "toy")
    path = next((tmp_path / "toy").rglob("confidence.json"))
    cell = read_cell(path)
    seeds = [one.model_copy(update={"shortfall": 1}) for one in cell.body.seeds]
    Cell.of(cell.body.model_copy(update={"seeds": tuple(seeds)}), {}).write(tmp_path / "toy")
    held = load_suite(tmp_path / "toy" / "suite.yaml")
    with pytest.raises(CellError, match=r"confidence\.json cannot be: seed 0: kept \d+ and shortfall 1"):
        refuse_mistakes(finished.plan(seeds=held.seeds, trust=()), tmp_path / "toy")
    refuse_mistakes(finished.plan(seeds=held.seeds), tmp_path / "toy")


@pytest.mark.slow
def test_a_pipe_in_the_suites_place_is_refused_and_folders_of_models_stay_as_they_are_written(
    finished: Bench, tmp_path: Path
) -> None:
    spec = finished.suite.domains[0]
    near = spec.model_copy(update={"teacher": spec.teacher.model_copy(update={"model": "./models/teacher"})})
    suite = finished.suite.model_copy(update={"domains": (near,)})
    (tmp_path / "suite.yaml").write_text(suite.to_yaml())
    refuse_other_suite(tmp_path, suite)
    (tmp_path / "suite.yaml").unlink()
    os.mkfifo(tmp_path / "suite.yaml")
    with pytest.raises(SuiteError, match="it is a named pipe"):
        refuse_other_suite(tmp_path, suite)
