"""The hour after which a run starts nothing more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from w2s_bench.errors import RunPausedError, W2SBenchError


@dataclass(frozen=True)
class Until:
    """No stage starts at `at` or later; what runs then runs to its end. `now` is the clock, in the zone of `at`."""

    at: datetime
    now: Callable[[], datetime] = datetime.now

    @classmethod
    def parse(cls, text: str, now: Callable[[], datetime] = datetime.now) -> Until:
        """`22:00` is the next time that a clock on the wall shows it; `2026-11-29T08:00` is that minute."""
        today = now()
        try:
            hour = time.fromisoformat(text)
        except ValueError:
            hour = None
        try:
            if hour is not None and hour.tzinfo is None:
                at = datetime.combine(today.date(), hour)
                return cls(at if at > today else at + timedelta(days=1), now)
            at = datetime.fromisoformat(text)
        except ValueError:
            raise W2SBenchError(f"--until {text!r} is no hour; write it as 22:00 or 2026-11-29T08:00") from None
        if at.tzinfo is not None:
            at = at.astimezone().replace(tzinfo=None)
        if at <= today:
            raise W2SBenchError(f"--until {text}: that is past, it is {today:%Y-%m-%d %H:%M} now; nothing would run")
        return cls(at, now)

    @property
    def reached(self) -> bool:
        """Whether it is that late."""
        return self.now() >= self.at

    def paused(self, ended: int, stages: int) -> RunPausedError:
        """What to raise where stages are left that may not start."""
        return RunPausedError(
            f"it is past {self.at:%H:%M}, and {ended:,} of {stages:,} stages have ended; run the same command again to go on "
            "from here"
        )
