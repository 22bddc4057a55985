"""What can never be asked, or never be right, is named before anything is trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support import run_stage, toy_registry
from w2s_bench.domains.soundness import check_items, cut
from w2s_bench.domains.task import TaskDomain
from w2s_bench.errors import PluginError
from w2s_bench.protocol import items as rendered
from w2s_bench.protocol.contradictions import find_contradictions
from w2s_bench.protocol.files import ANSWERS, ITEMS, REMARKS
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.record import read_json, read_records
from w2s_bench.types import Answer, Item

LOADER = """import datasets, json, pathlib
def load(**_):
    return {"test": datasets.Dataset.from_list(json.loads((pathlib.Path(__file__).parent / "rows.json").read_text()))}
"""
BASE = {
    "task": "made",
    "test_split": "test",
    "doc_to_text": "{{question}}",
    "num_fewshot": 0,
}
CHOICE = {
    **BASE,
    "output_type": "multiple_choice",
    "doc_to_choice": "choices",
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
GENERATE = {
    **BASE,
    "output_type": "generate_until",
    "doc_to_target": "gold",
    "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": 5},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "filter_list": [{"name": "all", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}],
}


def built(folder: Path, rows: list[dict[str, Any]], task: dict[str, Any]) -> tuple[list[Item], list[Answer], list[str]]:
    """Items, answers and remarks of a task over these rows."""
    folder = folder / "domain"
    folder.mkdir(parents=True, exist_ok=True)
    names = ("id", "group", "key")
    rows = [{**dict.fromkeys(names, str(n)), "stratum": "s", "question": f"Q{n}", **row} for n, row in enumerate(rows)]
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "loader.py").write_text(LOADER)
    shown = {key: value if str(value).startswith("!function") else json.dumps(value) for key, value in task.items()}
    keys = "\n".join(f"{json.dumps(key)}: {value}" for key, value in shown.items())
    (folder / "made.yaml").write_text(f"custom_dataset: !function loader.load\n{keys}\n")
    kind: Any = "choice" if task["output_type"] == "multiple_choice" else "generate"
    domain = TaskDomain("made", "1", kind, folder / "made.yaml", "made", max_new_tokens=5)
    params = {"domain": PlannedDomain.of("made", domain, {}).params}

    class Registry:
        def domain(self, name: str) -> TaskDomain:
            return domain

    registry: Any = Registry()
    items = run_stage(rendered.build_items, folder.with_suffix(".items"), params, registry=registry)
    answers = run_stage(rendered.build_answers, folder.with_suffix(".answers"), params, registry=registry)
    said = [*rendered.remarks("made", items), *rendered.remarks("made", answers)]
    assert len(said) == len(read_json(items / REMARKS)) + len(read_json(answers / REMARKS))
    return read_records(items / ITEMS, Item), read_records(answers / ANSWERS, Answer), said


def contrary_golds(folder: Path, task: dict[str, Any]) -> list[str]:
    """What is told of the golds of a domain that was `built` in this folder."""
    kind: Any = "choice" if task["output_type"] == "multiple_choice" else "generate"
    domain: Any = TaskDomain("made", "1", kind, folder / "domain" / "made.yaml", "made", max_new_tokens=5)
    registry: Any = SimpleNamespace(domain=lambda name: domain)
    params = {"domain": PlannedDomain.of("made", domain, {}).params}
    inputs = {name: folder / f"domain.{name}" for name in ("items", "answers")}
    out = run_stage(find_contradictions, folder / "contrary", params, registry=registry, **inputs)
    return list(read_json(out / REMARKS))


def test_an_item_with_two_equal_options_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"choices": ["a", "b", "a" if n in (1, 3) else "c"], "gold": 1} for n in range(5)]
    items, answers, said = built(tmp_path / "some", rows, CHOICE)
    assert [item.id for item in items] == [answer.id for answer in answers] == ["0", "2", "4"]
    assert said == ["made: 2 of 5 items were left out, as they have two equal options (1, 3)"]


def test_an_item_with_one_option_or_none_is_left_out_and_counted(tmp_path: Path) -> None:
    """The first too, which lm-eval looks at; beside one whose options repeat, each reason is told."""
    options = {0: ["a"], 2: [], 4: ["a", "a"]}
    rows = [{"choices": options.get(n, ["a", "b", "c"]), "gold": 0} for n in range(6)]
    items, answers, said = built(tmp_path, rows, CHOICE)
    assert [item.id for item in items] == [answer.id for answer in answers] == ["1", "3", "5"]
    assert said == [
        "made: 2 of 6 items were left out, as they have fewer than two options (0, 2)",
        "made: 1 of 6 items were left out, as they have two equal options (4)",
    ]


def test_a_task_of_which_no_item_can_be_asked_is_refused(tmp_path: Path) -> None:
    for options in (["a"], ["a", "a"]):
        said = r"'made': none of its 2 items can be asked: item '0' needs two or more distinct options, got \(.* see doc_to_choice"
        with pytest.raises(PluginError, match=said):
            built(tmp_path, [{"choices": options, "gold": 0} for _ in range(2)], CHOICE)


def test_items_that_are_all_of_one_cluster_are_refused() -> None:
    items = [Item(str(n), str(n), str(n), "s", "?", ("a", "b"), cluster="verb") for n in range(3)]
    with pytest.raises(PluginError, match="all 3 items are of one cluster, 'verb'"):
        check_items(items, "made")
    check_items([*items, replace(items[0], id="3", group="3", key="3", cluster="other")], "made")
    check_items([replace(item, cluster="") for item in items], "made")


OPTIONS = ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("target", "gold", "choices", "refused"),
    [
        ("{{gold}}", "1", OPTIONS, True),  # lm-eval: the second option, "2"
        ("{{ gold | trim }}", " 3", OPTIONS, True),
        ("gold", "1", OPTIONS, False),  # the field itself: its text
        ("{{gold}}", 1, OPTIONS, False),  # a number is an index, whatever the options say
        ("{{choices.index(gold)}}", "1", OPTIONS, False),
        ("{{gold}}", "1", ["0", "1", "2"], False),  # the text and the index agree
        ("{{gold}}", "1", ["one", "two"], False),
        ("{% if gold %}{{gold}}{% endif %}", "3", OPTIONS, True),
        ('{{gold}}{{ "" }}', "3", OPTIONS, True),
        ("{% set given = gold %}{{ given }}", "1", OPTIONS, True),
        ("{{tens}}{{gold}}", "1", OPTIONS, True),
        ("{% for c in choices %}{% if c == gold %}{{ c }}{% endif %}{% endfor %}", "3", OPTIONS, True),
        ("{% if gold %}{{gold}}{% endif %}", 1, OPTIONS, False),
        ("{% set given = choices.index(gold) %}{{ given }}", "3", OPTIONS, False),
        ("{% if gold %}{{gold}}{% endif %}", "1", ["one", "two"], False),
        ("1", "1", OPTIONS, False),  # a template without a field: its author counts options
        ("{{ 1 }}", "1", OPTIONS, False),
    ],
)
def test_digits_that_lm_eval_takes_for_another_option_are_refused(
    target: str, gold: Any, choices: list[str], refused: bool, tmp_path: Path
) -> None:
    rows, task = [{"choices": choices, "gold": gold, "tens": ""}], {**CHOICE, "doc_to_target": target}
    if refused:
        with pytest.raises(
            PluginError, match=r"gold '.*' of item '0' is option \d of .*lm-eval reads the digits as an index"
        ):
            built(tmp_path, rows, task)
    else:
        _, (answer,), _ = built(tmp_path, rows, task)
        assert answer.completion == f" {choices[answer.index or 0]}"


def test_digits_of_a_generated_answer_that_lm_eval_takes_for_another_option_are_refused(tmp_path: Path) -> None:
    rows = [{"choices": OPTIONS, "gold": "1"}]
    task = {**GENERATE, "doc_to_choice": "choices", "doc_to_target": "{% if gold %}{{gold}}{% endif %}"}
    with pytest.raises(PluginError, match=r"gold '1' of item '0' is option 1 of .*counts '2' as right"):
        built(tmp_path, rows, task)


def test_one_question_under_two_keys_with_two_golds_is_refused(tmp_path: Path) -> None:
    same = {"question": "Which  one?", "choices": ["a", "b"], "gold": 0}
    other = {"question": "Which one?", "choices": ["b", "a"], "gold": 0}  # other spaces, another order, another gold
    with pytest.raises(
        PluginError, match=r"items '0' and '1' ask the same, .*keys '0' and '1', and their golds are 'a' and 'b'"
    ):
        built(tmp_path, [same, other], CHOICE)
    for fine in ({**other, "gold": 1}, {**other, "choices": ["a", "c"]}, {**other, "question": "which one?"}):
        built(tmp_path, [same, fine], CHOICE)
    with pytest.raises(PluginError, match="their golds are '4' and '5'"):
        built(tmp_path, [{"question": "2 + 2 =", "gold": gold} for gold in ("4", "5")], GENERATE)
    one = {"question": "2 + 2 =", "key": "k", "group": "g"}
    built(tmp_path, [{**one, "gold": gold} for gold in ("4", "5")], GENERATE)
    with pytest.raises(PluginError, match=r"items '1' and '2' ask the same, .*keys 'k' and '2'"):
        built(
            tmp_path, [*({**one, "gold": gold} for gold in ("4", "5")), {"question": "2 + 2 =", "gold": "4"}], GENERATE
        )


ONE = {"question": "Same thing?", "key": "k", "group": "g"}


@pytest.mark.parametrize(
    ("rows", "task", "said"),
    [
        (
            [{**ONE, "choices": ["a", "b", "c"], "gold": n % 3} for n in range(30)],
            CHOICE,
            "1 question (30 items) has contrary golds, such as 'Same thing?': 'a' (item '0') and 'b' (item '1'); whichever",
        ),
        (
            [
                {**dict.fromkeys(("key", "group", "question"), f"{n // 2}?"), "choices": ["no", "yes"], "gold": n % 2}
                for n in range(4)
            ],
            CHOICE,
            "2 questions (4 items) have contrary golds, such as '0?': 'no' (item '0') and 'yes' (item '1'); whichever",
        ),
        ([{**ONE, "gold": gold} for gold in "445"], GENERATE, "1 question (3 items) has contrary golds, such as"),
        ([{**ONE, "question": q, "gold": q} for q in ("What is 4?", "4 is?")], GENERATE, "1 question (2 items) has"),
        # One gold in another order of options, in other letters.
        ([{**ONE, "choices": ["a", "b"], "gold": 0}, {**ONE, "choices": ["b", "a"], "gold": 1}], CHOICE, ""),
        (
            [{**ONE, "choices": ["Paris", "Lima"], "gold": 0}, {**ONE, "choices": ["Lima.", "paris."], "gold": 1}],
            CHOICE,
            "",
        ),
        # Letters of options that stand in each prompt are no texts to compare.
        (
            [
                {**ONE, "question": f"{asked}?", "choices": ["A", "B"], "gold": n}
                for n, asked in enumerate(["A x B y", "A y B x"])
            ],
            CHOICE,
            "",
        ),
    ],
)
def test_one_question_with_contrary_golds_under_one_key_is_counted_and_told(
    rows: list[dict[str, Any]], task: dict[str, Any], said: str, tmp_path: Path
) -> None:
    _, _, noted = built(tmp_path, rows, task)
    assert noted == [], "what is stored of items and answers stays as it was"
    told = contrary_golds(tmp_path, task)
    assert [text[: len(said)] for text in told] == ([said] if said else [])


def test_gold_that_until_cuts_is_told_and_refused_where_none_is_left(tmp_path: Path) -> None:
    rows = [{"gold": f"so\n{n}" if n in (1, 50) else str(n)} for n in range(60)]
    _, answers, said = built(tmp_path / "some", rows, GENERATE)
    assert len(answers) == 60
    assert said == [
        "made: 2 of 60 items cannot be answered right, as their gold goes on after what ends an answer ('\\n', or 5 tokens) "
        "(1, 50)"
    ]
    with pytest.raises(PluginError, match=r"no model can be right: `until` \['\\n'\] ends an answer inside the gold"):
        built(tmp_path / "all", [{"gold": f"so\n{n}"} for n in range(60)], GENERATE)
    # Cut, but what is graded is left.
    first = {
        "name": "first",
        "filter": [{"function": "regex", "regex_pattern": "([0-9]+)"}, {"function": "take_first"}],
    }
    kept = {**GENERATE, "filter_list": [first], "doc_to_target": "{{gold.split()[0]}}\nor so"}
    kept["metric_list"] = [{**GENERATE["metric_list"][0], "regexes_to_ignore": ["\nor so"]}]
    assert built(tmp_path / "kept", [{"gold": f"{n} so"} for n in range(60)], kept)[2] == []


def test_gold_of_more_words_than_tokens_is_told_and_refused_where_none_is_shorter(tmp_path: Path) -> None:
    long, fits = "one two three four five six", "one two three four five"
    _, _, said = built(tmp_path / "some", [{"gold": long if n in (1, 50) else fits} for n in range(60)], GENERATE)
    assert [text.rpartition(" (")[2] for text in said] == ["1, 50)"]
    with pytest.raises(PluginError, match=r"no model can be right: max_gen_toks 5 ends .*, of 6 words as in ' one two"):
        built(tmp_path / "all", [{"gold": long} for _ in range(60)], GENERATE)
    first = {
        "name": "first",
        "filter": [{"function": "regex", "regex_pattern": "^ *(one)"}, {"function": "take_first"}],
    }
    kept = {**GENERATE, "filter_list": [first], "doc_to_target": "{{gold}}"}
    kept["metric_list"] = [{**GENERATE["metric_list"][0], "regexes_to_ignore": [" two.*"]}]
    assert built(tmp_path / "kept", [{"gold": long} for _ in range(60)], kept)[2] == [], "what is graded is left"


def test_gold_that_the_filter_refuses_is_not_blamed_on_its_length(tmp_path: Path) -> None:
    """One of them is too long as well."""
    first = {
        "name": "first",
        "filter": [{"function": "regex", "regex_pattern": "#### ([0-9]+)"}, {"function": "take_first"}],
    }
    rows = [{"gold": "one two three four five six" if n == 1 else "three"} for n in range(60)]
    with pytest.raises(
        PluginError, match=r"its own gold is not right by its task's filter .* as in ' three' of item '0'"
    ):
        built(tmp_path, rows, {**GENERATE, "filter_list": [first]})


def test_a_text_is_cut_at_the_first_string_that_ends_it() -> None:
    assert cut("a b; c\nd", ["\n", ";"]) == "a b"
    assert cut("a b", ["\n", ""]) == cut("a b", []) == "a b"


@pytest.mark.parametrize(
    ("gold", "more", "said"),
    [
        ([], {}, "item '0' has no gold, an empty list of answers"),
        ("", {}, "the gold of item '0' is empty"),
        (None, {}, "the gold of item '0' is empty"),
        ("7", {"metric_list": []}, "its task has no metric"),
        (
            "7",
            {"metric_list": [{"metric": "bleu", "aggregation": "bleu", "higher_is_better": True}]},
            "metric 'bleu' gave",
        ),
        (
            "7",
            {"filter_list": [{"name": "x", "filter": [{"function": "regex", "regex_pattern": "=(\\d)"}]}]},
            "its own gold",
        ),
    ],
)
def test_what_no_answer_can_satisfy_is_refused(gold: Any, more: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=said):
        built(tmp_path, [{"gold": gold}], {**GENERATE, **more})


F1 = """def graded(document, results):
    gold, given = document["gold"].split(), results[0].split()
    shared = len(set(gold) & set(given))
    return {"f1": 2 * shared / (len(set(gold)) + len(set(given)))}
