"""Plugins need two modules, `w2s_bench` and `w2s_bench.testing`: what they offer, what that costs, and who keeps to it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import w2s_bench
import w2s_bench.testing
from support import ROOT, TESTS
from w2s_bench import hookspecs

PUBLIC = {"w2s_bench": w2s_bench, "w2s_bench.testing": w2s_bench.testing}
#: Written as a third party would write it.
PLUGINS = {
    "baselines": ROOT / "plugins" / "w2s-bench-baselines",
    "offline-lms": ROOT / "plugins" / "w2s-bench-offline-lms",
    "lichess": ROOT / "plugins" / "w2s-bench-lichess",
    "further": ROOT / "plugins" / "w2s-bench-further",
    "chess-verifiers": ROOT / "plugins" / "w2s-bench-chess-verifiers",
    "cleanlab": ROOT / "plugins" / "w2s-bench-cleanlab",
    "qwen-coder": ROOT / "plugins" / "w2s-bench-qwen-coder",
    "tasks": ROOT / "tasks",
    "example": TESTS / "plugin_package",
    "toy": TESTS / "toy",
    "rogue": TESTS / "rogue",
}
HEAVY = {
    *("torch", "transformers", "datasets", "lm_eval", "scipy", "sklearn", "matplotlib", "pydantic", "yaml", "peft"),
    *("tokenizers", "safetensors", "rich", "typer", "fsspec", "psutil", "ray", "submitit", "huggingface_hub"),
}


def imports(code: str) -> Iterator[tuple[str, str | None]]:
    """Module and name of each import, wherever it stands; None where the module itself is imported."""
    for node in ast.walk(ast.parse(textwrap.dedent(code))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{'.' * node.level}{node.module or ''}", alias.name) for alias in node.names)


def outside(code: str) -> list[str]:
    """The imports of the harness that are not of public names."""
    odd = []
    for module, name in imports(code):
        if module.partition(".")[0] != "w2s_bench":
            continue
        if module not in PUBLIC or (name is not None and name not in (*PUBLIC[module].__all__, "testing")):
            odd.append(f"{module}: {name}")
    return odd


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_import_public_names_alone(plugin: str) -> None:
    files = sorted(PLUGINS[plugin].rglob("*.py"))
    uses = [path for path in files if any(m.startswith("w2s_bench") for m, _ in imports(path.read_text("utf-8")))]
    assert uses, "nothing was looked at"
    odd = {str(path.relative_to(ROOT)): outside(path.read_text(encoding="utf-8")) for path in files}
    assert {path: names for path, names in odd.items() if names} == {}


def test_the_documentation_imports_public_names_alone() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found = [name for block in blocks for name in imports(block) if name[0].startswith("w2s_bench")]
    assert len(found) >= 5
    assert [odd for block in blocks for odd in outside(block)] == []
    # In prose, too: what is told to be imported can be. (The contract's file is linked to, to be read.)
    for module, name in re.findall(r"\b(w2s_bench(?:\.testing)?)\.([A-Za-z_]\w*)", text):
        assert name == "testing" or name in PUBLIC[module].__all__, f"{module}.{name}"


def test_the_documentation_names_every_public_name() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert [name for module in PUBLIC.values() for name in module.__all__ if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_there_and_said_once(module: str) -> None:
    names = PUBLIC[module].__all__
    assert len(names) == len(set(names)) and set(names) <= set(dir(PUBLIC[module]))
    assert [name for name in names if getattr(PUBLIC[module], name, None) is None] == []
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        PUBLIC[module].Nothing  # noqa: B018


def test_what_the_contract_speaks_of_is_public() -> None:
    """Every type of ours that stands in the signatures of `hookspecs`, and what their author implements."""
    contract = Path(str(hookspecs.__file__)).read_text(encoding="utf-8")
    spoken = {name for module, name in imports(contract) if module == "w2s_bench.types"}
    classes = {node.name for node in ast.parse(contract).body if isinstance(node, ast.ClassDef)}
    assert {"Need", "Supervision"} <= spoken and {"TrustFunction", "Evidence"} <= classes
    assert spoken | classes | {"hookimpl"} <= set(w2s_bench.__all__)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_is_light_and_what_is_heavier_comes_when_asked_for() -> None:
    said = run(
        f"""
        import sys, w2s_bench
        heavy = lambda: sorted({HEAVY!r} & {{name.partition(".")[0] for name in sys.modules}})
        print(heavy(), sorted(name for name in sys.modules if name.startswith("w2s_bench.")))
        w2s_bench.TaskDomain, w2s_bench.LocalModel, w2s_bench.HubModel
        print(heavy())
        """
    )
    assert said.splitlines() == [
        "[] ['w2s_bench.contrasts', 'w2s_bench.errors', 'w2s_bench.hookspecs', 'w2s_bench.types']",
        "['yaml']",
    ]


@pytest.mark.slow
def test_a_type_checker_sees_every_public_name(tmp_path: Path) -> None:
    """Also those that are made when asked for: no name is `Any`, and classes of fixed attributes fit the contract."""
    code = [f"from {module} import {', '.join(names.__all__)}" for module, names in PUBLIC.items()]
    code += [f"reveal_type({name})" for name in ("TaskDomain", "HubModel", "LocalModel", "run", "Need", "check_domain")]
    code += [
        "class Mine:",
        "    supervision: Supervision = 'none'",
        "    needs: tuple[Need, ...] = (Need('teacher', 'choice_probs'),)",
        "    scope: Scope = 'row'",
        "    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None: ...",
        "    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray: return evidence.choice_probs().values",
        "mine: TrustFunction = Mine()",
        "model: LanguageModel = LocalModel('a/b', Path('x'))",
        "domain: Domain = TaskDomain('a', '1', 'choice', Path('x'), 'a')",
    ]
    written = tmp_path / "mine.py"
    written.write_text("from pathlib import Path\nfrom numpy.random import Generator\n" + "\n".join(code) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    seen = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert len(seen) == 6 and not [kind for kind in seen if kind == "Any" or kind.endswith("-> Any")], seen
