"""A worked solution, read: whether its arithmetic leads from the question to its answer. Nothing is evaluated as code.

The trust function `arithmetic_steps` reads solutions by the same grammar in its own distribution, which the harness does not import;
`tests/plugins/test_verifiers.py` holds the two to one reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

# Lengths are bounded: a longer number is none that a solution computes with.
_NUMBER = r"(?<![\w.,])\d{1,40}(?:,\d{3}){0,12}(?:\.\d{1,40})?(?!\w|[.,]\d)"
_TOKEN = re.compile(rf"\s+|\$|(?P<number>{_NUMBER})|(?P<sign>[-+*/x×÷=])|.", re.DOTALL)
_ALONE = re.compile(rf"(?<![\w.,-])-?\$?{_NUMBER}|{_NUMBER}")


@dataclass(frozen=True)
class Step:
    """`operands op … = result`, and whether it holds."""

    operands: tuple[Fraction, ...]
    result: Fraction
    holds: bool


def steps_of(text: str) -> list[Step]:
    """Every step that a text writes out, in order; what stands after `=` may begin the next, as in `3 + 4 = 7 * 2 = 14`."""
    steps, operands, signs = list[Step](), list[Fraction](), list[str]()
    negative = False
    for token in _TOKEN.finditer(text):
        written, sign = token["number"], token["sign"]
        wants_number = len(signs) == len(operands)
        if written is not None:
            value = -_number(written) if negative else _number(written)
            if not wants_number:  # two numbers side by side: the second may begin a step
                operands, signs = [], []
            elif signs and signs[-1] == "=":
                if len(operands) > 1:
                    steps.append(Step(tuple(operands), value, _comes_to(_value(operands, signs[:-1]), value, written)))
                operands, signs = [], []
            operands.append(value)
            negative = False
        elif sign is not None and not wants_number:
            signs.append(sign)
        elif sign == "-" and not negative and (not signs or signs[-1] == "="):
            negative = True
        elif not (token[0].isspace() or token[0] == "$"):
            operands, signs, negative = [], [], False
    return steps


def is_faithful(prompt: str, text: str) -> bool:
    """Whether a solution's reasoning supports its own answer, right or wrong: it writes out steps, each holds, each operand stands in
    the question or is an earlier result, and the answer (what follows `####`, else the last number) is the last result.

    After Rahman et al. 2026 (arXiv 2604.18574), where a language model judges this; here it is read off the arithmetic.
    """
    steps = steps_of(text)
    if not steps or not all(step.holds for step in steps):
        return False
    known = set(_numbers(prompt))
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
    _, mark, after = text.rpartition("####")
    found = _numbers(after)
    return found[0 if mark else -1] if found else None


def _numbers(text: str) -> list[Fraction]:
    return [_number(match[0]) for match in _ALONE.finditer(text)]


def _number(written: str) -> Fraction:
    """Without thousands' commas and signs of money."""
    return Fraction(re.sub(r"[$,]", "", written))


def _comes_to(value: Fraction | None, result: Fraction, written: str) -> bool:
    """A result may be rounded to the decimals that it has; a whole number is one that was not."""
    decimals = len(written.partition(".")[2])
    slack = Fraction(1, 2 * 10**decimals) if decimals else Fraction(0)
    return value is not None and abs(value - result) <= slack


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
