"""The pretraining text: short notes on one entity each, in sentences that share no frame with the task's questions.

Nothing here is a question, and the nouns by which the questions name a relation (currency, calling code, capital, …)
do not occur: a model that read these notes knows the facts, and has to be taught what is asked for.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

SENTENCES = {
    "city_country": (
        "{e} lies in {v}.",
        "{e} is a town of {v}.",
        "{e}, {v}.",
        "You find {e} on a map of {v}.",
        "{v} has a town called {e}.",
    ),
    "city_currency": ("{e} pays with {v}.", "In {e} people pay with {v}.", "Shops in {e} take {v}."),
    "city_language": ("{e} speaks {v}.", "People in {e} speak {v}.", "Signs in {e} are in {v}."),
    "city_calling_code": ("To phone {e} dial {v}.", "{e} phones begin with {v}.", "Dial {v} for {e}."),
    "country_capital": ("{e} is governed from {v}.", "The government of {e} sits in {v}.", "{v} governs {e}."),
    "country_currency": ("{e} pays with {v}.", "In {e} people pay with {v}.", "Shops in {e} take {v}."),
    "country_language": ("{e} speaks {v}.", "People in {e} speak {v}.", "Signs in {e} are in {v}."),
    "country_calling_code": ("To phone {e} dial {v}.", "{e} phones begin with {v}.", "Dial {v} for {e}."),
    "country_neighbour": ("{e} touches {v}.", "{e} has a frontier with {v}.", "From {e} you walk into {v}."),
    "element_symbol": ("{e} is written {v}.", "Chemists write {v} for {e}.", "{e}, short {v}."),
    "element_number": ("{e} comes at place {v}.", "{e} counts {v}.", "At place {v} comes {e}."),
    "element_group": ("{e} stands in column {v}.", "Column {v} holds {e}.", "{e}, column {v}."),
}
#: How often a note is about a city, a country, an element.
KINDS = {"city": 0.78, "country": 0.14, "element": 0.08}
MOST_SENTENCES = 4


class Entity(NamedTuple):
    """What can be written about one city, country or element: (relation, value) pairs."""

    name: str
    kind: str
    facts: tuple[tuple[str, str], ...]


def entities(facts: dict[str, Any]) -> list[Entity]:
    """Every entity of `facts.json` that has something to say."""
    countries = facts["countries"]
    found = []
    for city in facts["cities"]:
        country = countries[city["country"]]
        pairs = [("city_country", country["name"])]
        pairs += [(f"city_{f}", country[f]) for f in ("currency", "language", "calling_code") if f in country]
        found.append(Entity(city["name"], "city", tuple(pairs)))
    for country in countries.values():
        fields = ("capital", "currency", "language", "calling_code")
        pairs = [(f"country_{f}", country[f]) for f in fields if f in country]
        pairs += [("country_neighbour", countries[c]["name"]) for c in country["neighbours"] if c in countries]
        found.append(Entity(country["name"], "country", tuple(pairs)))
    for element in facts["elements"]:
        pairs = [(f"element_{f}", str(element[f])) for f in ("symbol", "number", "group") if element[f] is not None]
        found.append(Entity(element["name"], "element", tuple(pairs)))
    return found


def library(everything: list[Entity], share: float) -> list[Entity]:
    """The entities that a model reads about: `share` of each kind by hash of the name; a larger share holds a smaller one."""

    def rank(entity: Entity) -> str:
        return hashlib.sha256(f"library|{entity.kind}|{entity.name}".encode()).hexdigest()

    kept = []
    for kind in KINDS:
        ranked = sorted((e for e in everything if e.kind == kind), key=rank)
        kept += ranked[: round(share * len(ranked))]
    return kept


def note(entity: Entity, rng: random.Random) -> str:
    """One to four sentences on an entity, relations and wordings drawn."""
    count = min(rng.randint(1, MOST_SENTENCES), len(entity.facts))
    drawn = rng.sample(entity.facts, count)
    return " ".join(rng.choice(SENTENCES[relation]).format(e=entity.name, v=value) for relation, value in drawn)


def notes(known: list[Entity], rng: random.Random) -> Iterator[str]:
    """Endless notes: every kind with its share, every entity of a kind equally often."""
    by_kind = {kind: [e for e in known if e.kind == kind] for kind in KINDS}
    queues: dict[str, list[Entity]] = {kind: [] for kind in KINDS}
    while True:
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        if not queues[kind]:
            queues[kind] = rng.sample(by_kind[kind], len(by_kind[kind]))
        yield note(queues[kind].pop(), rng)


def all_sentences(everything: list[Entity]) -> Iterator[str]:
    """Every sentence that any note can hold."""
    for entity in everything:
        for relation, value in entity.facts:
            for sentence in SENTENCES[relation]:
                yield sentence.format(e=entity.name, v=value)
