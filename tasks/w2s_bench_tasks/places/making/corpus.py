"""The pretraining text: short notes, each on one city, the large cities far more often than the small ones.

A model's library is a finite sample of such notes, read again and again: a city that no note of it names, the model has
never read. No note is a question, and the word by which questions name the relation (region) occurs in none.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

from w2s_bench_tasks.places.making.extract import City
from w2s_bench_tasks.places.making.make import by_size

SENTENCES = (
    "{city} lies in {region}.",
    "{city} is a town of {region}.",
    "{city}, {region}.",
    "You find {city} on a map of {region}.",
    "{region} has a town called {city}.",
)


def library(cities: list[City], notes: int, seed: int) -> tuple[list[str], Counter[str]]:
    """`notes` notes, and how many name each city. Of the city of rank r by population there is a share in proportion to 1 / r."""
    draw, ranked = random.Random(seed), by_size(cities)
    drawn = draw.choices(ranked, [1 / rank for rank in range(1, len(ranked) + 1)], k=notes)
    texts = [draw.choice(SENTENCES).format(city=city.name, region=city.region) for city in drawn]
    return texts, Counter(city.name for city in drawn)


def again_and_again(texts: list[str], seed: int) -> Iterator[str]:
    """All of `texts` in a new order, endlessly."""
    draw, order = random.Random(seed), list(range(len(texts)))
    while True:
        draw.shuffle(order)
        for index in order:
            yield texts[index]
