"""Suite files of strangers: read in bounded time and memory, one clear message, nothing opened that is no regular file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT
from test_suite import SUITE, changed, put, refused
from w2s_bench.errors import ModelError, SuiteError, UnknownNameError
from w2s_bench.plugins.registry import Registry
from w2s_bench.suite import Suite
from w2s_bench.suite_files import LARGEST, load_suite, read_results_suite
from w2s_bench.suites.page import page
from w2s_bench.untrusted import UnreadableError, parse_json, parse_yaml, read_text

PAGE = ROOT / "docs" / "suites.md"


def repeated(line: str, first: str, levels: int = 12) -> str:
    """A mapping in which each key repeats the one before ten times, by aliases."""
    rest = (f"l{i}: &l{i} {line.replace('*', ', '.join([f'*l{i - 1}'] * 10))}" for i in range(1, levels))
    return "\n".join([f"l0: &l0 {first}", *rest])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2024-02-30", "line 1, column 10: '2024-02-30' is no timestamp; text goes in quotes"),
        ("a: !!bool 'abc'", "'abc' is no bool"),
        ("a: !!int 'abc'", "'abc' is no int"),
        ("a: !!float 'abc'", "'abc' is no float"),
        ("a: !!timestamp 'abc'", "'abc' is no timestamp"),
        ("a: " + "9" * 6000, "is no int"),
        ("a: 0x" + "f" * 600, "it holds an integer of 2400 bits"),
        ("a: 1" + ":0" * 60_000, "is no int; text goes in quotes"),
        ("a: [" + "b," * 30_000 + "]", "more than 20000 values"),
        ("a: " + "[" * 5000, "nested deeper than 32 levels"),
        ("\n".join("  " * i + "a:" for i in range(300)), "nested deeper than 32 levels"),
        ("a: '\x1b[2J'", "unacceptable character #x001b"),
        ('a: "\\ud800"', "half of a character"),
        ("a: b\na: c", "line 2, column 1: found key 'a' twice"),
        (repeated("[*]", "[x, y]"), "more than 100000 values, aliases written out"),
        (repeated("{<<: [*]}", "{x: y}"), "more than 100000 values, aliases written out"),
        ("a: &a [*a]", "an alias stands within what it names"),
        ("a" * (LARGEST + 1), "larger than 128 KiB"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    message = refused(tmp_path, text)
    assert "cannot read suite file" in message and said in message
    assert "\n" not in message and len(message) < 700


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("version", value="\x1b]0;pwn\x07\x1b[2J1"), "version: must be one line without control characters"),
        (put("version", value="1\u202e2"), r"must be one line without control characters (got '1\u202e2')"),
        (put("domains", 0, "teacher", "model", value="a\nb"), "teacher.model: must be one line"),
        (put("domains", 0, "name", value="x" * 401), "domains.0.name: String should have at most 400 characters"),
        (put("seeds", value=3_000_000), "seeds: Input should be less than or equal to 1000 (got 3000000)"),
        (put("domains", 0, "sizes", "test", value=10**10), "sizes.test: Input should be less than or equal to"),
        (put("domains", 0, "sizes", "test", value=1), "sizes.test: Input should be greater than or equal to 2"),
        (put("domains", 0, "parameters", value={"x": "y" * 70_000}), "parameters of 68 KiB as JSON; at most 64 KiB"),
        (put("domains", 0, "parameters", value={"x": float("inf")}), "parameters must be JSON values"),
        (lambda c: c.update({f"key{i}": 1 for i in range(50)}), "and 30 more"),
    ],
)  # fmt: skip
def test_values_are_bounded_and_plain(tmp_path: Path, change: Any, said: str) -> None:
    message = refused(tmp_path, changed(change))
    assert said in message and len(message) < 6000
    assert "\x1b" not in message


def test_a_fault_of_a_domain_is_told_once(tmp_path: Path) -> None:
    message = refused(tmp_path, changed(put("domains", 0, "teacher", "steps", value=-1)))
    assert message.count("\n") == 1 and "domains.0.teacher.steps" in message


def test_aliases_that_repeat_little_are_taken(tmp_path: Path) -> None:
    again = {**SUITE["domains"][0], "name": "acme/math"}
    again["student"] = again["teacher"]
    text = yaml.dump({**SUITE, "domains": [*SUITE["domains"], again]})
    assert "*id" in text
    (tmp_path / "suite.yaml").write_text(text)
    assert len(load_suite(tmp_path / "suite.yaml").domains) == 2


def test_dev_may_be_empty_unless_it_is_evaluated_on(tmp_path: Path) -> None:
    content = changed(put("domains", 0, "sizes", "dev", value=0))
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(content))
    assert load_suite(path).domains[0].sizes.dev == 0
    said = refused(tmp_path, {**content, "evaluate_on": "dev"})
    assert "evaluate_on dev: domain 'w2s-bench/math' needs at least 2 such items" in said


def test_pipes_devices_and_folders_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere.yaml").symlink_to(tmp_path / "gone")
    for name, said in (
        ("pipe.yaml", "it is a named pipe, where a regular file belongs"),
        ("endless.yaml", "it is a device, where a regular file belongs"),
        ("folder", "is a folder; give the path of a suite file"),
        ("nowhere.yaml", "No such file or directory"),
    ):
        with pytest.raises(SuiteError, match=said):
            load_suite(tmp_path / name)


def test_a_link_is_followed_where_the_user_gave_it_and_refused_in_a_results_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SUITE))
    (tmp_path / "suite.yaml").symlink_to(tmp_path / "mine.yaml")
    assert load_suite(tmp_path / "suite.yaml").name == "mine"
    with pytest.raises(SuiteError, match="it is a link"):
        read_results_suite(tmp_path)
    with pytest.raises(UnreadableError, match="it is a link"):
        read_text(tmp_path / "suite.yaml", 100, follow=False)


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_suite_may_come_from_the_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    content = changed(put("domains", 0, "teacher", "model", value="./models/x"))
    (tmp_path / "given").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    saved = os.dup(0)
    try:
        with (tmp_path / "given").open("rb") as given:
            os.dup2(given.fileno(), 0)
            suite = load_suite(name)
    finally:
        os.dup2(saved, 0)
        os.close(saved)
    assert suite.domains[0].teacher.model == f"{tmp_path}/models/x"


def test_a_suite_may_come_from_a_shells_pipe() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as out:
        out.write(yaml.safe_dump(SUITE))
    try:
        assert load_suite(f"/dev/fd/{read}").name == "mine"
    finally:
        os.close(read)
    with pytest.raises(SuiteError, match=r"cannot read /dev/fd/\d+"):
        load_suite(f"/dev/fd/{read}")


def test_a_stream_that_has_nothing_yet_is_no_suite() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    try:
        with pytest.raises(SuiteError, match="holds NoneType, expected a mapping"):
            load_suite(f"/dev/fd/{read}")
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("local/models/x", "local/{folder}/models/x"),
        ("./models/x", "{folder}/models/x"),
        ("../x", "{parent}/x"),
        ("local/../x", "local/{parent}/x"),
        ("/somewhere/x", "/somewhere/x"),
        ("local//somewhere/x", "local//somewhere/x"),
        ("~/x", "~/x"),
        ("local/~/x", "local/~/x"),
        ("tiny/math-s", "tiny/math-s"),
        ("acme/model", "acme/model"),
        ("hf/o/n@" + "a" * 40, "hf/o/n@" + "a" * 40),
    ],
)  # fmt: skip
def test_folders_of_models_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "mine.yaml").write_text(yaml.safe_dump(changed(put("domains", 0, "teacher", "model", value=written))))
    meant = meant.format(folder=folder, parent=tmp_path)
    for place, name in ((folder, "mine.yaml"), (tmp_path, "suites/mine.yaml"), (Path("/"), folder / "mine.yaml")):
        monkeypatch.chdir(place)
        suite = load_suite(name)
        assert suite.domains[0].teacher.model == meant
    # The copy in a results folder has the names that were run, wherever it lies.
    results = tmp_path / "elsewhere"
    results.mkdir()
    (results / "suite.yaml").write_text(suite.to_yaml())
    assert read_results_suite(results).digest == suite.digest == load_suite(results / "suite.yaml").digest


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("local/models/x", "local/../mine/models/x"),
        ("./x", "../mine/x"),
        ("../suites/x", "./x"),
        ("local/../suites/x", "local/x"),
        ("local//abs/x", "local//abs/x"),
        ("tiny/math-s", "tiny/math-s"),
        ("adapter/a+local/b", "adapter/../mine/a+local/../mine/b"),
    ],
)
def test_a_file_that_is_written_names_folders_from_where_it_lies(tmp_path: Path, given: str, written: str) -> None:
    suite = Suite.model_validate(changed(put("domains", 0, "teacher", "model", value=given)))
    (tmp_path / "suites").mkdir()
    made = suite.with_folders_from(tmp_path / "mine", tmp_path / "suites")
    assert made.domains[0].teacher.model == written
    (tmp_path / "suites" / "mine.yaml").write_text(made.to_yaml())
    meant = suite.with_folders_of(tmp_path / "mine").domains[0].teacher.model
    assert load_suite(tmp_path / "suites" / "mine.yaml").domains[0].teacher.model == meant


def test_a_missing_folder_of_a_model_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry.load(restrict=())
    for name in (f"local/{tmp_path}/x", f"{tmp_path}/x", "./x", "~/no/such/x"):
        with pytest.raises(ModelError, match=r"there is no folder '.*x'; give one with config.json"):
            registry.model(name)
    for name in ("local/~nosuchuser/x", "~nosuchuser/x"):
        with pytest.raises(ModelError, match="~nosuchuser is the home of no user here"):
            registry.model(name)
    # A name is never a folder that happens to lie here: it could be a plugin's.
    (tmp_path / "acme" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="unknown model 'acme/model'"):
        registry.model("acme/model")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 90_000, "nested deeper"),
        ("[" * 200_000, "more than 100000 values"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested deeper"),
        ('{"a": 1e9990}', "the number inf"),
        ('{"a": ' + "9" * 400 + "}", "an integer of 1329 bits"),
        ('{"a": ' + "9" * 5000 + "}", "a number of thousands of digits"),
        ('{"\\ud800": 1}', "half of a character"),
        ('{"a": -Infinity}', "-Infinity is no JSON"),
        ("{", "line 1 column 2"),
    ],
)
def test_json_is_bounded_too(text: str, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        parse_json(text)
    assert parse_json('{"a": [1.5, "ü", null, true]}') == {"a": [1.5, "ü", None, True]}
    assert parse_yaml("") is None


def test_the_page_is_what_the_models_say() -> None:
    """After a change on purpose: python -m w2s_bench.suites.page > docs/suites.md."""
    assert PAGE.read_text(encoding="utf-8") == page()
