"""The protocol end to end on toy domains, in real worker processes: one worker or two, killed and resumed, faults alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from support import FEW_TRUST, toy_environment, toy_suite

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    path = folder / "toy.yaml"
    path.write_text(toy_suite(folder / "models", seeds=1).to_yaml())
    return path


def w2s(
    *arguments: object, env: dict[str, str] | None = None, timeout: float = 400
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that has the toy plugin."""
    command = [sys.executable, "-m", "w2s_bench", *map(str, arguments)]
    return subprocess.run(command, env=env or toy_environment(), capture_output=True, text=True, timeout=timeout)


def bodies(results: Path) -> dict[str, object]:
    """Row file → cell body."""
    return {
        str(p.relative_to(results)): json.loads(p.read_text())["body"] for p in sorted(results.glob("results/*/*.json"))
    }


def of_domain(name: str, out: Path) -> dict[str, object]:
    """Those of one domain's rows."""
    return {row: body for row, body in bodies(out / "toy").items() if f"w2s-bench-toy.{name}/" in row}


@pytest.fixture(scope="module")
def undisturbed(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of every arm on both domains, computed with two workers."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = w2s("run", suite, "--out", out, "--store", out / "store", "--workers", 2)
    # `sums` is beyond a teacher of 30 steps: its oracle finds no correct label and is not applicable, said plainly.
    assert done.returncode == 0, done.stderr
    assert "note: w2s-bench-toy.sums/oracle" in done.stderr
    assert not [line for line in done.stderr.splitlines() if line.strip().startswith("failed: ")], done.stderr
    assert "Traceback" not in done.stderr
    return out


def test_a_run_leaves_every_cell_a_leaderboard_and_a_plot(undisturbed: Path) -> None:
    folder = undisturbed / "toy"
    names = {p.stem for p in folder.glob("results/w2s-bench-toy.largest/*.json")}
    assert names >= {"weak", "base", "ceiling", "naive", "random", "oracle", "gold_trust_set", "gold_random"}
    assert names >= {"confidence", "probe", "student_probe", "verifier", "w2s-bench-toy.prompt_hash"}
    assert "oracle" in (folder / "README.md").read_text()
    assert list(folder.glob("*.svg"))
    assert (folder / "suite.yaml").is_file()


def test_one_worker_and_two_give_identical_cell_bodies(suite: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Of the domain whose answers are generated; of the one with options test_plugin_faults.py has a run of each."""
    done = w2s("run", suite, "--domain", "sums", "--out", tmp_path, "--store", tmp_path / "store", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert bodies(tmp_path / "toy") == of_domain("sums", undisturbed)


def test_again_from_the_store_nothing_changes_and_no_file_is_touched(suite: Path, undisturbed: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (undisturbed / "toy").rglob("*.json")}
    readme = (undisturbed / "toy" / "README.md").read_bytes()
    done = w2s("run", suite, "--out", undisturbed, "--store", undisturbed / "store")
    assert done.returncode == 0, done.stderr
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (undisturbed / "toy").rglob("*.json")}
    assert before == after, "the cell that is not applicable too: its reason reads as it did"
    assert (undisturbed / "toy" / "README.md").read_bytes() == readme


def test_killed_and_run_again_ends_with_the_same_bodies(suite: Path, undisturbed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--domain", "largest", "--trust", "confidence"]
    command += ["--out", str(tmp_path), "--store", str(tmp_path / "store"), "--workers", "1"]
    for stages_before_kill in (5, 40):  # at any moment, and with two workers: test_kills.py
        running = subprocess.Popen(command, env=toy_environment(), start_new_session=True, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + 200
        while running.poll() is None and time.monotonic() < give_up:
            if len(list((tmp_path / "store").glob("*/*/manifest.json"))) >= stages_before_kill:
                os.killpg(running.pid, signal.SIGKILL)
                break
            time.sleep(0.05)
        running.wait()
    done = subprocess.run(command, env=toy_environment(), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    found, whole = bodies(tmp_path / "toy"), of_domain("largest", undisturbed)
    assert len(found) >= 10 and found == {row: whole[row] for row in found}


def test_ctrl_c_says_how_to_go_on_and_leaves_no_process(suite: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "w2s_bench",
        "run",
        str(suite),
        "--out",
        str(tmp_path),
        "--store",
        str(tmp_path / "store"),
        "--workers",
        "1",
    ]
    running = subprocess.Popen(
        command, env=toy_environment(), start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    give_up = time.monotonic() + 200
    while not list((tmp_path / "store").glob("train/*/manifest.json")) and time.monotonic() < give_up:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    _, stderr = running.communicate(timeout=300)
    assert running.returncode == 130
    assert "run the same command again" in stderr
    assert "Traceback" not in stderr


def test_a_damaged_store_is_said_and_mended(suite: Path, undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(undisturbed / "store", store)
    cut, flipped = sorted(store.glob("train/*/weights.safetensors"))[:2]
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    data = flipped.read_bytes()
    flipped.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = w2s("run", suite, "--out", tmp_path, "--store", store, "--workers", 1)
    assert done.returncode == 0, done.stderr
    said = "".join(done.stderr.split())  # a long line may be wrapped anywhere
    assert "damaged" in done.stderr
    assert all(f"{victim.parent.name}" in said for victim in (cut, flipped))
    assert "weights.safetensors" in done.stderr
    assert bodies(tmp_path / "toy") == bodies(undisturbed / "toy")


def test_broken_trust_functions_fail_their_cells_alone(suite: Path, undisturbed: Path, tmp_path: Path) -> None:
    reasons = {
        "raises": "no scores today",
        "gives_nan": "not finite",
        "wrong_length": "expected a numpy array of shape (100,)",
        "wrong_type": "returned list",
        "undeclared": "did not declare",
        "wants_gold": "privileged",
        "exits": "SystemExit",
        "reads_verifier_in_fit": "in-sample",
    }
    env = toy_environment(W2S_TOY_BROKEN=",".join(reasons))
    store = shutil.copytree(undisturbed / "store", tmp_path / "store")  # in a fresh one: test_plugin_faults.py
    done = w2s("run", suite, "--domain", "largest", "--out", tmp_path, "--store", store, "--workers", 1, env=env)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    found = bodies(tmp_path / "toy")
    for name, reason in reasons.items():
        errors = [
            seed["error"] for seed in found.pop(f"results/w2s-bench-toy.largest/w2s-bench-toy.{name}.json")["seeds"]
        ]
        assert all(reason in error for error in errors), errors
        assert f"w2s-bench-toy.{name}" in done.stderr
    assert found == of_domain("largest", undisturbed)


def test_verify_says_of_a_row_that_fails_again_that_it_failed(undisturbed: Path) -> None:
    row = ("--row", "w2s-bench-toy.sums/oracle")
    done = w2s("verify", undisturbed / "toy", "--no-attest", "--trust-folder", "--workers", 1, *row)
    assert done.returncode == 1, done.stderr
    assert "identical  (seed 0 failed both times: " in done.stdout


def test_verify_says_identical_and_sees_what_was_altered(suite: Path, undisturbed: Path, tmp_path: Path) -> None:
    from w2s_bench.record import pack_bits, unpack_bits
    from w2s_bench.results.cells import Cell
    from w2s_bench.results.files import read_cell

    results = tmp_path / "toy"
    shutil.copytree(undisturbed / "toy", results)
    rows = ["--row", "w2s-bench-toy.largest/confidence", "--row", "w2s-bench-toy.largest/naive"]
    refused = w2s("verify", results, *rows)
    assert refused.returncode == 2 and "--trust-folder" in refused.stderr
    shutil.copytree(suite.parent / "models", tmp_path / "models")
    body = read_cell(next(results.glob("results/*largest/confidence.json"))).body
    mine = ("--model", f"{body.teacher.fingerprint[:8]}={tmp_path / 'models/teacher'}")
    mine += ("--model", f"{body.student.name}={tmp_path / 'models/student'}")
    for told in (("--trust-folder",), mine):
        done = w2s("verify", results, "--no-attest", "--workers", 1, *rows, *told)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("identical") == 5, "two rows, README.md and both plots"

    path = next(results.glob("results/*largest/confidence.json"))
    cell = read_cell(path)
    right = ~unpack_bits(cell.body.seeds[0].correct or "", cell.body.items)
    strata = {name: 1 - share for name, share in cell.body.seeds[0].by_stratum.items()}
    altered = {"accuracy": float(right.mean()), "correct": pack_bits(right), "by_stratum": strata}
    seeds = [cell.body.seeds[0].model_copy(update=altered), *cell.body.seeds[1:]]
    Cell.of(cell.body.model_copy(update={"seeds": tuple(seeds)}), cell.provenance).write(results)
    done = w2s("verify", results, "--trust-folder", "--workers", 1, *rows)
    assert done.returncode == 1
    assert "DIFFERS" in done.stdout
    assert "README.md" in done.stdout and "is not what the cells give" in done.stdout
    assert f"accuracy {right.mean():.4f} before" in done.stdout
    assert done.stdout.count("identical") == 3, "the other row, and both plots, which have no resolved gap to show"


@pytest.mark.parametrize("recipe", ["lora", "head"])
def test_other_recipes_go_through_the_same_protocol(suite: Path, tmp_path: Path, recipe: str) -> None:
    content = yaml.safe_load(suite.read_text()) | {"trust_functions": [*FEW_TRUST, "contrast:of=student"]}
    content["domains"] = content["domains"][:1]
    content["domains"][0]["student"]["recipe"] = recipe
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(content))
    done = w2s("run", changed, "--out", tmp_path, "--store", tmp_path / "store", "--workers", 1)
    assert done.returncode == 0, done.stderr
    found = bodies(tmp_path / "toy")
    assert all(seed["accuracy"] is not None for body in found.values() for seed in body["seeds"])
    # What a student leaves behind is what its recipe trained: an adapter or a head, not another model.
    whole = (suite.parent / "models/student/model.safetensors").stat().st_size
    left = sorted(path.stat().st_size for path in (tmp_path / "store").glob("train/*/weights.safetensors"))
    assert left[len(left) // 2] < whole
