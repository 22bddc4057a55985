"""One question with contrary golds: whichever a model learns, it is wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from w2s_bench.domains.grading import answers_are_right, delimiter_of, option_is_right
from w2s_bench.domains.normalised import in_formulas, normalised
from w2s_bench.domains.soundness import told
from w2s_bench.errors import PluginError
from w2s_bench.record import digest_of
from w2s_bench.types import Answer, Item

_MOST_SHOWN = 80  # characters of a question, and of a gold, in a message


class Contradictions:
    """Finds the same question, asked under two keys, with two golds: the splits could not keep the two apart."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        #: Digest of what is asked → (key, gold) → the first item that has both.
        self._seen: dict[str, dict[tuple[str, str], str]] = {}

    def check(self, item: Item, answer: Answer) -> None:
        """Refuse `item` where an earlier one asks the same and has another key and another gold."""
        asked = digest_of([plain(item.prompt), sorted(map(plain, item.choices or ()))])
        gold, seen = plain(answer.completion), self._seen.setdefault(asked, {})
        for (key, other), first in seen.items():
            if key != item.key and other != gold:
                raise PluginError(
                    f"domain {self._domain!r}: items {first!r} and {item.id!r} ask the same, {item.prompt[-_MOST_SHOWN:]!r}, under "
                    f"the keys {key!r} and {item.key!r}, and their golds are {other!r} and {gold!r}; give them one key and one "
                    "gold, or remove one"
                )
        seen.setdefault((item.key, gold), item.id)


class Asked(NamedTuple):
    """An item with its gold."""

    item: Item
    gold: Answer


def contrary(domain: str, task: Any, same: Sequence[Asked]) -> Asked | None:
    """Of items of one key, the first whose gold and that of the first item are each wrong for the other; None: there is none.

    Golds that read otherwise may both be right: GSM8K's are whole derivations, and others are one of several names. So the
    task's own filter and metric say what is wrong.
    """
    first = same[0]
    for other in same[1:]:
        if plain(other.gold.completion) == plain(first.gold.completion) or _names_options_of_its_own(first, other):
            continue
        if _are_other_formulas(first.item.prompt, other.item.prompt):
            continue
        if not _is_right(domain, task, first, other.gold) and not _is_right(domain, task, other, first.gold):
            return other
    return None


def said_of(found: Sequence[tuple[Sequence[Asked], Asked]]) -> str:
    """How many questions are contrary, with an example. `found`: the items of each, and what `contrary` gave."""
    (first, *_), other = found[0]
    items = sum(len(same) for same, _ in found)
    counted = f"1 question ({items} items) has" if len(found) == 1 else f"{len(found)} questions ({items} items) have"
    example = " and ".join(f"{plain(a.gold.completion)[:_MOST_SHOWN]!r} (item {a.item.id!r})" for a in (first, other))
    return (
        f"{counted} contrary golds, such as {first.item.prompt[-_MOST_SHOWN:]!r}: {example}; whichever a model learns, it is wrong "
        "for the other: mend the data, or leave these documents out"
    )


def plain(text: str) -> str:
    """A text without what nobody sees: composed characters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _are_other_formulas(one: str, other: str) -> bool:
    """Whether texts of one key differ in what a key leaves out and a formula hangs on: not (A and B), (not A) and B."""
    first, second = in_formulas(one), in_formulas(other)
    return first != second and max(len(first), len(second)) > 1


def _names_options_of_its_own(first: Asked, other: Asked) -> bool:
    """Whether the golds are letters that may stand for other options in each prompt, so that they cannot be compared."""
    options = chain(first.item.choices or (), other.item.choices or ("",))
    return normalised(first.item.prompt) != normalised(other.item.prompt) and all(len(plain(o)) == 1 for o in options)


def _is_right(domain: str, task: Any, asked: Asked, gold: Answer) -> bool:
    """Whether the task counts the gold of another item as right for this one."""
    item, document = asked.item, asked.gold.document
    with told(domain, f"the gold of item {gold.id!r} as an answer to item {item.id!r}, which has the same key"):
        if item.choices is not None:
            alike = _options_alike(item.choices, gold.completion)
            return any(option_is_right(task, document, len(item.choices), option, item.id) for option in alike)
        # Some metrics count the space that an answer begins with.
        texts = [gold.completion, gold.completion.removeprefix(delimiter_of(task))]
        return any(answers_are_right(task, [item.id] * 2, [document] * 2, texts))


def _options_alike(options: Sequence[str], text: str) -> list[int]:
    """The options that read as the text does; else those that do but for spelling and punctuation."""
    return [i for i, option in enumerate(options) if plain(option) == plain(text)] or [
        i for i, option in enumerate(options) if normalised(option) == normalised(text)
    ]
