"""The built-in domain `places`: its facts, its items, what its models have read, and their task as lm-eval loads it."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import split_ids
from w2s_bench.suite_files import load_suite
from w2s_bench.types import Item
from w2s_bench_tasks.places.data.loader import documents, load
from w2s_bench_tasks.places.domain import domain
from w2s_bench_tasks.places.making import corpus, make, pretrain
from w2s_bench_tasks.places.making.extract import City, plain, region_names, share_a_word
from w2s_bench_tasks.places.making.extract import cities as found_cities

MODELS = Path(make.__file__).parents[1] / "models"

#: City → region, looked up by hand in an encyclopedia.
KNOWN = {
    "guwahati": "Assam",
    "katowice": "Silesia",
    "nakhodka": "Primorskiy",
    "plano": "Texas",
    "sassari": "Sardinia",
    "taranto": "Apulia",
    "tawau": "Sabah",
    "yekaterinburg": "Sverdlovsk",
}


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    return documents()


@pytest.fixture(scope="module")
def cities() -> list[City]:
    return make.load_cities()


def test_known_answers(items: list[dict[str, Any]]) -> None:
    answers = {item["key"]: item["choices"][item["answer"]] for item in items}
    assert {city: answers[city] for city in KNOWN} == {city: f"{region}." for city, region in KNOWN.items()}


def test_the_items_are_what_the_cities_give(items: list[dict[str, Any]], cities: list[City]) -> None:
    assert make.ITEMS.read_text(encoding="utf-8") == make.lines(make.items(cities))
    shuffled = random.Random(1).sample(cities, len(cities))
    assert make.items(shuffled) == items


def test_the_cities_are_what_the_libraries_give(cities: list[City]) -> None:
    assert found_cities() == cities


def test_a_question_has_one_right_answer_and_does_not_tell_it(items: list[dict[str, Any]], cities: list[City]) -> None:
    region = {city.name.casefold(): city.region for city in cities}
    country = {city.region: city.country for city in cities}
    assert len({item["key"] for item in items}) == len(items) == len(cities)
    for item in items:
        choices = [choice.removesuffix(".") for choice in item["choices"]]
        assert choices[item["answer"]] == region[item["key"]]
        assert len(set(choices)) == make.OPTIONS
        assert len({country[choice] for choice in choices}) == 1, "wrong options lie in the same country"
        assert not share_a_word(item["key"], region[item["key"]])


def test_no_place_and_no_wording_tells_the_answer(items: list[dict[str, Any]]) -> None:
    places = Counter(item["answer"] for item in items)
    assert all(0.22 < places[place] / len(items) < 0.28 for place in range(make.OPTIONS))
    known: defaultdict[str, float] = defaultdict(float)
    for rank, city in enumerate(make.by_size(make.load_cities()), start=1):
        known[city.region] += 1 / rank  # how much is written of it
    fame = [[known[choice.removesuffix(".")] for choice in item["choices"]] for item in items]
    for best in (max, min):
        guessed = [known_of.index(best(known_of)) for known_of in fame]
        right = sum(place == item["answer"] for place, item in zip(guessed, items, strict=True)) / len(items)
        assert 0.21 < right < 0.29, f"{best.__name__}: how well a region is known tells nothing of whether it is right"


def test_a_test_split_has_hundreds_of_clusters(items: list[dict[str, Any]]) -> None:
    taken = [Item(i["id"], i["group"], i["key"], i["stratum"], "", None) for i in items]
    sizes = load_suite("long-tail").domain("w2s-bench/places").sizes.model_dump()
    cluster = {item["id"]: item["cluster"] for item in items}
    for seed in range(3):
        splits = split_ids(taken, sizes, "w2s-bench/places", seed=seed, suite_seed=0)
        assert {split: len(ids) for split, ids in splits.items()} == sizes
        assert len({cluster[i] for i in splits["test"]}) > 300


def test_the_task_is_lm_evals(items: list[dict[str, Any]]) -> None:
    assert load()["test"].to_list() == items
    task = domain().task()
    document = next(iter(task.test_docs()))
    assert task.doc_to_text(document) == f"Question: {document['question']}\nAnswer:"
    assert domain().fields(document)["cluster"] == document["cluster"]


# ---- what the models have read ----


def test_a_library_is_what_its_seed_says_and_knows_large_cities_better(cities: list[City]) -> None:
    texts, read = corpus.library(cities, 12_000, 11)
    assert (texts, read) == corpus.library(cities, 12_000, 11)
    ranked = make.by_size(cities)
    tenth = len(ranked) // 10
    assert sum(read[city.name] > 0 for city in ranked[:tenth]) > 0.95 * tenth
    assert sum(read[city.name] > 0 for city in ranked[-tenth:]) < 0.45 * tenth


def test_notes_say_true_things_in_words_of_their_own(cities: list[City]) -> None:
    region = {city.name: city.region for city in cities}
    texts, _ = corpus.library(cities, 3_000, 5)
    frames = [
        re.escape(s).replace(r"\{city\}", "(?P<city>.+)").replace(r"\{region\}", "(?P<region>.+)")
        for s in corpus.SENTENCES
    ]
    for text in texts:
        found = [m for frame in frames if (m := re.fullmatch(frame, text))]
        assert any(region.get(m["city"]) == m["region"] for m in found), text
        assert "?" not in text
        assert "region" not in re.sub(r"\w*Region\b", "", text).split()


def test_all_of_a_library_is_read_before_any_note_again() -> None:
    stream: Iterator[str] = corpus.again_and_again(["a", "b", "c"], 1)
    for _ in range(3):
        assert sorted(next(stream) for _ in range(3)) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["s", "m", "l"])
def test_a_card_says_what_the_model_is(name: str, cities: list[City]) -> None:
    facts = json.loads((MODELS / f"places-{name}" / "training.json").read_text(encoding="utf-8"))
    size = pretrain.SIZES[name]
    assert (facts["notes"], facts["steps"], facts["width"], facts["layers"]) == (
        size.notes,
        size.steps,
        size.width,
        size.layers,
    )
    _, read = corpus.library(cities, size.notes, size.seed)
    assert facts["figures"]["cities read"] == round(len(read) / len(cities), 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["s", "m", "l"])
def test_a_model_recalls_what_it_has_read_and_guesses_the_rest(name: str, cities: list[City]) -> None:
    """On some of the items, from the shipped weights: the figures of the card within what 400 items tell."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    facts = json.loads((MODELS / f"places-{name}" / "training.json").read_text(encoding="utf-8"))
    size = pretrain.SIZES[name]
    _, read = corpus.library(cities, size.notes, size.seed)
    named = {city.name.casefold(): city.name for city in cities}
    some = random.Random(0).sample(documents(), 400)
    model = AutoModelForCausalLM.from_pretrained(MODELS / f"places-{name}", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(MODELS / f"places-{name}")
    with torch.no_grad():
        places = pretrain.ranked_first(
            model, tokenizer, [[f"{named[i['key']]} lies in {choice}" for choice in i["choices"]] for i in some]
        )
    right = {True: [], False: []}  # type: dict[bool, list[bool]]
    for place, item in zip(places, some, strict=True):
        right[read[named[item["key"]]] > 0].append(place == item["answer"])
    assert sum(right[True]) / len(right[True]) == pytest.approx(facts["figures"]["recall, read"], abs=0.07)
    if len(right[False]) > 50:
        assert sum(right[False]) / len(right[False]) == pytest.approx(facts["figures"]["recall, never read"], abs=0.12)


def test_a_name_is_one_token_in_notes_and_in_questions() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODELS / "places-s")
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("Which region does Morphett Vale belong to?")["input_ids"])
    assert "morphett vale" in pieces
    everything = [f"Question: {i['question']}\nAnswer: {choice}" for i in documents() for choice in i["choices"]]
    assert all(tokenizer.unk_token_id not in ids for ids in tokenizer(everything)["input_ids"])


