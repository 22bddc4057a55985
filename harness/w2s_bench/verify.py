"""Re-run rows in a fresh store and compare: `identical`, `within tolerance` or `DIFFERS`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from w2s_bench.cells import Cell, CellBody, read_cells
from w2s_bench.errors import CellError, UnknownNameError
from w2s_bench.suite import load_suite

if TYPE_CHECKING:
    from w2s_bench.executors import Event

Verdict = Literal["identical", "within tolerance", "DIFFERS"]


@dataclass(frozen=True)
class Verified:
    """One row's verdict; `why` says what differs, empty where nothing does."""

    row: str
    verdict: Verdict
    why: str = ""


def verify(
    results: Path,
    rows: Sequence[str] = (),
    *,
    workers: int | None = None,
    events: Callable[[Event], None] = lambda event: None,
) -> list[Verified]:
    """Compute `rows` (default: all) of a results folder anew, with nothing but the suite and the installed plugins."""
    from w2s_bench.api import compute
    from w2s_bench.pipeline import plan
    from w2s_bench.registry import Registry

    committed = {cell.row: cell for cell in read_cells(results)}
    for row in rows:
        if row not in committed:
            raise UnknownNameError(
                "row", row, committed, "A row is DOMAIN/ARM, as in the file results/DOMAIN/ARM.json."
            )
    chosen = [committed[row] for row in (rows or committed)]
    suite = load_suite(results / "suite.yaml")
    if any(cell.body.suite.digest != suite.digest for cell in chosen):
        raise CellError(
            f"{results}/suite.yaml is not the suite its cells were made with; restore it, or run the suite again"
        )
    arms = {cell.body.arm.name for cell in chosen if cell.body.arm.kind == "trust_function"}
    domains = list(dict.fromkeys(cell.body.domain.name for cell in chosen))
    registry = Registry.load()
    planned = plan(suite, registry, domains=domains, trust=sorted(arms), rows=[cell.row for cell in chosen])
    with tempfile.TemporaryDirectory(prefix="w2s-verify-") as fresh:
        computed = {cell.row: cell for cell in compute(planned, store=Path(fresh), workers=workers, events=events)}
    return [compare(cell, computed[cell.row], suite.tolerance) for cell in chosen]


def compare(committed: Cell, computed: Cell, tolerance: float) -> Verified:
    """`identical` bodies; or accuracies within `tolerance` seed by seed, of the same domain, models and plugin; or not."""
    if committed.digest == computed.digest:
        return Verified(committed.row, "identical")
    why = differences(committed.body, computed.body)
    close = all(
        old.accuracy is not None and new.accuracy is not None and abs(old.accuracy - new.accuracy) <= tolerance
        for old, new in zip(committed.body.seeds, computed.body.seeds, strict=False)
    )
    same = _identity(committed.body) == _identity(computed.body) and len(committed.body.seeds) == len(
        computed.body.seeds
    )
    return Verified(committed.row, "within tolerance" if close and same else "DIFFERS", why)


def differences(old: CellBody, new: CellBody) -> str:
    """What differs, in words: identity first, then accuracies, then digests alone."""
    found = [
        f"{name} was {a}, is {b}"
        for (name, a), (_, b) in zip(_identity(old).items(), _identity(new).items(), strict=True)
        if a != b
    ]
    for a, b in zip(old.seeds, new.seeds, strict=False):
        if a.error != b.error:
            found.append(f"seed {a.seed}: {a.error or 'no error'} before, {b.error or 'no error'} now")
        elif a.accuracy != b.accuracy:
            found.append(f"seed {a.seed}: accuracy {a.accuracy:.4f} before, {b.accuracy:.4f} now")
        elif a != b:
            keys = [key for key in a.digests if a.digests[key] != b.digests.get(key)]
            found.append(f"seed {a.seed}: same accuracy, other {', '.join(keys) or 'details'}")
    return "; ".join(found)


def _identity(body: CellBody) -> dict[str, str]:
    """What two cells must share for their accuracies to be comparable."""
    return {
        "suite": body.suite.digest[:12],
        "protocol": body.protocol,
        "domain": f"{body.domain.name} {body.domain.version} {body.domain.fingerprint[:12]}",
        "teacher": f"{body.teacher.name} {body.teacher.fingerprint[:12]}",
        "student": f"{body.student.name} {body.student.fingerprint[:12]}",
        "items": body.items_digest[:12],
        "plugin": f"{body.plugin.distribution} {body.plugin.version} {body.plugin.source[:12]}"
        if body.plugin
        else "none",
    }
