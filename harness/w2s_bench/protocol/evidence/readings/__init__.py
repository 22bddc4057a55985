"""The harness's own readings of weak labels: one file a kind of evidence, which holds all that is particular to it.

A file here is a reading: its name is what a `Need` reads, its `READING` the class, and nothing else lists it. It imports
numpy at most; models come as arguments. `base.BuiltInReading` says what it may tell.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Mapping
from functools import cache, lru_cache
from types import MappingProxyType

from w2s_bench.errors import PluginError
from w2s_bench.plugins.checks import check_parameters
from w2s_bench.protocol.evidence.readings.base import BuiltInReading
from w2s_bench.types import JSON


@cache
def built_in_readings() -> Mapping[str, type[BuiltInReading]]:
    """Name → class, sorted by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")
    return MappingProxyType({name: importlib.import_module(f"{__name__}.{name}").READING for name in names})


def built_in_reading(name: str, parameters: Mapping[str, JSON]) -> BuiltInReading | None:
    """The harness's reading of this name, built; None where it has none. Wrong parameters are a `PluginError`."""
    reading = built_in_readings().get(name)
    return None if reading is None else _built(reading, json.dumps(parameters))


@lru_cache(maxsize=256)
def _built(reading: type[BuiltInReading], written: str) -> BuiltInReading:
    # Every view of a split asks for it. To look at a signature takes Python a millisecond and leaves garbage. So it is kept.
    name, parameters = reading.__module__.rpartition(".")[2], json.loads(written)
    check_parameters(f"reading {name!r}", name, reading, parameters)
    try:
        return reading(**parameters)
    except ValueError as error:
        raise PluginError(str(error)) from error


def documentation() -> str:
    """The rows of the table of readings, as `docs/plugins.md` has them."""
    return "\n".join(f"| `{reading.call}` | {reading.says} |" for reading in built_in_readings().values())
