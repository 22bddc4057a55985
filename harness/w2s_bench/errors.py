"""Every error the harness raises on purpose. A user's mistake never shows a traceback; it shows one of these."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

_LONGEST = 2000  # characters; a plugin may print whole arrays into a message
_MOST_NAMES = 20  # in a message; more would hide the nearest ones


def said(error: BaseException) -> str:
    """What an error says, as text that can be written anywhere: a plugin's may be endless, no text, or half characters."""
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001 - `__str__` is the plugin's code, too
        return f"(its __str__ raised {type(broken).__name__})"
    return writable(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def writable(text: str) -> str:
    """The text with half characters (lone surrogates, as in names of files that are not UTF-8) as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class W2SBenchError(Exception):
    """Base of all errors raised on purpose; the message names the value, what was expected and the next step."""

    exit_code = 2


class SuiteError(W2SBenchError):
    """A suite file that cannot be read, has unknown keys, or asks for what a domain cannot give."""


class UnknownNameError(W2SBenchError):
    """A name that nothing registered; carries the nearest names that exist."""

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.what, self.name, self.known = what, name, tuple(sorted(known))
        bare = {k.rsplit("/", 1)[-1]: k for k in self.known}
        near = difflib.get_close_matches(name, [*self.known, *bare], n=3, cutoff=0.5)
        near = list(dict.fromkeys(bare.get(n, n) for n in near))
        message = f"unknown {what} {name!r}"
        message += f"; did you mean {' or '.join(near)}?" if near else "."
        listed = ", ".join(self.known[:_MOST_NAMES]) or "none"
        message += f" Known: {listed}" + (f", … ({len(self.known)} in all)." if self.known[_MOST_NAMES:] else ".")
        super().__init__(f"{message} {hint}".rstrip())


class PluginError(W2SBenchError):
    """A plugin that is broken, duplicated or misspelt; names entry point, distribution and version."""


class LeakError(W2SBenchError):
    """Two splits share a canonical key: the same question would be both seen and asked."""


class EvidenceError(W2SBenchError):
    """A trust function read evidence that it did not declare or may not see."""


class NotApplicableError(W2SBenchError):
    """An arm asks for what its domain, its models or their labels cannot give: nothing is broken, no run would do better.

    `error` says why; the message says that nothing is broken before it, and that is how it is known wherever reasons are text.
    """

    _words = "not applicable: "

    def __str__(self) -> str:
        return f"{self._words}{super().__str__()}"

    @classmethod
    def is_reason(cls, reason: str) -> bool:
        """Whether a stage's reason is that of such an error: a plugin's own words stand behind the plugin's name."""
        return reason.startswith(cls._words)

    @classmethod
    def is_behind(cls, failure: str | None) -> bool:
        """Whether such an error is the reason of a seed's failure, which reads "STAGE failed: REASON"."""
        return cls.is_reason((failure or "").partition(" failed: ")[2])


class TrustFunctionError(W2SBenchError):
    """A trust function raised, or returned something that is not one finite score a row."""


class ReadingError(W2SBenchError):
    """A plugin's reading raised, or returned something else than its form says."""


class ObjectiveError(W2SBenchError):
    """A plugin's objective raised, or gave something else than one finite number that hangs on the logits."""


class ModelError(W2SBenchError):
    """A model that cannot be found, loaded, or used for what the suite asks of it."""


class ContextError(ModelError):
    """A text that takes more tokens than the model reads."""


class StoreError(W2SBenchError):
    """The store cannot be read or written (permissions, a full disk)."""

    exit_code = 1


class RunPausedError(W2SBenchError):
    """A run that starts no more stages since its hour has come; it goes on where it is called again."""

    exit_code = 3


class NoStoreError(StoreError):
    """A folder that holds other things than a store: nothing is written to it or removed from it."""

    exit_code = 2


class CellError(W2SBenchError):
    """A cell file that is missing, malformed, of another schema, or altered after it was written.

    `path`: the file at fault, where it is one; whoever can do without it goes on with the others.
    """

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class LabelsError(W2SBenchError):
    """A user's file of weak labels, or what is asked of it, that cannot be used: names the file, the row and the column."""
