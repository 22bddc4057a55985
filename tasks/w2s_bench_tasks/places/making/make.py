"""Rebuild `cities.json` and `items.jsonl`, byte for byte: `python -m w2s_bench_tasks.places.making.make [--items-only]`.

The items are a pure function of the cities; only the cities need the data libraries (see `extract.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from w2s_bench_tasks.places.making.extract import City

FOLDER = Path(__file__).parent
CITIES = FOLDER / "cities.json"
ITEMS = FOLDER.parent / "data" / "items.jsonl"

#: The question's wordings. No pretraining text holds any of them (see `corpus.py`).
QUESTIONS = (
    "In which region does the city of {city} lie?",
    "Which region does {city} belong to?",
    "What region is {city} a part of?",
)
OPTIONS = 4
_CONTINENTS = {
    "Africa": "AO BF CD CI CM DZ EG ET GH KE MA ML MZ NE NG SD SN TN TZ UG ZA ZM ZW",
    "Asia": "AF BD CN ID IN IQ IR JP KH KP KR KZ LA LK MM MN MY NP OM PH PK SA TH TM TR UZ VN YE",
    "Europe": "AT BE BG BY CH CZ DE DK ES FI FR GB GR HR HU IE IT LT NL NO PL PT RO RS RU SE SK UA",
    "America": "AR BO BR CA CL CO CR CU DO EC GT HN MX NI PA PE PY US UY VE",
    "Oceania": "AU NZ PG",
}
CONTINENT = {country: continent for continent, countries in _CONTINENTS.items() for country in countries.split()}


def load_cities() -> list[City]:
    """The shipped extract, sorted by name."""
    return [City(**city) for city in json.loads(CITIES.read_text(encoding="utf-8"))]


def by_size(cities: list[City]) -> list[City]:
    """The largest first: the order in which texts know them."""
    return sorted(cities, key=lambda city: (-city.population, city.name))


def draws(*parts: str) -> Callable[[], float]:
    """Floats in [0, 1) that depend on `parts` alone, by the one method whose sequence Python keeps between versions."""
    return random.Random(hashlib.sha256("|".join(parts).encode()).digest()).random


def item(city: City, regions: list[str]) -> dict[str, Any]:
    """The question on `city`; wrong options are drawn blindly from `regions`, the others of its country."""
    draw, rest = draws("places", city.name), list(regions)
    wrong = [rest.pop(int(draw() * len(rest))) for _ in range(OPTIONS - 1)]
    answer = int(draw() * OPTIONS)
    choices = [*wrong[:answer], city.region, *wrong[answer:]]
    slug = re.sub(r"[^a-z0-9]+", "-", city.name.casefold()).strip("-")
    return {
        "id": f"places-{slug}",
        "group": city.name.casefold(),
        "key": city.name.casefold(),
        "stratum": CONTINENT[city.country],
        "cluster": f"{city.country}:{city.region}",
        "question": QUESTIONS[int(draw() * len(QUESTIONS))].format(city=city.name),
        "choices": [f"{choice}." for choice in choices],
        "answer": answer,
    }


def items(cities: list[City]) -> list[dict[str, Any]]:
    """One item a city, sorted by id."""
    regions: dict[str, set[str]] = defaultdict(set)
    for city in cities:
        regions[city.country].add(city.region)
    made = [item(city, sorted(regions[city.country] - {city.region})) for city in cities]
    return sorted(made, key=lambda one: str(one["id"]))


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items-only", action="store_true", help="leave cities.json as it is")
    if not parser.parse_args().items_only:
        from w2s_bench_tasks.places.making.extract import cities

        rows = [city._asdict() for city in cities()]
        CITIES.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")
    made = items(load_cities())
    ITEMS.write_text(lines(made), encoding="utf-8")
    print(f"{len(made)} items on {len({row['cluster'] for row in made})} regions")


if __name__ == "__main__":
    main()
