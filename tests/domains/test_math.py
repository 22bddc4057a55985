"""The built-in domain `math`: its items, its task, its bundled models."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from w2s_bench_tasks.math.domain import domain
from w2s_bench_tasks.math.making import corpus, make
from w2s_bench_tasks.math.making.lexicon import (
    KNOWN,
    LARGEST,
    MEANING,
    NEW,
    NEW_VERBS,
    OPERATORS,
    Draw,
    apply,
    third_person,
)
from w2s_bench_tasks.math.making.solver import solve

FOLDER = Path(str(files("w2s_bench_tasks"))) / "math"
SIZES = {"s": 125_000, "m": 255_000, "l": 255_000}


@pytest.fixture(scope="module")
def items() -> list[dict[str, str]]:
    return [json.loads(line) for line in (FOLDER / "data" / "items.jsonl").read_text(encoding="utf-8").splitlines()]


def tokenizer(size: str = "l") -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(FOLDER / "models" / f"math-{size}")


# -- facts of the domain


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Tom has 38 apples. Tom buys 22. Later Tom loses 5. How many apples now?", 55),
        ("Ana starts with 6 coins. Then Ana multiplies it by 4. How many has Ana?", 24),
        ("Raj owns 60 pens. Raj splits it by 5. Then Raj wastes 2. Raj hoards 9. How many pens remain?", 19),
        ("Zoe has 9 eggs. Zoe catches 30. Later Zoe thins it by 3. How many eggs now?", 13),
        ("Kate has 20 books. Later Kate squanders 7. How many books now?", 13),
    ],
)
def test_the_solver_agrees_with_answers_worked_by_hand(question: str, answer: int) -> None:
    assert solve(question) == answer


def test_gold_of_every_item_follows_from_its_text_alone(items: list[dict[str, str]]) -> None:
    assert [item["id"] for item in items if str(solve(item["question"])) != item["answer"]] == []


def test_every_equation_of_every_solution_holds_and_leads_on(items: list[dict[str, str]]) -> None:
    for item in items:
        body, answer = item["solution"].split(" #### ")
        amount = int(re.findall(r"\d+", item["question"])[0])
        for equation in body.split(" ; "):
            match = re.fullmatch(r"(\d+) ([-+*/]) (\d+) = (\d+)", equation)
            assert match is not None, item
            left, operator, right, result = int(match[1]), match[2], int(match[3]), int(match[4])
            assert left == amount
            undone = {"+": result - right, "-": result + right, "*": result / right, "/": result * right}
            assert undone[operator] == left, item
            assert 1 <= result <= LARGEST
            amount = result
        assert answer == item["answer"] == str(amount)


def test_a_verb_means_one_operation() -> None:
    listed = [verb for table in (KNOWN, NEW) for op in OPERATORS for verb in table[op]]
    assert len(listed) == len(set(listed)) == len(MEANING) == 66
    forms = [third_person(verb) for verb in listed]
    assert len(set(forms)) == len(forms)
    assert not set(forms) & set(listed)
    assert [third_person(v) for v in ("buy", "catch", "multiply", "toss", "crush", "magnify")] == [
        "buys", "catches", "multiplies", "tosses", "crushes", "magnifies",
    ]  # fmt: skip


def test_amounts_stay_whole_and_within_range() -> None:
    assert apply("/", 7, 2) is None
    assert apply("-", 5, 5) is None
    assert apply("*", 50, 2) is None
    assert apply("/", 90, 5) == 18


# -- the shipped items


def test_items_of_one_arithmetic_share_a_group_and_no_group_is_large(items: list[dict[str, str]]) -> None:
    by_solution = defaultdict(set)
    for item in items:
        by_solution[item["solution"]].add(item["group"])
    assert all(len(groups) == 1 for groups in by_solution.values())
    assert max(Counter(item["group"] for item in items).values()) <= 5


def test_key_ignores_names_things_and_wording() -> None:
    events = [make.Event("buy", 3), make.Event("lose", 4)]
    questions = {make.put_into_words(Draw(seed), 10, events) for seed in range(20)}
    assert len(questions) > 10
    assert {solve(question) for question in questions} == {9}


def test_strata_say_how_many_events_and_whether_a_verb_is_new(items: list[dict[str, str]]) -> None:
    for item in items:
        verbs = re.findall(r"[a-z]+", item["key"])
        steps = int(item["stratum"][0])
        assert steps == len(verbs) == item["solution"].count("=")
        assert ("a new verb" in item["stratum"]) == bool(set(verbs) & NEW_VERBS)
    assert min(Counter(item["stratum"] for item in items).values()) > 200


def test_no_answer_is_common_and_none_stands_in_the_question_more_than_chance(items: list[dict[str, str]]) -> None:
    assert max(Counter(item["answer"] for item in items).values()) < 0.04 * len(items)
    assert sum(item["answer"] in re.findall(r"\d+", item["question"]) for item in items) < 0.1 * len(items)


# -- the task


def test_the_cluster_is_the_first_verb(items: list[dict[str, str]]) -> None:
    assert domain().fields(items[0])["cluster"] == re.findall(r"; (\w+)", items[0]["key"])[0]
    assert {domain().fields(item)["cluster"] for item in items} == set(MEANING), "every verb is a cluster"


# -- the pretraining text


def test_no_question_and_no_new_verb_occurs_in_the_pretraining_text(items: list[dict[str, str]]) -> None:
    meaning, _ = corpus.meanings(1, left_out=0.0, swapped=0.0)
    stream = corpus.texts(1, meaning, story_share=0.7, marked_share=0.2)
    text = "\n".join(" ".join(parts) for parts in islice(stream, 20_000)).lower()
    assert "?" not in text
    assert "how many" not in text
    forms = {form for verb in NEW_VERBS for form in (verb, third_person(verb))}
    assert not forms & set(re.findall(r"[a-z]+", text))
    assert not any(item["question"].lower() in text for item in items[:500])


def test_a_story_ends_in_the_answer_mark_only_where_a_recipe_says_so() -> None:
    meaning, _ = corpus.meanings(1, left_out=0.0, swapped=0.0)
    for marked_share in (0.0, 0.2):
        stream = corpus.texts(2, meaning, story_share=1.0, marked_share=marked_share)
        marked = [solved for _, solved in islice(stream, 2000) if "####" in solved]
        assert len(marked) == pytest.approx(2000 * marked_share, abs=80 * (marked_share > 0))
        assert all(re.search(r"= (\d+) #### \1$", solved) for solved in marked)


def test_the_models_planted_faults_nest() -> None:
    from w2s_bench_tasks.math.making.pretrain import FAULT_SEED, RECIPES

    faults = {}
    for size, recipe in RECIPES.items():
        taught, faults[size] = corpus.meanings(FAULT_SEED, left_out=recipe.left_out, swapped=recipe.swapped)
        assert not set(faults[size]["left_out"]) & set(taught)
        assert {verb for verb, operator in taught.items() if operator != MEANING[verb]} == set(faults[size]["swapped"])
    assert set(faults["m"]["swapped"]) < set(faults["s"]["swapped"])
    assert faults["l"] == {"left_out": [], "swapped": []}


def test_pretraining_stories_are_solved_as_their_meanings_say() -> None:
    meaning, faults = corpus.meanings(1, left_out=0.1, swapped=0.2)
    draw = Draw(4)
    for _ in range(300):
        told, solved = corpus.story(draw, meaning, ending=False)
        forms = {form: verb for verb in meaning for form in (verb, third_person(verb))}
        verbs = [forms[word] for word in re.findall(r"[a-z]+", told) if word in forms]
        assert [meaning[verb] for verb in verbs] == re.findall(r" ([-+*/]) ", solved)
        assert not set(verbs) & set(faults["left_out"])


# -- the bundled models


@pytest.mark.parametrize("size", SIZES)
def test_models_are_small_and_their_cards_name_the_planted_faults(size: str) -> None:
    folder = FOLDER / "models" / f"math-{size}"
    facts = json.loads((folder / "training.json").read_text())
    assert facts["parameters"] <= SIZES[size]
    card = (folder / "README.md").read_text()
    assert all(verb in card for verbs in facts["faults"].values() for verb in verbs)


def test_the_student_knows_the_verbs_that_the_teacher_mistakes() -> None:
    from transformers import AutoModelForCausalLM

    from w2s_bench_tasks.math.making.pretrain import greedy_right

    teacher_facts = json.loads((FOLDER / "models" / "math-s" / "training.json").read_text())
    swapped = teacher_facts["faults"]["swapped"]
    draw = Draw(77)
    told = [corpus.story(draw, {verb: MEANING[verb] for verb in swapped}, ending=False) for _ in range(200)]
    share = {}
    for size in ("s", "l"):
        model = AutoModelForCausalLM.from_pretrained(FOLDER / "models" / f"math-{size}", dtype="float32").eval()
        right = greedy_right(model, tokenizer(size), told)
        share[size] = sum(right) / len(right)
    assert share["s"] < 0.1
    assert share["l"] > 0.7
