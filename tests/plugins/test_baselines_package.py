"""The built-in trust functions build as a distribution of their own, which does no harm beside the one that ships them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support import ROOT
from w2s_bench.errors import UnknownNameError
from w2s_bench.plugins.installation import called_so
from w2s_bench.plugins.registry import Registry
from w2s_bench_baselines import w2s_trust_functions

SOURCE = ROOT / "plugins" / "w2s-bench-baselines"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed it into; built from a copy, so that nothing is left in the tree."""
    root = tmp_path_factory.mktemp("baselines")
    source, target = root / "source", root / "site"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def test_it_has_every_file_of_the_package_and_nothing_else(installed: Path) -> None:
    def files(root: Path) -> set[str]:
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix in (".py", ".typed")}

    assert files(installed) == files(SOURCE)


def test_it_says_the_same_as_the_distribution_that_ships_it() -> None:
    own, main = (tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")) for root in (SOURCE, ROOT))
    assert own["project"]["version"] == main["project"]["version"]
    assert own["project"]["entry-points"]["w2s_bench"].items() <= main["project"]["entry-points"]["w2s_bench"].items()
    # Built from either, it needs no more than what comes with the harness.
    assert set(own["project"]["dependencies"]) <= {*main["project"]["dependencies"], main["project"]["name"]}


def test_beside_the_harness_its_functions_are_there_once(installed: Path, tmp_path: Path) -> None:
    """From its own files, which an installation into one folder would have put in place of the harness's."""
    code = """
        import json
        import w2s_bench_baselines
        from w2s_bench.plugins.registry import Registry
        registry = Registry.load()
        print(json.dumps({
            "from": w2s_bench_baselines.__file__,
            "problems": [str(p) for p in registry.problems],
            "functions": sorted(registry.trust_functions),
            "plugins": {p.distribution + ":" + p.entry_point: [p.status, p.why] for p in registry.plugins},
            "probe": registry.resolve("trust_function", "probe").name,
        }))
    """
    variables = {k: v for k, v in os.environ.items() if k != "W2S_BENCH_PLUGINS"} | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert Path(said["from"]).is_relative_to(installed)
    assert said["problems"] == []
    assert said["functions"] == sorted(Registry.load([]).trust_functions)
    assert said["plugins"]["w2s-bench:baselines"] == ["ok", ""]
    assert said["plugins"]["w2s-bench-baselines:baselines"] == [
        "left out", "as w2s_bench_baselines comes with w2s-bench (write w2s-bench/NAME)",
    ]  # fmt: skip
    assert said["probe"] == "w2s-bench/probe"


def test_only_what_the_harness_ships_itself_is_left_out() -> None:
    """Two distributions of strangers that name one module are two plugins: neither owns it."""

    def entry_point(distribution: str, value: str) -> Any:
        class Made(EntryPoint):
            dist = SimpleNamespace(name=distribution, version="1")

        return Made("baselines", value, "w2s_bench")

    ours = [one for one in called_so()[0].entry_points if one.group == "w2s_bench"]
    strangers = [entry_point("aa", "json"), entry_point("bb", "json")]
    twins = [entry_point("cc", "w2s_bench_baselines"), entry_point("dd", "w2s_bench_baselines:x")]
    registry = Registry.load(entry_points=[*strangers, *twins, *ours])
    status = {plugin.distribution: plugin.status for plugin in registry.plugins}
    assert status == {"w2s-bench": "ok", "aa": "broken", "bb": "broken", "cc": "left out", "dd": "left out"}
    with pytest.raises(UnknownNameError, match=r"Left out as w2s_bench_baselines comes with .*/NAME\): cc\."):
        registry.trust_function("cc/probe")
    alone = Registry.load(entry_points=twins[:1])
    assert set(alone.trust_functions) == {f"cc/{name}" for name in w2s_trust_functions()}
