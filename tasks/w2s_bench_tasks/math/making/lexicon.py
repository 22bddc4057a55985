"""The words of the domain: what each verb does to an amount, who does it, to what. Facts only, no text.

Every verb means one operation. `KNOWN` verbs occur in the bundled models' pretraining text, `NEW` ones nowhere but in
the task, so their meaning has to be learned from the task's own labels.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

OPERATORS = ("+", "-", "*", "/")
#: The operation taken for its mirror image: how the bundled teacher misunderstands a verb.
MIRROR = {"+": "-", "-": "+", "*": "/", "/": "*"}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


KNOWN: dict[str, tuple[str, ...]] = {
    "+": _words("buy find win receive collect earn pick borrow gather inherit catch bake make fetch gain import"),
    "-": _words("sell lose drop eat donate spend break lend discard misplace waste crush toss export forfeit burn"),
    "*": _words("multiply scale clone amplify copy replicate magnify expand"),
    "/": _words("divide split share shrink compress cut partition section"),
}
NEW: dict[str, tuple[str, ...]] = {
    "+": _words("hoard net snag acquire secure procure"),
    "-": _words("surrender mislay scrap dump squander shed"),
    "*": _words("inflate boost enlarge"),
    "/": _words("thin dilute slice"),
}
MEANING: dict[str, str] = {verb: op for table in (KNOWN, NEW) for op in OPERATORS for verb in table[op]}
NEW_VERBS = frozenset(verb for verbs in NEW.values() for verb in verbs)

NAMES = ("Tom", "Ana", "Sam", "Lily", "Omar", "Nina", "Raj", "Mia", "Ben", "Zoe", "Ivan", "Kate")
OBJECTS = ("apples", "books", "coins", "pens", "cards", "stamps", "eggs", "shells", "marbles", "cakes")

#: Every amount lies in 1..LARGEST, so that one integer is one token of the bundled models.
LARGEST = 99


class Event(NamedTuple):
    """One thing that happens to the amount: `verb` with the number it is done by."""

    verb: str
    number: int


def third_person(verb: str) -> str:
    """buy → buys, catch → catches, multiply → multiplies."""
    if verb.endswith(("ch", "sh", "s", "x", "z")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def apply(operator: str, amount: int, number: int) -> int | None:
    """The amount afterwards; None where it is no integer in 1..LARGEST."""
    if operator == "/":
        result = amount // number if amount % number == 0 else 0
    else:
        result = {"+": amount + number, "-": amount - number, "*": amount * number}[operator]
    return result if 1 <= result <= LARGEST else None


class Draw:
    """Seeded draws built on `random()` alone, the method whose sequence Python keeps between versions."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def below(self, n: int) -> int:
        return int(self.random() * n)

    def between(self, low: int, high: int) -> int:
        """An integer in low..high, both ends included."""
        return low + self.below(high - low + 1)

    def choice(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.below(i + 1)
            out[i], out[j] = out[j], out[i]
        return out
