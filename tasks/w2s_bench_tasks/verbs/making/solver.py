"""Gold from the text alone: read a question's sentences, give the number. Shares no code with what writes them."""

from __future__ import annotations

import re

from w2s_bench_tasks.verbs.making.lexicon import meanings

_SENTENCE = re.compile(r"^(?:Then |Later )?(?P<name>[A-Z][a-z]+) (?P<verb>[a-z]+) (?P<number>\d+)\.$")


def solve(question: str) -> int:
    """The amount after the last event of `question`."""
    sentences = re.findall(r"[^.?]+[.?]", question)
    opening = re.match(r"^[A-Z][a-z]+ (has|owns|starts with) (\d+) ", sentences[0])
    if opening is None:
        raise ValueError(f"expected an opening such as 'Tom has 38 apples.', got {sentences[0]!r}")
    amount = int(opening[2])
    for sentence in (text.strip() for text in sentences[1:-1]):
        match = _SENTENCE.match(sentence)
        if match is None:
            raise ValueError(f"expected an event such as 'Tom buys 22.', got {sentence!r}")
        operation = meanings().get(match["verb"])
        number = int(match["number"])
        if operation is None:
            raise ValueError(
                f"{match['verb']!r} is the third person of no verb of the domain; the lexicon lists them all"
            )
        if operation == "+":
            amount += number
        elif operation == "-":
            amount -= number
        elif operation == "*":
            amount *= number
        else:
            amount, left = divmod(amount, number)
            if left:
                raise ValueError(f"the division in {sentence!r} leaves {left} of {question!r}")
    return amount
