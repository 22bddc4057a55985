"""Arithmetic as solutions write it, parsed into exact fractions; nothing is evaluated as code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

#: Digits of a number that is read; a longer one is none that a solution computes with.
LONGEST = 40
_NUMBER = rf"\d{{1,{LONGEST}}}(?:,\d{{3}})*(?:\.\d{{1,{LONGEST}}})?"
_SIGNED = rf"-?\s*\$?{_NUMBER}"
_STEP = re.compile(rf"(?<![\w.,])({_SIGNED})((?:\s*[-+*/x×÷]\s*\$?{_NUMBER})+)\s*=\s*({_SIGNED})(?![\w]|[.,]\d)")
_TERM = re.compile(rf"\s*([-+*/x×÷])\s*\$?({_NUMBER})")
_ALONE = re.compile(rf"(?<![\w.,])-?\$?{_NUMBER}(?!\w)")
_PRODUCT = {"*": "*", "x": "*", "×": "*", "/": "/", "÷": "/"}


@dataclass(frozen=True)
class Step:
    """`operands op … = result`, and whether it holds."""

    operands: tuple[Fraction, ...]
    result: Fraction
    holds: bool


def steps_in(text: str) -> list[Step]:
    """Every step of a text, in order."""
    return [_step(*match.groups()) for match in _STEP.finditer(text)]


def numbers_in(text: str) -> list[Fraction]:
    """Every number of a text, in order."""
    return [_number(match[0]) for match in _ALONE.finditer(text)]


def final_number(text: str) -> Fraction | None:
    """The first number after the last `####`, or else the last one of all; None where there is none."""
    _, mark, after = text.rpartition("####")
    found = numbers_in(after)
    if mark:
        return found[0] if found else None
    return found[-1] if found else None


def _number(text: str) -> Fraction:
    return Fraction(re.sub(r"[\s$,]", "", text))


def _step(first: str, rest: str, result: str) -> Step:
    terms = [(sign, _number(number)) for sign, number in _TERM.findall(rest)]
    value = _value(_number(first), terms)
    decimals = len(result.partition(".")[2])
    close = value is not None and abs(value - _number(result)) * 2 * 10**decimals <= (1 if decimals else 0)
    return Step((_number(first), *(number for _, number in terms)), _number(result), close)


def _value(first: Fraction, terms: list[tuple[str, Fraction]]) -> Fraction | None:
    """Products before sums; None where it divides by 0."""
    total, product = Fraction(0), first
    for sign, number in terms:
        if sign in "+-":
            total, product = total + product, number if sign == "+" else -number
        elif _PRODUCT[sign] == "*":
            product *= number
        elif number == 0:
            return None
        else:
            product /= number
    return total + product
