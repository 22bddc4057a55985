"""What `--dry-run` and `--explain` say of a store: what is there, what would run, and what made it stale."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from local_run import result_of, run
from stage_functions import stage
from w2s_bench.runs.preview import explain, preview
from w2s_bench.store import Store, manifest
from w2s_bench.store.stage import Stage, walk


def graph(**params: object) -> Stage:
    return stage("write", {"a": stage("write", text="top", name="first")}, text="end", **params)


def said(target: Stage, root: Path) -> dict[str, tuple[str, str]]:
    return {one.stage.label: (one.status, one.why) for one in explain(list(walk([target])), Store(root))}


def test_of_an_empty_store_the_first_stage_runs_and_the_others_wait(tmp_path: Path) -> None:
    found = said(graph(), tmp_path / "nothing")
    assert found["write top"] == ("to run", "never computed in this store")
    assert found["write end"] == ("waits", "for write top")
    assert not (tmp_path / "nothing").exists()


def test_what_is_stored_says_since_when(tmp_path: Path) -> None:
    run([graph()], tmp_path)
    assert all(status == "stored" and why.startswith("since 2") for status, why in said(graph(), tmp_path).values())


def test_a_changed_parameter_is_named_with_both_values(tmp_path: Path) -> None:
    run([graph(steps=90)], tmp_path)
    found = said(graph(steps=120), tmp_path)
    assert found["write top"][0] == "stored"
    assert found["write end"] == ("to run", "other than the nearest stored: params.steps was 90, is 120")


def test_a_new_version_of_a_stage_is_named(tmp_path: Path) -> None:
    run([graph()], tmp_path)
    status, why = said(replace(end := graph(), function=replace(end.function, version=2)), tmp_path)["write end"]
    assert (status, why) == ("to run", "other than the nearest stored: version was 1, is 2")


def test_a_new_version_of_a_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run([graph()], tmp_path)
    was = manifest.installed_version("numpy")
    monkeypatch.setattr(manifest, "installed_version", lambda name: "99.0")
    status, why = said(graph(), tmp_path)["write top"]
    assert (status, why) == ("to run", f"other than the nearest stored: library numpy was {was}, is 99.0")


def test_an_input_that_came_out_otherwise_is_named(tmp_path: Path) -> None:
    outcomes, _ = run([graph(), stage("write", text="other")], tmp_path)
    assert outcomes
    changed = stage("write", {"a": stage("write", text="other")}, text="end")
    assert said(changed, tmp_path)["write end"] == (
        "to run",
        "other than the nearest stored: input a has other content",
    )


def test_damage_is_a_reason_and_is_left_as_it_is(tmp_path: Path) -> None:
    outcomes, _ = run([graph()], tmp_path)
    text = result_of(outcomes, graph()).path / "text"
    text.write_text("?")
    status, why = said(graph(), tmp_path)["write end"]
    assert status == "to run" and why == "its stored result is damaged: text has 1 bytes, not 6"
    assert text.read_text() == "?"


def test_a_plan_looks_at_sizes_and_whoever_reads_a_result_at_every_byte(tmp_path: Path) -> None:
    outcomes, _ = run([graph()], tmp_path)
    text = result_of(outcomes, graph()).path / "text"
    text.write_text("?" * 6)
    assert said(graph(), tmp_path)["write end"][1].startswith("its stored result is damaged: text has SHA-256")
    assert preview(list(walk([graph()])), Store(tmp_path)).to_run == ()
    healed, _ = run([graph()], tmp_path)
    assert result_of(healed, graph()).path == text.parent and text.read_text() != "?" * 6
    text.unlink()
    assert [stage.label for stage in preview(list(walk([graph()])), Store(tmp_path)).to_run] == ["write end"]


def test_a_stage_like_no_other_was_never_computed(tmp_path: Path) -> None:
    run([graph()], tmp_path)
    unlike = stage("write", text="x", one=1, two=2, three=3)
    assert said(unlike, tmp_path)["write x"] == ("to run", "never computed in this store")


def test_a_preview_counts_what_an_explanation_tells(tmp_path: Path) -> None:
    outcomes, _ = run([graph()], tmp_path)
    shutil.rmtree(result_of(outcomes, graph()).path)
    found = preview(list(walk([graph()])), Store(tmp_path))
    assert [one.label for one in found.stored] == ["write top"]
    assert [one.label for one in found.to_run] == ["write end"]


def test_looking_at_a_store_imports_no_locks(tmp_path: Path) -> None:
    run([graph()], tmp_path)
    key = next((tmp_path / "write").iterdir()).name
    script = (
        "import sys; from pathlib import Path; from w2s_bench.store import Store; store = Store(Path(sys.argv[1]));"
        "print(store.look('write', sys.argv[2], whole=False), store.look('write', '0' * 64), 'filelock' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path, key], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("Result(") and done.stdout.endswith(" None False\n")
