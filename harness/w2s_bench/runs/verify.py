"""Re-run rows in a fresh store and compare: `identical`, `within tolerance` or `DIFFERS`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from w2s_bench.errors import ModelError, UnknownNameError, W2SBenchError
from w2s_bench.machine import elsewhere
from w2s_bench.record import canonical_json, digest_of, unpack_bits
from w2s_bench.resolvers import is_on_disk
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell, CellBody, SeedResult
from w2s_bench.results.consent import placements, refuse_unasked, under_old_names, with_placements
from w2s_bench.untrusted import UnreadableError, read_text

if TYPE_CHECKING:
    from w2s_bench.domains.documents import Documents
    from w2s_bench.executors import Event, Executor
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.plan import PlannedCell
    from w2s_bench.suite import Suite

Verdict = Literal["identical", "within tolerance", "DIFFERS"]

#: How many tolerances of the suite the finer figures may be apart: they rest on fewer items than an accuracy does, and
#: answers that change in both directions leave it as it was.
SLACK = 5
_LARGEST_PAGE = 64 << 20  # bytes
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Verified:
    """One row's verdict; `why` says what differs, or which seeds failed both times; empty where there is nothing to say.

    `failed`: the row as published or as computed now has a failed seed. A row that fails again as it did is reproduced,
    but it is no result.
    """

    row: str
    verdict: Verdict
    why: str = ""
    failed: bool = False

    @property
    def ok(self) -> bool:
        return self.verdict != "DIFFERS" and not self.failed


def verify(
    results: Path,
    rows: Sequence[str] = (),
    *,
    models: Mapping[str, str] = _NONE,
    trust_folder: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    events: Callable[[Event], None] = lambda event: None,
) -> list[Verified]:
    """Compute `rows` (default: all) of a results folder anew, with nothing but the suite and the installed plugins.

    A row that cannot be computed here (its plugin is missing, its domain has another version) differs, and says why; the
    others are computed all the same. Last come the folder's pages, compared with what its cells give. Stages run in
    `workers` local processes, or where `executor` runs them.

    `models` maps a model that the suite has as a folder, by its name or its fingerprint, to where it lies here.
    `trust_folder` allows what `consent.refuse_unasked` refuses: other folders, and plugins with the folder's parameters.
    """
    from w2s_bench.domains.documents import Documents
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.execute import compute, local_executor
    from w2s_bench.runs.plan import ROW_HINT, Plan
    from w2s_bench.store import open_store

    suite, cells = read_results(results)
    committed = {cell.row: cell for cell in cells}
    for row in rows:
        if row not in committed:
            raise UnknownNameError("row", row, committed, ROW_HINT)
    chosen = [committed[row] for row in dict.fromkeys(rows or committed)]
    placed = placements(suite, cells, models)
    if not trust_folder:
        refuse_unasked(suite, chosen, results, placed)
    pages = compare_pages(results, cells)  # cells that no board can be made of are refused before anything runs
    here = with_placements(suite, placed)
    registry = Registry.load()
    documents = Documents()  # `Documents` reads a domain once, however many rows there are
    planned = {cell.row: _planned(cell, here, registry, documents, placed) for cell in chosen}
    runnable = tuple(cell for cell in planned.values() if not isinstance(cell, W2SBenchError))
    with tempfile.TemporaryDirectory(prefix="w2s-verify-") as fresh:
        where = executor or local_executor(workers)
        made = compute(Plan(here, runnable, ()), store=open_store(fresh), executor=where, events=events)
    computed = {cell.row: under_old_names(cell, committed[cell.row]) for cell in made}
    verdicts = [
        _verdict(cell, computed[cell.row], suite.tolerance)
        if cell.row in computed
        else Verified(cell.row, "DIFFERS", f"cannot be run: {planned[cell.row]}")
        for cell in chosen
    ]
    return [*verdicts, *pages]


def _planned(
    cell: Cell, suite: Suite, registry: Registry, documents: Documents, placed: Mapping[str, str]
) -> PlannedCell | W2SBenchError:
    """The row as it would be run here, or why it cannot be; a model that the user placed must be the one it was."""
    from w2s_bench.runs.plan import plan

    arm = cell.body.arm
    trust = [arm.trusts] if arm.trusts else []
    try:
        rows = [cell.row]
        planned = plan(
            suite, registry, domains=[cell.body.domain.name], trust=trust, rows=rows, documents=documents
        ).cells[0]
    except W2SBenchError as error:
        models = (cell.body.teacher, cell.body.student)
        gone = [ref for ref in models if is_on_disk("model", ref.name) and ref.name not in placed]
        if isinstance(error, ModelError) and gone:
            named = " and ".join(f"--model {ref.fingerprint[:12]}=FOLDER (for {ref.name})" for ref in gone)
            return ModelError(f"{error}; where it lies elsewhere, say so: {named}")
        return error
    for was, now in ((cell.body.teacher, planned.teacher), (cell.body.student, planned.student)):
        if was.name in placed and was.fingerprint != now.fingerprint:
            raise ModelError(
                f"--model: {placed[was.name]} holds another model than {was.name} was (fingerprint {now.fingerprint[:12]}, "
                f"not {was.fingerprint[:12]}); give the folder that its cells were made with"
            )
    return planned


def _verdict(committed: Cell, computed: Cell, tolerance: float) -> Verified:
    """The tolerance is for other machines alone; what makes this one another is said, since the cell's file says it."""
    other = elsewhere(committed.provenance, computed.provenance)
    verified = compare(committed, computed, tolerance, exact=other is None)
    if other is None or verified.verdict != "within tolerance":
        return verified
    return replace(verified, why=f"made with {other}, so that accuracies may be {tolerance:g} apart; {verified.why}")


