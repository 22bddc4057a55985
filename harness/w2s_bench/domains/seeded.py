"""Chance as lm-eval has it when it makes tasks: a task that shuffles its options deals them the same at every load.

Its documents are read several times, in processes of their own, and must be the same ones each time.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

#: The seeds that `lm_eval.simple_evaluate` sets where nobody says otherwise: Python's, and those of numpy and torch.
_PYTHON, _OTHERS = 0, 1234


@contextmanager
def seeded() -> Iterator[None]:
    """Python's, numpy's and torch's own generators at lm-eval's seeds; afterwards each is where it was."""
    import numpy as np

    # Who has not imported torch by now does not draw from it. Of its generators the CPU's alone: no GPU makes documents.
    torch = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state(), None if torch is None else torch.default_generator.get_state()
    random.seed(_PYTHON)
    np.random.seed(_OTHERS)
    if torch is not None:
        torch.default_generator.manual_seed(_OTHERS)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        if torch is not None:
            torch.default_generator.set_state(before[2])


def dealing_alike(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, from the same seeds at every call: what was drawn before, or came from a cache, makes no difference."""

    @wraps(function)
    def alike(*given: Any, **named: Any) -> Any:
        with seeded():
            return function(*given, **named)

    return alike
