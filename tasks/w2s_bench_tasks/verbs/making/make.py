"""Make `items.jsonl`: `python -m w2s_bench_tasks.verbs.making.make [--out FILE]` rebuilds the shipped file byte for byte.

An item is a start amount, what an invented verb does to it, and up to two events in everyday verbs, put into words, with the
worked solution. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import NamedTuple

from w2s_bench_tasks.math.making.lexicon import apply
from w2s_bench_tasks.math.making.make import as_text
from w2s_bench_tasks.verbs.making.lexicon import EVERYDAY, LARGEST, NAMES, OBJECTS, OPERATORS, VERBS, Draw, Verb, verbs

SEED = 3001
ITEMS_A_VERB = 2
ITEMS = ITEMS_A_VERB * VERBS
#: Events an item, drawn from this list: 1, 2 and 3 events as 1 : 3 : 2.
EVENTS = (1, 2, 2, 2, 3, 3)
#: Operations of the everyday events, drawn from this list: + and - twice as often as * and /.
OPERATIONS = ("+", "-", "*", "/", "+", "-")

OPENINGS = ("{name} has {amount} {things}.", "{name} starts with {amount} {things}.", "{name} owns {amount} {things}.")
#: One frame for all verbs, so that nothing but the verb tells the operation.
EVENT_WORDINGS = ("{name} {verb} {number}.", "Then {name} {verb} {number}.", "Later {name} {verb} {number}.")
QUESTIONS = ("How many {things} now?", "How many {things} remain?", "How many has {name}?")


class Event(NamedTuple):
    """One thing that happens to the amount: `operator` with `number`, told by a verb (plain form and third person)."""

    operator: str
    number: int
    plain: str
    third: str


def any_operation_fits(amount: int, number: int) -> bool:
    """Whether all four operations would leave an amount within range: then the numbers do not tell which is meant."""
    return all(apply(operator, amount, number) is not None for operator in OPERATORS) and amount // number >= 2


def draw_problem(draw: Draw, verb: Verb) -> tuple[int, list[Event]]:
    """A start amount and events that keep every amount within range; the invented verb comes first."""
    while True:
        start, number = draw.between(4, 50), draw.between(2, 5)
        if any_operation_fits(start, number):
            break
    events = [Event(verb.operator, number, verb.plain, verb.third)]
    amount = apply(verb.operator, start, number)
    for _ in range(draw.choice(EVENTS) - 1):
        assert amount is not None
        while True:
            operator = draw.choice(OPERATIONS)
            number = draw.between(2, 5) if operator in "*/" else draw.between(2, 20)
            after = apply(operator, amount, number)
            if after is not None:
                break
        events.append(Event(operator, number, *draw.choice(EVERYDAY[operator])))
        amount = after
    return start, events


def solve_forward(start: int, events: list[Event]) -> tuple[str, int]:
    """The worked solution, one equation `+ 12 3 = 15` an event, and the last amount.

    The operator stands first, so that what the model takes the verb to mean is decided where the question ends.
    """
    amount, equations = start, []
    for operator, number, *_ in events:
        after = apply(operator, amount, number)
        if after is None:
            raise ValueError(f"{operator} {amount} {number} leaves 1..{LARGEST}; draw another number")
        equations.append(f"{operator} {amount} {number} = {after}")
        amount = after
    return f"{' ; '.join(equations)} #### {amount}", amount


def put_into_words(draw: Draw, start: int, events: list[Event]) -> str:
    name, things = draw.choice(NAMES), draw.choice(OBJECTS)
    sentences = [draw.choice(OPENINGS).format(name=name, amount=start, things=things)]
    sentences += [draw.choice(EVENT_WORDINGS).format(name=name, verb=e.third, number=e.number) for e in events]
    sentences.append(draw.choice(QUESTIONS).format(name=name, things=things))
    return " ".join(sentences)


def make_item(draw: Draw, verb: Verb) -> dict[str, str]:
    """One document of the task; `group` is its invented verb, `key` its events without names, things and wording."""
    start, events = draw_problem(draw, verb)
    question = put_into_words(draw, start, events)
    solution, answer = solve_forward(start, events)
    return {
        "id": "verbs-" + hashlib.sha256(question.encode()).hexdigest()[:12],
        "group": verb.plain,
        "key": "; ".join([str(start), *(f"{event.plain} {event.number}" for event in events)]),
        "stratum": f"{len(events)} step" + ("s" if len(events) > 1 else ""),
        "question": question,
        "solution": solution,
        "answer": str(answer),
    }


def make_items(seed: int = SEED) -> list[dict[str, str]]:
    """`ITEMS_A_VERB` items of different keys for every verb, sorted by id."""
    draw = Draw(seed)
    items: dict[str, dict[str, str]] = {}
    for verb in verbs():
        goal = len(items) + ITEMS_A_VERB
        while len(items) < goal:
            item = make_item(draw, verb)
            items.setdefault(item["key"], item)
    return sorted(items.values(), key=lambda item: item["id"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "data" / "items.jsonl")
    out: Path = parser.parse_args().out
    text = as_text(make_items())
    out.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {ITEMS:,} items, sha256 {hashlib.sha256(text.encode()).hexdigest()}")


if __name__ == "__main__":
    main()
