"""`lm-eval/TASK`: rows made here go through lm-eval's own YAML; splits, keys, examples and messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import digest_of_task, run_stage, split_ids
from w2s_bench.domains.documents import Documents
from w2s_bench.domains.normalised import normalised, text_key
from w2s_bench.domains.usable import facts_of
from w2s_bench.errors import PluginError, SuiteError, UnknownNameError
from w2s_bench.names import DATA_VARIABLE, INCLUDE_VARIABLE
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import items as rendered
from w2s_bench.protocol.files import ANSWERS, ITEMS, REMARKS
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.record import read_json, read_records
from w2s_bench.types import Answer, Item

SIZES = {"dev": 2, "test": 3, "weak_train": 2, "trust": 2, "transfer": 4}


def arc(n: int, *, options: int = 4, letters: str = "ABCDE") -> dict[str, Any]:
    choices = {"text": [f"option {n} {i}" for i in range(options)], "label": list(letters[:options])}
    return {"id": str(n), "question": f"What is {n}?", "choices": choices, "answerKey": letters[n % options]}


ROWS: dict[str, Callable[[int], dict[str, Any]]] = {
    "sciq": lambda n: (
        {"support": f" s{n}", "question": f"q{n}", "correct_answer": f"r{n}"}
        | {f"distractor{i}": f"d{n} {i}" for i in (1, 2, 3)}
    ),
    "arc_easy": arc,
    "arc_challenge": lambda n: arc(n, options=3 + n % 3, letters="ABCDE" if n % 2 else "12345"),
    "boolq": lambda n: {"passage": f"p{n // 2}", "question": f"is it {n}", "label": n % 2},
    "openbookqa": lambda n: {"question_stem": f"stem {n}", **{k: v for k, v in arc(n).items() if k != "question"}},
    "social_iqa": lambda n: (
        {"context": f"c{n}", "question": "why", "answerA": f"a{n}", "answerB": f"b{n}"}
        | {"answerC": f"c {n}", "label": str(n % 3 + 1)}
    ),
    "mmlu_anatomy": lambda n: {"question": f"q{n}", "choices": ["w", "x", "y", "z"], "answer": n % 4},
    "hellaswag": lambda n: (
        {"ctx_a": f"A man {n}", "ctx_b": "he", "activity_label": "Running", "label": str(n % 4)}
        | {"endings": [f"goes {n} {i}" for i in range(4)]}
    ),
    "gsm8k": lambda n: {"question": f"How many {n}?", "answer": f"It is <<{n}+1={n + 1}>>{n + 1}.\n#### {n + 1}"},
}
#: The split that is `test`, where the YAML has no test split.
TESTS = {"boolq": "validation", "social_iqa": "validation", "hellaswag": "validation"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    monkeypatch.delenv(INCLUDE_VARIABLE, raising=False)
    return tmp_path


def write(folder: Path, task: str, split: str, rows: list[dict[str, Any]]) -> None:
    (folder / task).mkdir(exist_ok=True)
    (folder / task / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_task(folder: Path, task: str) -> None:
    write(folder, task, "train", [ROWS[task](n) for n in range(20)])
    write(folder, task, TESTS.get(task, "test"), [ROWS[task](n) for n in range(20, 26)])


def made(out: Path, name: str, **parameters: Any) -> tuple[list[Item], list[Answer], list[str], Any]:
    registry = Registry.load()
    domain = registry.domain(name, **parameters)
    params = {"domain": PlannedDomain.of(name, domain, parameters).params}
    items = run_stage(rendered.build_items, out / "items", params, registry=registry)
    answers = run_stage(rendered.build_answers, out / "answers", params, registry=registry)
    return (
        read_records(items / ITEMS, Item),
        read_records(answers / ANSWERS, Answer),
        read_json(items / REMARKS),
        domain,
    )


@pytest.mark.parametrize("task", ROWS)
def test_each_shape_of_rows_becomes_items_with_the_tasks_own_test(task: str, data: Path) -> None:
    write_task(data, task)
    more = {"train": "train"} if task == "mmlu_anatomy" else {}
    items, answers, _, domain = made(data / "out", f"lm-eval/{task}", **more)
    assert len(items) == 26 and domain.kind == ("generate" if task == "gsm8k" else "choice")
    in_test = np.array([domain.in_test(answer.document) for answer in answers])
    assert in_test.sum() == 6
    for item, answer in zip(items, answers, strict=True):
        assert item.choices is None or item.choices[answer.index or 0] == answer.completion
    of = split_ids(items, SIZES, "d", seed=0, in_test=in_test)
    test = TESTS.get(task, "test")
    assert all((item.rpartition("-")[0] == test) == (split == "test") for split, ids in of.items() for item in ids)


def test_documents_with_one_option_are_in_no_split_and_said(data: Path) -> None:
    """The first of `test`, which lm-eval looks at by itself, and one to train on; one question has its options twice."""
    write_task(data, "arc_easy")
    write(data, "arc_easy", "test", [arc(n, options=1 if n == 20 else 4) for n in range(20, 26)])
    same = {**arc(4), "choices": {"text": ["yes", "yes"], "label": ["A", "B"]}, "answerKey": "A"}
    write(data, "arc_easy", "train", [arc(n, options=1) if n == 3 else same if n == 4 else arc(n) for n in range(20)])
    items, answers, remarks, _ = made(data / "out", "lm-eval/arc_easy")
    assert [item.id for item in items] == [answer.id for answer in answers]
    assert len(items) == 23 and not {"test-0", "train-3", "train-4"} & {item.id for item in items}
    assert "2 of 26 items were left out, as they have fewer than two options (test-0, train-3)" in remarks
    assert "1 of 26 items were left out, as they have two equal options (train-4)" in remarks


def test_near_duplicates_of_test_are_in_no_training_split_and_said(data: Path) -> None:
    write_task(data, "arc_easy")
    copy = {**ROWS["arc_easy"](20), "question": "  what IS 20 ??"}
    write(data, "arc_easy", "train", [copy, *(ROWS["arc_easy"](n) for n in range(10))])
    items, answers, remarks, domain = made(data / "out", "lm-eval/arc_easy")
    in_test = np.array([domain.in_test(answer.document) for answer in answers])
    of = split_ids(items, SIZES, "d", seed=0, in_test=in_test)
    assert all("train-0" not in ids for ids in of.values())
    assert any("1 training documents share text or group with a test document" in remark for remark in remarks)
    with pytest.raises(SuiteError, match="6 of the items are its task's own test documents"):
        split_ids(items, {**SIZES, "test": 7}, "d", seed=0, in_test=in_test)


def test_examples_are_the_same_for_all_and_in_no_split(data: Path) -> None:
    write_task(data, "arc_easy")
    items, *_ = made(data / "out", "lm-eval/arc_easy", num_fewshot=2)
    assert len(items) == 24
    heads = {item.prompt.rpartition("Question:")[0] for item in items}
    assert len(heads) == 1 and heads.pop().count("Answer: option") == 2


@pytest.mark.slow
@pytest.mark.parametrize("task", ["arc_challenge", "gsm8k"])
def test_reading_documents_tells_how_long_items_will_be(task: str, data: Path) -> None:
    """Examples in the prompt count. It is part of no key: the digest is that of the documents alone."""
    write_task(data, task)
    documents, parameters = Documents(), {"num_fewshot": 2}
    digest = documents.digest(f"lm-eval/{task}", parameters)
    (count,) = documents.counts.values()
    items, *_, domain = made(data / "out", f"lm-eval/{task}", **parameters)
    lengths = [(len(item.prompt), [len(option) for option in item.choices or ()]) for item in items]
    assert [(prompt, list(options)) for prompt, options in count.texts] == lengths and count.documents == len(items)
    assert digest == digest_of_task(f"lm-eval/{task}", domain.task())


@pytest.mark.slow
def test_an_examples_answer_is_part_of_what_items_are_made_of(data: Path) -> None:
    """Its document makes no item, and stands in every prompt."""
    write_task(data, "arc_easy")
    asked: dict[str, Any] = {"num_fewshot": 2}

    def read(**parameters: Any) -> tuple[Any, str | None]:
        domain = Registry.load().domain("lm-eval/arc_easy", **parameters)
        return domain, Documents().digest("lm-eval/arc_easy", parameters)

    domain, before = read(**asked)
    _, zero_shot = read()
    task = domain.task()
    shown = [int(example["id"]) for example in task.examples]
    assert len(shown) == 2 and not {f"train-{n}" for n in shown} & {d["w2s_bench"]["id"] for d in task.eval_docs}
    changed = {**arc(shown[0]), "answerKey": "ABCD"[(shown[0] + 1) % 4]}
    write(data, "arc_easy", "train", [changed if n == shown[0] else arc(n) for n in range(20)])
    again, after = read(**asked)
    assert again.task().eval_docs == task.eval_docs, "its answer alone changes, and it is an example still"
    assert again.fingerprint() == domain.fingerprint() and None not in (before, after) and before != after
    for build in (rendered.build_items, rendered.build_answers):
        planned = PlannedDomain.of("lm-eval/arc_easy", again, asked, documents=before).params
        with pytest.raises(PluginError, match="its documents are not those that were read when the run began"):
            run_stage(build, data / build.name, {"domain": planned}, registry=Registry.load())
    assert read()[1] != zero_shot, "without examples it is a document like any other"


def test_calculator_marks_go_where_the_domain_says(data: Path) -> None:
    write_task(data, "gsm8k")
    with_marks = made(data / "a", "lm-eval/gsm8k")[1][0].completion
    without = made(data / "b", "lm-eval/gsm8k", calculator_marks=False, filter="flexible-extract")[1][0].completion
    assert "<<20+1=21>>" in with_marks and without == " It is 21.\n#### 21"


def test_texts_are_equal_but_for_spelling_and_numbers_are_not() -> None:
    assert normalised("  What IS it?! ") == normalised("what is it")
    assert text_key("3 - 2 = ?") != text_key("3 + 2 = ?") and text_key("1.5") != text_key("15")
    assert text_key("q", ["a", "b"]) == text_key("Q?", ["B", "a."])


def test_what_cannot_be_is_one_sentence() -> None:
    usual = {"output_type": "multiple_choice", "test_split": "t", "doc_to_choice": ["a", "b"]}
    assert facts_of("x", usual).fault is None
    for changed, said in {
        "perplexity": {"output_type": "loglikelihood_rolling"},
        "no test and no validation": {"test_split": None},
        "lists no options": {"doc_to_choice": None},
        "graded by acc": {"metric_list": [{"metric": "f1"}]},
        "say of no answer": {"output_type": "generate_until", "metric_list": [{"metric": "bleu"}]},
    }.items():
        assert changed in (facts_of("x", {**usual, **said}).fault or "")


@pytest.mark.parametrize(
    ("name", "parameters", "error", "said"),
    [
        ("arc_esy", {}, UnknownNameError, "did you mean .*arc_easy"),
        ("arc_easy", {}, PluginError, "no file for split 'train'"),
        ("arc_easy", {"data": {"train": "../x.jsonl"}}, PluginError, "must be a path below the data folder"),
        ("arc_easy", {"data": {"train": "x.jsonl", "test": "y.jsonl"}}, PluginError, "where there is no file"),
        ("arc_easy", {"revision": "main"}, PluginError, "can move; give the 40"),
        ("mmlu_anatomy", {}, PluginError, "has no training documents"),
        ("gsm8k", {"filter": "none"}, PluginError, "its filters: strict-match, flexible-extract"),
        ("scrolls_quality", {}, PluginError, "it is a Python class"),
        ("winogrande", {}, PluginError, "several contexts an item"),
        ("wikitext", {}, PluginError, "cannot be used: it measures the perplexity"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(
    name: str, parameters: dict[str, Any], error: type[Exception], said: str, data: Path
) -> None:
    with pytest.raises(error, match=said):
        Registry.load().domain(f"lm-eval/{name}", **parameters)


def test_rows_that_lack_fields_are_named(data: Path) -> None:
    for split in ("train", "test"):
        write(data, "arc_easy", split, [{"question": "q"}])
    with pytest.raises(
        PluginError, match=r"lm-eval/arc_easy.*lacks what the task's YAML asks for.*fields are question"
    ):
        Registry.load().domain("lm-eval/arc_easy").task()


def test_an_index_that_points_outside_its_folder_is_refused(data: Path) -> None:
    for split in ("train", "test"):
        (data / "arc_easy" / split).mkdir(parents=True)
        state = {"_data_files": [{"filename": "../../secret.arrow"}]}
        (data / "arc_easy" / split / "state.json").write_text(json.dumps(state))
    (data / "arc_easy" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(PluginError, match="outside of its folder"):
        Registry.load().domain("lm-eval/arc_easy")


def test_code_from_elsewhere_is_not_run(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data / "mine"
    folder.mkdir()
    text = "task: mine\noutput_type: multiple_choice\ntest_split: test\ntraining_split: train\ndoc_to_choice: [a, b]\n"
    (folder / "mine.yaml").write_text(text + "doc_to_text: !function os.getcwd\n")
    monkeypatch.setenv(INCLUDE_VARIABLE, str(folder))
    with pytest.raises(PluginError, match="neither in a file beside it nor in lm-eval"):
        Registry.load().domain("lm-eval/mine")
