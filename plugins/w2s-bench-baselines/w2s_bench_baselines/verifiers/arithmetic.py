"""Arithmetic as solutions write it, parsed into exact fractions in one pass; nothing is evaluated as code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

# Lengths are bounded: a longer number is none that a solution computes with.
_NUMBER = r"(?<![\w.,])\d{1,40}(?:,\d{3}){0,12}(?:\.\d{1,40})?(?!\w|[.,]\d)"
_TOKEN = re.compile(rf"\s+|\$|(?P<number>{_NUMBER})|(?P<sign>[-+*/x×÷=])|.", re.DOTALL)
_ALONE = re.compile(rf"(?<![\w.,-])-?\$?{_NUMBER}|{_NUMBER}")
_PRODUCT = {"*": "*", "x": "*", "×": "*", "/": "/", "÷": "/"}


@dataclass(frozen=True)
class Step:
    """`operands op … = result`, and whether it holds."""

    operands: tuple[Fraction, ...]
    result: Fraction
    holds: bool


def steps_in(text: str) -> list[Step]:
    """Every step of a text, in order; what stands after `=` may begin the next one, as in `3 + 4 = 7 * 2 = 14`."""
    steps: list[Step] = []
    operands: list[Fraction] = []
    signs: list[str] = []
    negative = False
    for token in _TOKEN.finditer(text):
        number, sign = token["number"], token["sign"]
        if number is not None and len(signs) == len(operands):
            value = -_number(number) if negative else _number(number)
            negative = False
            if signs and signs[-1] == "=":
                if len(operands) > 1:
                    result = _value(operands, signs[:-1])
                    steps.append(Step(tuple(operands), value, _close(result, value, number)))
                operands, signs = [], []
            operands.append(value)
        elif sign == "-" and not negative and len(signs) == len(operands) and (not signs or signs[-1] == "="):
            negative = True
        elif sign is not None and len(signs) < len(operands):
            signs.append(sign)
        elif number is not None or sign is not None or not (token[0].isspace() or token[0] == "$"):
            operands, signs, negative = ([_number(number)] if number is not None else []), [], False
    return steps


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


def _close(value: Fraction | None, result: Fraction, written: str) -> bool:
    """Equal, or equal once rounded to the decimals that are written."""
    decimals = len(written.partition(".")[2])
    return value is not None and abs(value - result) * 2 * 10**decimals <= (1 if decimals else 0)


def _value(operands: list[Fraction], signs: list[str]) -> Fraction | None:
    """Products before sums; None where it divides by 0."""
    total, product = Fraction(0), operands[0]
    for sign, number in zip(signs, operands[1:], strict=True):
        if sign in "+-":
            total, product = total + product, number if sign == "+" else -number
        elif _PRODUCT[sign] == "*":
            product *= number
        elif number == 0:
            return None
        else:
            product /= number
    return total + product
