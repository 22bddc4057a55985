"""Rows of a run into a leaderboard: only what `check` passes, alone and beside what lies there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as dataclass_replace
from pathlib import Path

from w2s_bench.errors import SuiteError, UnknownNameError
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.results.attestations import read_attestations
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.findings import Finding
from w2s_bench.results.checking.folder import Folder, read_folder
from w2s_bench.results.checking.rules import signature_findings
from w2s_bench.results.combining.merging import faults_together, one_suite, place
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.results.signatures import Signed, read_signatures


@dataclass(frozen=True)
class Submitted:
    """What `submit` did. `copied`, `there` (with the same body) and `held` (with another) are rows; `findings` stood against
    the others, or, where nothing is copied, against all. `signatures` are signed statements that went along, `unverified` how
    many did not, as nobody said by whom they may be."""

    copied: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    signatures: tuple[str, ...] = ()
    unverified: int = 0

    @property
    def whole(self) -> bool:
        """Whether every row that was asked for is in the leaderboard now."""
        return not self.held and not self.findings


def submit(
    results: Path,
    to: Path,
    rows: Sequence[str] = (),
    *,
    replace: bool = False,
    allowed_signers: Path | None = None,
    awaits: Awaits = unheard,
) -> Submitted:
    """Copy rows (default: all) of a results folder to a leaderboard's, which is made where it is not there yet.

    A cell that is not sound is left out; of the others none is copied that would make the leaderboard unsound. A row that is
    there with another body stays, unless `replace`. Cells are written as this version writes them, and pages anew. Signatures of
    what is copied go along where they hold by `allowed_signers`; one that does not hold stands against all. `awaits` is told
    of plugins that are waited for.
    """
    offered = read_folder(results)
    if offered.suite is None:
        return Submitted(findings=offered.refused)
    target = _target(to)
    if target is not None and target.refused:
        raise SuiteError(
            f"{to} is not sound itself: {target.refused[0].file}: {target.refused[0].found}; `w2s-bench check {to}` lists all"
        )
    one_suite([offered] if target is None else [target, offered])
    named = {cell.row for cell in offered.cells} | {finding.row for finding in offered.refused if finding.row}
    for row in rows:
        if row not in named:
            raise UnknownNameError("row", row, named, "A row is DOMAIN/ARM, as in the file results/DOMAIN/ARM.json.")
    refused = tuple(f for f in offered.refused if not rows or not f.row or f.row in rows)
    held = {cell.row: cell for cell in target.cells} if target else {}
    wanted = [cell for cell in offered.cells if not rows or cell.row in rows]
    there = tuple(cell.row for cell in wanted if cell.row in held and held[cell.row].digest == cell.digest)
    other = tuple(cell.row for cell in wanted if cell.row in held and held[cell.row].digest != cell.digest)
    copied = {cell.row: cell for cell in wanted if cell.row not in there and (replace or cell.row not in other)}
    about = _signed(offered.path, copied)
    if allowed_signers is not None:
        asked = dataclass_replace(offered, allowed_signers=allowed_signers)
        if wrong := [finding for signed in about for finding in signature_findings(signed, asked)]:
            return Submitted(there=there, held=() if replace else other, findings=(*refused, *wrong))
    if copied and (faults := _faults(offered, held, copied, awaits)):
        return Submitted(there=there, held=() if replace else other, findings=(*refused, *faults))
    if copied:
        place(results, copied.values(), to)
        for attestation in read_attestations(results):
            if any(attested.row in copied for attested in attestation.rows):
                attestation.write(to)
        for signed in about if allowed_signers is not None else ():
            signed.copy(to)
        write_leaderboard(to)
    done = Submitted(tuple(copied), there, () if replace else other, refused)
    if allowed_signers is None:
        return dataclass_replace(done, unverified=len(about))
    return dataclass_replace(done, signatures=tuple(signed.path.name for signed in about))


def _signed(results: Path, copied: Mapping[str, Cell]) -> list[Signed]:
    """The signed statements of a folder that name a row which is copied."""
    return [signed for signed in read_signatures(results) if any(row in copied for row in signed.statement.rows)]


def _target(to: Path) -> Folder | None:
    """The leaderboard's folder; None where it is yet to be made."""
    return read_folder(to) if to.exists() and (not to.is_dir() or any(to.iterdir())) else None


def _faults(offered: Folder, held: Mapping[str, Cell], copied: Mapping[str, Cell], awaits: Awaits) -> list[Finding]:
    """What would be wrong with the leaderboard with these cells."""
    assert offered.suite is not None
    together = {**held, **copied}
    cells = [together[row] for row in sorted(together)]
    return faults_together(offered.path, offered.suite, cells, awaits=awaits)
