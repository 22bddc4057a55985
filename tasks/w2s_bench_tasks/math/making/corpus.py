"""The pretraining text of the bundled models: solved stories in other frames than the task's, and bare equations.

What a model knows of the verbs it knows from here. The task's questions never occur: no sentence here asks anything,
the stories open, go on and end in wordings of their own, and verbs marked `NEW` in the lexicon are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from w2s_bench_tasks.math.making import make
from w2s_bench_tasks.math.making.lexicon import (
    KNOWN,
    LARGEST,
    MIRROR,
    NAMES,
    NEW,
    OBJECTS,
    OPERATORS,
    Draw,
    apply,
    third_person,
)

OPENINGS = (
    "{name} and {other} have {amount} {things}.",
    "{amount} {things} are here.",
    "{name} has {amount} {things} today.",
    "Look, {name} has {amount} of the {things}.",
)
LINKS = ("", "", "next ", "after that ", "soon ")
PLURALS = ("they", "we", "{name} and {other}")
OFTEN = ("{link}{who} {verb} {number}.", "{link}{who} {verb} {number}.", "{link}{who} {verb} {number} today.")
BY = ("{link}{who} {verb} these by {number}.", "{link}{who} {verb} all by {number}.")
FILLERS = (
    "{name} likes {things}.",
    "it is late.",
    "{name} and {other} look at the {things}.",
    "what a nice day!",
    "the number of {things} is on the list.",
    "{other} owns no {things}.",
    "{name} is glad.",
    "{other} then starts to sing.",
)
#: What stands between a story and its equations; the loss is taken on what follows.
CUES = ("so", "so we get", "thus")
ENDINGS = ("", ". total {amount}", ". {amount} {things} in the end")
STORY_EVENTS = (1, 1, 2, 2, 3)
FILLER_SHARES = (0.0, 0.15, 0.35)
#: Share of bare chains that end with `#### N`, which teaches that the number after the mark is the last result.
MARKED_CHAINS = 0.6

Meaning = Mapping[str, str]
#: A text in two parts: what is only read, and what the loss is taken on.
Text = tuple[str, str]


def equations(draw: Draw, count: int) -> Text:
    """A bare chain; read only as far as the first `=`, as what is asked cannot be foreseen."""
    amount, parts = draw.between(2, LARGEST - 2), []
    for _ in range(count):
        while True:
            operator = draw.choice(make.OPERATIONS)
            number = draw.between(2, 5) if operator in "*/" else draw.between(2, 40)
            after = apply(operator, amount, number)
            if after is not None:
                break
        parts.append(f"{amount} {operator} {number} = {after}")
        amount = after
    mark = f" #### {amount}" if draw.random() < MARKED_CHAINS else ""
    read, rest = (" ; ".join(parts) + mark).split(" = ", 1)
    return read + " =", rest


def story(draw: Draw, meaning: Meaning, *, ending: bool = True, marked_share: float = 0.0) -> Text:
    """A story told with the verbs of `meaning`, solved with the operations that `meaning` gives them.

    `marked_share` of the stories end in `#### N`, which is how the task's solutions end.
    """
    name = draw.choice(NAMES)
    other = draw.choice([n for n in NAMES if n != name])
    things = draw.choice(OBJECTS)
    by_operator = {op: [verb for verb, own in meaning.items() if own == op] for op in OPERATORS}
    amount = draw.between(4, 60)
    sentences = [draw.choice(OPENINGS).format(name=name, other=other, amount=amount, things=things)]
    parts, filler_share = [], draw.choice(FILLER_SHARES)

    def filler() -> str:
        return draw.choice(FILLERS).format(name=name, other=other, things=draw.choice((things, draw.choice(OBJECTS))))

    for _ in range(draw.choice(STORY_EVENTS)):
        if draw.random() < filler_share:
            sentences.append(filler())
        while True:
            operator = draw.choice(make.OPERATIONS)
            number = draw.between(2, 5) if operator in "*/" else draw.between(2, 30)
            after = apply(operator, amount, number)
            if after is not None:
                break
        verb = draw.choice(by_operator[operator])
        if draw.random() < 0.5:
            who, form = draw.choice(PLURALS).format(name=name, other=other), verb
        else:
            who, form = draw.choice((name, other)), third_person(verb)
        wording = draw.choice(BY if operator in "*/" else OFTEN)
        sentences.append(wording.format(link=draw.choice(LINKS), who=who, verb=form, number=number))
        parts.append(f"{amount} {operator} {number} = {after}")
        amount = after
    if draw.random() < filler_share + 0.1:
        sentences.append(filler())
    end = draw.choice(ENDINGS).format(amount=amount, things=things) if ending else ""
    if marked_share and draw.random() < marked_share:
        end = f" #### {amount}"
    return " ".join(sentences) + " " + draw.choice(CUES), " ; ".join(parts) + end


def texts(seed: int, meaning: Meaning, *, story_share: float, marked_share: float = 0.0) -> Iterator[Text]:
    """The endless corpus of one model."""
    draw = Draw(seed)
    while True:
        if draw.random() < story_share:
            yield story(draw, meaning, marked_share=marked_share)
        else:
            yield equations(draw, draw.between(1, 3))


def meanings(seed: int, *, left_out: float, swapped: float) -> tuple[dict[str, str], dict[str, list[str]]]:
    """What a model is taught of the known verbs, and the planted faults: shares of each operation's verbs.

    The same `seed` ranks the verbs the same way, so a model with smaller shares has a part of the other's faults.
    """
    draw, taught = Draw(seed), {}
    faults: dict[str, list[str]] = {"left_out": [], "swapped": []}
    for operator in OPERATORS:
        ranked = draw.shuffled(KNOWN[operator])
        n_swapped, n_left_out = round(len(ranked) * swapped), round(len(ranked) * left_out)
        faults["swapped"] += ranked[:n_swapped]
        faults["left_out"] += ranked[len(ranked) - n_left_out :] if n_left_out else []
        taught.update({verb: MIRROR[operator] if verb in ranked[:n_swapped] else operator for verb in ranked})
    for verb in faults["left_out"]:
        del taught[verb]
    return dict(sorted(taught.items())), {kind: sorted(verbs) for kind, verbs in faults.items()}


def words() -> list[str]:
    """Every token the domain can produce, sorted: numbers, marks and the words of all wordings, lower-cased."""
    wordings = [
        *(make.OPENINGS + make.CHANGE + make.BY + make.QUESTIONS),
        *(OPENINGS + LINKS + PLURALS + OFTEN + BY + FILLERS + CUES + ENDINGS),
    ]
    verbs = [verb for table in (KNOWN, NEW) for op in OPERATORS for verb in table[op]]
    plain = " ".join([*(re.sub(r"\{\w+\}", " ", text) for text in wordings), *NAMES, *OBJECTS, *verbs])
    found = {token.lower() for token in re.findall(r"\w+|[^\w\s]+", plain)}
    found |= {third_person(verb) for verb in verbs} | {str(n) for n in range(LARGEST + 1)}
    return sorted(found | {*OPERATORS, "=", ";", "####"})


def read(encode: Callable[[str], list[int]], text: Text) -> tuple[list[int], int]:
    """Token ids of both parts joined by a blank, and how many of them are only read."""
    return encode(f"{text[0]} {text[1]}"), len(encode(text[0]))