def compare_pages(results: Path, cells: Sequence[Cell]) -> list[Verified]:
    """Verdicts on the README and the plots of a results folder: are they what its cells give?"""
    from w2s_bench.names import README
    from w2s_bench.results.leaderboard import build, pages

    made = pages(build(cells, results))
    again = "`w2s-bench leaderboard` writes it anew"
    verdicts = []
    for name in (README, *sorted({*made} - {README})):
        try:
            on_disk = read_text(results / name, _LARGEST_PAGE, follow=False)
        except UnreadableError as error:
            verdicts.append(Verified(name, "DIFFERS", f"cannot be read: {error}; {again}"))
            continue
        if on_disk == made[name]:
            verdicts.append(Verified(name, "identical"))
        elif name.endswith(".svg") and _nearly(on_disk, made[name]):
            verdicts.append(Verified(name, "within tolerance", "the same plot, drawn by another library"))
        else:
            why = f"is not what the cells give: it was edited, or written by another version; {again}"
            verdicts.append(Verified(name, "DIFFERS", why))
    return verdicts


def _nearly(page: str, other: str) -> bool:
    """Whether two SVG texts are the same but for the last digits of numbers."""
    number = re.compile(
        r"(?:(?=-)|(?<![\d.]))-?\d++\.\d++(?:e-?\d++)?"
    )  # the pattern looks at no digit twice: the file may be all digits
    if number.sub("#", page) != number.sub("#", other):
        return False
    pairs = zip(number.findall(page), number.findall(other), strict=True)
    return all(abs(float(a) - float(b)) <= 1e-3 for a, b in pairs)


def compare(committed: Cell, computed: Cell, tolerance: float, *, exact: bool = False) -> Verified:
    """`identical`: equal bodies, which is demanded where `exact`. `within tolerance`: as on another machine or with another
    library, seed by seed

    - the same suite, protocol, generation, domain, models, arm, items and plugin source;
    - the same seeds, failed for the same reason or not at all; the same `kept`, `shortfall` and `coverage`;
    - accuracies at most `tolerance` apart;
    - at most `SLACK` · `tolerance` of the items answered right in one and wrong in the other;
    - purity, accuracies by stratum and every figure among the diagnostics at most `SLACK` · `tolerance` apart.

    Anything else `DIFFERS`. Digests of labels, rows and weights may differ, and it is said which do.
    """
    failed = bool(committed.body.failed or computed.body.failed)
    if committed.digest == computed.digest:
        again = "; ".join(f"seed {s.seed} failed both times: {s.error}" for s in committed.body.failed)
        return Verified(committed.row, "identical", again, failed)
    differences = list(_differences(committed.body, computed.body, tolerance))
    differences = differences or [_Difference("equal figures, written otherwise", True)]
    verdict: Verdict = "within tolerance" if all(difference.tolerable for difference in differences) else "DIFFERS"
    told = [difference.text for difference in differences]
    if exact and verdict == "within tolerance":
        verdict = "DIFFERS"
        told.insert(0, "made with the same packages on no other machine, where a rerun is identical")
    return Verified(committed.row, verdict, "; ".join(told), failed)


@dataclass(frozen=True)
class _Difference:
    text: str
    tolerable: bool = False


