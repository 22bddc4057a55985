"""pydantic's findings as lines for people."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from w2s_bench.text import shortened

_MOST = 20


def explain(error: ValidationError, root: type[BaseModel], models: Mapping[str, type[BaseModel]]) -> str:
    """One line a fault, with the nearest known key where one is misspelt. `models`: key → what stands under it."""
    lines = []
    faults = error.errors()
    # pydantic also calls a list too short that lost its only entry to a fault.
    faults = [
        fault
        for fault in faults
        if fault["type"] != "too_short"
        or all(o["loc"][: len(fault["loc"])] != fault["loc"] for o in faults if o is not fault)
    ]
    for fault in faults[:_MOST]:
        where = ".".join(str(part) for part in fault["loc"]) or "suite"
        line = f"  {where}: {fault['msg'].removeprefix('Value error, ')}"
        if fault["type"] == "extra_forbidden":
            parents = [part for part in fault["loc"][:-1] if isinstance(part, str)]
            keys = list((models[parents[-1]] if parents else root).model_fields)
            near = difflib.get_close_matches(str(fault["loc"][-1]), keys, n=1)
            line = f"  {where}: unknown key" + (
                f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(keys)}"
            )
        elif fault["type"] != "missing" and isinstance(fault["input"], str | int | float | None):
            line += f" (got {shortened(repr(fault['input']), 200)})"
        lines.append(shortened(line, 600))
    if len(faults) > _MOST:
        lines.append(f"  and {len(faults) - _MOST} more")
    return "\n".join(lines)
