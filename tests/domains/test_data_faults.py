"""Data that cannot be read, however a task comes by them: which file, what is wrong with it, what to do."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from support import run_stage
from w2s_bench._cli.app import app
from w2s_bench.domains import file_faults
from w2s_bench.domains.named_files import refuse_absent
from w2s_bench.domains.task import TaskDomain
from w2s_bench.errors import PluginError
from w2s_bench.names import DATA_VARIABLE, INCLUDE_VARIABLE
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import items as rendered
from w2s_bench.protocol.files import ANSWERS
from w2s_bench.record import read_records
from w2s_bench.types import Answer

YAML = """task: mine
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{question}}"
doc_to_choice: "{{options}}"
doc_to_target: TARGET
"""
KEYS = ("A", "B", "C", "D")
Rows = list[dict[str, Any]]


def rows(count: int = 12) -> Rows:
    return [
        {**dict.fromkeys(("id", "group", "key"), str(n)), "stratum": "s", "question": f"q{n}", "gold": n % 4}
        | {"options": ["red", "blue", "green", "grey"], "keys": list(KEYS), "letter": KEYS[n % 4]}
        for n in range(count)
    ]


def lines(of: Rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in of)


def without(field: str, of: Rows) -> Rows:
    return [{name: value for name, value in row.items() if name != field} for row in of]


@pytest.fixture(autouse=True)
def cached_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    for name in ("HF_DATASETS_CACHE", "DOWNLOADED_DATASETS_PATH"):
        monkeypatch.setattr(datasets.config, name, tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the data of both splits lie, sound."""
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(lines(rows()), encoding="utf-8")
    return tmp_path


