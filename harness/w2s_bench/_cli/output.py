"""Where text leaves the program: streams that never end a run, and text that any terminal can show.

A stream may be closed, its reader gone (`| head`), its encoding ASCII (`LANG=C`); none of it may cost a result.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from w2s_bench.text import printable

if TYPE_CHECKING:
    from rich.console import Console

_READABLE: Final = "w2s-bench-readable"
#: What stands for a character that a terminal's encoding lacks; others become visible escapes.
_STAND_INS: Final = {
    **dict.fromkeys("−–—‑─━╌╴╶╸╺", "-"),
    **dict.fromkeys("·•", "|"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    "×": "x",
    "→": "->",
    "τ": "tau",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "✓": "yes",
    "✗": "no",
    "±": "+/-",
    "│": "|",
    "\u00a0": " ",
}
_WIDE = 160  # columns where no terminal says how many: three domains with their intervals, in one piece


def prepare_streams() -> None:
    """Make standard output and standard error fit for everything this program writes; once, before anything is written."""
    codecs.register_error(_READABLE, _readable)
    # The first file that is opened would take a closed descriptor's place.
    while (free := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(free, True)
    os.close(free)
    sys.stdout = _fit(sys.stdout, 1)
    sys.stderr = _fit(sys.stderr, 2)


def finish_streams() -> None:
    """Write what is buffered; a result that was asked for and cannot be written is an error. Last of all."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _nowhere(1)
        sys.stdout.flush()
        say(f"error: cannot write to standard output: {error.strerror or error}", error=True)
        raise SystemExit(1) from None


def say(text: str, *, error: bool = False) -> None:
    """A line of text for people; whatever in it could steer a terminal is shown as an escape."""
    print(printable(text), file=sys.stderr if error else sys.stdout, flush=error)


def print_json(value: Any) -> None:
    """A value for programs, on standard output. Raises ValueError for a figure that JSON cannot hold: whoever has none says null."""
    import json

    print(json.dumps(value, indent=1, allow_nan=False))


def refuse_no_file(path: Path, option: str, example: str) -> None:
    """Refuse a name that no file can have, before anything is computed for it."""
    from w2s_bench.errors import W2SBenchError

    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "a folder" if path.is_dir() else "a file in a folder that does not exist"
        raise W2SBenchError(f"{option} {str(path)!r} is {what}; give the name of a file to write, such as {example}")


def console(*, error: bool = False) -> Console:
    """As wide as the terminal, or as `COLUMNS` says; wide where there is neither."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    is_sized = stream.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(file=stream, width=None if is_sized else _WIDE)


def _fit(stream: TextIO | None, number: int) -> TextIO:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    terminal = os.isatty(number)
    raw = _Patient(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors=_READABLE, line_buffering=terminal or number == 2
    )


class _Patient(io.FileIO):
    """A stream whose reader may leave: the rest goes nowhere. Standard error goes nowhere too once it takes no more."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if not isinstance(error, BrokenPipeError) and self.fileno() != 2:
                raise  # on a full disk the result that the user asked for is missing
        _nowhere(self.fileno())
        return len(data)


def _nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _readable(error: UnicodeError) -> tuple[str, int]:
    """What to write for characters that the encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    stand_ins = (_STAND_INS.get(c) or c.encode("ascii", "backslashreplace").decode() for c in bad)
    return "".join(stand_ins), error.end