"""


def graded_by(code: str, folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """The task with a function of its own that grades."""
    (folder / "domain").mkdir(parents=True)
    (folder / "domain" / "grading.py").write_text(code)
    return {**task, "process_results": "!function grading.graded"}


@pytest.mark.parametrize(
    ("golds", "answer"),
    [
        (["one two", "three four"], "' one'"),  # a part of gold
        (["one two", "one four"], "' one'"),
        (["one", "two"], "' one  two'"),  # golds of one word: gold is a part of it
    ],
)
def test_a_metric_between_right_and_wrong_is_refused_though_gold_is_right(
    golds: list[str], answer: str, tmp_path: Path
) -> None:
    task = {**graded_by(F1, tmp_path, GENERATE), "metric_list": [{**GENERATE["metric_list"][0], "metric": "f1"}]}
    task["filter_list"] = [{"name": "all", "filter": [{"function": "take_first"}]}]
    said = rf"domain 'made': item 0, answer {answer}: metric 'f1' gave 0\.66.*needs right \(1\) or wrong \(0\).*process_results"
    with pytest.raises(PluginError, match=said):
        built(tmp_path, [{"gold": gold} for gold in golds], task)


def test_grading_that_an_answer_makes_fall_over_is_refused(tmp_path: Path) -> None:
    code = "def graded(document, results):\n    return {'exact_match': results[0].split()[0] == document['gold']}\n"
    task = graded_by(code, tmp_path, GENERATE)
    said = r"domain 'made': its filter or metric cannot grade the answer '' to item '0' \(IndexError: .*a model may answer anything"
    with pytest.raises(PluginError, match=said):
        built(tmp_path, [{"gold": "7"}, {"gold": "8"}], task)
    fixed = graded_by(code.replace("results[0].split()[0]", "results[0].strip()"), tmp_path / "fixed", GENERATE)
    assert len(built(tmp_path / "fixed", [{"gold": "7"}, {"gold": "8"}], fixed)[1]) == 2


def test_an_option_that_is_half_right_is_refused(tmp_path: Path) -> None:
    code = (
        "def graded(document, results):\n    return {'acc': [0, 1, 0.5][max(range(3), key=lambda i: results[i][0])]}\n"
    )
    with pytest.raises(PluginError, match=r"domain 'made': item 0: metric 'acc' gave 0\.5"):
        built(tmp_path, [{"choices": ["a", "b", "c"], "gold": 1}], graded_by(code, tmp_path, CHOICE))


def test_two_derivations_of_one_answer_are_not_contrary(tmp_path: Path) -> None:
    """As in GSM8K, whose golds are whole solutions: the task itself says which answers are right."""
    code = (
        "def graded(document, results):\n    return {'exact_match': results[0] == document['gold'].split('#### ')[1]}\n"
    )
    number = [{"function": "regex", "regex_pattern": "#### ([0-9]+)"}, {"function": "take_first"}]
    task = {**graded_by(code, tmp_path, GENERATE), "filter_list": [{"name": "final", "filter": number}]}
    built(tmp_path, [{**ONE, "gold": gold} for gold in ("2 + 2 #### 4", "so #### 4")], task)
    assert contrary_golds(tmp_path, task) == []
    built(tmp_path, [{**ONE, "gold": gold} for gold in ("2 + 2 #### 4", "so #### 5")], task)
    assert len(contrary_golds(tmp_path, task)) == 1


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("option", ["", None, " "])
def test_an_empty_option_is_refused(option: str | None, place: int, tmp_path: Path) -> None:
    """In the first item lm-eval itself meets it, and falls over."""
    rows = [{"choices": ["a", option if n == place else "b"], "gold": 0} for n in range(3)]
    with pytest.raises(PluginError, match=r"option .*empty.*doc_to_choice|option 2 of item .* is empty"):
        built(tmp_path, rows, CHOICE)


def test_a_choice_domain_needs_acc(tmp_path: Path) -> None:
    other = {"metric_list": [{"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True}]}
    with pytest.raises(
        PluginError, match="its task's metrics are acc_norm, the protocol takes acc; add it to metric_list"
    ):
        built(tmp_path, [{"choices": ["a", "b"], "gold": 0}], {**CHOICE, **other})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["knowledge", "math", "chess", "places", "verbs"])
def test_the_bundled_domains_give_no_cause_for_remarks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    params = {"domain": PlannedDomain.of(f"w2s-bench/{name}", registry.domain(name), {}).params}
    made: dict[str, Path] = {}
    for build, needs in (
        (rendered.build_items, ()),
        (rendered.build_answers, ()),
        (find_contradictions, ("items", "answers")),
    ):
        inputs = {name: made[name] for name in needs}
        made[build.name] = run_stage(build, tmp_path / build.name, params, registry=registry, **inputs)
        assert read_json(made[build.name] / REMARKS) == []


def test_of_several_golds_one_that_until_does_not_cut_is_learnt(tmp_path: Path) -> None:
    """`St. John` ends at the point; `John` is right too, and what a student can learn."""
    kwargs = {**GENERATE["generation_kwargs"], "until": ["\n", "."]}
    rows = [{"gold": ["St. John", "John"]}, {"gold": ["U.S.", "USA"]}, {"gold": ["one", "two"]}]
    _, answers, said = built(tmp_path, rows, {**GENERATE, "generation_kwargs": kwargs})
    assert [answer.completion.strip() for answer in answers] == ["John", "USA", "one"]
    assert said == []


def test_text_that_lm_eval_reads_as_a_list_is_learnt_whole(tmp_path: Path) -> None:
    """An interval is no list of golds: its first number alone would be a wrong answer to learn."""
    rows = [{"gold": "plain"}, {"gold": "[-2, 7]"}]
    _, answers, said = built(tmp_path, rows, {**GENERATE, "doc_to_target": "{{gold}}"})
    assert [answer.completion.strip() for answer in answers] == ["plain", "[-2, 7]"]
    assert said == []


def test_an_index_of_numpys_is_gold(tmp_path: Path) -> None:
    """As a function of the task's may give it (toxigen)."""
    folder = tmp_path / "domain"
    folder.mkdir()
    (folder / "golds.py").write_text("import numpy as np\ndef gold(doc):\n    return np.int32(doc['gold'])\n")
    rows = [{"choices": ["No", "Yes"], "gold": n % 2} for n in range(4)]
    _, answers, _ = built(tmp_path, rows, {**CHOICE, "doc_to_target": "!function golds.gold"})
    assert [(answer.index, answer.completion.strip()) for answer in answers] == [(0, "No"), (1, "Yes")] * 2


def test_brackets_make_two_questions_of_the_same_words(tmp_path: Path) -> None:
    """They have one key, since words are all that a key is made of, but their golds do not contradict each other."""
    rows = [
        {"question": "not ( True and False )", "gold": "True", "key": "k", "group": "k"},
        {"question": "( not True ) and False", "gold": "False", "key": "k", "group": "k"},
    ]
    built(tmp_path, rows, GENERATE)
    assert contrary_golds(tmp_path, GENERATE) == []
    rows[1]["question"] = rows[0]["question"]
    built(tmp_path, rows, GENERATE)
    assert len(contrary_golds(tmp_path, GENERATE)) == 1
