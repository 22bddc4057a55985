"""`lm-eval/TASK`: the same rows from every kind of file, golds in every form, chats, fields and what the hub answers."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pytest

from domains.test_lm_eval import ROWS, arc, data, made, write, write_task  # noqa: F401 - `data` is a fixture
from w2s_bench.domains.grading import answers_are_right, option_is_right
from w2s_bench.errors import PluginError
from w2s_bench.names import DATA_VARIABLE, INCLUDE_VARIABLE
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.files import REMARKS
from w2s_bench.record import read_json

SPLITS = {"train": range(12), "test": range(12, 18)}
COMMIT = "0" * 40


def as_json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.with_suffix(".json").write_text(json.dumps({"data": rows}), encoding="utf-8")


def as_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(rows), path.with_suffix(".parquet"))


def as_arrow(path: Path, rows: list[dict[str, Any]], *, stream: bool = True) -> None:
    import pyarrow as pa

    table = pa.Table.from_pylist(rows)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path.with_suffix(".arrow")), table.schema) as out:
        out.write_table(table)


def as_arrow_file(path: Path, rows: list[dict[str, Any]]) -> None:
    as_arrow(path, rows, stream=False)


@pytest.mark.parametrize("written", [as_json, as_csv, as_parquet, as_arrow, as_arrow_file])
def test_every_kind_of_file_gives_the_same_items(
    written: Callable[[Path, list[dict[str, Any]]], None],
    data: Path,  # noqa: F811
) -> None:
    for split, numbers in SPLITS.items():
        rows = [ROWS["sciq"](n) | {"support": f'a, "b" {n}'} for n in numbers]
        write(data, "lines", split, rows)
        (data / "sciq").mkdir(exist_ok=True)
        written(data / "sciq" / split, rows)
    assert made(data / "a", "lm-eval/sciq")[:2] == made(data / "b", "lm-eval/sciq", data="lines")[:2]


def test_a_saved_data_set_gives_the_same_items(data: Path) -> None:  # noqa: F811
    from datasets import Dataset, DatasetDict

    rows = {split: [arc(n) for n in numbers] for split, numbers in SPLITS.items()}
    for split, some in rows.items():
        write(data, "lines", split, some)
    DatasetDict({split: Dataset.from_list(some) for split, some in rows.items()}).save_to_disk(str(data / "arc_easy"))
    assert made(data / "a", "lm-eval/arc_easy")[:2] == made(data / "b", "lm-eval/arc_easy", data="lines")[:2]


def test_several_files_make_one_split(data: Path) -> None:  # noqa: F811
    for name, numbers in {"one": range(5), "two": range(5, 12), "test": range(12, 18)}.items():
        write(data, "arc_easy", name, [arc(n) for n in numbers])
    files = {"train": ["arc_easy/one.jsonl", "arc_easy/two.jsonl"], "test": "arc_easy/test.jsonl"}
    items, *_ = made(data / "a", "lm-eval/arc_easy", data=files)
    assert [item.id for item in items if item.id.startswith("train")] == [f"train-{n}" for n in range(12)]


@pytest.mark.parametrize("suffix", [".json", ".csv", ".parquet", ".arrow", ".jsonl"])
def test_a_broken_file_is_named(suffix: str, data: Path) -> None:  # noqa: F811
    (data / "arc_easy").mkdir()
    for split in SPLITS:
        (data / "arc_easy" / f"{split}{suffix}").write_bytes(b'{"a"\n"b,\n')
    with pytest.raises(PluginError, match=rf"cannot read .*{suffix} .*file of rows with the same fields"):
        Registry.load().domain("lm-eval/arc_easy").task()


CHOICE = """task: mine
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{question}}"
doc_to_choice: "{{options}}"
"""


@pytest.mark.parametrize(
    ("target", "gold"),
    [("gold", 2), ("gold", "yellow"), ("{{'ABC'.index(gold)}}", "C"), ("{{['1', '2', '3', '4'].index(gold)}}", "3")],
    ids=["index", "text", "letter", "digit"],
)
def test_gold_in_every_form_is_the_same_option(
    target: str,
    gold: Any,
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (data / "yaml").mkdir()
    (data / "yaml" / "mine.yaml").write_text(CHOICE + f'doc_to_target: "{target}"\n', encoding="utf-8")
    monkeypatch.setenv(INCLUDE_VARIABLE, str(data / "yaml"))
    for split, numbers in SPLITS.items():
        rows = [{"question": f"q{n}", "options": ["red", "blue", "yellow"], "gold": gold} for n in numbers]
        write(data, "mine", split, rows)
    _, answers, *_ = made(data / "a", "lm-eval/mine")
    assert {(answer.index, answer.completion) for answer in answers} == {(2, " yellow")}


LETTERED = """task: mine
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{question}}\\n{% for choice in choices %}{{letters[loop.index0]}}. {{choice}}\\n{% endfor %}Answer:"
doc_to_choice: "{{letters}}"
doc_to_target: answer
"""


@pytest.mark.parametrize("by_letter", [True, False], ids=["letter", "index"])
def test_up_to_26_options_stand_in_the_prompt_and_their_letters_are_the_answers(
    by_letter: bool,
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As lm-eval's YAML of MMLU has it, with options that differ in number between items."""
    (data / "yaml").mkdir()
    (data / "yaml" / "mine.yaml").write_text(LETTERED, encoding="utf-8")
    monkeypatch.setenv(INCLUDE_VARIABLE, str(data / "yaml"))
    expected: dict[str, tuple[list[str], str, int]] = {}  # item → letters, prompt, gold
    for split, numbers in SPLITS.items():
        rows = []
        for place, n in enumerate(numbers):
            letters, gold = [*ascii_uppercase[: 2 + 3 * (n % 9)]], (7 * n + 1) % (2 + 3 * (n % 9))
            things = [f"thing {n} {letter}" for letter in letters]
            answer = letters[gold] if by_letter else gold
            rows.append({"question": f"Which, {n}?", "choices": things, "letters": letters, "answer": answer})
            listed = "".join(f"{letter}. {thing}\n" for letter, thing in zip(letters, things, strict=True))
            expected[f"{split}-{place}"] = letters, f"Which, {n}?\n{listed}Answer:", gold
        write(data, "mine", split, rows)
    items, answers, *_ = made(data / "a", "lm-eval/mine")
    assert {len(item.choices or ()) for item in items} == {2, 5, 8, 11, 14, 17, 20, 23, 26}
    for item, answer in zip(items, answers, strict=True):
        letters, prompt, gold = expected.pop(item.id)
        assert (item.prompt, item.choices) == (prompt, tuple(f" {letter}" for letter in letters))
        assert (answer.index, answer.completion) == (gold, f" {letters[gold]}")
    assert not expected


