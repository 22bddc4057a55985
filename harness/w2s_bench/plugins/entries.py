"""What came of an entry point: the names that it registered, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from w2s_bench.plugins.descriptions import summary_of
from w2s_bench.plugins.hooks import EntryKind, words


@dataclass(frozen=True)
class Registered:
    """One name that a plugin brought, and where it came from."""

    name: str  # full: distribution/name
    entry_kind: EntryKind
    factory: Callable[..., Any]
    distribution: str
    version: str
    entry_point: str
    module: str  # that the entry point names

    @property
    def summary(self) -> str:
        """First line of the factory's docstring."""
        return summary_of(self.factory)

    def __str__(self) -> str:
        origin = f"entry point {self.entry_point!r} of {self.distribution} {self.version}"
        return f"{words(self.entry_kind)} {self.name!r} ({origin})"


@dataclass(frozen=True)
class Problem:
    """Why an entry point, or a part of it, did not load; `error` is the first exception it raised, if it raised one."""

    entry_point: str
    distribution: str
    version: str
    cause: str
    error: BaseException | None = None

    def __str__(self) -> str:
        return f"entry point {self.entry_point!r} of {self.distribution} {self.version}: {self.cause}"


@dataclass(frozen=True)
class Plugin:
    """One entry point. A broken one still provides those of its names that are sound."""

    entry_point: str
    distribution: str
    version: str
    status: Literal["ok", "broken", "left out"]
    provides: tuple[Registered, ...] = ()
    problem: Problem | None = None
    why: str = ""  # it was left out
