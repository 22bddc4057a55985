"""`lm-eval/TASK`: tasks that would be graded or asked wrongly in silence are refused, and odd ones that can be used are."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from domains.test_lm_eval import SIZES, data, made, write  # noqa: F401 - `data` is a fixture
from domains.test_lm_eval_data import own_task
from support import split_ids
from w2s_bench.domains.asked import Reading
from w2s_bench.domains.documents import Documents
from w2s_bench.domains.grading import answers_are_right, filter_that_takes
from w2s_bench.domains.seeded import seeded
from w2s_bench.domains.usable import facts_of, tasks_like
from w2s_bench.errors import PluginError
from w2s_bench.plugins.registry import Registry

GENERATED = {"output_type": "generate_until", "test_split": "t"}
ALL = {"train": range(12), "test": range(12, 18)}


def write_splits(folder: Path, task: str, row: Any, splits: dict[str, range] = ALL) -> None:
    for split, numbers in splits.items():
        write(folder, task, split, [row(n) for n in numbers])


def choice(n: int) -> dict[str, Any]:
    return {"question": f"q{n}", "options": ["red", "blue", "green"], "gold": n % 3}


@pytest.mark.parametrize(
    ("task", "key", "field"),
    [
        ("swag", "doc_to_text", "startphrase"),
        ("openbookqa", "doc_to_text", "question_stem"),
        ("commonsense_qa", "doc_to_target", "answerKey"),
        ("inverse_scaling_memo_trap", "doc_to_choice", "classes"),
    ],
)
def test_a_column_that_is_not_there_is_no_prompt_and_no_gold(task: str, key: str, field: str, data: Path) -> None:  # noqa: F811
    """lm-eval takes a field's name that no document has for the text itself."""

    def row(n: int) -> dict[str, Any]:
        rows: dict[str, dict[str, Any]] = {
            "swag": {"start": f"She {n}", **{f"ending{k}": f"{n} {k}" for k in range(4)}, "label": n % 4},
            "openbookqa": {"stem": f"q{n}", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"},
            "commonsense_qa": {"question": f"q{n}", "choices": {"text": list("abcde"), "label": list("ABCDE")}},
            "inverse_scaling_memo_trap": {"prompt": f"q{n}", "answer_index": n % 2, "options": ["a", "b"]},
        }
        return rows[task]

    write_splits(data, task, row, {**ALL, "validation": range(12, 18)})
    with pytest.raises(PluginError) as raised:
        Registry.load().domain(f"lm-eval/{task}", train="train").task()
    said = str(raised.value)
    assert f"{key} is {field!r}, which is no field of its documents (they have {', '.join(row(0))})" in said
    assert "give files with the columns" in said and "Error" not in said


@pytest.mark.parametrize(
    ("more", "prompt", "index"),
    [
        ("doc_to_text: \"{{'Choose'}}\"\ndoc_to_target: gold\n", "Choose", {0, 1, 2}),
        ("doc_to_text: ''\ndoc_to_target: gold\n", "", {0, 1, 2}),
        ("doc_to_target: red\n", None, {0}),
    ],
    ids=["a word", "nothing", "one option"],
)
def test_a_text_that_is_meant_is_left_alone(
    more: str,
    prompt: str | None,
    index: set[int],
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own_task(data, monkeypatch, more)
    write_splits(data, "mine", lambda n: {**choice(n), "options": ["red", f"blue {n}", f"green {n}"]})
    items, answers, *_ = made(data / "out", "lm-eval/mine")
    assert len(items) == 18 and {answer.index for answer in answers} == index
    assert prompt is None or {item.prompt for item in items} == {prompt}


def test_a_metric_that_calls_every_answer_right_is_refused() -> None:
    """To lm-eval `acc` of a generated answer is the pair of gold and answer."""
    keys = {**GENERATED, "metric_list": [{"metric": "acc", "aggregation": "mean"}, {"metric": "exact_match"}]}
    assert "acc does not compare a generated answer with gold" in (facts_of("x", keys).fault or "")
    assert facts_of("x", keys, "exact_match").fault is None
    assert facts_of("x", {**keys, "process_results": "utils.f"}).fault is None, "the task's own function grades"
    found = tasks_like("masakhapos_bam_prompt_?")
    assert len(found) == 5 and all("acc does not compare" in (task.fault or "") for task in found)


@pytest.mark.parametrize("more", [{}, {"process_results": "utils.f"}])
@pytest.mark.parametrize("kind", ["generate_until", "multiple_choice"])
def test_a_number_that_is_no_share_of_right_answers_is_refused(kind: str, more: dict[str, Any]) -> None:
    metric = "acc" if kind == "multiple_choice" else "exact_match"
    usual = {"output_type": kind, "test_split": "t", "doc_to_choice": ["a", "b"], **more}

    def fault(aggregation: dict[str, Any]) -> str | None:
        return facts_of("x", {**usual, "metric_list": [{"metric": metric, **aggregation}]}).fault

    assert f"its metric {metric} is aggregated by agg.gpirt" in (fault({"aggregation": "agg.gpirt"}) or "")
    assert fault({}) is fault({"aggregation": "mean"}) is None


SHUFFLES = """import random
import numpy as np
def deal(rows):
    def one(row):
        options = list(row["options"])
        random.shuffle(options)
        return {"options": options, "gold": options.index("red"), "drawn": float(np.random.random())}
    return rows.map(one)
"""


@pytest.mark.slow
def test_options_that_a_task_shuffles_are_the_same_at_every_load(
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In this process, and in the one that reads documents at the start of a run; nobody else's chance is touched."""
    own_task(data, monkeypatch, "doc_to_target: gold\nprocess_docs: !function mine_loader.deal\n", SHUFFLES)
    write_splits(data, "mine", choice)
    random.seed(5)
    np.random.seed(5)
    first, second = (Registry.load().domain("lm-eval/mine").task().eval_docs for _ in range(2))
    assert first == second and len({document["gold"] for document in first}) == 3
    assert (random.random(), np.random.random()) == (random.Random(5).random(), np.random.RandomState(5).random())
    documents = [Documents().digest("lm-eval/mine", {}) for _ in range(2)]
    assert documents[0] is not None and documents[0] == documents[1]


def test_chance_is_lm_evals_and_torchs_too() -> None:
    import torch  # which `seeded` leaves alone until somebody has imported it

    before = torch.get_rng_state()
    with seeded():
        drawn = random.random(), float(np.random.random()), float(torch.rand(1))
    assert torch.equal(before, torch.get_rng_state())
    expected = torch.rand(1, generator=torch.Generator().manual_seed(1234))
    assert drawn == (random.Random(0).random(), float(np.random.RandomState(1234).random()), float(expected))


def test_gpqa_can_be_used(data: Path) -> None:  # noqa: F811
    def row(n: int) -> dict[str, Any]:
        return {"Question": f"q{n}", "Correct Answer": f"right {n}"} | {
            f"Incorrect Answer {k}": f"wrong {n} {k}" for k in (1, 2, 3)
        }

    write_splits(data, "gpqa_main_zeroshot", row, {"train": range(12)})
    prompts = [
        [item.prompt for item in made(data / str(n), "lm-eval/gpqa_main_zeroshot", train="train")[0]] for n in (1, 2)
    ]
    assert len(prompts[0]) == 12 and prompts[0] == prompts[1]


@pytest.mark.parametrize("gold", [np.int32, np.int64, int])
def test_numpys_numbers_are_numbers_of_options(gold: Any) -> None:
    task = SimpleNamespace(
        config=SimpleNamespace(doc_to_choice=["a", "b"]),
        doc_to_choice=lambda document: ["a", "b"],
        doc_to_text=lambda document: document["question"],
        doc_to_target=lambda document: gold(document["gold"]),
    )
    rows = Reading("d", "choice").rows(
        task, "test", [{"question": f"q{n}", "gold": n} for n in (0, 1, -1)], in_test=True
    )
    assert [row is None for row in rows] == [False, False, True]


def test_all_splits_are_cut_from_the_only_split_that_there_is(data: Path) -> None:  # noqa: F811
    """Also where the task calls it its validation split."""

    def row(n: int) -> dict[str, Any]:
        choices = {"choices": [f"option {n} {k}" for k in range(3)], "labels": [1, 0, 0]}
        return {"question": f"q{n}", "mc1_targets": choices, "mc2_targets": choices}

    write_splits(data, "truthfulqa_mc1", row, {"validation": range(20)})
    items, answers, _, domain = made(data / "out", "lm-eval/truthfulqa_mc1", train="validation")
    assert domain.test_splits == ("validation",) and not domain.in_test_by_task
    assert {domain.in_test(answer.document) for answer in answers} == {None}
    of = split_ids(items, SIZES, "d", seed=0)
    assert {split: len(ids) for split, ids in of.items()} == SIZES
    with pytest.raises(PluginError, match="train names the split of `test`, 'validation', and others"):
        Registry.load().domain("lm-eval/truthfulqa_mc1", train=["validation", "more"])


def test_a_split_of_which_process_docs_keeps_nothing_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    keeps = "def keep(rows):\n    return rows.filter(lambda row: row['question'] == 'none')\n"
    own_task(data, monkeypatch, "doc_to_target: gold\nprocess_docs: !function mine_loader.keep\n", keeps)
    write_splits(data, "mine", choice)
    with pytest.raises(PluginError) as raised:
        Registry.load().domain("lm-eval/mine").task()
    assert "process_docs keeps none of the 6 rows of split test (their fields are question, options, gold)" in str(
        raised.value
    )
    assert "lacks" not in str(raised.value) and "IndexError" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "gold", "other"),
    [
        ({}, "5", "flexible-extract"),
        ({"filter": "strict-match"}, "5", "flexible-extract"),
        ({"filter": "flexible-extract"}, "The answer is 5.", "strict-match"),
        ({}, "five", None),
    ],
)
def test_the_filter_that_takes_the_gold_is_found(
    given: dict[str, str],
    gold: str,
    other: str | None,
    data: Path,  # noqa: F811
) -> None:
    write_splits(data, "gsm8k_cot", lambda n: {"question": f"How many {n}?", "answer": "It is.\n#### 5"})
    task = Registry.load().domain("lm-eval/gsm8k_cot", train="train", **given).task()
    documents, names = task.eval_docs[:2], [one.name for one in task._filters]
    assert names == (
        ["flexible-extract", "strict-match"] if "flex" in str(given) else ["strict-match", "flexible-extract"]
    )
    asked = task, ["a", "b"], documents, [gold, gold]
    assert filter_that_takes(*asked) == other
    assert answers_are_right(*asked) == [given.get("filter") == "flexible-extract"] * 2


def test_gold_that_another_filter_takes_comes_with_its_name(data: Path) -> None:  # noqa: F811
    write_splits(data, "gsm8k_cot", lambda n: {"question": f"How many {n}?", "answer": "It is.\n#### 5"})
    with pytest.raises(
        PluginError, match=r"own gold is not right .*; with parameters: \{filter: flexible-extract\} it is"
    ):
        made(data / "a", "lm-eval/gsm8k_cot", train="train")
    assert len(made(data / "b", "lm-eval/gsm8k_cot", train="train", filter="flexible-extract")[0]) == 18


def test_formulas_of_the_same_words_are_questions_of_their_own(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Each has its key and group; the same formula in other spacing still has those of the first."""
    formulas = ["not ( {0} and True )", "( not {0} ) and True", "( not ( {0} ) and True )"]
    own_task(data, monkeypatch, "doc_to_text: question\ndoc_to_target: gold\n")

    def row(n: int) -> dict[str, Any]:
        return {**choice(n), "question": formulas[n % 3].format(f"p{n // 3}")}

    write_splits(data, "mine", row)
    items, _, remarks, _ = made(data / "a", "lm-eval/mine")
    assert remarks == [] and len({item.key for item in items}) == len({item.group for item in items}) == 18
    write_splits(data, "mine", lambda n: {**row(n), "question": row(n % 9)["question"].replace(" ", "  ")})
    items, _, remarks, _ = made(data / "b", "lm-eval/mine")
    assert len({item.key for item in items}) == 9