def test_each_of_several_right_options_is_graded_right_and_the_first_is_learnt(
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (data / "yaml").mkdir()
    (data / "yaml" / "mine.yaml").write_text(CHOICE + "doc_to_target: gold\n", encoding="utf-8")
    monkeypatch.setenv(INCLUDE_VARIABLE, str(data / "yaml"))
    for split, numbers in SPLITS.items():
        rows = [{"question": f"q{n}", "options": ["red", "blue", "yellow"], "gold": [2, 0]} for n in numbers]
        write(data, "mine", split, rows)
    _, answers, _, domain = made(data / "a", "lm-eval/mine")
    assert {answer.completion for answer in answers} == {" yellow"}
    task, answer = domain.task(), answers[0]
    assert [option_is_right(task, answer.document, 3, option, answer.id) for option in range(3)] == [True, False, True]


def test_items_with_equal_options_are_left_out_and_counted(data: Path) -> None:  # noqa: F811
    write_task(data, "arc_easy")
    twice = arc(40) | {"choices": {"text": ["same", "same", "b", "c"], "label": list("ABCD")}}
    write(data, "arc_easy", "train", [twice, *(arc(n) for n in range(9))])
    items, _, remarks, _ = made(data / "a", "lm-eval/arc_easy")
    assert "train-0" not in {item.id for item in items}
    assert any(remark.startswith("1 of ") or "1 item" in remark for remark in remarks), remarks


def test_a_chat_and_a_system_prompt_stand_around_every_question(data: Path) -> None:  # noqa: F811
    write_task(data, "arc_easy")
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    asked = {"chat_template": template, "system_prompt": "Be brief.", "num_fewshot": 1}
    items, *_ = made(data / "a", "lm-eval/arc_easy", **asked)
    for item in items:
        assert item.prompt.startswith("<system>Be brief.</><user>Question:")
        assert item.prompt.count("<user>") == 2 and item.prompt.count("<assistant>") == 2
    plain, *_ = made(data / "b", "lm-eval/arc_easy", system_prompt="Be brief.")
    assert all(item.prompt.startswith("Be brief.") and "<" not in item.prompt for item in plain)


def test_a_template_that_cannot_render_is_told(data: Path) -> None:  # noqa: F811
    write_task(data, "arc_easy")
    with pytest.raises(PluginError, match="its chat_template cannot render a prompt"):
        made(data / "a", "lm-eval/arc_easy", chat_template="{{ messages[9].content }}{% if %}")


def test_fields_tell_stratum_and_group(data: Path) -> None:  # noqa: F811
    write_task(data, "boolq")
    items, *_ = made(data / "a", "lm-eval/boolq", group="passage", stratum="label", cluster="passage")
    assert all(item.cluster for item in items)
    of = {item.id: item for item in items}
    assert of["train-0"].group == of["train-1"].group != of["train-2"].group
    assert {of["train-0"].stratum, of["train-1"].stratum} == {"0", "1"}
    with pytest.raises(PluginError, match=r"has no field 'topic'.*fields: passage, question, label"):
        made(data / "b", "lm-eval/boolq", stratum="topic")


@pytest.mark.slow
@pytest.mark.parametrize("filter", ["strict-match", "flexible-extract"])
@pytest.mark.parametrize(
    ("gold", "said", "right"),
    [
        ("1,234", "1234", True),
        ("1234", "1,234", True),
        ("-5", "-5", True),
        ("-5", "5", False),
        ("0.5", "0.5", True),
        ("0.5", "5", False),
        ("12", "12.", True),
        ("7", "8", False),
    ],
)
def test_numbers_are_graded_by_the_tasks_own_filters(
    filter: str,
    gold: str,
    said: str,
    right: bool,
    data: Path,  # noqa: F811
) -> None:
    for split, numbers in SPLITS.items():
        rows = [{"question": f"How many {n}?", "answer": f"It is.\n#### {gold}"} for n in numbers]
        write(data, "gsm8k", split, rows)
    _, answers, _, domain = made(data / "a", "lm-eval/gsm8k", filter=filter)
    text = f" It is.\n#### {said}"
    assert answers_are_right(domain.task(), [answers[0].id], [answers[0].document], [text]) == [right]


def test_golds_that_the_tasks_filter_makes_wrong_are_told(data: Path) -> None:  # noqa: F811
    """A unit stays in the gold, and the filter leaves the number of every answer."""
    for split, numbers in SPLITS.items():
        rows = [{"question": f"q{n}", "answer": f"It is.\n#### 5{' km' if n in (3, 14) else ''}"} for n in numbers]
        write(data, "gsm8k", split, rows)
    made(data / "a", "lm-eval/gsm8k", filter="flexible-extract")
    (said,) = read_json(data / "a" / "answers" / REMARKS)
    assert said.startswith(
        "2 of 18 items cannot be answered right, as their own gold is not right by the task's filter"
    )
    assert said.endswith(("(test-2, train-3)", "(train-3, test-2)"))


def test_a_price_is_its_number(data: Path) -> None:  # noqa: F811
    for split, numbers in SPLITS.items():
        write(data, "gsm8k", split, [{"question": f"q{n}", "answer": "It is.\n#### $70"} for n in numbers])
    _, answers, _, domain = made(data / "a", "lm-eval/gsm8k", filter="flexible-extract")
    task, answer = domain.task(), answers[0]
    for said, right in {"$70": True, "70": True, "$71": False}.items():
        assert answers_are_right(task, [answer.id], [answer.document], [f" It is.\n#### {said}"]) == [right]


@pytest.mark.parametrize("error", [ConnectionError("no network"), ValueError("Invalid rev_id: 000")])
def test_a_data_set_that_cannot_be_fetched_is_one_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    from w2s_bench.names import DATA_VARIABLE

    def load(*_: Any, revision: str, **__: Any) -> Any:
        assert revision == COMMIT
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(PluginError, match=rf"cannot be fetched at revision {COMMIT}.*{error}.*--data DIR"):
        Registry.load().domain("lm-eval/arc_easy", revision=COMMIT).task()


def own_task(data: Path, monkeypatch: pytest.MonkeyPatch, more: str, loader: str = "") -> None:  # noqa: F811
    """A choice task of the user's own, `lm-eval/mine`."""
    (data / "yaml").mkdir()
    (data / "yaml" / "mine.yaml").write_text(CHOICE + more, encoding="utf-8")
    (data / "yaml" / "mine_loader.py").write_text(loader, encoding="utf-8")
    monkeypatch.setenv(INCLUDE_VARIABLE, str(data / "yaml"))


def test_a_format_without_files_is_no_data_before_anything_is_read(
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own_task(data, monkeypatch, "dataset_path: json\ndoc_to_target: gold\n")
    monkeypatch.delenv(DATA_VARIABLE)
    for parameters in ({}, {"revision": COMMIT}):
        with pytest.raises(
            PluginError, match=r"has no data: .* dataset_path: json, and names no files; give --data DIR"
        ):
            Registry.load().domain("lm-eval/mine", **parameters)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "dataset_path: json\ndataset_kwargs: {data_files: {train: bad.jsonl, test: bad.jsonl}}",
            "cannot read .*/bad.jsonl: line 1 is not UTF-8 .*; save the file as UTF-8",
        ),
        (
            "custom_dataset: !function mine_loader.load",
            r"its data cannot be loaded \(ValueError: no rows today, from KeyError: 'rows'",
        ),
    ],
)
def test_a_loaders_error_is_no_missing_field(
    source: str,
    said: str,
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loader = "def load(**_):\n    try:\n        {}['rows']\n    except KeyError as e:\n        raise ValueError('no rows today') from e\n"
    own_task(data, monkeypatch, f"{source}\ndoc_to_target: gold\n", loader)
    monkeypatch.delenv(DATA_VARIABLE)
    monkeypatch.setenv("HF_HOME", str(data / "hub"))
    (data / "yaml" / "bad.jsonl").write_bytes(b'{"question": "\xff\xfe"\n')
    with pytest.raises(PluginError, match=said) as raised:
        Registry.load().domain("lm-eval/mine").task()
    assert "lacks what the task's YAML asks for" not in str(raised.value)


def test_gold_beyond_the_options_is_not_called_missing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    own_task(data, monkeypatch, "doc_to_target: gold\n")
    rows = [{"question": f"q{n}", "options": ["red", "blue"], "gold": n % 2} for n in range(12)]
    write(data, "mine", "test", rows)
    write(data, "mine", "train", [*rows, {"question": "none", "options": ["red", "blue"], "gold": -1}])
    assert any("left out, as they have no gold (train-12)" in remark for remark in made(data / "a", "lm-eval/mine")[2])
    several = [row | {"gold": [row["gold"]]} for row in rows]
    for golds, gold, number in ((rows, 7, 7), (several, [1, 2], 2)):
        write(data, "mine", "test", golds)
        write(data, "mine", "train", [*golds, {"question": "far", "options": ["red", "blue"], "gold": gold}])
        with pytest.raises(
            PluginError, match=f"document train-12 has gold {number}, .* of its 2 options counted from 0"
        ):
            made(data / "b", "lm-eval/mine")


def test_gold_that_is_no_option_comes_with_what_to_write(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    own_task(data, monkeypatch, "doc_to_target: gold\n")
    yaml = data / "yaml" / "mine.yaml"
    yaml.write_text(yaml.read_text().replace('"{{options}}"', '"{{[a, b]}}"'))
    (data / "mine").mkdir()

    def write_csv(column: str, values: tuple[str, str]) -> None:
        for split, numbers in SPLITS.items():
            rows = [{"question": f"q{n}", "a": "red", "b": "blue", column: values[n % 2]} for n in numbers]
            as_csv(data / "mine" / split, rows)

    write_csv("gold", ("0", "1"))
    with pytest.raises(
        PluginError, match=r"gold '\d' is none of the options .* it is text, as .* doc_to_target: \"\{\{gold\}\}\""
    ):
        made(data / "a", "lm-eval/mine")
    write_csv("label", ("red", "blue"))
    with pytest.raises(
        PluginError, match=r"doc_to_target is 'gold', which is no field .* \(they have question, a, b, label\)"
    ):
        made(data / "b", "lm-eval/mine")
    write_csv("gold", ("green", "grey"))
    with pytest.raises(PluginError, match=r"is none of the options \['red', 'blue'\] of item \S+; mend it, or leave"):
        made(data / "c", "lm-eval/mine")
    write_csv("gold", ("0", "1"))
    yaml.write_text(yaml.read_text().replace("doc_to_target: gold", 'doc_to_target: "{{gold}}"'))
    assert {answer.index for answer in made(data / "d", "lm-eval/mine")[1]} == {0, 1}
