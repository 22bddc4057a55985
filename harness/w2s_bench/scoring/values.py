"""One value of a user's file: whether it is what its column says, and how a message shows it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_bench.errors import LabelsError
from w2s_bench.results.pages.style import significant
from w2s_bench.scoring.schema import Signal
from w2s_bench.text import shortened

#: How far probabilities over options may be from a sum of 1: such as were written with three digits are.
_OF_SUM = 5e-3
_ROUNDING = 1e-6
#: The least probability of an option that is taken; its logarithm must be a number.
_LEAST = 1e-30
MOST_SHOWN = 60  # characters of a value in a message


def checked_numbers(signal: Signal, numbers: NDArray[Any], where: str) -> NDArray[Any]:
    """The numbers of a signal as they are stored, if they are what its name says."""
    if signal.read == "choice_probs":
        total = float(numbers.sum())
        if (numbers < 0).any() or (numbers > 1 + _ROUNDING).any() or abs(total - 1) > _OF_SUM:
            raise LabelsError(
                f"{where}: probabilities {listed(numbers)} sum to {significant(total, 4)}; expected numbers from 0 to 1 whose sum is 1 "
                "(log-probabilities go into 'logprobs')"
            )
        return np.asarray(np.log(np.maximum(numbers, _LEAST)))
    if signal.read == "label_logprobs" and (numbers > _ROUNDING).any():
        raise LabelsError(
            f"{where}: {significant(numbers.max(), 4)} is no log-probability, which is at most 0; take logarithms"
        )
    if signal.read == "label_entropies" and (numbers < -_ROUNDING).any():
        raise LabelsError(
            f"{where}: {significant(numbers.min(), 4)} is no entropy, which is at least 0; change its sign"
        )
    if signal.form in ("array", "option_array"):
        return numbers.astype(np.float32)
    return np.minimum(numbers, 0.0) if signal.read == "label_logprobs" else numbers


def listed(numbers: NDArray[Any]) -> str:
    return "[" + ", ".join(significant(number, 4) for number in numbers[:6]) + (", …]" if len(numbers) > 6 else "]")


def described(value: Any) -> str:
    """A value as a message shows it, with its type."""
    words = {
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    told = "nothing" if value is None else words.get(type(value), f"a {type(value).__name__}")
    return f"{shortened(repr(value), MOST_SHOWN)} ({told})"


def whole(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise LabelsError(f"{where} holds {half}, half of a character; write the whole one") from None
    return text