@pytest.fixture(params=["its YAML's files", "a plugin's domain", "--data"])
def loads(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes the domain of files `train` and `test` in the folder, which name themselves in one of three ways."""

    def load(test: str = "test.jsonl", train: str = "train.jsonl", target: str = "gold") -> Any:
        yaml = folder / "yaml" / "mine.yaml"
        yaml.parent.mkdir(exist_ok=True)
        form = "parquet" if test.endswith(".parquet") else "csv" if test.endswith(".csv") else "json"
        names = f"dataset_path: {form}\ndataset_kwargs: {{data_files: {{train: ../{train}, test: '../{test}'}}}}\n"
        source = "dataset_path: some/thing\n" if request.param == "--data" else names
        yaml.write_text(source + YAML.replace("TARGET", target), encoding="utf-8")
        if request.param == "a plugin's domain":
            return TaskDomain("mine", "1", "choice", yaml, "mine")
        monkeypatch.setenv(INCLUDE_VARIABLE, str(yaml.parent))
        if request.param == "--data":
            monkeypatch.setenv(DATA_VARIABLE, str(folder))
            return Registry.load(()).domain("lm-eval/mine", data={"train": train, "test": test})
        monkeypatch.delenv(DATA_VARIABLE, raising=False)
        return Registry.load(()).domain("lm-eval/mine")

    return load


def fault(load: Callable[[], Any]) -> str:
    with pytest.raises(PluginError) as raised:
        list(load().task().eval_docs)
    said = str(raised.value)
    assert "\n" not in said and "mine'" in said
    assert "Error:" not in said and "()" not in said and "StopIteration" not in said, "a library's words alone"
    return said


def test_sound_files_are_loaded(loads: Callable[..., Any]) -> None:
    assert len(list(loads().task().eval_docs)) in (12, 24)


@pytest.mark.parametrize("pattern", ["te*t.jsonl", "more/te?t.jsonl"])
def test_a_pattern_that_no_file_fits_is_named_with_its_folder(
    pattern: str, folder: Path, loads: Callable[..., Any]
) -> None:
    (folder / "test.jsonl").unlink()
    said = fault(partial(loads, pattern))
    assert pattern in said and str(folder) in said
    assert "mend the pattern" in said or "name each file" in said or "there is no folder" in said


@pytest.mark.parametrize("command", [[], ["--dry-run"], ["--explain"]], ids=lambda command: command or "run")
def test_what_is_absent_is_told_before_anything_is_read_and_nothing_is_written(
    command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As forgotten `--data` are: the user's mistake, which exits with 2."""
    (folder / "yaml").mkdir()
    names = "dataset_path: json\ndataset_kwargs: {data_files: {train: '../tr*n.jsonl', test: '../no*.jsonl'}}\n"
    (folder / "yaml" / "mine.yaml").write_text(names + YAML.replace("TARGET", "gold"))
    (folder / "test-old").mkdir()  # fits `t*`, and is no file
    models = {role: {"model": "tiny/knowledge-s", "steps": 2, "learning_rate": 1e-3} for role in ("teacher", "student")}
    sizes = {"dev": 1, "test": 4, "weak_train": 2, "trust": 2, "transfer": 4}
    suite = {"name": "s", "version": "1", "seeds": 1, "coverage": 0.5}
    (folder / "s.yaml").write_text(
        json.dumps({**suite, "domains": [{"name": "lm-eval/mine", "version": "0", "sizes": sizes, **models}]})
    )
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    arguments = ["--include-path", "yaml", "--store", "store", "--out", "out"]
    monkeypatch.chdir(folder)
    told = CliRunner().invoke(app, ["run", "s.yaml", *arguments, *command])
    assert told.exit_code == 2, told.output
    assert re.search(r"error: domain 'lm-eval/mine': no file fits '.*no\*.jsonl', .* split 'test'", told.stderr)
    assert not (folder / "store").exists() and not (folder / "out").exists()


def test_a_folder_that_fits_a_pattern_beside_files_is_passed_over(folder: Path) -> None:
    (folder / "train-old").mkdir()
    refuse_absent({"data_files": {"train": str(folder / "tr*"), "test": str(folder / "te*")}}, "mine")
    with pytest.raises(PluginError, match="train-old is a folder"):
        refuse_absent({"data_files": str(folder / "train-*")}, "mine")


def test_one_pattern_of_several_that_no_file_fits_is_no_silence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = "{train: [train.jsonl, 'more-*.jsonl'], test: test.jsonl}"
    (folder / "mine.yaml").write_text(
        f"dataset_path: json\ndataset_kwargs: {{data_files: {names}}}\n" + YAML.replace("TARGET", "gold")
    )
    with pytest.raises(PluginError, match=r"no file fits .*/more-\*.jsonl', which .* for split 'train' .*test.jsonl"):
        TaskDomain("mine", "1", "choice", folder / "mine.yaml", "mine").task()


def unlinked(path: Path) -> Path:
    path.unlink()
    return path


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "there is no {path}"),
    "dangling": (lambda path: unlinked(path).symlink_to("nowhere"), "{path} is a link to nowhere, which is not there"),
    "folder": (lambda path: unlinked(path).mkdir(), "{path} is a folder; name the files in it"),
    "pipe": (lambda path: os.mkfifo(unlinked(path)), "{path} is no regular file"),
    "empty": (lambda path: path.write_bytes(b""), "{path} "),
    "blank": (lambda path: path.write_bytes(b"\n\n"), "{path}"),
}


@pytest.mark.parametrize("case", NO_FILES)
def test_what_is_no_file_of_rows_is_named(case: str, folder: Path, loads: Callable[..., Any]) -> None:
    spoil, said = NO_FILES[case]
    spoil(folder / "test.jsonl")
    told = fault(loads)
    assert said.format(path=folder / ("yaml/../test.jsonl" if "yaml/../" in told else "test.jsonl")) in told
    assert case not in ("empty", "blank") or "is empty" in told or "no rows" in told


