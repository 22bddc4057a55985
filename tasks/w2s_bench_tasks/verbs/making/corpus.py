"""The pretraining text of the bundled models: solved stories in other frames than the task's, and bare equations.

A model's stories are a sample of fixed size, read several times, in which the verb of rank r turns up as r^-alpha. So what is rare is
read once or not at all without anyone's choosing it. The task's questions never occur: no sentence here asks anything, and
stories open, go on and end in wordings of their own.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from w2s_bench_tasks.math.making.corpus import Text
from w2s_bench_tasks.math.making.lexicon import apply
from w2s_bench_tasks.verbs.making import make
from w2s_bench_tasks.verbs.making.lexicon import (
    ENDINGS,
    EVERYDAY,
    LARGEST,
    NAMES,
    OBJECTS,
    OPERATORS,
    Draw,
    Verb,
    verbs,
)

# Wordings are many, so that what a model learns of a verb does not hang on one of them: with four ways to tell an event and three cues a
# model's knowledge carried over to the task's frames or did not, by chance of its pretraining.
OPENINGS = (
    "{amount} {things} are here.",
    "{name} and {other} have {amount} {things}.",
    "{name} has {amount} {things} today.",
    "Look, {name} has {amount} of the {things}.",
    "there are {amount} {things}.",
    "at first {name} keeps {amount} {things}.",
    "on the list are {amount} {things}.",
    "{amount} {things} belong to {name}.",
)
LINKS = ("", "", "next ", "after that ", "soon ", "at noon ", "in the end ", "again ")
PLURALS = ("they", "we")
EVENT_WORDINGS = (
    "{link}{who} {verb} {number} today.",
    "{link}{who} {verb} {number} again.",
    "{link}{who} {verb} {number} here.",
    "{link}{who} {verb} these by {number}.",
    "{link}{who} {verb} all by {number}.",
    "{link}{who} also {verb} {number} of them.",
    "{link}it is {who} that {verb} {number}.",
    "{link}by {number} {who} {verb} the {things}.",
)
FILLERS = ("{name} likes {things}.", "it is late.", "what a nice day!", "{other} is glad.")
FILLER_SHARES = (0.0, 0.15)
#: What stands between a story and its equations; the loss is taken on what follows.
CUES = (
    "so",
    "so we get",
    "thus",
    "hence",
    "that is",
    "altogether",
    "in all",
    "now count:",
    "what is left is",
    "the {things} are then",
    "and",
    "well,",
)
ENDINGS_OF_STORIES = ("", ". total {amount}", ". {amount} {things} in the end")
STORY_EVENTS = (1, 1, 2, 2, 3)
#: Marks a token that goes on with the word before it. (The usual `##` would make a decoder glue `####` to the last number.)
CONTINUES = "~"
#: Share of a story's events that have an invented verb.
INVENTED = 0.7
#: Share of bare chains that end with `#### N`, which teaches that the number after the mark is the last result.
MARKED_CHAINS = 0.6


class Told(NamedTuple):
    """A story, and the ranks of the invented verbs in it."""

    text: Text
    ranks: tuple[int, ...]


class Frequencies:
    """Draws verbs of rank r (from 1) with probability in proportion to r^-alpha; with `ranks` (from 0), of these alone."""

    def __init__(self, alpha: float, ranks: Sequence[int] | None = None) -> None:
        self._verbs = verbs() if ranks is None else tuple(verbs()[rank] for rank in ranks)
        self._cumulated = list(accumulate((verb.rank + 1) ** -alpha for verb in self._verbs))

    def draw(self, draw: Draw) -> Verb:
        return self._verbs[bisect(self._cumulated, draw.random() * self._cumulated[-1])]


def a_number(draw: Draw, operator: str) -> int:
    return draw.between(2, 5) if operator in "*/" or draw.random() < 0.3 else draw.between(2, 20)


def equations(draw: Draw, count: int) -> Text:
    """A bare chain; read only as far as the first `=`, as what is asked cannot be foreseen."""
    amount, parts = draw.between(2, LARGEST - 2), []
    for _ in range(count):
        while True:
            operator = draw.choice(make.OPERATIONS)
            number = a_number(draw, operator)
            after = apply(operator, amount, number)
            if after is not None:
                break
        parts.append(f"{operator} {amount} {number} = {after}")
        amount = after
    mark = f" #### {amount}" if draw.random() < MARKED_CHAINS else ""
    read, rest = (" ; ".join(parts) + mark).split(" = ", 1)
    return read + " =", rest


def an_event(draw: Draw, amount: int, frequencies: Frequencies) -> tuple[make.Event, int | None, int]:
    """An event that keeps the amount within range, its verb's rank (None for an everyday one), the amount afterwards."""
    while True:
        if draw.random() < INVENTED:
            verb = frequencies.draw(draw)
            event, rank = make.Event(verb.operator, draw.between(2, 5), verb.plain, verb.third), verb.rank
        else:
            operator, rank = draw.choice(make.OPERATIONS), None
            number = draw.between(2, 5) if operator in "*/" else draw.between(2, 20)
            event = make.Event(operator, number, *draw.choice(EVERYDAY[operator]))
        after = apply(event.operator, amount, event.number)
        if after is not None:
            return event, rank, after


