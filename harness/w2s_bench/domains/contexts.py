"""Whether a task asks with several contexts an item, told by the text of its code: nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path


def returns_a_number(path: Path, name: str) -> bool:
    """Whether a function of a Python file surely returns a whole number; False where its text does not show it.

    To lm-eval a `doc_to_text` that gives a number says which of the options, which then stand before the answer, is right.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False  # it is told where the task is loaded
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)
    if function is None:
        return False
    values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    assigned = {
        target.id: node.value
        for body in (tree, function)
        for node in body.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return bool(values) and all(value is not None and _is_number(value, assigned) for value in values)


def _is_number(value: ast.expr, assigned: Mapping[str, ast.expr]) -> bool:
    if isinstance(value, ast.Call):
        called = value.func
        return (isinstance(called, ast.Name) and called.id == "int") or (
            isinstance(called, ast.Attribute) and called.attr == "index"
        )
    if isinstance(value, ast.Subscript):  # {"1": 0, "2": 1}[doc["answer"]], by its name or in place
        table = assigned.get(value.value.id) if isinstance(value.value, ast.Name) else value.value
        return isinstance(table, ast.Dict) and bool(table.values) and all(_is_whole(entry) for entry in table.values)
    return _is_whole(value)


def _is_whole(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and type(value.value) is int
