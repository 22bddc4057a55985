"""A source of models or domains is one row of a table: what asks about names asks the row, and knows no prefix by heart."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from support import ROOT
from w2s_bench import resolvers
from w2s_bench._cli.app import app
from w2s_bench.errors import ModelError, SuiteError, UnknownNameError
from w2s_bench.executors.local.hosts import Host, host_of
from w2s_bench.plugins.hooks import RESERVED_PREFIXES, distribution_of
from w2s_bench.plugins.registry import Registry
from w2s_bench.resolvers import RESOLVERS, Resolver, beside, is_on_disk
from w2s_bench.results.consent import placements, refuse_unasked, with_placements
from w2s_bench.store.stage import Code, Role, Stage, StageFunction
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite
from w2s_bench.suites.page import _resolved


@dataclass
class Weights:
    """A model in one file."""

    name: str

    def fingerprint(self) -> str:
        return "0" * 64

    def load(self) -> tuple[Any, Any]:
        raise AssertionError


@dataclass
class Task:
    """A domain found by its name."""

    name: str
    shots: int = 0
    version: str = "1"
    kind: str = "choice"
    max_new_tokens: int | None = None

    def task(self) -> Any:
        raise AssertionError

    def fields(self, document: Any) -> dict[str, str]:
        raise AssertionError

    def fingerprint(self) -> str:
        return "0" * 64


@pytest.fixture
def two_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source of models, on this disk, and one of domains, elsewhere: a row each."""
    file = Resolver(
        "model", "gguf", "FILE", "this disk", "one file", f"{__name__}:Weights", path_of="file", holding="weights"
    )
    task = Resolver("domain", "lm-eval", "TASK", "lm-eval", "a task by its name", f"{__name__}:Task")
    others = [one for one in RESOLVERS if one.prefix not in (file.prefix, task.prefix)]
    monkeypatch.setattr(resolvers, "RESOLVERS", (*others, file, task))


@pytest.mark.usefixtures("two_more")
def test_a_new_source_is_one_row() -> None:
    registry = Registry.of(())
    assert registry.model("gguf//a/b.gguf").name == "gguf//a/b.gguf"
    assert registry.resolve("domain", "lm-eval/arc").name == "lm-eval/arc"
    built: Any = registry.domain("lm-eval/arc", shots=3)
    assert (built.name, built.shots) == ("lm-eval/arc", 3)
    with pytest.raises(UnknownNameError, match=r"parameter of domain 'lm-eval/arc'.*'shoots'"):
        registry.domain("lm-eval/arc", shoots=3)
    with pytest.raises(
        UnknownNameError, match=r"A domain is a plugin's \(none here\) or lm-eval/TASK \(lm-eval\); any"
    ):
        registry.domain("nothing")
    with pytest.raises(
        UnknownNameError, match=r"FOLDER\+BASE \(this disk\), gguf/FILE \(this disk\) or a folder's path"
    ):
        registry.model("nothing")
    with pytest.raises(UnknownNameError):
        registry.domain("gguf/x")  # a prefix gives what it gives
    assert "| `gguf/FILE` | one file |" in _resolved("model")
    listed = json.loads(CliRunner().invoke(app, ["list", "domains", "--json"]).stdout)
    assert {"name": "lm-eval/TASK", "from": "lm-eval", "summary": "a task by its name"} in listed


@pytest.mark.usefixtures("two_more")
def test_a_path_is_asked_about_placed_and_moved_whichever_prefix_it_has(tmp_path: Path) -> None:
    written = load_suite("tiny").model_dump(mode="json")
    written["domains"] = written["domains"][:1]
    written["domains"][0]["teacher"]["model"] = "gguf/weak.gguf"
    suite = Suite.model_validate(written).with_folders_of(Path("/there"))
    name = suite.domains[0].teacher.model
    assert name == "gguf//there/weak.gguf" and is_on_disk("model", name)
    ref = SimpleNamespace(name=name, fingerprint="f" * 64)
    other = SimpleNamespace(name="tiny/x", fingerprint="0" * 64)
    arm = SimpleNamespace(kind="control", name="naive", parameters={}, trusts=None, objective=None)
    domain = SimpleNamespace(name=suite.domains[0].name)
    cells: Any = [SimpleNamespace(body=SimpleNamespace(teacher=ref, student=other, arm=arm, domain=domain))]
    with pytest.raises(SuiteError, match=r"model 'gguf//there/weak.gguf', teacher of"):
        refuse_unasked(suite, cells, Path("results"), {})
    with pytest.raises(ModelError, match=f"there is no file '{tmp_path}'; give one with weights"):
        placements(suite, cells, {"f" * 12: str(tmp_path)})
    mine = tmp_path / "mine.gguf"
    mine.touch()
    placed = placements(suite, cells, {"f" * 12: str(mine)})
    assert with_placements(suite, placed).domains[0].teacher.model == f"gguf/{mine}"


def test_what_is_written_without_a_prefix_stays_so() -> None:
    there = Path("/there")
    for name, absolute in {
        "./x": "/there/x", "../x": "/x", "/x": "/x", "~/x": "~/x", "local/x": "local//there/x", "local//x": "local//x",
        "local/~/x": "local/~/x", "models/x": "models/x", "x": "x", "": "", "hf/a/b@c": "hf/a/b@c",
    }.items():  # fmt: skip
        assert beside("model", name, there) == absolute
        assert beside("domain", name, there) == name
    assert [name for name in ("./x", "/x", "~x", ".", "local/x") if not is_on_disk("model", name)] == []
    assert [name for name in ("hf/a/b@c", "models/x", "x", "", "tiny/x", ".x") if is_on_disk("model", name)] == []


def stage_of(role: Role, name: str) -> Stage:
    """A stage that runs the code of what `name` stands for."""
    return Stage(StageFunction("any", 1, "m:f"), {}, code=Code(role, name))


def test_what_no_plugin_can_bring_is_the_harnesss_own() -> None:
    assert {one.prefix for one in RESOLVERS} | {"tiny", "lm-eval"} == RESERVED_PREFIXES
    for name in ("x", "/x/y", "./x", "~/x", "~x/y", *(f"{prefix}/x/y" for prefix in RESERVED_PREFIXES)):
        assert distribution_of(name) == "w2s-bench"
        # Even where a distribution took such a name in spite of all.
        roles: tuple[Role, ...] = ("engine", "domain")
        for role in roles:
            assert not host_of(stage_of(role, name), lambda: RESERVED_PREFIXES).is_foreign
    assert distribution_of("Acme_W2S/x") == "acme-w2s"
    assert host_of(stage_of("domain", "acme/x"), frozenset) == Host("domain", "acme")


def test_no_module_knows_a_prefix_by_heart() -> None:
    """Prefixes stand in the table, and where the model of each is made."""
    known = {one.prefix for one in RESOLVERS} | {"lm-eval"}
    makers = {one.factory.partition(":")[0].replace(".", "/") + ".py" for one in RESOLVERS}
    harness = ROOT / "harness"
    odd = []
    for path in sorted(harness.rglob("*.py")):
        if path.relative_to(harness).as_posix() in {"w2s_bench/resolvers.py", *makers}:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                odd += [(path.name, node.lineno, node.value) for prefix in known if node.value.startswith(f"{prefix}/")]
    assert odd == []
