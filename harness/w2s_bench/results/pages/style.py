"""How a board looks, wherever it is shown: the words, colours and marks of tracks, and how figures are written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from w2s_bench.results.statistics import Estimate, Ratio, Unresolved
from w2s_bench.text import one_line

#: What stands where there is no figure.
NONE: Final = "–"


@dataclass(frozen=True)
class Look:
    """How a track looks. `word` in a table, `legend` below a plot; colours for plots (`colour`; `dark`: on a dark page) and
    terminals (`terminal`)."""

    word: str
    legend: str
    colour: str
    marker: str
    terminal: str
    dark: str


#: Colours that stay apart for colour-blind readers (Okabe & Ito); controls grey. Markers differ as well.
TRACKS: Final[Mapping[str, Look]] = MappingProxyType(
    {
        "none": Look("none", "trust function, no supervision", "#0072B2", "o", "cyan", "#56B4E9"),
        "trust_set": Look("trust set", "trust function, learns from the trust set", "#D55E00", "s", "green", "#F0944D"),
        "privileged": Look("privileged", "trust function, privileged", "#009E73", "^", "magenta", "#3CC8A0"),
        "control": Look("control", "control", "#777777", "D", "dim", "#A6A6A6"),
    }
)

#: How weak, base and ceiling look, which are in no track.
REFERENCE: Final = Look("reference", "reference", "#444444", "x", "dim", "#D0D0D0")


def number(value: float | None, digits: int = 2) -> str:
    """A figure with a true minus sign; a dash where there is none. What rounds to 0 has no sign."""
    if value is None:
        return NONE
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def off_axis(name: str, at: float) -> str:
    """What stands in a plot for a line that has no room in it."""
    return f"{name} {number(at)}, off the axis"


def significant(value: float, digits: int) -> str:
    """A number of any size to so many significant digits, written out: exponents stand below a millionth and from 10¹⁵ on alone.

    `:g` would write 190 to two digits as 1.9e+02.
    """
    rounded = float(f"{value:.{digits}g}")
    size = abs(rounded)
    if not (1e-6 <= size < 1e15 or size == 0):  # NaN, too
        return f"{value:.{digits}g}"
    places = max(0, digits - 1 - math.floor(math.log10(size))) if size else 0
    text = f"{rounded:,.{places}f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text


def percent(share: float) -> str:
    """A share that somebody set, exactly: 0.005 is 0.5%, 0.95 is 95%."""
    return f"{significant(100 * share, 12)}%"


def figure(ratio: Ratio | None, digits: int = 2) -> str:
    """A figure with its interval, or what stands in its place."""
    if ratio is None:
        return NONE
    if isinstance(ratio, Unresolved):
        return ratio.brief
    return f"{number(ratio.value, digits)} [{number(ratio.low, digits)}, {number(ratio.high, digits)}]"


def signed(value: float, digits: int = 2) -> str:
    """A figure whose sign is always shown, but where it rounds to 0."""
    text = number(value, digits)
    return f"+{text}" if value > 0 and float(text) else text


def difference(ratio: Ratio | None) -> str:
    """The same with its interval."""
    above = isinstance(ratio, Estimate) and signed(ratio.value).startswith("+")
    return ("+" if above else "") + figure(ratio)


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def learner(name: str) -> str:
    """A model's name where there is little room: without its distribution or folders, at most 22 characters."""
    return one_line(name.rstrip("/").rpartition("/")[2] or name)[:22]


def written_seconds(seconds: float | None) -> str:
    """With a tenth below 100; a narrow space parts thousands."""
    if seconds is None:
        return NONE
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s".replace(",", "\u202f")


def count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}" + ("" if number_of == 1 else "s")
