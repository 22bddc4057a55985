"""What counts as gold, and what other gold a document gets."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from w2s_bench.runs.dealt import Gold
from w2s_bench.types import Answer, Item

RANDOM = random.Random(0)
COUNT = 60
WORDS = ["amber", "birch", "cedar", "dune", "elm", "fern", "grove"]


def gold_of(
    documents: Sequence[dict[str, Any]], options: Sequence[Sequence[str]], indices: Sequence[int], prompt: str
) -> Gold:
    """Of choice items whose prompts are made of their documents."""
    items = [
        Item(f"i{n}", f"g{n}", f"k{n}", "all", prompt.format(**document), tuple(f" {text}" for text in texts))
        for n, (document, texts) in enumerate(zip(documents, options, strict=True))
    ]
    answers = [
        Answer(f"i{n}", document, f" {texts[index]}", index, "")
        for n, (document, texts, index) in enumerate(zip(documents, options, indices, strict=True))
    ]
    return Gold.of(items, answers)


def questions(count: int = COUNT) -> tuple[list[dict[str, Any]], list[list[str]], list[int]]:
    """Documents with nothing but an id and a question that lists the options, the options, the gold's places."""
    options = [RANDOM.sample(WORDS, 4) for _ in range(count)]
    documents: list[dict[str, Any]] = [
        {"id": f"i{n}", "question": f"No. {n}: which of {', '.join(texts)}?"} for n, texts in enumerate(options)
    ]
    return documents, options, [RANDOM.randrange(4) for _ in range(count)]


def test_gold_that_the_prompt_shows_is_another_option() -> None:
    documents, options, indices = questions()
    for document, texts, index in zip(documents, options, indices, strict=True):
        document |= {
            "choices": texts,
            "answer": texts[index],
            "number": index,
            "counted": str(index),
            "url": f"u{document['id']}",
        }
    gold = gold_of(documents, options, indices, "{question}")
    assert gold.fields == ("answer", "counted", "number", "url") and not gold.alike
    for dealt, texts, index, document in zip(gold.dealt, options, indices, documents, strict=True):
        assert dealt["answer"] in texts and dealt["answer"] != texts[index]
        assert dealt["answer"] == texts[dealt["number"]] and dealt["counted"] == str(dealt["number"]), (
            "one other option"
        )
        assert dealt["url"] != document["url"]
    assert gold.questions == {document["id"]: document["question"] for document in documents}


@pytest.mark.parametrize(
    "code", [lambda i: f"option {i + 1}", lambda i: i == 1, lambda i: "yes" if i else "no", lambda i: 101 + i]
)
def test_codes_for_gold_are_gold_where_the_prompt_shows_them(code: Any) -> None:
    documents, _, _ = questions()
    indices = [RANDOM.randrange(2) for _ in documents]
    shown = " option 1, option 2, True or False, yes or no, 101 or 102?"
    for document, index in zip(documents, indices, strict=True):
        document |= {"label": code(index), "kind": RANDOM.choice(["yes", "True"])}
    gold = gold_of(documents, [["wrong", "right"]] * COUNT, indices, "{question}" + shown)
    assert gold.fields == ("label",), "of the kind no gold follows"
    assert all(dealt["label"] == code(1 - index) for dealt, index in zip(gold.dealt, indices, strict=True))


def test_lettered_options_are_gold() -> None:
    documents, options, indices = questions()
    for document, texts, index in zip(documents, options, indices, strict=True):
        lettered = [f"{letter}. {text}" for letter, text in zip("ABCD", texts, strict=True)]
        document |= {"listed": "; ".join(lettered), "answer": lettered[index]}
    gold = gold_of(documents, options, indices, "{question} {listed}")
    assert gold.fields == ("answer",)
    assert all(dealt["answer"] != document["answer"] for dealt, document in zip(gold.dealt, documents, strict=True))


def test_options_in_fields_of_their_own_are_no_gold() -> None:
    documents, options, indices = questions()
    indices = [int(n % 3 > 0) for n in range(COUNT)]
    options = [texts[:2] for texts in options]
    for document, texts, index in zip(documents, options, indices, strict=True):
        document |= {"first": texts[0], "second": texts[1], "answer": texts[index]}
    gold = gold_of(documents, options, indices, "{question}")
    assert gold.fields == ("answer",)
    assert [dealt["answer"] for dealt in gold.dealt] == [t[1 - i] for t, i in zip(options, indices, strict=True)]


@pytest.mark.parametrize("as_list", [True, False])
def test_gold_whose_place_is_always_the_same_comes_from_elsewhere(as_list: bool) -> None:
    """The options are made of the right answer then, as SciQ's are."""
    documents, options, _ = questions()
    for document, texts in zip(documents, options, strict=True):
        document |= {"choices": texts} if as_list else {"wrong": texts[:3], "right": texts[3]}
    gold = gold_of(documents, options, [3] * COUNT, "{question}")
    name = "choices" if as_list else "right"
    assert name in gold.fields
    assert all(
        dealt[name] != document[name] and any(dealt[name] == other[name] for other in documents)
        for dealt, document in zip(gold.dealt, documents, strict=True)
    )


def test_generated_gold_that_stands_in_the_prompt() -> None:
    places = ["Lima", "Quito", "Sucre"]
    documents = [{"passage": f"{n} {' '.join(places)}.", "answer": places[n % 3 > 0]} for n in range(COUNT)]
    items = [Item(f"i{n}", "g", f"k{n}", "all", document["passage"], None) for n, document in enumerate(documents)]
    answers = [Answer(f"i{n}", document, f" {document['answer']}", None, "") for n, document in enumerate(documents)]
    gold = Gold.of(items, answers)
    assert gold.fields == ("answer",) and not gold.alike
    assert all(dealt["answer"] != document["answer"] for dealt, document in zip(gold.dealt, documents, strict=True))


def test_final_answers_are_dealt_with_their_solutions() -> None:
    documents = [
        {"question": f"{n} + 1?", "solution": f"{n} + 1 #### {n % 7}", "answer": str(n % 7)} for n in range(COUNT)
    ]
    items = [
        Item(f"i{n}", "g", f"k{n}", "all", f"0 1 2 3 4 5 6: {document['question']}", None)
        for n, document in enumerate(documents)
    ]
    answers = [Answer(f"i{n}", document, f" {document['solution']}", None, "") for n, document in enumerate(documents)]
    gold = Gold.of(items, answers)
    assert gold.fields == ("answer", "solution")
    for dealt, document in zip(gold.dealt, documents, strict=True):
        assert dealt["solution"].endswith(f"#### {dealt['answer']}") and dealt["answer"] != document["answer"]


def test_what_can_have_no_other_gold_is_told() -> None:
    documents, options, _ = questions()
    indices = [int(n < COUNT // 2) for n in range(COUNT)]
    options = [
        texts[: 2 + (n >= COUNT // 2)] for n, texts in enumerate(options)
    ]  # those of three have their gold at 0 all
    for document, index in zip(documents, indices, strict=True):
        document["key"] = "ab"[index]
    options = [["x", "y", "z"][: len(texts)] for texts in options]
    assert gold_of(documents, options, indices, "{question}").alike == {f"i{n}" for n in range(COUNT)}
    for document, index in zip(documents, indices, strict=True):
        document["answer"] = index
    assert not gold_of(documents, options, indices, "{question}").alike, "a number can be another"
