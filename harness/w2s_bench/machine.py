"""What kind of machine this is, as far as results may depend on it."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path
from typing import Any, Final

from w2s_bench.types import JSON

#: What libraries choose their code and their block sizes by; not clocks, identities or counts.
_TELLING: Final = frozenset(
    {
        "vendor_id", "cpu family", "model", "model name", "stepping", "cache size", "flags",
        "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features", "isa", "uarch", "cpu",
    }
)  # fmt: skip
#: The facts of two runs that must be equal for the second to give the same bytes.
_ALIKE: Final = ("packages", "python", "machine", "processor", "libc", "threads_per_worker")


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


def alike(one: Any, other: Any) -> bool:
    """Whether two runs' provenance says that both had the same packages on processors of one kind, of the CPU alone.

    What is not said (by older cells) is not taken to be equal.
    """
    missing = any(one.get(fact) is None or one.get(fact) != other.get(fact) for fact in _ALIKE)
    return not missing and one.get("device") == other.get("device") == "cpu"


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
