"""Cells → leaderboard → `README.md` and plot. A pure function of the cell files: equal cells give equal bytes.

A figure of an arm uses the seeds that the arm and the references it is measured against all have, so that every
difference is paired.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from w2s_bench.errors import CellError
from w2s_bench.names import CONTROLS, PLOT, README, REFERENCES, short
from w2s_bench.record import write_atomically
from w2s_bench.results import statistics
from w2s_bench.results.belief import read_results
from w2s_bench.results.board import RIVALS, TRACKS, Check, DomainSummary, Entry, Failure, Leaderboard, Row
from w2s_bench.results.cells import Cell
from w2s_bench.results.statistics import Estimate, Ratio, Unresolved
from w2s_bench.types import BoolArray

__all__ = ["Leaderboard", "build", "write_leaderboard"]


def write_leaderboard(results: Path) -> Leaderboard:
    """Read the cells under `results`, write `README.md` and the plot beside them, and return what they show."""
    _, cells = read_results(results)
    board = build(cells, results)
    for name, text in pages(board).items():
        write_atomically(results / name, text)
    return board


def pages(board: Leaderboard) -> dict[str, str]:
    """File name → text of the plot and the README."""
    from w2s_bench.results.pages.markdown import render
    from w2s_bench.results.pages.plots import draw

    return {PLOT: draw(board), README: render(board, PLOT)}


def build(cells: Iterable[Cell], results: Path) -> Leaderboard:
    """The leaderboard of cells of one suite, each of another row; `results` is their folder, named in errors."""
    ordered = sorted(cells, key=lambda cell: (cell.body.domain.name, cell.body.arm.name))
    by_domain: dict[str, dict[str, Cell]] = defaultdict(dict)
    for cell in ordered:
        by_domain[short(cell.body.domain.name)][short(cell.body.arm.name)] = cell
    for arms in by_domain.values():
        _refuse_mixture(list(arms.values()), results)
    fields = {name: _Field(arms) for name, arms in by_domain.items()}
    summaries = tuple(_summary(name, field) for name, field in fields.items())
    arms_shown = {short(c.body.arm.name): c for c in ordered if c.body.arm.kind != "reference"}
    resolved = [d.name for d in summaries if d.resolved]
    rows = [_row(arm, cell, fields, resolved) for arm, cell in arms_shown.items()]
    packages: dict[str, set[str]] = defaultdict(set)
    for cell in ordered:
        for package, version in cell.provenance.get("packages", {}).items():
            packages[package].add(str(version))
    return Leaderboard(
        suite=ordered[0].body.suite,
        protocol=ordered[0].body.protocol,
        seeds=tuple(sorted({s.seed for c in ordered for s in c.body.seeds})),
        domains=summaries,
        rows=tuple(_ranked(rows)),
        failures=_failures(ordered),
        packages={package: tuple(sorted(found)) for package, found in sorted(packages.items())},
    )


def _refuse_mixture(cells: list[Cell], results: Path) -> None:
    """Cells of one domain must have asked the same items of the same models and trained on the same weak labels."""

    def facts(cell: Cell) -> dict[str, str]:
        body = cell.body
        found = {
            "protocol": body.protocol,
            "domain version": body.domain.version,
            "domain fingerprint": body.domain.fingerprint,
            "teacher": f"{body.teacher.name} {body.teacher.fingerprint}",
            "student": f"{body.student.name} {body.student.fingerprint}",
        }
        if body.correctness():  # a cell whose seeds all failed has seen no items
            found["items digest"] = body.items_digest
        weak = {s.seed: s.digests["weak_labels"] for s in body.seeds if "weak_labels" in s.digests}
        return found | {f"weak labels of seed {seed}": digest for seed, digest in weak.items()}

    first: dict[str, tuple[str, Cell]] = {}
    for cell in cells:
        for what, value in facts(cell).items():
            known, other = first.setdefault(what, (value, cell))
            if value != known:
                raise CellError(
                    f"{other.path(results)} and {cell.path(results)} differ in {what} ({known} against {value}) and "
                    "cannot be compared; run both rows again with one version of the suite"
                )


class _Field:
    """The cells of one domain by arm, and what is computed across them."""

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self.cells = cells
        # Bits are unpacked once: each cell is compared with the references and controls, many times.
        self._correct = {arm: cell.body.correctness() for arm, cell in cells.items()}

    def common(self, *arms: str) -> tuple[int, ...]:
        """Seeds that all of these arms have."""
        if any(arm not in self.cells for arm in arms):
            return ()
        return tuple(sorted(set.intersection(*(set(self._correct[arm]) for arm in arms))))

    def matrices(self, *arms: str) -> tuple[BoolArray, ...] | Unresolved:
        """Correctness (seeds, items) of each arm on the seeds that all have."""
        missing = [arm for arm in arms if arm not in self.cells]
        if missing:
            return Unresolved(f"no cell of {', '.join(missing)}", "–")
        seeds = self.common(*arms)
        if not seeds:
            return Unresolved(f"no seed that {', '.join(dict.fromkeys(arms))} all have", "no seeds")
        return tuple(self.stacked(arm, seeds) for arm in arms)

    def stacked(self, arm: str, seeds: tuple[int, ...]) -> BoolArray:
        """(seeds, items) correctness for the seeds named."""
        return np.stack([self._correct[arm][seed] for seed in seeds])

    def pgr(self, arm: str) -> Ratio:
        found = self.matrices(arm, "weak", "ceiling")
        return found if isinstance(found, Unresolved) else statistics.pgr(*found)

    def recovery(self, arm: str) -> Ratio:
        found = self.matrices(arm, "base", "ceiling")
        return found if isinstance(found, Unresolved) else statistics.recovery(*found)

    def difference(self, a: str, b: str) -> Ratio:
        """a − b in PGR units."""
        found = self.matrices(a, b, "weak", "ceiling")
        return found if isinstance(found, Unresolved) else statistics.pgr_difference(*found)

    def accuracy_difference(self, a: str, b: str) -> Estimate | None:
        found = self.matrices(a, b)
        return None if isinstance(found, Unresolved) else statistics.accuracy_difference(*found)

    def entry(self, arm: str) -> Entry:
        body, row = self.cells[arm].body, self.cells[arm].row
        seeds = self.common(arm) if body.arm.kind == "reference" else self.common(arm, "weak", "ceiling")
        used = [s for s in body.seeds if s.seed in seeds]
        kept = [s.kept for s in used if s.kept is not None]
        return Entry(
            row=row,
            seeds=seeds,
            accuracy=statistics.accuracy(self.stacked(arm, seeds)) if seeds else None,
            pgr=self.pgr(arm),
            recovery=self.recovery(arm),
            kept=(min(kept), max(kept)) if kept else None,
            shortfall=max((s.shortfall for s in used), default=0),
            purity=_mean([s.purity for s in used]),
            coverage=_mean([s.coverage for s in used]),
            auroc=_mean([s.diagnostics.get("auroc") for s in used]),
            by_stratum=_mean_by_name([s.by_stratum for s in used]),
            kept_by_stratum=_mean_by_name([s.diagnostics.get("kept_by_stratum", {}) for s in used]),
            minus={rival: self.difference(arm, rival) for rival in RIVALS} if body.arm.kind == "trust_function" else {},
        )

    def diagnostic(self, arm: str, name: str) -> float | None:
        cell = self.cells.get(arm)
        return _mean([s.diagnostics.get(name) for s in cell.body.seeds]) if cell else None


def _summary(name: str, field: _Field) -> DomainSummary:
    body = next(iter(field.cells.values())).body
    gap = field.accuracy_difference("ceiling", "weak")
    learned = field.accuracy_difference("ceiling", "base")
    confidence = field.diagnostic("confidence", "auroc")
    oracle_cell = field.cells.get("oracle")
    shortfall = max((s.shortfall for s in oracle_cell.body.seeds), default=0) if oracle_cell else None
    checks = {
        "gap": Check(gap, None if gap is None else gap.low > 0),
        "ceiling_over_base": Check(learned, None if learned is None else learned.low > 0),
        "naive_pgr": _above_zero(field.pgr("naive")),
        "oracle_pgr": _above_zero(field.pgr("oracle")),
        "oracle_minus_naive": _above_zero(field.difference("oracle", "naive")),
        "oracle_minus_gold_trust_set": _above_zero(field.difference("oracle", "gold_trust_set")),
        "oracle_shortfall": Check(shortfall, None if shortfall is None else shortfall == 0),
        "confidence_auroc": Check(confidence, None if confidence is None else confidence > 0.5),
    }
    return DomainSummary(
        name=name,
        version=body.domain.version,
        fingerprint=body.domain.fingerprint,
        teacher=f"{body.teacher.name} ({body.teacher.fingerprint[:12]})",
        student=f"{body.student.name} ({body.student.fingerprint[:12]})",
        items=max(cell.body.items for cell in field.cells.values()),
        references={arm: field.entry(arm) for arm in REFERENCES if arm in field.cells},
        gap=gap,
        label_accuracy=field.diagnostic("weak", "label_accuracy"),
        checks=checks,
    )


def _above_zero(ratio: Ratio) -> Check:
    return Check(ratio, ratio.low > 0 if isinstance(ratio, Estimate) else None)


def _row(arm: str, cell: Cell, fields: Mapping[str, _Field], resolved: list[str]) -> Row:
    entries = {name: field.entry(arm) for name, field in fields.items() if arm in field.cells}
    plugins = {field.cells[arm].body.plugin for field in fields.values() if arm in field.cells}

    def mean(figures: Mapping[str, Ratio]) -> Ratio:
        return statistics.mean_over_domains({d: figures.get(d, Unresolved("no cell", "–")) for d in resolved})

    return Row(
        arm=arm,
        track="control" if cell.body.arm.kind == "control" else cell.body.arm.supervision,
        plugins=tuple(sorted(f"{p.distribution} {p.version} ({p.source[:12]})" for p in plugins if p)),
        rank=None,
        entries=entries,
        mean_pgr=mean({d: e.pgr for d, e in entries.items()}),
        mean_minus={
            rival: mean({d: e.minus[rival] for d, e in entries.items()})
            for rival in RIVALS
            if cell.body.arm.kind == "trust_function"
        },
        purity=_mean([e.purity for e in entries.values()]),
        coverage=_mean([e.coverage for e in entries.values()]),
    )


def _ranked(rows: list[Row]) -> list[Row]:
    ordered: list[Row] = []
    for track in TRACKS:
        here = [row for row in rows if row.track == track]
        here.sort(key=lambda r: (-r.mean_pgr.value, r.arm) if isinstance(r.mean_pgr, Estimate) else (np.inf, r.arm))
        ordered += [replace(r, rank=i + 1 if isinstance(r.mean_pgr, Estimate) else None) for i, r in enumerate(here)]
    controls = [row for row in rows if row.is_control]
    place = {name: i for i, name in enumerate(CONTROLS)}
    return ordered + sorted(controls, key=lambda r: (place.get(r.arm, len(place)), r.arm))


def _failures(cells: list[Cell]) -> tuple[Failure, ...]:
    rows: dict[tuple[int, str], list[str]] = defaultdict(list)
    for cell in cells:
        for seed in cell.body.failed:
            rows[seed.seed, seed.error or ""].append(cell.row)
    return tuple(Failure(tuple(names), seed, reason) for (seed, reason), names in rows.items())


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean of what is there; None where nothing is."""
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _mean_by_name(values: list[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for value in values for name in value})
    return {n: float(np.mean([value[n] for value in values if n in value])) for n in names}