def story(draw: Draw, frequencies: Frequencies, *, marked_share: float, ending: bool = True) -> Told:
    """A story and its equations; `marked_share` of the stories end in `#### N`, which is how the task's solutions end."""
    name = draw.choice(NAMES)
    other = draw.choice([n for n in NAMES if n != name])
    things, filler_share = draw.choice(OBJECTS), draw.choice(FILLER_SHARES)
    amount = draw.between(4, 50)
    sentences = [draw.choice(OPENINGS).format(name=name, other=other, amount=amount, things=things)]
    parts, ranks = [], []
    for _ in range(draw.choice(STORY_EVENTS)):
        event, rank, after = an_event(draw, amount, frequencies)
        ranks += [] if rank is None else [rank]
        who = draw.choice((name, other, *PLURALS))
        form = event.plain if who in PLURALS else event.third
        wording = draw.choice(EVENT_WORDINGS)
        sentences.append(
            wording.format(link=draw.choice(LINKS), who=who, verb=form, number=event.number, things=things)
        )
        parts.append(f"{event.operator} {amount} {event.number} = {after}")
        amount = after
        if draw.random() < filler_share:
            sentences.append(draw.choice(FILLERS).format(name=name, other=other, things=things))
    end = draw.choice(ENDINGS_OF_STORIES).format(amount=amount, things=things) if ending else ""
    if draw.random() < marked_share:
        end = f" #### {amount}"
    cue = draw.choice(CUES).format(things=things)
    return Told((" ".join([*sentences, cue]), " ; ".join(parts) + end), tuple(ranks))


def stories(seed: int, count: int, *, alpha: float, marked_share: float) -> list[Told]:
    """The stories that one model reads, all of them."""
    draw, frequencies = Draw(seed), Frequencies(alpha)
    return [story(draw, frequencies, marked_share=marked_share) for _ in range(count)]


def mentions(told: list[Told]) -> list[int]:
    """How often each verb occurs in these stories, by rank."""
    counts = [0] * len(verbs())
    for one in told:
        for rank in one.ranks:
            counts[rank] += 1
    return counts


def texts(seed: int, told: list[Told], *, story_share: float) -> Iterator[Text]:
    """Endless: the stories over and over, in another order each time, between bare chains that are always new."""
    draw = Draw(seed)
    while True:
        for one in draw.shuffled(told):
            while draw.random() >= story_share:
                yield equations(draw, draw.between(1, 3))
            yield one.text


def words() -> list[str]:
    """Every token but the pieces of the invented verbs, sorted: numbers, marks and the words of all wordings, lower-cased."""
    wordings = [
        *(make.OPENINGS + make.EVENT_WORDINGS + make.QUESTIONS),
        *(OPENINGS + LINKS + PLURALS + EVENT_WORDINGS + FILLERS + CUES + ENDINGS_OF_STORIES),
    ]
    real = [form for forms in EVERYDAY.values() for pair in forms for form in pair]
    plain = " ".join([*(re.sub(r"\{\w+\}", " ", text) for text in wordings), *NAMES, *OBJECTS, *real])
    found = {token.lower() for token in re.findall(r"\w+|[^\w\s]+", plain)}
    return sorted(found | {str(n) for n in range(LARGEST + 1)} | {*OPERATORS, "=", ";", "####"})


def pieces() -> list[str]:
    """The tokens of invented verbs: endings, marked as such, then the stems, the commonest first."""
    return [*(f"{CONTINUES}{ending}" for pair in ENDINGS for ending in pair), *(verb.stem for verb in verbs())]
