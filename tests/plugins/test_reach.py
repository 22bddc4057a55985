"""Source digests: a trust function is known by its own module and what that imports, and by nothing beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from itertools import count
from pathlib import Path
from textwrap import dedent

import pytest

from w2s_bench.hookspecs import ENTRY_POINT_GROUP
from w2s_bench.plugins.registry import Registry

_number = count()
INIT = """
    \"\"\"A family.\"\"\"
    from __future__ import annotations
    from typing import TYPE_CHECKING
    from w2s_bench import hookimpl
    from PKG.family import FUNCTIONS, other
    if TYPE_CHECKING:
        from collections.abc import Mapping
    __version__ = "1"
    TABLES: tuple[Mapping, ...] = (FUNCTIONS,)

    @hookimpl
    def w2s_trust_functions():
        return {name: factory for table in TABLES for name, factory in table.items()}
"""
FAMILY = (
    "from PKG.family.one import One\nfrom PKG.family import other\nFUNCTIONS = {'one': One, 'other': other.Other}\n"
)
FUNCTION = """
    import numpy as np
    HEAD
    class NAME:
        supervision, needs, scope = "none", (), "row"
        def score(self, evidence, *, rng):
            BODY
            return np.zeros(len(evidence))
"""


class Tree:
    """A package on the path, whose files a test changes."""

    def __init__(self, folder: Path) -> None:
        self.name, self.folder = f"reached_package_{next(_number)}", folder
        self.write("__init__", INIT)
        self.write("family/__init__", FAMILY)
        self.function("family/one", "One")
        self.function("family/other", "Other")
        self.write("helper", "x = 1\n")
        self.write("family/near", "x = 1\n")

    def write(self, module: str, text: str) -> None:
        path = self.folder / self.name / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).replace("PKG", self.name))

    def function(self, module: str, name: str, head: str = "", body: str = "pass") -> None:
        self.write(module, dedent(FUNCTION).replace("HEAD", head).replace("NAME", name).replace("BODY", body))

    def digest(self, name: str = "one") -> str:
        """As a new process sees it."""
        for module in [module for module in sys.modules if module.split(".")[0] == self.name]:
            del sys.modules[module]
        registry = Registry.load(entry_points=[self.entry_point()])
        return registry.source_digest(registry.resolve("trust_function", name))

    def entry_point(self) -> EntryPoint:
        info = self.folder / f"{self.name}-1.0.dist-info"
        if not info.exists():
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {self.name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\nmain = {self.name}\n")
        (found,) = [e for d in distributions(path=[str(self.folder)]) for e in d.entry_points]
        return found


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a file is changed within one tick of the clock
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("W2S_BENCH_PLUGIN_CACHE", "")
    return Tree(tmp_path)


def changes(tree: Tree, change: Callable[[], object], name: str = "one") -> bool:
    before = tree.digest(name)
    change()
    return tree.digest(name) != before


@pytest.mark.slow
def test_a_sibling_that_is_added_or_edited_changes_no_other(tree: Tree) -> None:
    def add() -> None:
        tree.function("family/third", "Third")
        tree.write("family/__init__", FAMILY + "X = 1\n")

    assert not changes(tree, add)
    assert not changes(tree, lambda: tree.function("family/other", "Other", "y = 2"))
    assert not changes(tree, lambda: tree.write("helper", "x = 2\n"))
    line = FAMILY.replace("FUNCTIONS = {", "from PKG.family import third\nFUNCTIONS = {'third': third.Third, ")
    assert not changes(tree, lambda: tree.write("family/__init__", line))
    assert tree.digest("third") != tree.digest("one")


def test_its_own_module_changes_it(tree: Tree) -> None:
    assert changes(tree, lambda: tree.function("family/one", "One", "y = 2"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("import PKG.helper", "pass"),
        ("import PKG.helper as h", "pass"),
        ("from PKG import helper", "pass"),
        ("from PKG.helper import x", "pass"),
        ("from PKG.helper import *", "pass"),
        ("from .. import helper", "pass"),
        ("from ..helper import x as z", "pass"),
        ("", "from PKG.helper import x"),
        ("", "from ..helper import x"),
        ("try:\n    from ..helper import x\nexcept ImportError:\n    x = 0", "pass"),
    ],
)
def test_a_helper_changes_it_however_it_is_imported(tree: Tree, head: str, body: str) -> None:
    tree.function("family/one", "One", head, body)
    assert changes(tree, lambda: tree.write("helper", "x = 2\n"))
    assert not changes(tree, lambda: tree.write("family/near", "x = 2\n"))


def test_a_helper_of_a_helper_changes_it(tree: Tree) -> None:
    tree.function("family/one", "One", body="from . import near")
    tree.write("family/near", "def late():\n    from PKG import helper\n")
    assert changes(tree, lambda: tree.write("helper", "x = 2\n"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "head",
    [
        "from importlib import import_module",
        "import importlib",
        "import sys\nfor module in sys.modules: ...",
        "y = eval('1')",
        "exec('y = 1')",
        "y = __import__('math')",
        "import pickle",
        "from ..helper import nothing_such as _\nimport pkgutil",
        "from ..no_such_module import y",
        "def broken(:",
    ],
)
def test_where_imports_cannot_be_followed_the_whole_package_counts(tree: Tree, head: str) -> None:
    tree.write("helper", "nothing_such = 1\n")
    tree.write("family/near", "x = 1\n")
    tree.function("family/one", "One")
    tree.function("family/lazy", "Lazy", head)
    tree.function("family/one", "One", body="from . import lazy")
    assert changes(tree, lambda: tree.write("family/near", "x = 2\n"))


def test_what_loads_no_code_is_no_reason_for_the_whole_package(tree: Tree) -> None:
    head = "import importlib.resources\nfrom importlib import metadata\nimport sys\ny = sys.version"
    tree.function("family/one", "One", head, "evidence.eval(); evidence.modules()")
    assert not changes(tree, lambda: tree.write("helper", "x = 2\n"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "does",
    [
        "import numpy\nnumpy.made_up = 1",
        "from PKG.family.one import One\nOne.scope = 'pool'",
        "from PKG.helper import x\nprint(x)",
        "def decorate(f):\n    return f\n@decorate\ndef g(): ...",
        "for x in (1, 2): ...",
    ],
)
def test_an_init_above_that_does_something_counts_with_what_it_imports(tree: Tree, does: str) -> None:
    tree.write("family/__init__", f"{FAMILY}\n{does}\n")
    assert changes(tree, lambda: tree.write("family/__init__", f"{FAMILY}\n{does}\n# changed\n"))
    assert changes(tree, lambda: tree.function("family/other", "Other", "y = 2")), "it imports it"


def test_a_hook_that_does_something_counts(tree: Tree) -> None:
    tree.write("__init__", INIT.replace("return {", "FUNCTIONS['one'].scope = 'row'\n        return {"))
    assert changes(tree, lambda: tree.function("family/other", "Other", "y = 2"))


def test_a_name_taken_from_an_init_counts_it_with_what_it_imports(tree: Tree) -> None:
    tree.function("family/one", "One", body="from PKG.family import FUNCTIONS")
    assert changes(tree, lambda: tree.function("family/other", "Other", "y = 2"))


def test_a_package_that_is_bound_whole_counts_with_what_it_imports(tree: Tree) -> None:
    tree.write("outer/__init__", "from PKG.outer import inner\n")
    tree.write("outer/inner", "x = 1\n")
    tree.function("family/one", "One", "from PKG import outer", "y = outer.inner.x")
    assert changes(tree, lambda: tree.write("outer/inner", "x = 2\n"))


@pytest.mark.parametrize("given", ["partial(One)", "lambda: One()", "made(One)"])
def test_of_a_factory_made_where_it_is_given_the_whole_package_counts(tree: Tree, given: str) -> None:
    making = "from functools import partial\ndef made(c):\n    def build(): return c()\n    return build\n"
    tree.write("family/__init__", making + FAMILY.replace("One,", f"{given},"))
    assert changes(tree, lambda: tree.write("family/near", "x = 2\n"))


def test_the_name_stands_for_another_class_of_one_module(tree: Tree) -> None:
    tree.function("family/one", "One", "class Two: ...\nOne = Two")
    tree.function("family/one", "Two", "class One:\n    supervision, needs, scope = 'none', (), 'row'")
    assert changes(tree, lambda: tree.write("family/__init__", FAMILY.replace("import One", "import Two as One")))


def test_it_is_the_same_where_the_plugin_is_imported_and_where_it_is_not(tree: Tree) -> None:
    there, here = tree.digest(), Registry.load(entry_points=[tree.entry_point()], only=tree.name.replace("_", "-"))
    assert here.source_digest(here.resolve("trust_function", "one")) == there
    assert f"{tree.name}.family.one" in sys.modules


def test_a_module_beside_it_belongs_to_an_editable_distribution(tree: Tree) -> None:
    beside = tree.folder / f"{tree.name}_beside.py"
    beside.write_text("x = 1\n")
    tree.function("family/one", "One", body=f"from {beside.stem} import x")
    assert changes(tree, lambda: beside.write_text("x = 2\n"))


def test_of_a_recorded_distribution_the_record_says_what_belongs_to_it(tree: Tree) -> None:
    mine, foreign = (tree.folder / f"{tree.name}_{name}.py" for name in ("mine", "foreign"))
    for path in (mine, foreign):
        path.write_text("x = 1\n")
    tree.entry_point()
    record = [f"{tree.name}/__init__.py", mine.name]
    (tree.folder / f"{tree.name}-1.0.dist-info" / "RECORD").write_text("".join(f"{name},,\n" for name in record))
    tree.function("family/one", "One", f"import {mine.stem}\nimport {foreign.stem}")
    assert not changes(tree, lambda: foreign.write_text("x = 2\n"))
    assert changes(tree, lambda: mine.write_text("x = 2\n"))


def test_built_in_functions_do_not_hang_on_each_other() -> None:
    from w2s_bench.plugins.reach import reached
    from w2s_bench.plugins.source import Moment, sources_of

    package = "w2s_bench_baselines"
    asked: list[str] = []
    now = Moment()
    sources = sources_of([package], "w2s-bench", now)
    found = reached(f"{package}.learned.student_probe", package, sources, asked.append, now)
    names = [name for source in found for name, _ in source.files]
    assert "learned/student_probe.py" in names and "learned/probe.py" in names
    assert not [name for name in names if name.startswith("confidence") or name.endswith("__init__.py")]
    assert "w2s_bench" in asked, "the harness is no part of it"
