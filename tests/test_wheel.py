"""What a user gets: the wheel has every data file, the weights stay small, and it says what it is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support import BUNDLED

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
MOST_WEIGHTS = 20_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built anew, or the file that `W2S_BENCH_WHEEL` names: the one that is about to be published."""
    if built := os.environ.get("W2S_BENCH_WHEEL"):
        return zipfile.ZipFile(ROOT / built)
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(out),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_every_file_of_the_three_roots_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    roots = {
        "harness/w2s_bench/": "w2s_bench/",
        "tasks/w2s_bench_tasks/": "w2s_bench_tasks/",
        "plugins/w2s-bench-baselines/w2s_bench_baselines/": "w2s_bench_baselines/",
    }
    expected = {new + path.removeprefix(old) for path in tracked for old, new in roots.items() if path.startswith(old)}
    names = set(wheel.namelist())
    assert expected - names == set()
    for domain in BUNDLED:
        assert f"w2s_bench_tasks/{domain}/data/items.jsonl" in names
        for size in "sml":
            folder = f"w2s_bench_tasks/{domain}/models/{domain}-{size}"
            assert {
                f"{folder}/{n}" for n in ("config.json", "model.safetensors", "tokenizer.json", "README.md")
            } <= names
    assert {
        "w2s_bench/suites/tiny.yaml",
        "w2s_bench/templates/leaderboard.yml",
        "w2s_bench/py.typed",
        "w2s_bench_tasks/py.typed",
        "w2s_bench_baselines/py.typed",
    } <= names


def test_new_plugins_can_be_begun_from_the_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Templates are data, some in folders that begin with a dot, which builds like to leave out."""
    wheel.extractall(tmp_path / "site", [name for name in wheel.namelist() if name.startswith("w2s_bench/")])
    code = "from pathlib import Path; from w2s_bench.plugins.new import NEW, write_new; import w2s_bench; "
    code += "print(w2s_bench.__file__); [write_new(what, f'fresh-{what}', Path()) for what in NEW]"
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "site") in done.stdout, "the wheel's own code"
    for what in ("trust-function", "domain", "objective"):
        made = tmp_path / f"fresh-{what}"
        assert (made / ".github" / "workflows" / "test.yml").is_file() and (made / ".gitignore").is_file()


def test_the_weights_are_small(wheel: zipfile.ZipFile) -> None:
    weights = [info.file_size for info in wheel.infolist() if info.filename.endswith(".safetensors")]
    assert len(weights) == 3 * len(BUNDLED)
    assert sum(weights) < MOST_WEIGHTS


def test_metadata_names_licence_commands_and_plugins(wheel: zipfile.ZipFile) -> None:
    info = next(name.split("/")[0] for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    assert "License-Expression: Apache-2.0" in wheel.read(f"{info}/METADATA").decode()
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "w2s-bench = w2s_bench._cli:main" in entry_points
    assert "tasks = w2s_bench_tasks" in entry_points and "baselines = w2s_bench_baselines" in entry_points
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
