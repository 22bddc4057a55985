"""What kind of machine this is, as far as results may depend on it."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from w2s_bench.types import JSON

#: What libraries choose their code and their block sizes by; not clocks, identities or counts.
_TELLING: Final = frozenset(
    {
        "vendor_id", "cpu family", "model", "model name", "stepping", "cache size", "flags",
        "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features", "isa", "uarch", "cpu",
    }
)  # fmt: skip


@cache
def processor() -> dict[str, str]:
    """Name of the processor, and a digest of what else tells its kind (family, caches, instruction sets)."""
    facts = _cpuinfo()
    name = facts.get("model name") or platform.processor() or platform.machine()
    kind = "\n".join(f"{key}: {value}" for key, value in sorted(facts.items()))
    return {"name": name, "kind": hashlib.sha256(kind.encode()).hexdigest()[:16]}


def libc() -> str:
    """The C library, whose mathematical functions differ in the last bit from version to version."""
    return " ".join(platform.libc_ver()).strip()


def elsewhere(one: Mapping[str, JSON], other: Mapping[str, JSON]) -> str | None:
    """What makes the machine or the packages of one run others than those of another, by what their provenance says.

    None where nothing is said to be other: then the second must give the same bytes. `packages` are compared as far as both
    name them, of Python the version without its patch; models on other devices than the processor may give other bytes
    even where they ran before.
    """
    here = _facts(other)
    for name, was in _facts(one).items():
        if here.get(name, was) != was:
            return f"{name} {was}, here {here[name]}"
    devices = [str(run["device"]) for run in (one, other) if run.get("device", "cpu") != "cpu"]
    return f"device {devices[0]}" if devices else None


def _facts(run: Mapping[str, JSON]) -> dict[str, str]:
    """What results may depend on, as a verdict shows it; what is not said is left out."""
    facts = dict(run.get("packages") or {})
    if "python" in run:
        facts["Python"] = re.sub(r"^(\d+\.\d+)\.\S*", r"\1", str(run["python"]))
    for name in ("machine", "processor", "libc", "device"):
        if (fact := run.get(name)) is not None:
            facts[name] = " ".join(map(str, fact.values())) if isinstance(fact, Mapping) else str(fact)
    return facts


def _cpuinfo(path: Path = Path("/proc/cpuinfo")) -> dict[str, JSON]:
    """The telling fields of the first processor; none where there is no such file."""
    try:
        first = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":")[::2] for line in first.splitlines())
    found = {key.strip(): value.strip() for key, value in pairs if key.strip() in _TELLING}
    for listed in ("flags", "Features"):
        if listed in found:
            found[listed] = " ".join(sorted(found[listed].split()))
    return found
