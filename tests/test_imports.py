"""No two modules need each other, not even by an import inside a function, where Python itself would let it pass."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import w2s_bench
import w2s_bench_baselines
import w2s_bench_tasks


def sources() -> dict[str, str]:
    """Every module of the harness and of what comes with it → its text."""
    found = {}
    for package in (w2s_bench, w2s_bench_tasks, w2s_bench_baselines):
        for folder in map(Path, package.__path__):
            for path in folder.rglob("*.py"):
                parts = path.relative_to(folder.parent).with_suffix("").parts
                found[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name in it or nothing) of every import below; `TYPE_CHECKING` never holds while a program runs."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for below in node.orelse:
            yield from imported(below)
        return
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.module and not node.level, f"line {node.lineno}: write where a relative import leads to"
        yield from ((node.module, alias.name) for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


def circle(texts: Mapping[str, str]) -> list[str]:
    """Modules of which each imports the next, the last the first; nothing where there is no such circle."""
    needs = {}
    for module, text in texts.items():
        pairs = imported(ast.parse(text))
        wanted = {inner if (inner := f"{outer}.{name}") in texts else outer for outer, name in pairs}
        needs[module] = (wanted & texts.keys()) - {module}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_of_imports() -> None:
    texts = sources()
    assert {"w2s_bench", "w2s_bench.store.local", "w2s_bench_tasks", "w2s_bench_baselines"} <= texts.keys()
    assert circle(texts) == []


def test_a_circle_is_seen_wherever_it_hides() -> None:
    inside = {"p.a": "def f():\n    from p import b", "p.b": "import p.a"}
    assert sorted(set(circle(inside))) == ["p.a", "p.b"]
    assert circle({"p": "from p.a import X", "p.a": "from p.b import Y", "p.b": "from p import X"})
    assert not circle({"p": "from p.a import X", "p.a": "from p import b", "p.b": ""})
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.b import B"
    assert not circle({"p.a": types, "p.b": "from p.a import A"})
    assert circle({"p.a": f"{types}\nelse:\n    import p.b", "p.b": "from p.a import A"})
