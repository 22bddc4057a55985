"""A finding: what a rule has found, in which file, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from w2s_bench.text import one_line, shortened
from w2s_bench.types import JSON

#: How much a finding weighs. An `error`: the folder is not what it says. A `warning`: a reader must know it. A `note`: no fault.
Level = Literal["error", "warning", "note"]
LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "note")
_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True)
class Finding:
    """`file` is a path below the folder; `row` is that of a cell, empty where the finding is about no single row."""

    rule: str
    level: Level
    file: str
    found: str
    to_do: str
    row: str = ""


def as_json(results: Path, findings: Sequence[Finding], cells: int) -> dict[str, JSON]:
    """What `--json` prints."""
    counts = {level: sum(f.level == level for f in findings) for level in LEVELS}
    return {"folder": str(results), "cells": cells, "counts": counts, "findings": [asdict(f) for f in findings]}


def as_sarif(
    results: Path, findings: Sequence[Finding], rules: Mapping[str, tuple[Level, str]], version: str
) -> dict[str, JSON]:
    """SARIF 2.1.0, which code hosts show beside the files. `rules`: name → level and words."""
    order = list(rules)
    told = [
        {
            "ruleId": finding.rule,
            "ruleIndex": order.index(finding.rule),
            "level": finding.level,
            "message": {"text": one_line(shortened(f"{finding.found}. {finding.to_do}", 1500))},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(results, finding.file)}}}],
        }
        for finding in findings
    ]
    described = [
        {"id": name, "shortDescription": {"text": words}, "defaultConfiguration": {"level": level}}
        for name, (level, words) in rules.items()
    ]
    driver = {"name": "w2s-bench check", "version": version, "rules": described}
    return {"$schema": _SARIF, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": told}]}


def _uri(results: Path, file: str) -> str:
    from urllib.parse import quote

    path = results / file
    return quote(file if path.is_absolute() else path.as_posix(), errors="backslashreplace")