def test_a_file_that_may_not_be_read_is_named(
    folder: Path, loads: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    may = os.access
    monkeypatch.setattr(file_faults.os, "access", lambda path, mode: "test.jsonl" not in str(path) and may(path, mode))
    assert "test.jsonl may not be read by this user; see its permissions" in fault(loads)


BROKEN: dict[str, tuple[bytes, str]] = {
    "csv": (b"question,gold\nq,1\n", "line 1 is no JSON: Expecting value, in 'question,gold'"),
    "syntax": (lines(rows(6)).encode() + b'{"question": \n', "line 7 is no JSON: Expecting value, in '{\"question\":'"),
    "array": (b'[{"question": "q"},\n{"question" 1}]', "line 2, column 13: Expecting ':' delimiter"),
    "latin-1": (lines(rows(3)).encode() + '{"question": "café"}\n'.encode("latin-1"), "line 4 is not UTF-8 (…"),
    "types": (lines([*rows(2), rows(3)[2] | {"gold": "x"}]).encode(), "row 3 has a text in field 'gold', 'x', where row 1"),
    "no objects": (b"1\n2\n", "no object of named fields"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_in_a_file_of_lines_is_told_with_its_line(
    case: str, folder: Path, loads: Callable[..., Any]
) -> None:
    content, said = BROKEN[case]
    name = "test.json" if case == "array" else "test.jsonl"
    (folder / name).write_bytes(content)
    told = fault(partial(loads, name))
    assert name in told and (said in told or (case == "no objects" and "no object" in told))


def test_a_cut_parquet_file_is_named(folder: Path, loads: Callable[..., Any]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    for split in ("train", "test"):
        parquet.write_table(pa.Table.from_pylist(rows()), folder / f"{split}.parquet")
    whole = (folder / "test.parquet").read_bytes()
    (folder / "test.parquet").write_bytes(whole[:-40])
    assert "test.parquet" in (told := fault(partial(loads, "test.parquet", "train.parquet")))
    assert "Parquet magic bytes not found" in told and "a .parquet file of rows" in told


def test_a_csv_with_too_many_fields_is_told_with_its_line(folder: Path, loads: Callable[..., Any]) -> None:
    for split, more in (("train", ""), ("test", "q,1,2,3\n")):
        (folder / f"{split}.csv").write_text(f"question,gold\nq,1\n{more}", encoding="utf-8")
    told = fault(partial(loads, "test.csv", "train.csv"))
    assert "test.csv" in told and "line 3 has more fields than the first line, which names 2" in told


@pytest.mark.parametrize("field", ["question", "options"])
def test_a_field_that_the_yaml_names_and_the_file_lacks_is_named(
    field: str, folder: Path, loads: Callable[..., Any]
) -> None:
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text(lines(without(field, rows())), encoding="utf-8")
    with pytest.raises(
        PluginError, match=rf"split test lacks .*'{field}' is undefined.*its fields are id, .*columns of"
    ):
        loads().task()


def test_a_split_that_the_data_lack_is_named(folder: Path) -> None:
    (folder / "mine.yaml").write_text(
        "dataset_path: json\ndataset_kwargs: {data_files: {train: train.jsonl}}\n" + YAML.replace("TARGET", "gold")
    )
    with pytest.raises(PluginError, match=r"its data set has no split 'test' \(it has: train\); name one"):
        TaskDomain("mine", "1", "choice", folder / "mine.yaml", "mine").task()


def answers(domain: Any, out: Path) -> list[Answer]:
    """As a run makes them."""

    class Given:
        def domain(self, name: str, **_: Any) -> Any:
            return domain

    params = {"domain": {"name": "mine", "parameters": {}, "fingerprint": domain.fingerprint()}}
    return read_records(run_stage(rendered.build_answers, out, params, registry=Given()) / ANSWERS, Answer)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [0, 5], ids=["the first", "a later one"])
@pytest.mark.parametrize(
    ("target", "field", "gold", "said"),
    [
        ("gold", "gold", 4, "gold 4"),
        ("gold", "gold", -7, "gold -7"),
        ("'{{letter}}'", "letter", "red-ish", "gold 'red-ish'"),
        (
            "'{{keys.index(letter)}}'",
            "letter",
            "E",
            "doc_to_target is {{keys.index(letter)}}, and the document has keys",
        ),
        ("'{{keys.index(letter)}}'", "letter", "E", "letter 'E'"),
    ],
    ids=["beyond", "negative", "no option", "no key", "its field"],
)
def test_gold_that_is_no_option_is_told_with_its_document_wherever_that_stands(
    place: int, target: str, field: str, gold: Any, said: str, folder: Path, loads: Callable[..., Any], tmp_path: Path
) -> None:
    made = rows()
    if said == "gold 'red-ish'":
        made = [row | {"options": list(KEYS)} for row in made]
    (folder / "train.jsonl").write_text(lines(made), encoding="utf-8")
    made[place][field] = gold
    (folder / "test.jsonl").write_text(lines(made), encoding="utf-8")
    with pytest.raises(PluginError) as raised:
        answers(loads(target=target), tmp_path / "out")
    told = str(raised.value)
    assert said in told and ("mend it" in told), told
    assert f"document test-{place} " in told or f"item test-{place}" in told or f"item {place}" in told, told
    assert ("'red', 'blue'" in told) or "'A', 'B'" in told, "the options there are"
    assert "IndexError" not in told
