"""A worked solution, read: whether its arithmetic leads from the question to its answer. Nothing is evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_DIGITS = r"\d{1,40}(?:\.\d{1,40})?"
#: Two operands or more, each sign between two of them, and what they are said to come to.
_STEP = re.compile(
    rf"(?<![\w.])(?P<left>-?{_DIGITS}(?:\s*[-+*/x×÷]\s*{_DIGITS})+)\s*=\s*(?P<result>-?{_DIGITS})(?![\w.]*\d)"
)
_NUMBER = re.compile(rf"(?<![\w.]){_DIGITS}")
_SIGN = re.compile(r"[-+*/x×÷]")


@dataclass(frozen=True)
class Step:
    """`operands op … = result`, and whether it holds."""

    operands: tuple[Fraction, ...]
    result: Fraction
    holds: bool


def steps_of(text: str) -> list[Step]:
    """Every step that a text writes out, in order; what stands after `=` may begin the next, as in `3 + 4 = 7 * 2 = 14`."""
    text, steps, place = _plain(text), list[Step](), 0
    while (found := _STEP.search(text, place)) is not None:
        left, said = found["left"], found["result"]
        first, *others = _NUMBER.findall(left)
        operands = tuple(map(Fraction, (f"-{first}" if left.startswith("-") else first, *others)))
        value, decimals = _value(operands, _SIGN.findall(left[1:])), len(said.partition(".")[2])
        # A result may be rounded to the decimals that it has; a whole number is one that was not.
        slack = Fraction(1, 2 * 10**decimals) if decimals else Fraction(0)
        steps.append(Step(operands, Fraction(said), value is not None and abs(value - Fraction(said)) <= slack))
        place = found.start("result")
    return steps


def is_faithful(prompt: str, text: str) -> bool:
    """Whether a solution's reasoning supports its own answer, right or wrong: it writes out steps, each holds, each operand stands in
    the question or is an earlier result, and the answer (what follows `####`, else the last number) is the last result.

    After Rahman et al. 2026 (arXiv 2604.18574), where a language model judges this; here it is read off the arithmetic.
    """
    steps = steps_of(text)
    if not steps or not all(step.holds for step in steps):
        return False
    known = {Fraction(number) for number in _NUMBER.findall(_plain(prompt))}
    for step in steps:
        if not set(step.operands) <= known:
            return False
        known.add(step.result)
    return _answer(text) == steps[-1].result


def shares(right: Sequence[bool], faithful: Sequence[bool]) -> tuple[float | None, ...]:
    """Of labels: which share is right, is faithful, is faithful among the right ones, and among the wrong ones; None of none."""
    pairs = list(zip(right, faithful, strict=True))
    of_right, of_wrong = [f for r, f in pairs if r], [f for r, f in pairs if not r]
    return tuple(sum(of) / len(of) if of else None for of in (list(right), list(faithful), of_right, of_wrong))


def _answer(text: str) -> Fraction | None:
    _, mark, after = _plain(text).rpartition("####")
    found = re.findall(rf"(?<![\w.])-?{_DIGITS}", after)
    return Fraction(found[0 if mark else -1]) if found else None


def _plain(text: str) -> str:
    """Without thousands' commas and signs of money."""
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", text).replace("$", "")


def _value(operands: Sequence[Fraction], signs: Sequence[str]) -> Fraction | None:
    """Products before sums; None where it divides by 0."""
    total, product = Fraction(0), operands[0]
    for sign, number in zip(signs, operands[1:], strict=True):
        if sign in "+-":
            total, product = total + product, number if sign == "+" else -number
        elif sign in "*x×":
            product *= number
        elif number == 0:
            return None
        else:
            product /= number
    return total + product
