"""What README and docs show is so: their Python runs, their commands and options exist, their links lead somewhere."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from typer.main import get_command

import w2s_bench
from support import ROOT, TESTS, toy_model
from w2s_bench import __version__, hookspecs
from w2s_bench._cli.app import app
from w2s_bench.plugins.new import write_new
from w2s_bench.testing import check_domain, check_model, check_reading, check_trust_function

PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in sorted((*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def blocks(name: str, *kinds: str) -> list[str]:
    """The fenced blocks of a page that are of these kinds; "" is one without a kind."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", TEXTS[name], re.DOTALL | re.MULTILINE)
    return [code for kind, code in found if kind in kinds]


def lines() -> Iterator[str]:
    """Every command of a block, and every span of code in the text that may be a whole one."""
    for name, text in TEXTS.items():
        for block in blocks(name, "", "sh", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                yield from (part.strip() for part in line.removeprefix("$ ").split("&&"))
        yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def commands(program: str) -> list[Any]:
    """The commands that begin as `program` does, as words without comments."""
    return [
        pytest.param(words, id=" ".join(words)[:90])
        for line in dict.fromkeys(lines())
        if line.startswith(program + " ") and (words := shlex.split(line, comments=True))
    ]


# Python.

#: The first line of a block that is a file of what `w2s-bench new` wrote.
FILE = re.compile(r"# (my-\w+)/(\S+\.py)\n")


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder with what blocks expect beside them: a domain's YAML, what `new domain my-quiz` writes, a model."""
    shutil.copytree(TESTS / "plugin_package" / "w2s_bench_example" / "longest", tmp_path / "longest")
    written = write_new("domain", "my-quiz", tmp_path)
    (written.folder / "my_quiz" / "data").rename(tmp_path / "data")
    toy_model(tmp_path / "my-model")
    return tmp_path


@pytest.mark.parametrize("name", [name for name in TEXTS if blocks(name, "python")])
def test_python_blocks_run_and_what_they_register_keeps_the_contract(
    name: str, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the page, each as a module that the later ones may import. An indented block is a part of a class."""
    for number, block in enumerate(blocks(name, "python")):
        tree = ast.parse(textwrap.dedent(block))
        if block[0].isspace() or FILE.match(block):
            continue
        classes = [re.sub(r"(?<!^)([A-Z])", r"_\1", n.name).lower() for n in tree.body if isinstance(n, ast.ClassDef)]
        named = re.match(r"# (\w+)\.py\n", block)
        module = ModuleType(named[1] if named else f"{classes[0]}_trust" if classes else f"block_{number}")
        module.__file__ = str(beside / f"{module.__name__}.py")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(tree, f"{name}, block {number}", "exec"), vars(module))
        registered = {name: hook() for name, hook in vars(module).items() if name in HOOKS}
        tests = "pytest" in block or "\nassert " in block
        assert registered or tests, (
            "a block registers something, or tests what one before it registers, or what it does itself"
        )
        for hook, factories in registered.items():
            for factory in factories.values():
                CHECKS.get(hook, lambda made: made())(factory)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TEXTS if any(map(FILE.match, blocks(name, "python")))])
def test_a_tutorials_files_pass_in_what_new_writes(name: str, tmp_path: Path) -> None:
    """Each in place of a file that is there, as a reader puts them."""
    ((what, distribution),) = re.findall(r"^w2s-bench new (\S+) (my-\S+)$", TEXTS[name], re.MULTILINE)
    folder = write_new(what, distribution, tmp_path).folder
    for block in blocks(name, "python"):
        if (file := FILE.match(block)) is not None:
            assert file[1] == distribution and (folder / file[2]).is_file()
            (folder / file[2]).write_text(block.removeprefix(file[0]), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    for checked in (["pytest", "-q", "-p", "no:cacheprovider"], ["ruff", "check", "."]):
        done = subprocess.run(
            [sys.executable, "-m", *checked], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


HOOKS = {name for name in vars(hookspecs) if name.startswith("w2s_")}
CHECKS: dict[str, Any] = {
    # Those that know `choice` domains alone say so themselves.
    "w2s_trust_functions": lambda factory: check_trust_function(
        factory, getattr(factory, "kinds", ("choice", "generate"))
    ),
    "w2s_domains": lambda factory: check_domain(factory()),
    "w2s_models": lambda factory: check_model(factory()),
    "w2s_readings": lambda factory: check_reading(factory()),
}


def test_the_readmes_plugin_is_run_by_the_readmes_command(tmp_path: Path) -> None:
    """Its two files, installed, under the command that it gives for it: planned with nothing computed."""
    (module,), (project,) = blocks("README.md", "python"), blocks("README.md", "toml")
    ((distribution, target),) = tomllib.loads(project)["project"]["entry-points"]["w2s_bench"].items()
    assert module.startswith(f"# {target}.py\n")
    (tmp_path / f"{target}.py").write_text(module)
    info = tmp_path / f"{distribution.replace('-', '_')}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[w2s_bench]\n{distribution} = {target}\n")
    (command,) = re.findall(r"`w2s-bench (run [^`]*--trust[^`]*)`", TEXTS["README.md"])
    apart = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "w2s_bench", *shlex.split(command), "--dry-run", "--json", *apart],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"knowledge/{distribution}.margin" in json.loads(done.stdout)["cells"]


# Commands.


@pytest.mark.parametrize("words", commands("w2s-bench"))
def test_a_command_and_its_options_exist(words: list[str]) -> None:
    """Parsed as the program parses them, and not run."""
    command: Any = get_command(app)
    rest = words[1:]
    while hasattr(command, "commands"):
        _, rest, _ = command.make_parser(command.context_class(command)).parse_args(rest)
        if not rest:
            return
        command, rest = command.commands[rest[0]], rest[1:]
    _, rest, _ = command.make_parser(command.context_class(command)).parse_args(rest)
    assert not [word for word in rest if word != "…"], "words that the command does not take"


@pytest.mark.parametrize("words", commands("make"))
def test_a_task_of_make_exists(words: list[str]) -> None:
    tasks = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(words[1:]) <= set(tasks)


@pytest.mark.parametrize("words", commands("python tests/bench"))
def test_a_part_of_the_benchmarks_exists(words: list[str]) -> None:
    source = (TESTS / "bench" / "__main__.py").read_text()
    assert all(f'"{word}"' in source for word in words if word.startswith("--"))
    parts = itertools.takewhile(lambda word: not word.startswith("--"), words[2:])
    assert all((TESTS / "bench" / f"{part}.py").is_file() for part in parts)


def test_the_extras_that_are_named_exist() -> None:
    named = set(re.findall(r"(?:w2s-bench|\.)\[(\w+)\]", "".join(TEXTS.values())))
    assert named and named <= set(PROJECT["project"]["optional-dependencies"])


# The rest of the pages.


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", TEXTS[name]):
        path = (PAGES[name].parent / target if target else PAGES[name]).resolve()
        assert path.exists(), f"{name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            known = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in known, f"{name} links to {target}#{anchor}"


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "pictures").glob("*.svg")), ids=lambda path: path.name)
def test_a_picture_is_whole_and_asks_nobody_for_anything(picture: Path) -> None:
    """Drawn by itself: no script, nothing fetched; small enough for the first page of a repository."""
    text = picture.read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    assert picture.stat().st_size < 150_000
    assert "<script" not in text and "@import" not in text and "@font-face" not in text
    assert not re.findall(r"(?:href|src)=[\"'](?!#)|url\((?!#)", text)


def test_a_recording_stands_at_its_last_frame_where_no_animation_runs() -> None:
    """Converters know no animation, and a page may be printed in its first moment: neither shows an empty terminal."""
    text = (ROOT / "docs" / "pictures" / "run.svg").read_text(encoding="utf-8")
    (film,) = (
        g for g in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "film"
    )
    last = film[-1].get("transform", "").partition(",")[2].rstrip(")")
    assert float(last) > 0 and film.get("transform") == f"translate(0,-{last})"
    length, delay = map(float, re.findall(r"animation:film ([\d.]+)s steps\(1,end\) -([\d.]+)s infinite", text)[0])
    steps = re.findall(r"([\d.]+)%\{transform:translateY\((-?\d+)px\)\}", text)
    assert steps[-1][1] == f"-{last}" and float(steps[-1][0]) / 100 * length < delay < length
    assert "prefers-reduced-motion:reduce){.film{animation:none}}" in text


def test_the_readme_can_be_read() -> None:
    assert len(TEXTS["README.md"].splitlines()) < 200


def test_the_sites_navigation_names_pages_that_are_there() -> None:
    """Each once; two are made of the code while the site is built, and what it does not name stands at its end."""
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = re.findall(r"[\w-]+\.md", json.dumps(site["nav"]))
    assert len(named) == len(set(named))
    assert set(named) - {Path(name).name for name in TEXTS if name.startswith("docs/")} == {"cli.md", "api.md"}


def test_a_release_needs_no_password_and_publishes_what_was_tested() -> None:
    """The job that may publish gets what the other job built and attested, and holds no token of its own."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    build, publish = yaml.safe_load(text)["jobs"].values()
    steps = [step.get("run", step.get("uses", "")) for step in build["steps"]]
    order = [
        next(i for i, step in enumerate(steps) if word in step)
        for word in ("python -m build", "test_wheel", "attest", "upload")
    ]
    assert order == sorted(order)
    assert publish["needs"] == "build" and publish["permissions"] == {"id-token": "write"}
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert "secrets." not in text and "password" not in text.replace("without a stored password", "")
    assert "W2S_BENCH_WHEEL" in (TESTS / "test_wheel.py").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="comes with the extra `docs`")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "site" / "cli" / "index.html").read_text(encoding="utf-8")
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    assert all(f"w2s-bench {verb}" in told for verb in verbs)
    names = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert all(f'id="w2s_bench.{name}"' in names for name in w2s_bench.__all__)


def test_the_tree_names_what_is_there_and_every_room() -> None:
    (tree,) = [block for block in blocks("README.md", "") if block.startswith("harness/")]
    named: set[Path] = set()
    above: list[tuple[int, Path]] = []
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        above = [(depth, path) for depth, path in above if depth < indent]
        folder = above[-1][1] if above else ROOT
        words, _, _ = line.strip().partition("  ")
        paths = [folder / word for word in words.split()]
        assert all(path.exists() for path in paths), line
        named |= set(paths)
        above.append((indent, paths[-1]))
    harness = ROOT / "harness" / "w2s_bench"
    assert {path.parent for path in harness.glob("*/__init__.py")} <= named


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__ == PROJECT["project"]["version"]
    assert (citation["title"], citation["license"]) == (PROJECT["project"]["name"], PROJECT["project"]["license"])
    assert {"cff-version", "message", "authors"} <= citation.keys()
