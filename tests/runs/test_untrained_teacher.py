"""Recipe `none`: a teacher used as it is labels, is read and stands beside students, and nothing trains it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import run_inline, toy_registry, toy_suite
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.suite import Suite


def untrained(folder: Path, **teacher: Any) -> dict[str, Any]:
    suite: dict[str, Any] = toy_suite(folder, seeds=1).model_dump(mode="json")
    suite["domains"] = suite["domains"][:1]
    spec = suite["domains"][0]
    del spec["sizes"]["weak_train"]
    spec["teacher"] = {"model": spec["teacher"]["model"], "recipe": "none", **teacher}
    return suite


def test_nothing_trains_the_teacher_and_its_labels_grades_and_readings_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    suite = Suite.model_validate(untrained(tmp_path))
    assert Suite.model_validate(suite.model_dump(mode="json")) == suite
    planned = plan(suite, registry, trust=["confidence", "probe"])
    labels = [stage.label for stage in planned.stages() if stage.name.startswith("train")]
    assert labels and not [label for label in labels if "teacher" in label]
    assert not [stage for stage in planned.stages() if stage.params.get("split") == "weak_train"]
    graph = planned.cells[0].graphs[0]
    assert graph.teacher.weights is None
    targets = [graph.label_grades("transfer"), *planned.cells[0].models]
    outcomes = run_inline(targets, Store(tmp_path / "store"), registry)
    assert all(target.node in outcomes for target in targets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": {"steps": 3}}, "recipe 'none' trains nothing; leave out steps"),
        ({"student": {"recipe": "none"}}, "recipe 'none' is for a teacher alone"),
        ({"teacher": {"recipe": "full", "steps": 3, "learning_rate": 0.1}}, "weak_train 0 leaves nothing to train"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    suite = untrained(tmp_path, **change.get("teacher", {}))
    if "student" in change:
        spec = suite["domains"][0]
        spec["student"] = {"model": spec["student"]["model"], **change["student"]}
    with pytest.raises(ValueError, match=message):
        Suite.model_validate(suite)
