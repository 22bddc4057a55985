"""How long stages took: what goes first and how much is left are guessed from it, and nothing else is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from w2s_bench.record import write_atomically
from w2s_bench.store.stage import Stage

#: Seconds, where nothing was measured yet: they order a run, and no time left is told from them.
_GUESSES = {
    "train": 5.0,
    "train_on_policy": 20.0,
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
    """Seconds of stages by what they are timed as, kept in a file beside the results; a file that cannot be read counts as none.

    Beside the seconds stands the amount of work that took them (`amount_of`): another amount takes as much more or less.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.measured: dict[str, tuple[float, float]] = {}  # what they are timed as → seconds, amount
        self.changed = False
        self._seen: dict[str, tuple[str, str, int]] = {}  # node → what it depends on, what it is timed as, amount
        try:
            if not path.is_file() or path.stat().st_size > _LARGEST:
                return
            read = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return  # the schedule can guess: a timing is no result
        if isinstance(read, dict):
            self.measured = {timed: pair for timed, value in read.items() if (pair := _pair(value)) is not None}

    @classmethod
    def of_store(cls, root: Path) -> Timings:
        """Those of the store in this folder."""
        return cls(root / ".timings.json")

    def of(self, stage: Stage) -> float:
        """Seconds that the stage will take; where no such stage was measured, a guess that orders it among others."""
        seconds = self.known(stage)
        return _GUESSES.get(stage.name, _GUESS) if seconds is None else seconds

    def known(self, stage: Stage) -> float | None:
        """Seconds that the stage will take; None where they hang on a model, a domain or a plugin that was not measured."""
        who, timed, amount = self._look(stage)
        if timed in self.measured:
            seconds, measured = self.measured[timed]
            return seconds * amount / measured
        return None if who else _GUESS

    def timed_as(self, stage: Stage) -> str:
        """What it shares with stages that take about as long for as much work."""
        return self._look(stage)[1]

    def learn(self, stage: Stage, seconds: float) -> None:
        _, timed, amount = self._look(stage)
        before = self.known(stage) if timed in self.measured else None
        self.measured[timed] = (seconds if before is None else before + _WEIGHT * (seconds - before), amount)
        self.changed = True

    def save(self) -> None:
        if self.changed:
            rounded = {timed: [round(seconds, 4), amount] for timed, (seconds, amount) in sorted(self.measured.items())}
            with suppress(OSError):  # the schedule can guess; a note that cannot be written costs no result
                write_atomically(self.path, json.dumps(rounded, indent=1))

    def _look(self, stage: Stage) -> tuple[str, str, int]:
        if stage.node not in self._seen:
            self._seen[stage.node] = (_actor(stage), timed_as(stage), amount_of(stage))
        return self._seen[stage.node]


def timed_as(stage: Stage) -> str:
    """What stages share that take about as long for as much work: the same step with the same model or trust function on one domain."""
    who, where = _actor(stage), domain_of(stage)
    parts = [stage.name, *([who] if who else []), *([f"on {where}"] if where and where != who else [])]
    return " ".join(parts)


def amount_of(stage: Stage) -> int:
    """How much work a stage is, beside others that are timed as it is: its own amount, or that of what it needs."""
    if stage.amount:
        return stage.amount
    direct = sum(needed.amount for needed in stage.inputs.values())
    return direct or next((needed.amount for needed in _upward(stage) if needed.amount), 1)


def _pair(value: object) -> tuple[float, float] | None:
    """(seconds, amount) as the file has them; None for anything else."""
    if not isinstance(value, list) or len(value) != 2 or any(type(number) not in (int, float) for number in value):
        return None
    try:
        seconds, amount = float(value[0]), float(value[1])
    except OverflowError:
        return None
    return (seconds, amount) if 0 <= seconds < math.inf and 0 < amount < math.inf else None


def _actor(stage: Stage) -> str:
    """The model, trust function or domain whose code or weights the stage runs."""
    return stage.timed_as or (stage.code.name if stage.code else stage.domain)


def domain_of(stage: Stage) -> str:
    """The domain whose items the stage goes through: they are as long as they are there."""
    return next((needed.domain for needed in _upward(stage) if needed.domain), "")


def _upward(stage: Stage) -> Iterator[Stage]:
    """The stage and all that it needs, the nearest first."""
    seen, ring = {stage.node}, [stage]
    while ring:
        yield from ring
        inputs = [needed for above in ring for needed in above.inputs.values()]
        needed = {stage.node: stage for stage in inputs if stage.node not in seen}
        seen |= needed.keys()
        ring = list(needed.values())