def _differences(old: CellBody, new: CellBody, tolerance: float) -> Iterator[_Difference]:
    """What differs, identity first, then seed by seed; failures that came again are told too."""
    was, now = _identity(old), _identity(new)
    yield from (_Difference(f"{name} was {was[name]}, is {now[name]}") for name in was if was[name] != now[name])
    before, after = {s.seed: s for s in old.seeds}, {s.seed: s for s in new.seeds}
    if before.keys() != after.keys():
        yield _Difference(f"seeds were {_listed(before)}, are {_listed(after)}")
    same_items = was["items"] == now["items"]
    for seed in sorted(before.keys() & after.keys()):
        for difference in _seed_differences(before[seed], after[seed], old.items if same_items else None, tolerance):
            yield _Difference(f"seed {seed}: {difference.text}", difference.tolerable)


def _reason(error: str | None) -> str | None:
    """A failed seed's reason, whichever of the stages that need what has failed came to it first."""
    return error and (error.partition(" failed: ")[2] or error)


def _seed_differences(a: SeedResult, b: SeedResult, items: int | None, tolerance: float) -> Iterator[_Difference]:
    """`items`: how many the bits of both are of; None where they are of different ones."""
    if a.error or b.error:
        same = _reason(a.error) == _reason(b.error)  # a run looks at models before it fails, verification does not
        yield _Difference(
            f"failed both times: {a.error}" if same else f"{a.error or 'no error'} before, {b.error or 'no error'} now",
            same,
        )
        return
    assert a.accuracy is not None and a.correct is not None  # as the schema has it where there is no error
    assert b.accuracy is not None and b.correct is not None
    yield from _apart("accuracy", a.accuracy, b.accuracy, tolerance)
    if a.correct != b.correct and items is not None:
        other = int((unpack_bits(a.correct, items) != unpack_bits(b.correct, items)).sum())
        text = f"{other} of {items} items are answered right in one and wrong in the other"
        yield _Difference(text, _within(other / items, 0.0, SLACK * tolerance))
    for name in ("kept", "shortfall", "coverage"):
        if getattr(a, name) != getattr(b, name):
            yield _Difference(f"{name} {getattr(a, name)} before, {getattr(b, name)} now")
    before, after = _finer_figures(a), _finer_figures(b)
    for name in [*before, *(name for name in after if name not in before)]:
        yield from _apart(name, before.get(name), after.get(name), SLACK * tolerance)
    other_digests = [n for n in sorted({*a.digests, *b.digests}) if a.digests.get(n) != b.digests.get(n)]
    if other_digests:
        yield _Difference(f"other {', '.join(other_digests)}", a.digests.keys() == b.digests.keys())


def _apart(name: str, old: Any, new: Any, bound: float) -> Iterator[_Difference]:
    """Nothing where the two are equal; numbers may be `bound` apart, anything else must be equal."""
    if old == new:
        return
    if all(isinstance(value, int | float) for value in (old, new)):
        digits = 4 if f"{old:.4f}" != f"{new:.4f}" else 9
        text = f"{name} {old:.{digits}f} before, {new:.{digits}f} now"
        yield _Difference(text, _within(old, new, bound))
    else:
        yield _Difference(f"{name} {old} before, {new} now")


def _within(old: float, new: float, bound: float) -> bool:
    return abs(old - new) <= bound + 1e-9  # 0.62 - 0.60 is a little more than 0.02


def _finer_figures(result: SeedResult) -> dict[str, Any]:
    """Name → what is compared with the wider bound; mappings by stratum are taken apart."""
    figures: dict[str, Any] = {"purity": result.purity}
    for name, value in {"by_stratum": result.by_stratum, **result.diagnostics}.items():
        if isinstance(value, Mapping):
            figures |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            figures[name] = value
    return figures


def _listed(seeds: Mapping[int, SeedResult]) -> str:
    return ", ".join(map(str, sorted(seeds))) or "none"


def _identity(body: CellBody) -> dict[str, str]:
    """What two cells must share for their accuracies to be comparable."""
    plugin = body.plugin
    return {
        "suite": f"{body.suite.name} {body.suite.version} {body.suite.evaluate_on} {body.suite.digest[:12]}",
        "protocol": body.protocol,
        "generation": str(body.generation),
        "chain": canonical_json(body.chain.model_dump(mode="json")) if body.chain else "none",
        "domain": f"{body.domain.name} {body.domain.version} {body.domain.fingerprint[:12]}",
        "teacher": f"{body.teacher.name} {body.teacher.fingerprint[:12]}",
        "student": f"{body.student.name} {body.student.fingerprint[:12]}",
        "arm": canonical_json(body.arm.model_dump(mode="json")),
        "items": f"{body.items} {body.items_digest[:12]}",
        "clusters of items": f"{body.clusters.count} {digest_of(body.clusters.codes)[:12]}"
        if body.clusters
        else "none",
        "plugin": f"{plugin.distribution} {plugin.version} {plugin.source[:12]}" if plugin else "none",
    }
