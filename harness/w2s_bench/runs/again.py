"""Rows that lie in a results folder already and would be computed again all the same, and why; computes and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from w2s_bench.errors import CellError, NotApplicableError, W2SBenchError
from w2s_bench.names import short
from w2s_bench.results.files import read_placed
from w2s_bench.store.manifest import installed_version
from w2s_bench.store.stage import Stage, walk

if TYPE_CHECKING:
    from w2s_bench.results.cells import Cell
    from w2s_bench.results.references import DomainRef, PluginRef
    from w2s_bench.runs.plan import Plan, PlannedCell
    from w2s_bench.runs.preview import Explained

#: Rows that a line names, and reasons that are told.
_MOST_NAMED: Final = 3
_MOST_TOLD: Final = 6


@dataclass(frozen=True)
class Again:
    """Rows that are computed again for one reason."""

    why: str
    rows: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.rows) - _MOST_NAMED
        named = ", ".join(self.rows[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"{len(self.rows)} {self.why} ({named})"


def computed_again(planned: Plan, folder: Path, looked: Sequence[Explained]) -> tuple[Again, ...]:
    """Of the rows in `folder` those that the plan has and the store lacks something of, by reason, most rows first.

    `looked`: what the store has of every stage of the plan. A row with several reasons stands in each. Not a row is in it that
    could not be read: the run writes it anew, and `check` says what is wrong with it.
    """
    lacking = {each.stage.node: each for each in looked if each.status != "stored"}
    rows: dict[str, list[str]] = {}
    for cell in planned.cells:
        before = _there(cell, folder)
        if before is None:
            continue
        seeds = range(min(len(before.body.seeds), len(cell.graphs)))  # more seeds join those that are there
        needed = walk([stage for seed in seeds for stage in cell.targets_of(seed)])
        never = _never_made(before, cell)
        missing = [lacking[stage.node] for stage in needed if stage.node in lacking and stage.node not in never]
        if missing or never:
            for why in dict.fromkeys(_reasons(before, cell, missing)):
                rows.setdefault(why, []).append(cell.row)
    return tuple(sorted((Again(why, tuple(those)) for why, those in rows.items()), key=lambda again: -len(again.rows)))


def in_words(again: Sequence[Again], folder: Path) -> tuple[str, ...]:
    """A few lines for people; none where nothing is computed again."""
    if not again:
        return ()
    count = len({row for each in again for row in each.rows})
    head = f"{count} row{'' if count == 1 else 's'} in {folder} must be computed again:"
    told = [f"{head} {again[0]}", *(f"… {each}" for each in again[1:_MOST_TOLD])]
    return (*told, *([f"… for {len(again) - _MOST_TOLD} more reasons"] if len(again) > _MOST_TOLD else []))


def _there(cell: PlannedCell, folder: Path) -> Cell | None:
    from w2s_bench.results.cells import cell_path

    try:
        return read_placed(cell_path(folder, cell.row), folder)
    except CellError:
        return None  # there is none yet, or the run writes it anew


def _never_made(before: Cell, cell: PlannedCell) -> frozenset[str]:
    """Nodes of what no run makes: the stage by which a seed is not applicable, as the row says, and all that needs it."""
    never = set[str]()
    for one in before.body.failed:
        if one.seed >= len(cell.graphs) or not NotApplicableError.is_behind(one.error):
            continue
        cause = (one.error or "").partition(" failed: ")[0]
        for stage in walk(cell.targets_of(one.seed)):  # inputs come before what needs them
            if stage.label == cause or any(needed.node in never for needed in stage.inputs.values()):
                never.add(stage.node)
    return frozenset(never)


def _reasons(before: Cell, cell: PlannedCell, missing: Sequence[Explained]) -> Iterator[str]:
    """What is otherwise than when the row was made; where nothing is, that its store is another, if anything is `missing`."""
    told = [*_differences(before, cell, [each.stage for each in missing])]
    told += [f"of which {each.why}" for each in missing if "damaged" in each.why][:1]
    if missing and not told:
        broken = any(not NotApplicableError.is_behind(one.error) for one in before.body.failed)
        told = ["with seeds that failed" if broken else "of which this store does not hold everything"]
    yield from told


def _differences(before: Cell, cell: PlannedCell, missing: Sequence[Stage]) -> Iterator[str]:
    body, suite = before.body, cell.graphs[0].suite
    for was, now in ((body.plugin, cell.arm.plugin), (body.objective_plugin, cell.arm.trainer)):
        if was is not None and now is not None and was != now:
            yield _of_plugin(was, now)
    if body.protocol != suite.protocol:
        yield f"made by protocol {body.protocol}, here {suite.protocol}"
    if body.domain != cell.domain:
        yield _of_domain(body.domain, cell.domain)
    for role, was_model, model in (("teacher", body.teacher, cell.teacher), ("student", body.student, cell.student)):
        if was_model != model:
            yield f"of another {role} than {model.name} is here"
    packages: Mapping[str, str] = before.provenance.get("packages") or {}
    for name in sorted({name for stage in missing for name in stage.libraries}):
        was_version, version = packages.get(name), _installed(name)
        if was_version is not None and was_version != version:
            yield f"made with {name} {was_version}, here {version}"


def _of_domain(was: DomainRef, now: DomainRef) -> str:
    """In words that fit after a number of rows; a domain is told by its version, else by what has changed under one version."""
    name = short(was.name)
    if was.version != now.version:
        return f"of version {was.version} of domain {name}, here {now.version}"
    if was.fingerprint != now.fingerprint:
        return f"of other code or files of domain {name}: {was.fingerprint[:12]}, here {now.fingerprint[:12]}"
    if now.documents is None:
        return f"of domain {name}, whose documents cannot be read now"
    return f"of other documents of domain {name}: {(was.documents or 'unknown')[:12]}, here {now.documents[:12]}"


def _of_plugin(was: PluginRef, now: PluginRef) -> str:
    if was.version != now.version or was.distribution != now.distribution:
        return f"made by {was.distribution} {was.version}, here {now.distribution} {now.version}"
    return f"made by {was.distribution} {was.version} of source {was.source[:12]}, here {now.source[:12]}"


def _installed(name: str) -> str:
    try:
        return installed_version(name)
    except W2SBenchError:
        return "none"
