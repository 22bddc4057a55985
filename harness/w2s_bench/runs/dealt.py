"""Gold dealt out anew: which fields of a domain's documents tell it, and other gold for each of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.random import Generator

from w2s_bench.types import JSON, Answer, Item

#: The share of documents in which a field must be what it is said to be, where half is too few to say so.
_NEARLY_ALL: Final = 0.95
#: A code for gold has so many documents a value; a field with fewer tells documents apart.
_DOCUMENTS_A_CODE: Final = 5
#: Shorter texts stand in files by accident.
_A_QUESTION: Final = 8


@dataclass(frozen=True)
class Gold:
    """The gold of documents, and another for each of them. `fields` tell it, or hold what no item shows.

    `documents` by every text of theirs that is of one document alone, short gold left out; `dealt` is what each gets in `fields`.
    `alike`: the ids of items that keep their gold, as none of those with as many options has another. `questions`: by id, a text
    of the document that no other has, and that its item's prompt shows.
    """

    fields: tuple[str, ...]
    documents: Mapping[str, int]
    dealt: Sequence[Mapping[str, JSON]]
    alike: frozenset[str]
    questions: Mapping[str, str]

    @classmethod
    def of(cls, items: Sequence[Item], answers: Sequence[Answer], seed: int = 0) -> Gold:
        """Fields that tell the gold, shown or not, and those that most items do not show: solutions, hints.

        Shown is what stands in an item's prompt or options, or is its id, group, key or stratum. A document gets the fields of one
        with as many options and other gold; of a field that is a right option's text or number, those of another option.
        """
        by_id = {item.id: item for item in items}
        asked = [_Asked(by_id[answer.id], answer) for answer in answers if answer.id in by_id]
        names = sorted({name for one in asked for name in one.document})
        fields = tuple(name for name in names if not _most(asked, name, _shows) or _tells_gold(asked, name))
        fields = tuple(name for name in fields if not _most(asked, name, lambda one, value: value == one.item.id))
        texts = Counter(text for one in asked for text in {*texts_of(one.document)})
        documents = {
            text: index
            for index, one in enumerate(asked)
            for name, text in one.document.items()
            # Short gold, such as a number, is in other records by accident.
            if isinstance(text, str) and texts[text] == 1 and (name not in fields or len(text) >= _A_QUESTION)
        }
        one_place = len({one.answer.index for one in asked}) == 1  # so that the options are made of the gold
        dealt, alike = [], set()
        for one, (partner, has_other) in zip(asked, _partners(asked, np.random.default_rng(seed)), strict=True):
            other = {} if one_place and has_other else one.other_option(partner, fields)
            dealt.append({**one.of_another(partner, fields), **other})
            if not has_other and not other:
                alike.add(one.item.id)
        questions = {}
        for one in asked:
            told = texts_of({name: value for name, value in one.document.items() if name not in fields})
            shown = [text for text in told if texts[text] == 1 and len(text) >= _A_QUESTION and text in one.item.prompt]
            if shown:
                questions[one.item.id] = max(shown, key=len)
        return cls(fields, documents, dealt, frozenset(alike), questions)

    def altered(self, record: dict[str, Any]) -> bool:
        """Give a record, if it is of one of the documents, other gold; whether it was."""
        indices = (self.documents.get(text) for text in texts_of(record))
        index = next((at for at in indices if at is not None), None)
        changed = {} if index is None else {name: v for name, v in self.dealt[index].items() if name in record}
        record.update(changed)
        return bool(changed)


def texts_of(record: Mapping[str, JSON]) -> list[str]:
    """Its fields that are texts, without empty ones."""
    return [value for value in record.values() if isinstance(value, str) and value]


class _Asked:
    """An item with its gold. Of what is generated, the last word is taken for the final answer."""

    def __init__(self, item: Item, answer: Answer) -> None:
        self.item, self.answer, self.document = item, answer, dict(answer.document)
        self.right = answer.completion.strip()
        self.options = [option.strip() for option in item.choices or ()]
        self.gold: Hashable = self.right.split()[-1] if answer.index is None and self.right else answer.index

    def is_number(self, value: JSON) -> bool:
        """Whether a value is the number of the right option, from 0."""
        return self.answer.index is not None and not isinstance(value, bool) and str(value) == str(self.answer.index)

    def is_right(self, value: JSON) -> bool:
        """Whether a value is the right option's text, or the whole answer."""
        return isinstance(value, str | int | float) and str(value).strip() == self.right

    def tells(self, value: JSON) -> bool:
        """Whether a value is the gold, or has it at its beginning or end: a letter before an option, a result after its steps."""
        if self.is_number(value) or self.is_right(value):
            return True
        if not isinstance(value, str) or not self.right:
            return False
        text, right = value.strip(), self.right
        apart = [text[len(right) : len(right) + 1], text[-len(right) - 1 : -len(right)]]
        ends = [text.startswith(right), text.endswith(right)]
        if any(end and not sign.isalnum() for end, sign in zip(ends, apart, strict=True)):
            return True
        return self.answer.index is None and len(text) > 0 and right.endswith(text) and text.split()[-1] == self.gold

    def of_another(self, partner: _Asked, fields: Sequence[str]) -> dict[str, JSON]:
        return {name: partner.document.get(name, self.document[name]) for name in fields if name in self.document}

    def other_option(self, partner: _Asked, fields: Sequence[str]) -> dict[str, JSON]:
        """Of the fields that are the right option's number or text, what they are of another: the partner's, where that is one.

        Not so a text that stands in no other field: options are made of it.
        """
        index, count = self.answer.index, len(self.options)
        if index is None or count < 2:
            return {}
        another = index if partner.answer.index is None else partner.answer.index
        if another == index or another >= count:
            another = (index + 1) % count
        dealt: dict[str, JSON] = {}
        for name in fields:
            value = self.document.get(name)
            if self.is_number(value):
                dealt[name] = str(another) if isinstance(value, str) else another
            elif isinstance(value, str) and self.is_right(value) and self._has_elsewhere(value, name):
                dealt[name] = self.options[another]
        return dealt

    def _has_elsewhere(self, text: str, name: str) -> bool:
        return text.strip() in _leaves([value for other, value in self.document.items() if other != name])


