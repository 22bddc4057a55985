"""Sizes and ages as people write them: `20GB`, `512 MiB`, `30d`, and back."""

from __future__ import annotations

import re

from w2s_bench.errors import W2SBenchError

_UNITS = ("B", "kB", "MB", "GB", "TB")
_BYTES = {"B": 1, **{f"{unit}B": 1000**power for power, unit in enumerate("KMGT", start=1)}}
_BYTES |= {f"{unit}IB": 1024**power for power, unit in enumerate("KMGT", start=1)}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def parse_size(text: str, of: str) -> int:
    """Bytes; `of` says in an error what was given."""
    match = _NUMBER.fullmatch(text)
    if match is None or match[2].upper() not in _BYTES:
        raise W2SBenchError(f"{of} {text!r} is no size; give a number with its unit, such as 500MB, 20GB or 1.5TiB")
    return int(float(match[1]) * _BYTES[match[2].upper()])


def parse_age(text: str, of: str) -> float:
    """Seconds; `of` says in an error what was given."""
    match = _NUMBER.fullmatch(text)
    if match is None or match[2].lower() not in _SECONDS:
        raise W2SBenchError(f"{of} {text!r} is no age; give a number with its unit, such as 12h, 30d or 8w")
    return float(match[1]) * _SECONDS[match[2].lower()]


def size_text(size: float) -> str:
    """A size in three digits: `0 B`, `999 B`, `1.23 kB`, `45.6 MB`."""
    power = 0
    while size >= 999.5 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    digits = 0 if power == 0 or size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{size:.{digits}f} {_UNITS[power]}"
