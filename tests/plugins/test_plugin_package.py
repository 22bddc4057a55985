"""A real third-party distribution, installed with pip, is found beside the built-ins."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from support import TESTS
from w2s_bench.domains.task import TaskDomain
from w2s_bench.plugins.registry import Registry
from w2s_bench.testing import check_domain, trust_function_checks

PACKAGE = TESTS / "plugin_package"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed the distribution into; built from a copy, so that nothing is left in the tree."""
    root = tmp_path_factory.mktemp("plugin")
    source, target = root / "source", root / "site"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def run(code: str, site: Path, **environment: str) -> str:
    """What a fresh interpreter prints that has `site` on its path."""
    variables = {k: v for k, v in os.environ.items() if k != "W2S_BENCH_PLUGINS"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=variables | environment | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_plugin_is_found(installed: Path) -> None:
    code = """
        import json
        from w2s_bench.plugins.registry import Registry
        registry = Registry.load()
        function = registry.trust_functions["w2s-bench-example/brevity"]
        print(json.dumps({
            "problems": [str(p) for p in registry.problems],
            "functions": sorted(registry.trust_functions),
            "version": function.version,
            "summary": function.summary,
            "digest": registry.source_digest(function),
            "bare": registry.resolve("domain", "longest").name,
            "unit": registry.trust_function("brevity", unit="words").unit,
            "kind": registry.domain("longest").kind,
        }))
    """
    seen = json.loads(run(code, installed))
    assert seen["problems"] == []
    assert {"w2s-bench-example/brevity", "w2s-bench/confidence"} <= set(seen["functions"])
    assert seen["version"] == "1.2.0" and seen["summary"].startswith("Trusts short labels")
    assert len(seen["digest"]) == 64
    assert (seen["bare"], seen["unit"], seen["kind"]) == ("w2s-bench-example/longest", "words", "choice")


def test_the_installed_domain_has_its_data_files(installed: Path) -> None:
    code = """
        from w2s_bench.plugins.registry import Registry
        domain = Registry.load().domain("longest")
        documents = list(domain.task().eval_docs)
        print(len(documents), domain.fields(documents[0])["id"])
    """
    assert run(code, installed).split() == ["600", "longest-0"]


def test_an_installed_plugin_can_be_left_out(installed: Path) -> None:
    code = "from w2s_bench.plugins.registry import Registry; print([p.status for p in Registry.load().plugins])"
    assert run(code, installed, W2S_BENCH_PLUGINS="").strip() == "['ok', 'ok', 'left out']"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(str(PACKAGE))
    import w2s_bench_example

    return w2s_bench_example


@pytest.mark.parametrize("check", trust_function_checks(), ids=str)
@pytest.mark.parametrize("unit", ["characters", "words"])
def test_the_example_keeps_the_contract(example: object, check, unit: str) -> None:  # type: ignore[no-untyped-def]
    check(lambda: example.Brevity(unit))  # type: ignore[attr-defined]


def test_the_example_domain_keeps_the_contract(example: object) -> None:
    domain = example.longest()  # type: ignore[attr-defined]
    assert isinstance(domain, TaskDomain)
    check_domain(domain)


def test_the_example_is_not_installed_for_everybody() -> None:
    assert not [name for name in Registry.load([]).trust_functions if name.startswith("w2s-bench-example/")]


def test_the_documented_plugin_works_as_it_stands(tmp_path: Path) -> None:
    """The two files and the test of docs/plugins.md, copied out of it."""
    text = (PACKAGE.parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(toml|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    project = tomllib.loads(next(code for kind, code in blocks if kind == "toml"))
    module = next(code for kind, code in blocks if kind == "python")
    test = next(code for kind, code in blocks if "trust_function_checks" in code)
    assert len(module.splitlines()) <= 25
    (tmp_path / "margin_trust.py").write_text(module)
    (tmp_path / "test_margin.py").write_text(test)
    info = tmp_path / "margin_trust-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: 0.1.0\n")
    lines = "\n".join(f"{k} = {v}" for k, v in project["project"]["entry-points"]["w2s_bench"].items())
    (info / "entry_points.txt").write_text(f"[w2s_bench]\n{lines}\n")
    code = """
        from w2s_bench.plugins.registry import Registry
        registry = Registry.load()
        assert not registry.problems, registry.problems
        print(registry.resolve("trust_function", "margin").name, registry.trust_function("margin").needs[0])
    """
    assert run(code, tmp_path).split() == ["margin-trust/margin", "teacher.choice_probs"]
    tests = f"import sys, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', {str(tmp_path)!r}]))"
    assert " passed" in run(tests, tmp_path)


@pytest.mark.slow
def test_the_installed_plugin_goes_through_the_protocol(installed: Path, tmp_path: Path) -> None:
    """Its domain with its trust function, beside the built-in ones and the controls, from the command line."""
    training = {"model": "tiny/knowledge-s", "steps": 3, "batch_size": 8, "learning_rate": 1e-3}
    domain = {
        "name": "w2s-bench-example/longest",
        "version": "1",
        "sizes": {"dev": 20, "test": 40, "weak_train": 40, "trust": 20, "transfer": 60},
        "teacher": training | {"recipe": "head", "steps": 60, "learning_rate": 1e-2},
        "student": training,
    }
    suite = tmp_path / "example.yaml"
    suite.write_text(json.dumps({"name": "example", "version": "1", "seeds": 1, "domains": [domain]}))
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--out", str(tmp_path), "--workers", "1"]
    command += ["--store", str(tmp_path / "store"), "--trust", "brevity:unit=words", "--trust", "confidence", "--json"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    arms = {row["arm"]: row for row in json.loads(done.stdout)["leaderboard"]["rows"]}
    assert {"w2s-bench-example/brevity:unit=words", "confidence", "naive", "oracle"} <= set(arms)
    cell = json.loads(
        (tmp_path / "example/results/w2s-bench-example.longest/w2s-bench-example.brevity@unit=words.json").read_text()
    )
    assert cell["body"]["plugin"]["distribution"] == "w2s-bench-example"
    assert cell["body"]["plugin"]["version"] == "1.2.0"
    assert cell["body"]["seeds"][0]["kept"] == 30
