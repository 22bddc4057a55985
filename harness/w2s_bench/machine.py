"""What kind of machine this is, as far as results may depend on it."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final

from w2s_bench.errors import W2SBenchError
from w2s_bench.types import JSON

#: What libraries choose their code and their block sizes by; not clocks, identities or counts.
_TELLING: Final = frozenset(
    {
        "vendor_id", "cpu family", "model", "model name", "stepping", "cache size", "flags",
        "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features", "isa", "uarch", "cpu",
    }
)  # fmt: skip
#: The field of a run's provenance that lists the kinds of number for which it computed in float32; left out where there are none.
IMITATED: Final = "computed_in_float32"
#: What a processor is taken to multiply, whatever it has instructions for: `bfloat16,float16`, one of them, or nothing.
MULTIPLIES_VARIABLE: Final = "W2S_BENCH_MULTIPLIES"
#: Kinds of number that not every processor multiplies, with the instruction sets of which one is needed, as /proc/cpuinfo has them.
_MULTIPLIERS: Final[Mapping[str, frozenset[str]]] = {
    "bfloat16": frozenset({"amx_bf16", "avx512_bf16", "bf16"}),
    "float16": frozenset({"amx_fp16", "asimdhp", "avx512_fp16"}),
}

_taken: Final[ContextVar[frozenset[str] | None]] = ContextVar("taken", default=None)


@cache
def described() -> str:
    """All that tells whether this machine and another give the same bytes with the same packages, on one line.

    That is the processor (its name, and a digest of family, caches and instruction sets), the C library, whose mathematical
    functions differ in the last bit from version to version, and Python without its patch.
    """
    facts = _cpuinfo()
    name = facts.get("model name") or platform.processor()
    telling = "\n".join(f"{key}: {value}" for key, value in sorted(facts.items()))
    digest = hashlib.sha256(telling.encode()).hexdigest()[:16]
    python = "Python " + ".".join(platform.python_version_tuple()[:2])
    return ", ".join(part for part in (f"{name} {digest}".strip(), platform.machine(), _libc(), python) if part)


def _libc() -> str:
    return " ".join(platform.libc_ver()).strip()


def multiplies(numbers: str) -> bool:
    """Whether products of numbers of a kind (`bfloat16`) are computed as such on a processor: see `multiplied`."""
    return numbers not in _MULTIPLIERS or numbers in multiplied()


def multiplied() -> frozenset[str]:
    """The kinds of number of 16 bits that the processor has instructions for, without which their products take many times as long
    as those of float32; all of them where nothing lists its instructions. `W2S_BENCH_MULTIPLIES` says otherwise: a plan that is
    made again elsewhere has to be the same."""
    if (taken := _taken.get()) is not None:
        return taken
    given = os.environ.get(MULTIPLIES_VARIABLE)
    if given is None:
        return _has_instructions_for()
    kinds = frozenset(filter(None, (kind.strip() for kind in given.split(","))))
    if unknown := sorted(kinds - _MULTIPLIERS.keys()):
        raise W2SBenchError(
            f"{MULTIPLIES_VARIABLE} names {unknown[0]!r}; expected {', '.join(_MULTIPLIERS)}, both with a comma between them, or nothing"
        )
    return kinds


@contextmanager
def multiplying_all_but(imitated: Iterable[str]) -> Iterator[None]:
    """While open, `multiplied` is what a processor has that lacks instructions for these kinds alone: for a plan of what is made."""
    token = _taken.set(frozenset(_MULTIPLIERS) - frozenset(imitated))
    try:
        yield
    finally:
        _taken.reset(token)


@cache
def _has_instructions_for() -> frozenset[str]:
    facts = _cpuinfo()
    listed = facts.get("flags", facts.get("Features"))
    has = None if listed is None else set(str(listed).split())
    return frozenset(kind for kind, sets in _MULTIPLIERS.items() if has is None or not sets.isdisjoint(has))


def elsewhere(before: Mapping[str, JSON], other: Mapping[str, JSON]) -> str | None:
    """What makes the machine or the packages of one run others than those of another (here), by what their provenance says.

    None where nothing is said to be other: then the second must give the same bytes. What only one of them says tells
    nothing. Models on other devices than the processor may give other bytes even where they ran before.
    """
    packages, here = before.get("packages") or {}, other.get("packages") or {}
    for name, version in packages.items():
        if here.get(name, version) != version:
            return f"{name} {version}, here {here[name]}"
    machines, those_here = _machines(before), _machines(other)
    if len({*machines, *those_here}) > 1:  # the cell does not say which of several made what
        return f"machine {' and '.join(machines)}; here {' and '.join(those_here)}"
    was, now = (" and ".join(imitated_in(told)) or "nothing" for told in (before, other))
    if was != now:
        return f"float32 computed in place of {was}; here of {now}"
    devices = [str(told["device"]) for told in (before, other) if told.get("device", "cpu") != "cpu"]
    return f"device {devices[0]}" if devices else None


def imitated_in(run: Mapping[str, JSON]) -> list[str]:
    """The kinds of number for which a run, by its provenance, computed in float32; none where that is no list."""
    listed = run.get(IMITATED)
    return list(map(str, listed)) if isinstance(listed, list) else []


def _machines(run: Mapping[str, JSON]) -> list[str]:
    listed = run.get("machines")
    return list(map(str, listed)) if isinstance(listed, list) else []


def _cpuinfo(path: Path = Path("/proc/cpuinfo")) -> dict[str, JSON]:
    """The telling fields of the first processor; none where there is no such file."""
    try:
        first = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":")[::2] for line in first.splitlines())
    told = {key.strip(): value.strip() for key, value in pairs if key.strip() in _TELLING}
    for listed in ("flags", "Features"):
        if listed in told:
            told[listed] = " ".join(sorted(told[listed].split()))
    return told