def _leaves(value: JSON) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield str(value).strip()


def _most(asked: Sequence[_Asked], name: str, holds: Callable[[_Asked, JSON], bool], share: float = 0.5) -> bool:
    """Whether something holds of a field in at least that share of the documents that have it."""
    have = [one for one in asked if name in one.document]
    return sum(holds(one, one.document[name]) for one in have) >= share * len(have)


def _shows(one: _Asked, value: JSON) -> bool:
    if isinstance(value, list):
        return [str(text).strip() for text in value] == one.options
    item, text = one.item, str(value).strip()
    return not text or text in (item.id, item.group, item.key, item.stratum) or (len(text) > 2 and text in item.prompt)


def _tells_gold(asked: Sequence[_Asked], name: str) -> bool:
    """Whether a field is the gold, or a code for it; or holds the options, where the right one always has the same place."""
    places = {one.answer.index for one in asked if one.answer.index is not None}
    if len(places) == 1 and len(asked) > 1:
        if _most(asked, name, lambda one, value: isinstance(value, list) and _shows(one, value), _NEARLY_ALL):
            return True
    elif any(_most(asked, name, partial(_is_option, at), _NEARLY_ALL) for at in places):
        return False  # an option, right in some documents
    return _most(asked, name, _Asked.tells) or _is_code(asked, name)


def _is_option(at: int, one: _Asked, value: JSON) -> bool:
    return at < len(one.options) and str(value).strip() == one.options[at]


def _is_code(asked: Sequence[_Asked], name: str) -> bool:
    """Whether gold follows from a field of few values: letters, numbers from 1, true and false."""
    if _most(asked, name, lambda one, value: value in (one.item.group, one.item.key, one.item.stratum)):
        return False
    golds: dict[str, Counter[Hashable]] = defaultdict(Counter)
    for one in asked:
        value = one.document.get(name)
        if isinstance(value, str | int | float):
            golds[str(value)][one.gold] += 1
    every = sum(golds.values(), Counter[Hashable]())
    if not every or len(golds) * _DOCUMENTS_A_CODE > every.total():
        return False
    enough, (_, commonest) = _NEARLY_ALL * every.total(), every.most_common(1)[0]
    return commonest < enough <= sum(count.most_common(1)[0][1] for count in golds.values())


def _partners(asked: Sequence[_Asked], rng: Generator) -> list[tuple[_Asked, bool]]:
    """For each another with as many options, and whether that one has other gold, as it does where any has."""
    classes: dict[int, list[int]] = defaultdict(list)
    for index, one in enumerate(asked):
        classes[len(one.options)].append(index)
    partners = [(one, False) for one in asked]
    for places in classes.values():
        golds: dict[int, Hashable] = {at: asked[at].gold for at in places}
        if len(set(golds.values())) == 1:
            golds = {at: asked[at].right for at in places}
        # Ordered by gold and moved on by as many places as the commonest has, only that one can meet itself.
        order = sorted((places[i] for i in rng.permutation(len(places))), key=lambda at: str(golds[at]))
        commonest, most = Counter(golds.values()).most_common(1)[0]
        others = [at for at in order if golds[at] != commonest]
        for number, index in enumerate(order):
            other = order[(number + (most if others else 1)) % len(order)]
            if others and golds[other] == golds[index]:
                other = others[int(rng.integers(len(others)))]
            partners[index] = (asked[other], golds[other] != golds[index])
    return partners
