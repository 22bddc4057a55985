"""How long stages of each kind took: what goes first and how much is left are guessed from it, and nothing else is."""

from __future__ import annotations

import json
from contextlib import suppress
from math import inf
from pathlib import Path

from w2s_bench.record import write_atomically
from w2s_bench.stages import Stage

#: Seconds, where nothing was measured yet; right in their order of magnitude beside each other.
_GUESSES = {
    "train": 5.0,
    "predict": 1.5,
    "read": 1.0,
    "states": 1.0,
    "items": 1.0,
    "answers": 1.0,
    "marks": 0.5,
    "grade": 0.1,
}
_GUESS = 0.05
_LARGEST = 1 << 20  # bytes of a file of timings
_WEIGHT = 0.5  # of the newest measurement


class Timings:
    """Seconds by kind of stage, kept in a file beside the results; a file that cannot be read counts as none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = {}
        self.changed = False
        try:
            if path.is_file() and path.stat().st_size <= _LARGEST:
                read = json.loads(path.read_text(encoding="utf-8"))
                self.seconds = {str(kind): float(value) for kind, value in read.items() if 0 <= float(value) < inf}
        except (OSError, ValueError, AttributeError, TypeError, OverflowError, RecursionError):
            return  # guesses do: this is no result

    def of(self, stage: Stage) -> float:
        """Seconds that the stage will take, as far as is known."""
        return self.seconds.get(kind_of(stage), _GUESSES.get(stage.name, _GUESS))

    def learn(self, stage: Stage, seconds: float) -> None:
        kind = kind_of(stage)
        known = self.seconds.get(kind)
        self.seconds[kind] = seconds if known is None else known + _WEIGHT * (seconds - known)
        self.changed = True

    def save(self) -> None:
        if self.changed:
            text = json.dumps({k: round(v, 4) for k, v in sorted(self.seconds.items())}, indent=1)
            with suppress(OSError):  # guesses do, and no result is lost for a note that cannot be written
                write_atomically(self.path, text)


def kind_of(stage: Stage) -> str:
    """Stages of one kind take about as long: the same work with the same model, domain or trust function."""
    for param in ("model", "domain", "function"):
        value = stage.params.get(param)
        name = value.get("name") if isinstance(value, dict) else value
        if isinstance(name, str):
            return f"{stage.name} {name}"
    return stage.name