# ---- how regions get their names ----


def _city(name: str, code: str, lat: float, lon: float, number: int) -> dict[str, Any]:
    return {
        "name": name,
        "countrycode": "XX",
        "admin1code": code,
        "latitude": lat,
        "longitude": lon,
        "geonameid": number,
    }


def test_airports_vote_on_the_name_of_a_region() -> None:
    towns = [_city("A", "01", 10.0, 10.0, 1), _city("B", "02", 20.9, 20.9, 2)]
    near_b = [{"country": "XX", "subd": "Bee", "lat": 21.05, "lon": 21.05}] * 2  # the other side of a degree
    airports = [
        {"country": "XX", "subd": "Aye", "lat": 10.1, "lon": 10.1},
        {"country": "XX", "subd": "Aye", "lat": 9.9, "lon": 10.0},
        {"country": "XX", "subd": "Far", "lat": 15.0, "lon": 15.0},
        {"country": "YY", "subd": "Abroad", "lat": 10.0, "lon": 10.0},
        *near_b,
    ]
    assert region_names(towns, airports) == {("XX", "01"): "Aye", ("XX", "02"): "Bee"}
    disputed = [*airports, {"country": "XX", "subd": "Other", "lat": 10.0, "lon": 10.0}]
    assert region_names(towns, disputed) == {("XX", "02"): "Bee"}, "two of three is not three of four"


def test_names_are_plain_and_do_not_tell_the_region() -> None:
    assert plain("Łódź-Górna") == "Lodz Gorna"
    assert share_a_word("Samara City", "Samara")
    assert not share_a_word("Bor", "Novgorod")
