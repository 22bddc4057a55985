"""Files that cannot be used: the message names file, row and column, and the next step; nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import w2s_bench
from w2s_bench import LabelsError
from w2s_bench.errors import UnknownNameError
from w2s_bench.scoring.rows import RowParser
from w2s_bench.scoring.schema import Columns

Rows = list[dict[str, Any]]


def good() -> Rows:
    return [
        {"id": f"r{i}", "prompt": f"{i}?", "label": "yes", "options": ["yes", "no"], "probs": [0.7, 0.3]}
        for i in range(12)
    ]


def refusal(rows: Any, folder: Path, **more: Any) -> str:
    """What is said, once; and nothing is left of the call."""
    with pytest.raises(LabelsError) as caught:
        w2s_bench.score(rows, **{"trust": "confidence", "out": folder / "new" / "out", **more})
    assert not (folder / "new").exists() or not any((folder / "new").iterdir())
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": None}, ["row 4", "'prompt'", "--column prompt="]),
        ({"label": ""}, ["row 4", "'label'", "is empty"]),
        ({"label": "maybe"}, ["row 4", "'maybe' (text) is none of the row's options ('yes', 'no')"]),
        ({"label": 2}, ["row 4", "2 (a whole number) is none of the row's options"]),
        ({"prompt": 5}, ["row 4", "'prompt'", "5 (a whole number), expected text"]),
        ({"prompt": {"text": "a?"}}, ["row 4", "an object with 'text'", "--column prompt=prompt.NAME"]),
        ({"prompt": "  "}, ["row 4", "'prompt'", "is empty"]),
        ({"prompt": "\ud800"}, ["row 4", "half of a character"]),
        ({"id": "r1"}, ["rows 2 and 4 have the same id 'r1'", "--column id="]),
        ({"id": 1.5}, ["row 4", "'id'", "1.5 (a number)"]),
        ({"probs": [0.7, 0.2]}, ["row 4", "'probs'", "sum to 0.9", "'logprobs'"]),
        ({"probs": [1.2, -0.2]}, ["row 4", "'probs'", "from 0 to 1"]),
        ({"probs": [1.0]}, ["row 4", "'probs' has 1 entries", "2 options"]),
        ({"probs": ["high", "low"]}, ["row 4", "'probs'", "expected a list of numbers"]),
        ({"probs": [0.5, float("nan")]}, ["row 4", "'probs'", "not finite"]),
        ({"probs": None}, ["row 4", "'probs'", "is empty, and row 1 has a value", "--column probs="]),
        ({"probs": [[0.7], [0.3]]}, ["row 4", "expected a plain list"]),
        ({"token_logprobs": [-1.0]}, ["row 4 has 'token_logprobs', and row 1 has none", "--column token_logprobs="]),
        ({"votes": ["yes"]}, ["row 4 has 'votes', and row 1 has none", "--column votes="]),
        ({"options": None}, ["row 4 has no options, and row 1 has options"]),
        ({"options": ["yes", "yes"]}, ["row 4", "'yes' twice"]),
        ({"options": ["yes"]}, ["row 4", "two or more texts"]),
        ({"correct": "perhaps"}, ["row 4", "'correct'", "expected true or false"]),
        ({"correct": 0.5}, ["row 4", "'correct'", "0.5 (a number), expected true or false"]),
        ({"gold": "maybe"}, ["row 4", "'gold'", "none of the row's options"]),
    ],
)
def test_a_row_that_cannot_be_used(change: dict[str, Any], said: list[str], tmp_path: Path) -> None:
    rows = good()
    rows[3] |= change
    message = refusal(rows, tmp_path)
    assert all(part in message for part in said), message


@pytest.mark.parametrize(
    ("first", "other", "said"),
    [
        ({"token_logprobs": [-0.5]}, {"token_logprobs": [0.5]}, "0.5 is no log-probability, which is at most 0"),
        ({"token_entropies": [0.5]}, {"token_entropies": [-0.5]}, "-0.5 is no entropy"),
        ({"embedding": [1.0, 2.0]}, {"embedding": [1.0]}, "has the shape (1,), and row 1 has (2,)"),
        ({"votes": ["yes"]}, {"votes": ["what"]}, "'what' (text) is none of the row's options"),
    ],
)
def test_signals_that_cannot_be_used(first: dict[str, Any], other: dict[str, Any], said: str, tmp_path: Path) -> None:
    rows = [row | first for row in good()]
    rows[2] |= other
    assert said in refusal(rows, tmp_path) and "row 3" in refusal(rows, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"prompt": "a?", "label": "b"}\n{"prompt": "a?", "la', ["row 2 (line 2)", "cut off"]),
        (
            "a.jsonl",
            b'{"prompt": "a?", "label": "b"}\n\n{"prompt" "a?"}\n',
            ["row 2 (line 3)", "one JSON object a line"],
        ),
        ("a.jsonl", b"[1, 2]\n", ["row 1 is [1, 2] (a list)", "expected an object"]),
        ("a.jsonl", b'{"prompt": "a?", "label": "b", "x": NaN}\n', ["line 1", "NaN is no JSON"]),
        ("a.jsonl", b"", ["has no rows"]),
        ("a.jsonl", '{"prompt": "é?", "label": "b"}\n'.encode("latin-1"), ["line 1", "no UTF-8", "iconv"]),
        ("a.jsonl", '{"prompt": "é?", "label": "b"}\n'.encode("utf-16"), ["UTF-16"]),
        ("a.jsonl", b"[" * 100_000 + b"\n", ["row 1 (line 1)", "one JSON object a line"]),
        ("a.csv", b'prompt,label\n"a?,b\n', ["a quote is not closed"]),
        ("a.csv", b"prompt,label\na?,b,c\n", ["row 1 (line 2) has 3 cells, the first line has 2", "quotes"]),
        ("a.csv", b"prompt,prompt\na?,b\n", ["'prompt' stands twice"]),
        ("a.csv", b"prompt,label,options\na?,b,b or c\n", ["row 1, column 'options'", "is no JSON"]),
        ("a.parquet", b"PAR1 and no more", ["is no whole Parquet file", "copy it again"]),
        ("a.txt", b"a?", ["ends in '.txt'", ".jsonl"]),
    ],
)
def test_a_file_that_cannot_be_read(name: str, content: bytes, said: list[str], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(path, tmp_path, trust="short_label")
    assert name in message and all(part in message for part in said), message


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "none.jsonl", tmp_path)
    (tmp_path / "empty").mkdir()
    assert "cannot be read as a folder of `datasets`" in refusal(tmp_path / "empty", tmp_path)
    assert "labels are of type int" in refusal(5, tmp_path)
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "is no regular file" in refusal(tmp_path / "pipe.jsonl", tmp_path)


def gold(count: int, right: Callable[[int], bool] = lambda i: i % 2 == 0) -> Rows:
    return [{"id": f"r{i}", "correct": right(i)} for i in range(count)]


def test_gold_that_cannot_be_used(tmp_path: Path) -> None:
    rows = good()
    three = refusal(rows, tmp_path, trust="calibrated", trust_set=gold(3))
    assert "10 right and 10 wrong labels at least (the trust set has 2 right and 1 wrong" in three
    assert "there is no trust set" in refusal(rows, tmp_path, trust="calibrated")
    assert "--purity is guaranteed by a trust set" in refusal(rows, tmp_path, purity=0.9)
    unknown = refusal(rows, tmp_path, trust_set=[*gold(3), {"id": "zz", "correct": True}])
    assert "1 of its 4 ids are in no row" in unknown
    assert "stands in row 1 already" in refusal(rows, tmp_path, trust_set=[*gold(1), *gold(1)])
    assert "has neither 'correct' nor 'gold'" in refusal(rows, tmp_path, trust_set=[{"id": "r1"}])
    assert "has no 'id'" in refusal(rows, tmp_path, trust_set=[{"correct": True}])
    assert "has no rows" in refusal(rows, tmp_path, trust_set=[])
    assert "unknown parameter" in refusal(rows, tmp_path, trust="confidence:x=1")
    twice = refusal([rows[0] | {"correct": True}, *rows[1:]], tmp_path, trust_set=gold(3))
    assert "row 1 has gold of its own" in twice and "give gold once" in twice
    other = refusal(rows, tmp_path, trust_set=[{"id": "r1", "prompt": "1?", "label": "no", "correct": True}])
    assert "'r1' has another label here" in other


def test_gold_of_another_row_is_never_joined(tmp_path: Path) -> None:
    """An id is no proof: what the two files say of the row must agree, and a number that nobody wrote shows nothing by itself."""
    other = refusal(good(), tmp_path, trust_set=[{"id": "r1", "prompt": "2?", "correct": True}])
    assert "the id 'r1' has another prompt here than row 2 of the labels, '2?' and '1?'" in other
    place = refusal(good(), tmp_path, trust_set=[good()[1] | {"label": 1, "correct": True}])
    assert "'r1' has another label here" in place, "1 is the place of 'no'"

    numbers = [{name: value for name, value in row.items() if name != "id"} for row in good()]
    index = [{"id": i, "prompt": f"{i}?", "gold": "yes"} for i in range(1, 9)]  # of a table whose first row is row 0
    assert "row 1: the id '1' has another prompt here than row 1 of the labels, '1?' and '0?'" in refusal(
        numbers, tmp_path, trust_set=index
    )
    bare = refusal(numbers, tmp_path, trust_set=[{"id": i, "gold": "yes"} for i in range(1, 9)])
    assert "cannot be told" in bare and "called by their number, from 1" in bare and "--column id=" in bare
    beside = [row | {"id": i, "prompt": f"new {i}?", "correct": True} for i, row in enumerate(numbers, 1)]
    assert "another prompt" in refusal(numbers, tmp_path, trust_set=beside)
    w2s_bench.score(numbers, trust="confidence", trust_set=beside, columns={"id": ""}, out=tmp_path / "beside")

    whole = [{"prompt": f"new {i}?", "label": "yes", "options": ["yes", "no"], "correct": True} for i in range(5)]
    whole[0] |= {"id": "r0", "prompt": "0?"}
    assert "1 of its 5 rows have the id of a row" in refusal(good(), tmp_path, trust_set=whole)


def test_gold_by_number_is_joined_where_the_prompts_agree() -> None:
    numbers = [{name: value for name, value in row.items() if name != "id"} for row in good()]
    gold = [{"id": i, "prompt": f"{i - 1}?", "gold": ["yes", "no"][i % 2]} for i in range(1, 13)]
    scored = w2s_bench.score(numbers, trust="confidence", trust_set=gold)
    assert sum(scored["in_trust_set"]) == 12


def test_right_and_gold_that_contradict_each_other(tmp_path: Path) -> None:
    rows = good()
    rows[3] |= {"correct": True, "gold": "no"}
    assert "'correct' is true, and the label 'yes' is not the 'gold' 'no'" in refusal(rows, tmp_path)
    rows[3] |= {"correct": False, "gold": "yes"}
    assert "row 4: 'correct' is false, and the label 'yes' is the 'gold' 'yes'" in refusal(rows, tmp_path)
    rows[3] |= {"correct": True}
    w2s_bench.score(rows, trust="confidence", out=tmp_path / "out")


def test_a_number_that_is_an_option_and_a_place(tmp_path: Path) -> None:
    """Text is an option, a number a place; a number that may be either is asked about, since a CSV file holds text alone."""
    rows = [row | {"options": ["1", "2"], "label": "1"} for row in good()]
    w2s_bench.score(rows, trust="confidence", out=tmp_path / "text")
    rows[3] |= {"label": 1}
    said = refusal(rows, tmp_path)
    assert "row 4" in said and "1 (a whole number) may be the option '1' or the one at that place from 0, '2'" in said
    rows[3] |= {"options": ["0", "1"]}
    w2s_bench.score(rows, trust="confidence", out=tmp_path / "same")


def test_a_trust_set_beside_the_pool_that_overlaps_it(tmp_path: Path) -> None:
    beside = [row | {"id": f"t{i}", "prompt": f"new {i}?", "correct": True} for i, row in enumerate(good())]
    beside[4]["prompt"] = "7?"
    message = refusal(good(), tmp_path, trust_set=beside)
    assert "row 5 of" in message and "row 8 of the labels (id 'r7') hold the same prompt and label" in message
    for row in beside:
        del row["probs"]
    beside[4]["prompt"] = "other"
    assert "do not have the same columns: 'probs'" in refusal(good(), tmp_path, trust_set=beside)


def test_columns_that_are_not_known() -> None:
    with pytest.raises(UnknownNameError, match="did you mean probs"):
        Columns.parse(["prob=p"])
    with pytest.raises(LabelsError, match="has no '='"):
        Columns.parse(["prompt"])
    with pytest.raises(LabelsError, match="'prompt' twice"):
        Columns.parse(["prompt=a", "prompt=b"])


def test_a_folder_that_is_taken_or_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(LabelsError, match="holds other things"):
        w2s_bench.score(good(), trust="confidence", out=out, force=True)
    assert (out / "thesis.tex").read_text() == "years of work"
    with pytest.raises(LabelsError, match="is no folder"):
        w2s_bench.score(good(), trust="confidence", out=out / "thesis.tex", force=True)
    monkeypatch.setattr(os, "access", lambda *args: False)
    assert "no permission to write" in refusal(good(), tmp_path)


def test_goals_that_contradict(tmp_path: Path) -> None:
    assert "--keep and --purity are both given" in refusal(good(), tmp_path, keep=0.5, purity=0.9)
    assert "--purity 95 is no share" in refusal(good(), tmp_path, purity=95)
    assert "is none of ltt, sgr" in refusal(good(), tmp_path, guarantee="best")


def test_a_function_that_does_not_apply_says_what_it_lacks(tmp_path: Path) -> None:
    message = refusal(good(), tmp_path, trust="student_agreement")
    assert "lacks student.choice_probs (column 'student_probs', or --student MODEL)" in message
    assert "generated answers" in refusal(good(), tmp_path, trust="token_spread")


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in good()))

    def grows(what: str, done: int, total: int | None) -> None:
        if what.startswith("fitting"):
            path.write_text("".join(json.dumps(row) + "\n" for row in good()[:5]))

    assert "changed while it was read; run again" in refusal(path, tmp_path, progress=grows)


def test_a_purity_of_rows_that_all_have_gold(tmp_path: Path) -> None:
    rows = [row | {"correct": i % 2 == 0} for i, row in enumerate(good())]
    w2s_bench.score(rows, trust="confidence", purity=0.9, out=tmp_path / "out")
    assert "every row has gold" in (tmp_path / "out" / "README.md").read_text()


def test_gold_as_tables_have_it_where_some_rows_have_none() -> None:
    parser = RowParser(Columns.of({}), "rows")
    row = good()[0]
    rights, wrongs, none = (True, 1, 1.0, "True"), (False, 0, 0.0, "false"), (None, float("nan"))
    for right, values in ((True, rights), (False, wrongs), (None, none)):
        assert [parser.parse(row | {"correct": value}, 1).right for value in values] == [right] * len(values)
    assert [parser.parse(row | {"gold": value}, 1).right for value in ("yes", "no", 0, float("nan"))] == [
        True,
        False,
        True,
        None,
    ]
