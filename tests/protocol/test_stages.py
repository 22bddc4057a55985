"""A stage's name says what it is: one function, one version. Where it runs, nobody looks into its parameters."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections import Counter

from support import ROOT
from w2s_bench import protocol
from w2s_bench.store.stage import StageFunction

HARNESS = ROOT / "harness" / "w2s_bench"


def test_one_stage_name_is_one_function_with_one_version() -> None:
    functions: set[tuple[str, int, str]] = set()
    for module in pkgutil.walk_packages(protocol.__path__, "w2s_bench.protocol."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, StageFunction):
                functions.add((value.name, value.version, value.path))
    names = Counter(name for name, _, _ in functions)
    assert names["train"] == names["train_head"] == 1, "the test finds nothing at all"
    assert [name for name, count in names.items() if count > 1] == []


def test_executors_read_no_parameters_of_a_stage() -> None:
    """They go by its fields; one place hands the parameters to the function that the stage runs."""
    read = [
        path.relative_to(HARNESS / "executors").as_posix()
        for path in (HARNESS / "executors").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "params"
    ]
    assert read == ["local/worker.py"]
