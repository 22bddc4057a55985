"""Files of ARC questions, in each of the forms in which they are published, → the rows that lm-eval's tasks read.

The rows are the same whatever the form: option labels are A, B, …, an id is a digest of the question, rows stand in the order of
their ids. So a run on another form's file has the same documents, where the texts are the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from w2s_bench import PluginError

#: What `--data DIR` must hold for a task: TASK/train.jsonl and TASK/test.jsonl.
SPLITS: Final = ("train", "test")
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_INSTRUCTION: Final = re.compile(r"\s*Please choose the correct answer to the question:(.*)\n\s*Answer1:", re.DOTALL)
_OPTION: Final = re.compile(r"(?:^|\s)Answer(\d+):")
_FORMS: Final = (
    '{"question": {"stem", "choices": [{"text", "label"}]}, "answerKey"} (the release of AI2), {"question", "choices": {"text", '
    '"label"}, "answerKey"} (the hub) or {"instruction", "answer"} (questions as instructions)'
)


def convert(source: Path, target: Path) -> tuple[int, int]:
    """Write `target`, a JSON Lines file, from one published file; returns (rows written, equal rows left out)."""
    made: dict[str, dict[str, Any]] = {}
    read = 0
    for number, row in enumerate(_rows(source), start=1):
        document = _document(row, f"{source.name}, row {number}")
        made.setdefault(document["id"], document)
        read += 1
    if not made:
        raise PluginError(f"{source} holds no rows; expected rows of {_FORMS}")
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(made[name], ensure_ascii=False) + "\n" for name in sorted(made)]
    target.write_text("".join(lines), encoding="utf-8")
    return len(made), read - len(made)


def _rows(source: Path) -> Iterable[Any]:
    try:
        if source.suffix == ".parquet":
            from pyarrow import parquet

            return list(parquet.read_table(source).to_pylist())
        text = source.read_text(encoding="utf-8-sig")
        if source.suffix == ".json" and text.lstrip().startswith("["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:  # pyarrow's errors are of these kinds
        raise PluginError(
            f"cannot read {source} ({type(error).__name__}: {error}); expected .jsonl, .json or .parquet with rows of {_FORMS}"
        ) from error


def _document(row: Any, where: str) -> dict[str, Any]:
    try:
        question, options, gold = _parts(row)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PluginError(
            f"{where}: {type(error).__name__}: {error} in {json.dumps(row, default=str)[:200]}; expected a row of {_FORMS}"
        ) from error
    question, options = _one_line(question), [_one_line(option) for option in options]
    digest = hashlib.sha256("\0".join([question, *options]).encode()).hexdigest()[:16]
    return {
        "id": digest,
        "question": question,
        "choices": {"text": options, "label": list(_LETTERS[: len(options)])},
        "answerKey": _LETTERS[gold],
    }


def _parts(row: Mapping[str, Any]) -> tuple[str, Sequence[str], int]:
    """(question, options, index of the right one)."""
    if "instruction" in row:
        return _of_instruction(row)
    asked, choices = row["question"], row.get("choices")
    if isinstance(asked, Mapping):
        asked, choices = asked["stem"], asked["choices"]
    pairs = list(_pairs(choices))
    labels = [label for label, _ in pairs]
    return str(asked), [text for _, text in pairs], labels.index(str(row["answerKey"]))


def _pairs(choices: Any) -> Iterator[tuple[str, str]]:
    if isinstance(choices, Mapping):
        yield from zip(map(str, choices["label"]), map(str, choices["text"]), strict=True)
    else:
        yield from ((str(choice["label"]), str(choice["text"])) for choice in choices)


def _of_instruction(row: Mapping[str, Any]) -> tuple[str, Sequence[str], int]:
    text = str(row["instruction"])
    if (found := _INSTRUCTION.match(text)) is None:
        raise ValueError("no question before 'Answer1:'")
    listed = text[found.end() - len("Answer1:") :].rpartition("Answer format:")[0]
    parts = _OPTION.split(listed)[1:]
    numbers, options = parts[::2], parts[1::2]
    if numbers != [str(n + 1) for n in range(len(numbers))]:
        raise ValueError(f"options are numbered {', '.join(numbers)}")
    return found[1], options, numbers.index(str(row["answer"]).removeprefix("answer"))


def _one_line(text: str) -> str:
    """White space as one blank: the published forms differ in it."""
    return " ".join(text.split())
