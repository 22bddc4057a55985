"""Make `items.jsonl`: `python -m w2s_bench_tasks.math.making.make [--out FILE]` rebuilds the shipped file byte for byte.

An item is a start amount and one to three events, put into words, with the worked solution. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from w2s_bench_tasks.math.making.lexicon import (
    KNOWN,
    MEANING,
    NAMES,
    NEW,
    NEW_VERBS,
    OBJECTS,
    Draw,
    Event,
    apply,
    third_person,
)

SEED = 1001  # drawn anew once settings were frozen: no item of the frozen suite was seen while choosing them
ITEMS = 6000
#: Events an item, drawn from this list: 1, 2 and 3 events as 1 : 3 : 2.
EVENTS = (1, 2, 2, 2, 3, 3)
#: Operations, drawn from this list: + and - twice as often as * and /.
OPERATIONS = ("+", "-", "*", "/", "+", "-")
#: Share of events that use a verb which occurs in no pretraining text.
NEW_SHARE = 0.25

OPENINGS = ("{name} has {amount} {things}.", "{name} starts with {amount} {things}.", "{name} owns {amount} {things}.")
CHANGE = ("{name} {verb} {number}.", "Then {name} {verb} {number}.", "Later {name} {verb} {number}.")
BY = ("{name} {verb} it by {number}.", "Then {name} {verb} it by {number}.")
#: Nothing but the verb tells + from - and * from /.
EVENT_WORDINGS = {"+": CHANGE, "-": CHANGE, "*": BY, "/": BY}
QUESTIONS = ("How many {things} now?", "How many {things} remain?", "How many has {name}?")


def draw_problem(draw: Draw) -> tuple[int, list[Event]]:
    """A start amount and events that keep every amount within range."""
    start = amount = draw.between(4, 60)
    events: list[Event] = []
    for _ in range(draw.choice(EVENTS)):
        table = NEW if draw.random() < NEW_SHARE else KNOWN
        while True:
            operator = draw.choice(OPERATIONS)
            number = draw.between(2, 5) if operator in "*/" else draw.between(2, 30)
            after = apply(operator, amount, number)
            if after is not None:
                break
        events.append(Event(draw.choice(table[operator]), number))
        amount = after
    return start, events


def chain(start: int, events: list[Event]) -> tuple[list[str], int]:
    """The equations `38 + 22 = 60`, one an event, and the last amount."""
    amount, equations = start, []
    for verb, number in events:
        operator = MEANING[verb]
        after = apply(operator, amount, number)
        if after is None:
            raise ValueError(f"{amount} {operator} {number} leaves the domain's range; draw another number")
        equations.append(f"{amount} {operator} {number} = {after}")
        amount = after
    return equations, amount


def put_into_words(draw: Draw, start: int, events: list[Event]) -> str:
    name, things = draw.choice(NAMES), draw.choice(OBJECTS)
    sentences = [draw.choice(OPENINGS).format(name=name, amount=start, things=things)]
    for verb, number in events:
        wording = draw.choice(EVENT_WORDINGS[MEANING[verb]])
        sentences.append(wording.format(name=name, verb=third_person(verb), number=number))
    sentences.append(draw.choice(QUESTIONS).format(name=name, things=things))
    return " ".join(sentences)


def make_item(draw: Draw) -> dict[str, str]:
    """One document of the task; `group` is its arithmetic, `key` its events without names, things and wording."""
    start, events = draw_problem(draw)
    question = put_into_words(draw, start, events)
    equations, answer = chain(start, events)
    steps = f"{len(events)} step" + ("s" if len(events) > 1 else "")
    return {
        "id": "math-" + hashlib.sha256(question.encode()).hexdigest()[:12],
        "group": " ".join([str(start), *(f"{MEANING[verb]} {number}" for verb, number in events)]),
        "key": "; ".join([str(start), *(f"{verb} {number}" for verb, number in events)]),
        "stratum": f"{steps}, {'a new verb' if any(verb in NEW_VERBS for verb, _ in events) else 'known verbs'}",
        "question": question,
        "solution": f"{' ; '.join(equations)} #### {answer}",
        "answer": str(answer),
    }


def make_items(count: int = ITEMS, seed: int = SEED) -> list[dict[str, str]]:
    """`count` items of different keys, sorted by id."""
    draw = Draw(seed)
    items: dict[str, dict[str, str]] = {}
    while len(items) < count:
        item = make_item(draw)
        items.setdefault(item["key"], item)
    return sorted(items.values(), key=lambda item: item["id"])


def as_text(items: list[dict[str, str]]) -> str:
    return "".join(json.dumps(item, ensure_ascii=True) + "\n" for item in items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "data" / "items.jsonl")
    out: Path = parser.parse_args().out
    text = as_text(make_items())
    out.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {ITEMS} items, sha256 {hashlib.sha256(text.encode()).hexdigest()}")


if __name__ == "__main__":
    main()
