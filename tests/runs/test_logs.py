"""Loggers are told of trainings and rows, and no run hangs on one of them. A whole run that is followed: test_extension."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cell_builder import make_cells, write_cells
from stage_functions import stage
from support import toy_suite
from w2s_bench._cli.app import app
from w2s_bench.errors import StoreError, UnknownNameError, W2SBenchError
from w2s_bench.executors import Done, Ended, Event, Failed, Noted, Planned
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.runs.logs import opening
from w2s_bench.runs.logs.base import Logger, Logging
from w2s_bench.runs.logs.mlflow import MLflow, allowed
from w2s_bench.runs.logs.opening import opened
from w2s_bench.runs.logs.tensorboard import TensorBoard
from w2s_bench.runs.logs.told import Told
from w2s_bench.runs.logs.wandb import WandB
from w2s_bench.store import Result, Store
from w2s_bench.store.stage import Stage

RUN = {"suite": "toy", "version": "1", "digest": "0" * 64, "seeds": "2"}


@dataclass
class Remembered:
    """A logger that keeps what it is told, or raises instead."""

    raises: bool = False
    trainings: dict[str, list[float]] = field(default_factory=dict)
    rows: list[tuple[str, dict[str, float], dict[int, float]]] = field(default_factory=list)
    closed: int = 0

    def losses(self, training: str, values: Sequence[float]) -> None:
        if self.raises:
            raise ConnectionError("no route to the tracker")
        assert training not in self.trainings
        self.trainings[training] = list(values)

    def row(self, row: str, figures: Mapping[str, float], accuracies: Mapping[int, float]) -> None:
        self.rows.append((row, dict(figures), dict(accuracies)))

    def close(self) -> None:
        self.closed += 1


def trained(folder: Path, losses: Sequence[float] | None, label: str, text: str) -> tuple[Stage, Done]:
    """A stage of that label with its result, which holds these losses."""
    folder.mkdir()
    if losses is not None:
        (folder / "losses.json").write_text(json.dumps(list(losses)))
    files = {path.name: "" for path in folder.iterdir()}
    one = replace(stage("write", text=text), label=label)
    return one, Done(Result(folder, "0" * 64, "content", files, 1.0, 1.0, ""))


def test_losses_are_those_of_trainings_that_end_and_each_is_told_once(tmp_path: Path) -> None:
    kept = Remembered()
    heard: list[Event] = []
    tell = Told({"kept": kept}).watching(heard.append, Store(tmp_path / "store"))
    teacher = trained(tmp_path / "a", [0.75, 0.5], "math · seed 0 · teacher", "a")
    like = trained(tmp_path / "b", [0.25], "math · seed 0 · teacher", "b")  # another stage of the same label
    labels = trained(tmp_path / "c", None, "math · seed 0 · labels", "c")
    failed = Failed("x", "diverged", labels[0].node)
    for event in (Planned(4, 1), *(Ended(*each) for each in (teacher, like, labels, teacher)), Ended(like[0], failed)):
        tell(event)
    assert kept.trainings == {"math · seed 0 · teacher": [0.75, 0.5], "math · seed 0 · teacher (2)": [0.25]}
    assert len(heard) == 6, "events are told on"


def test_a_result_that_has_gone_is_said(tmp_path: Path) -> None:
    one, done = trained(tmp_path / "a", [1.0], "teacher", "a")
    (tmp_path / "a" / "losses.json").unlink()
    (tmp_path / "a").rmdir()
    tell = Told({"kept": Remembered()}).watching(lambda event: None, Store(tmp_path / "store"))
    with pytest.raises(StoreError, match="the result of teacher has gone"):
        tell(Ended(one, done))


def test_rows_are_told_as_they_come_and_again_with_the_board(tmp_path: Path) -> None:
    kept = Remembered()
    told = Told({"kept": kept})
    cells = make_cells(failed={("acme/margin", 1): "it raised"})
    for cell in cells.values():
        told.row(cell)
    assert [row for row, _, _ in kept.rows] == [cell.row for cell in cells.values()]
    _, figures, accuracies = next(one for one in kept.rows if one[0] == "math/acme.margin")
    body = cells["acme/margin"].body
    assert figures["failed seeds"] == 1.0 and sorted(accuracies) == [0, 2]
    assert accuracies[2] == body.seeds[2].accuracy
    assert figures["accuracy"] == pytest.approx(sum(accuracies.values()) / 2)
    assert figures["purity"] == body.seeds[0].purity

    kept.rows.clear()
    told.board(write_leaderboard(write_cells(tmp_path, cells)))
    assert {row for row, _, _ in kept.rows} == {cell.row for cell in cells.values()}
    pgr = next(figures for row, figures, _ in kept.rows if row == "math/probe")
    assert pgr["pgr_low"] < pgr["pgr"] < pgr["pgr_high"]


def test_a_logger_that_fails_is_left_out_and_said_and_the_others_go_on(tmp_path: Path) -> None:
    broken, kept = Remembered(raises=True), Remembered()
    heard: list[Event] = []
    with Told({"broken": broken, "kept": kept}).closing() as told:
        tell = told.watching(heard.append, Store(tmp_path / "store"))
        for name in "ab":
            tell(Ended(*trained(tmp_path / name, [1.0], name, name)))
        assert list(kept.trainings) == ["a", "b"]
    notes = [event.text for event in heard if isinstance(event, Noted)]
    assert notes == told.faults
    assert (
        len(notes) == 1 and "--log broken failed and is left out" in notes[0] and "no route to the tracker" in notes[0]
    )
    assert (broken.closed, kept.closed) == (0, 1)


# Each logger, with its own library.


def followed(logger: Logger) -> None:
    logger.losses("knowledge · seed 0 · student of acme/margin:k=2", [0.75, 0.5, 0.25])
    logger.row("knowledge/naive", {"accuracy": 0.5, "purity": 0.75}, {0: 0.25, 1: 0.75})
    logger.row("knowledge/naive", {"accuracy": 0.5, "pgr": -0.5}, {})
    logger.close()


def test_tensorboard(tmp_path: Path) -> None:
    accumulated = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="comes with the extra `tensorboard`"
    ).EventAccumulator
    followed(TensorBoard(Logging("toy", RUN, tmp_path, "now")))
    read = accumulated(str(tmp_path / "tensorboard" / "toy" / "now"))
    read.Reload()

    def scalars(tag: str) -> list[tuple[int, float]]:
        return [(event.step, event.value) for event in read.Scalars(tag)]

    assert scalars("loss/knowledge/seed 0/student of acme/margin:k=2") == [(0, 0.75), (1, 0.5), (2, 0.25)]
    assert scalars("row/knowledge/naive/accuracy") == [(0, 0.5), (1, 0.5)]
    assert scalars("row/knowledge/naive/accuracy by seed") == [(0, 0.25), (1, 0.75)]
    assert scalars("row/knowledge/naive/pgr") == [(1, -0.5)]


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a folder, which takes no database
    mlflow = pytest.importorskip("mlflow", reason="is not part of the extra `test`: a hundred packages")
    followed(MLflow(Logging("toy", RUN, tmp_path, "now")))
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("w2s-bench/toy").experiment_id])
    assert found.info.status == "FINISHED" and found.data.tags["digest"] == RUN["digest"]

    def metric(key: str) -> list[tuple[int, float]]:
        return [(each.step, each.value) for each in client.get_metric_history(found.info.run_id, key)]

    assert metric("loss/knowledge/seed 0/student of acme/margin_k_2") == [(0, 0.75), (1, 0.5), (2, 0.25)]
    assert metric("row/knowledge/naive/accuracy by seed") == [(0, 0.25), (1, 0.75)]
    assert metric("row/knowledge/naive/pgr") == [(0, -0.5)]


@pytest.mark.parametrize(
    ("key", "name"), [("a · b", "a _ b"), ("x[k=8]:y", "x_k_8__y"), ("a/../b", "a/._/b"), ("é" * 300, "_" * 250)]
)
def test_a_name_is_one_that_mlflow_takes(key: str, name: str) -> None:
    assert allowed(key) == name


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="is not part of the extra `test`: sixty megabytes and a service")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandB(Logging("toy", RUN, tmp_path, "now"))
    followed(logger)
    (written,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    held = written.read_bytes()
    for text in (b"loss/knowledge/seed 0/student of acme/margin:k=2", b"optimizer step", b"row/knowledge/naive/pgr"):
        assert text in held
    assert b"accuracy of seed 1" in held


# What is refused.


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_library_that_is_missing_is_named_with_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    suite = toy_suite(tmp_path / "models")
    said = rf"--log {name} needs {name}.*pip install 'w2s-bench\[{name}\]'"
    with pytest.raises(W2SBenchError, match=said), opened([name], suite, tmp_path):
        pytest.fail("it was opened")


def test_a_logger_that_cannot_be_opened_says_why_and_those_before_it_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(run: Logging) -> Logger:
        raise PermissionError("no account")

    kept = Remembered()
    monkeypatch.setattr(opening, "LOGGERS", {"kept": lambda run: kept, "locked": locked})
    suite = toy_suite(tmp_path / "models")
    said = "--log locked cannot be opened: PermissionError: no account"
    with pytest.raises(W2SBenchError, match=said), opened(["kept", "locked"], suite, tmp_path):
        pytest.fail("it was opened")
    assert kept.closed == 1


def test_the_verb_refuses_what_it_cannot_follow() -> None:
    with pytest.raises(UnknownNameError, match="unknown logger 'tensorbord'; did you mean tensorboard"):
        opening.refuse_unknown(["tensorbord"])
    done = CliRunner().invoke(app, ["run", "tiny", "--log", "tensorbord"])
    assert done.exit_code == 2 and "unknown logger 'tensorbord'" in done.stderr
    done = CliRunner().invoke(app, ["run", "tiny", "--log", "wandb", "--executor", "slurm"])
    assert done.exit_code == 2 and "--log wandb is for a run that this command sees to its end" in done.stderr
