"""Two ways of doing one thing, timed in turn: A B A B …, and compared pair by pair.

Seconds are the process's own on the processor: on one thread as long as those of the clock, and no other process counts.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Paired:
    """Seconds of each counted round; `ratio` is how many times faster `ours` is than `theirs`, pair by pair."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    def row(self) -> dict[str, str | float]:
        """The columns that every comparison shows."""
        spread = f"{min(self.ratios):.2f}–{max(self.ratios):.2f}"
        return {
            "ours, s": statistics.median(self.ours),
            "theirs, s": statistics.median(self.theirs),
            "times faster": round(self.ratio, 2),
            "over rounds": spread,
        }


def paired(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int = 5, warm: bool = True) -> Paired:
    """Time both `rounds` times in turn, after one uncounted call of each (`warm`)."""
    if warm:
        ours()
        theirs()
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, taken in zip((ours, theirs), seconds, strict=True):
            gc.collect()
            begun = time.process_time()
            call()
            taken.append(time.process_time() - begun)
    return Paired(tuple(seconds[0]), tuple(seconds[1]))


def best_batch(call: Callable[[int], object], sizes: Sequence[int], *, start: int) -> int:
    """The batch size with which `call` is fastest: from `start` along `sizes` (rising) for as long as it becomes faster."""

    def seconds(size: int) -> float:
        return paired(lambda: None, lambda: call(size), rounds=1, warm=False).theirs[0]

    call(start)
    taken = {start: seconds(start)}
    for step in (-1, 1):
        place = sizes.index(start)
        while 0 <= place + step < len(sizes):
            place += step
            taken[sizes[place]] = seconds(sizes[place])
            # One step further than it pays: times are never quite even.
            if taken[sizes[place]] > 1.1 * min(taken.values()):
                break
    return min(taken, key=lambda size: taken[size])
