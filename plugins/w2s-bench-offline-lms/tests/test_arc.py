"""Every published form of a question becomes the same row; what is none of them is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from w2s_bench import PluginError
from w2s_bench_offline_lms.arc import convert
from w2s_bench_offline_lms.command import main

QUESTIONS = [
    ("What do plants take in?", ["rocks", "carbon dioxide", "Answer 3: iron"], 1),
    ("Which is larger?\nLook at  the table.", ["Mars", "Earth", "Jupiter", "the Moon"], 2),
    ("Which two are gases?", ["A and B", "air", "oxygen", "iron", "helium"], 4),
]


def released(question: str, options: list[str], gold: int, labels: str) -> dict[str, Any]:
    choices = [{"text": text, "label": label} for text, label in zip(options, labels, strict=False)]
    return {"id": "Mercury_1", "question": {"stem": question, "choices": choices}, "answerKey": labels[gold]}


def of_hub(question: str, options: list[str], gold: int, labels: str) -> dict[str, Any]:
    choices = {"text": options, "label": list(labels[: len(options)])}
    return {"id": "MCAS_2", "question": question, "choices": choices, "answerKey": labels[gold]}


def as_instruction(question: str, options: list[str], gold: int, labels: str) -> dict[str, Any]:
    listed = " ".join(f"Answer{n}: {text}" for n, text in enumerate(options, 1))
    names = "/".join(f"answer{n}" for n in range(1, len(options) + 1))
    asked = f"Please choose the correct answer to the question: {question}\n\n{listed}\n\nAnswer format: {names}"
    return {"instruction": asked, "input": "", "output": "", "answer": f"answer{gold + 1}"}


def written(folder: Path, form: Any, suffix: str, labels: str) -> Path:
    rows = [form(*question, labels) for question in QUESTIONS]
    path = folder / f"{form.__name__}{labels}{suffix}"
    if suffix == ".parquet":
        from datasets import Dataset

        Dataset.from_list(rows).to_parquet(str(path))
    else:
        text = json.dumps(rows, indent=1) if suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(text, encoding="utf-8")
    return path


def test_all_forms_become_the_same_rows(tmp_path: Path) -> None:
    made = set()
    for form in (released, of_hub, as_instruction):
        for suffix in (".jsonl", ".json", ".parquet"):
            for labels in ("ABCDE", "12345"):
                target = tmp_path / "made" / "train.jsonl"
                assert convert(written(tmp_path, form, suffix, labels), target) == (3, 0)
                made.add(target.read_text(encoding="utf-8"))
    (text,) = made
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["id"] for row in rows] == sorted({row["id"] for row in rows})
    found = {row["question"]: row for row in rows}
    for question, options, gold in QUESTIONS:
        row = found[" ".join(question.split())]
        assert row["choices"]["text"] == options
        assert row["choices"]["label"].index(row["answerKey"]) == gold


def test_equal_questions_are_one_row_wherever_they_stand(tmp_path: Path) -> None:
    rows = [of_hub(*question, "ABCDE") for question in QUESTIONS]
    for name, order in (("a", rows), ("b", [*rows[::-1], rows[1]])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in order))
    assert convert(tmp_path / "a.jsonl", tmp_path / "x.jsonl") == (3, 0)
    assert convert(tmp_path / "b.jsonl", tmp_path / "y.jsonl") == (3, 1)
    assert (tmp_path / "x.jsonl").read_bytes() == (tmp_path / "y.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "Which?", "answerKey": "A"}, "x.jsonl, row 1: TypeError"),
        ({"question": "Which?", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "E"}, "'E' is not in list"),
        ({"instruction": "Which of these?", "answer": "answer1"}, "no question before 'Answer1:'"),
        (as_instruction("Which?", ["a Answer4: b"], 0, ""), "options are numbered 1, 4"),
        (["Which?"], "expected a row of"),
    ],
)
def test_what_is_no_question_is_named(tmp_path: Path, row: Any, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(PluginError, match=r"x\.jsonl, row 1") as caught:
        convert(path, tmp_path / "out.jsonl")
    assert said in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_the_command_writes_what_data_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = written(tmp_path, released, ".jsonl", "ABCDE")
    test = written(tmp_path, as_instruction, ".json", "ABCDE")
    assert main(["arc", "arc_easy", str(train), str(test), "--to", str(tmp_path / "data")]) == 0
    assert "train.jsonl: 3 questions" in capsys.readouterr().out
    folder = tmp_path / "data" / "arc_easy"
    assert (folder / "train.jsonl").read_bytes() == (folder / "test.jsonl").read_bytes()
    (tmp_path / "empty.jsonl").write_text("")
    for bad, said in (("none.jsonl", "cannot read"), ("empty.jsonl", "holds no rows")):
        assert main(["arc", "arc_easy", str(tmp_path / bad), str(test), "--to", str(tmp_path / "data")]) == 1
        assert said in capsys.readouterr().err
