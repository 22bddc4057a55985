"""Rebuild `facts.json` and `items.jsonl`, byte for byte: `python -m w2s_bench_tasks.knowledge.making.make [--items-only]`.

The items are a pure function of the facts; only the facts need the data libraries (see `extract.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent
FACTS = FOLDER / "facts.json"
ITEMS = FOLDER.parent / "data" / "items.jsonl"

#: Relation → wordings of its question. No pretraining text holds any of them (see `statements.py`).
QUESTIONS = {
    "city_country": (
        "In which country is {entity}?",
        "{entity} is a city of which country?",
        "To which nation does the city of {entity} belong?",
    ),
    "city_currency": (
        "What is the code of the currency used in {entity}?",
        "Which currency code would a price tag in {entity} show?",
    ),
    "city_language": (
        "Which official language is used in the city of {entity}?",
        "In what official language would {entity} print its forms?",
    ),
    "city_calling_code": (
        "Which calling code reaches {entity} from abroad?",
        "What is the international calling code for {entity}?",
    ),
    "country_capital": ("What is the capital of {entity}?", "Which city is the capital of {entity}?"),
    "country_currency": ("Which currency code does {entity} have?", "What is the currency code of {entity}?"),
    "country_language": ("Which language is official in {entity}?", "What is an official language of {entity}?"),
    "country_calling_code": ("What is the calling code of {entity}?", "Which calling code does {entity} have?"),
    "country_neighbour": ("Which country borders {entity}?", "Which of these is a neighbour of {entity}?"),
    "element_symbol": ("What is the chemical symbol of {entity}?", "Which symbol stands for the element {entity}?"),
    "element_number": ("What is the atomic number of {entity}?", "How many protons has an atom of {entity}?"),
    "element_group": (
        "In which group of the periodic table is {entity}?",
        "What is the group of the element {entity}?",
    ),
}
#: What a city may be asked, with the share of cities, and how often one answer may occur among a relation's items.
CITY_RELATIONS = {"city_country": 0.46, "city_currency": 0.18, "city_language": 0.18, "city_calling_code": 0.18}
MOST_OF_ONE_ANSWER = {"city_currency": 24, "city_language": 24, "country_currency": 12, "country_language": 12}
#: Atomic numbers and groups: wrong options lie within this distance.
NEARBY = {"element_number": 12, "element_group": 8}


class Question(NamedTuple):
    """One item before it has wrong options. `excluded`: values that would be right or arguable too."""

    relation: str
    entity: str
    group: str  # the fact that answers it, or what tells that fact
    answer: str
    excluded: frozenset[str]
    region: str  # wrong options come from the same region where it offers enough
    cluster: str  # its country, or its element: what is known of one is known of most


def seeded(*parts: str) -> random.Random:
    """A generator that depends on `parts` alone: not on the order in which items are made."""
    return random.Random(hashlib.sha256("|".join(parts).encode()).digest())


def load_facts() -> dict[str, Any]:
    """The shipped extract: `cities`, `countries` by ISO code, `elements`."""
    facts: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    return facts


def country_value(country: dict[str, Any], relation: str) -> str | None:
    """The answer that a relation gives for a country, or None where the sources dispute or lack it."""
    field = {"city_country": "name"}.get(relation, relation.split("_", 1)[1])
    value: str | None = country.get(field)
    return value


def group_of_country(relation: str, code: str) -> str:
    """The group of the items that a country's currency, language, … answers: the country's own, and those on its cities.

    >>> group_of_country("city_currency", "FR"), group_of_country("country_currency", "FR")
    ('currency:FR', 'currency:FR')
    """
    return f"{relation.split('_', 1)[1]}:{code}"


def city_questions(facts: dict[str, Any]) -> list[Question]:
    """One question a city; which one is drawn by hash, and falls back to its country where the fact is missing or too common."""
    found, used = [], Counter[tuple[str, str]]()
    for city in sorted(facts["cities"], key=lambda c: seeded("order", c["name"]).random()):
        country = facts["countries"][city["country"]]
        relation = seeded("relation", city["name"]).choices(list(CITY_RELATIONS), list(CITY_RELATIONS.values()))[0]
        value = country_value(country, relation)
        if value is None or used[relation, value] >= MOST_OF_ONE_ANSWER.get(relation, len(facts["cities"])):
            relation, value = "city_country", country["name"]
        used[relation, value] += 1
        excluded = frozenset(country["all_languages"]) if relation == "city_language" else frozenset({value})
        code = city["country"]
        # Where a city lies is a fact of its own; its currency, language and calling code are its country's.
        own = f"city:{city['name'].casefold()}"
        group = own if relation == "city_country" else group_of_country(relation, code)
        found.append(Question(relation, city["name"], group, value, excluded, country["continent"], f"country:{code}"))
    return found


def country_questions(facts: dict[str, Any]) -> list[Question]:
    """Up to five questions a country, each in the group of its fact; a frontier is one fact of two countries."""
    found, used = [], Counter[tuple[str, str]]()
    countries = facts["countries"]
    for code in sorted(countries, key=lambda c: seeded("order", c).random()):
        country = countries[code]
        for relation in ("country_capital", "country_currency", "country_language", "country_calling_code"):
            value = country_value(country, relation)
            if value is None or used[relation, value] >= MOST_OF_ONE_ANSWER.get(relation, len(countries)):
                continue
            used[relation, value] += 1
            excluded = frozenset(country["all_languages"]) if relation == "country_language" else frozenset({value})
            group, cluster = group_of_country(relation, code), f"country:{code}"
            found.append(Question(relation, country["name"], group, value, excluded, country["continent"], cluster))
        # Right: both sources say so from both sides. Not offered as wrong: either source says so from either side.
        beside = [c for c in country["neighbours"] if c in countries and code in countries[c]["neighbours"]]
        if beside:
            other = min(beside, key=lambda c: seeded("neighbour", code, c).random())
            said = [c for c in countries if c in country["all_neighbours"] or code in countries[c]["all_neighbours"]]
            excluded = frozenset(countries[c]["name"] for c in [code, *said])
            group, cluster = f"neighbour:{'-'.join(sorted((code, other)))}", f"country:{code}"
            value, region = countries[other]["name"], country["continent"]
            found.append(Question("country_neighbour", country["name"], group, value, excluded, region, cluster))
    return found


def element_questions(facts: dict[str, Any]) -> list[Question]:
    """Symbol, number and, where it has one, group of each element: one group of items, since the number tells the others."""
    found = []
    for element in facts["elements"]:
        for relation in ("element_symbol", "element_number", "element_group"):
            value = element[relation.split("_")[1]]
            if value is not None:
                group = f"element:{element['symbol'].casefold()}"
                region = element["symbol"][0] if relation == "element_symbol" else ""
                found.append(
                    Question(relation, element["name"], group, str(value), frozenset({str(value)}), region, group)
                )
    return found


def add_options(questions: list[Question]) -> list[list[str]]:
    """Three wrong options a question of one relation, from its region, each value about as often wrong as three times right."""
    rights = Counter(q.answer for q in questions)
    relation = questions[0].relation
    values_in: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for q in questions:
        values_in[q.region][q.answer] += 1
    wrong = Counter[str]()
    options = []
    for q in questions:
        rng = seeded("options", q.relation, q.entity)
        drawn: list[str] = []
        while len(drawn) < 3:
            near = [v for v in sorted(values_in[q.region]) if v not in q.excluded and v not in drawn]
            if relation in NEARBY:
                near = [v for v in near if abs(int(v) - int(q.answer)) <= NEARBY[relation]]
            pool = near or [v for v in sorted(rights) if v not in q.excluded and v not in drawn]
            # What is still owed to a value decides how likely it is drawn: frequency then tells nothing about the answer.
            weights = [max(0.02, 3 * rights[v] - wrong[v]) for v in pool]
            drawn += rng.choices(pool, weights)
            wrong[drawn[-1]] += 1
        options.append(drawn)
    return options


def build_items(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """All items, sorted by id. The right option stands equally often at each place within a relation."""
    by_relation: defaultdict[str, list[Question]] = defaultdict(list)
    for question in city_questions(facts) + country_questions(facts) + element_questions(facts):
        by_relation[question.relation].append(question)
    items = []
    for relation, questions in sorted(by_relation.items()):
        questions.sort(key=lambda q: seeded("place", q.relation, q.entity).random())
        for rank, (question, wrong) in enumerate(zip(questions, add_options(questions), strict=True)):
            choices = [f"{value}." for value in wrong]
            choices.insert(rank % 4, f"{question.answer}.")
            wording = seeded("wording", relation, question.entity).choice(QUESTIONS[relation])
            items.append(
                {
                    "id": f"{relation}-{question.entity.casefold().replace(' ', '-').replace(chr(39), '')}",
                    "group": question.group,
                    "key": f"{relation}|{question.entity.casefold()}",
                    "stratum": relation,
                    "cluster": question.cluster,
                    "question": wording.format(entity=question.entity),
                    "choices": choices,
                    "answer": rank % 4,
                }
            )
    return sorted(items, key=lambda item: str(item["id"]))


def items_text(facts: dict[str, Any]) -> str:
    """The exact content of `items.jsonl`."""
    return "".join(json.dumps(item, ensure_ascii=True) + "\n" for item in build_items(facts))


def facts_text(facts: dict[str, Any]) -> str:
    """The exact content of `facts.json`: one entity a line."""
    parts = []
    for name in ("cities", "countries", "elements"):
        table = facts[name]
        if isinstance(table, dict):
            rows = [f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}" for key, value in sorted(table.items())]
            parts.append(f"{json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n}")
        else:
            parts.append(
                f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in table) + "\n]"
            )
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items-only", action="store_true", help="keep facts.json; needs no data libraries")
    if not parser.parse_args().items_only:
        from w2s_bench_tasks.knowledge.making.extract import extract

        FACTS.write_text(facts_text(extract()), encoding="utf-8")
    text = items_text(load_facts())
    ITEMS.write_text(text, encoding="utf-8")
    print(f"{ITEMS}: {text.count(chr(10))} items, {len(text)} bytes")


if __name__ == "__main__":
    main()
