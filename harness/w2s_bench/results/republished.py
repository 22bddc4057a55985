"""The pages of a results folder against what its cells give."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from w2s_bench.names import BADGE, CURVES, PAGES, README
from w2s_bench.results.attestations import Attestation, read_attestations
from w2s_bench.results.belief import suite_of
from w2s_bench.results.budget_files import believed_budget
from w2s_bench.results.cells import Cell
from w2s_bench.results.compared import Verified
from w2s_bench.results.curve_pages import CURVE_PAGES, curve_pages
from w2s_bench.results.leaderboard import Leaderboard, attested, build, claimed, pages, written_pages
from w2s_bench.results.signatures import Signed, read_signatures
from w2s_bench.untrusted import UnreadableError, read_text

_LARGEST_PAGE: Final = 64 << 20  # bytes
_AGAIN: Final = "`w2s-bench leaderboard`"
#: Attestations, and signatures, that may have come since a page was written; older pages are written anew first.
_MOST_NEWER: Final = 8


@dataclass(frozen=True)
class Claims:
    """What others say of a board's cells: attestations, the oldest first, and signatures, which say no time."""

    attestations: tuple[Attestation, ...]
    signatures: tuple[Signed, ...]

    def on(self, board: Leaderboard, cells: Sequence[Cell]) -> Leaderboard:
        return claimed(attested(board, cells, self.attestations), cells, self.signatures)

    def before(self) -> Iterator[tuple[str, Claims]]:
        """Words on what is new, and all but that: the last attestations, one signature or all of them."""
        for newer in range(1, len(self.attestations) + 1)[:_MOST_NEWER]:
            words = "1 attestation is" if newer == 1 else f"{newer} attestations are"
            yield words, replace(self, attestations=self.attestations[: len(self.attestations) - newer])
        if len(self.signatures) > 1:
            yield f"{len(self.signatures)} signatures are", replace(self, signatures=())
        for at in range(len(self.signatures))[:_MOST_NEWER]:
            yield "1 signature is", replace(self, signatures=self.signatures[:at] + self.signatures[at + 1 :])


def compare_pages(results: Path, cells: Sequence[Cell]) -> list[Verified]:
    """Verdicts on the README and the plots of a results folder: are they what its cells give?"""
    suite = suite_of(results, cells)
    built = replace(build(cells, results, suite.description), budget=believed_budget(results, suite, cells))
    claims = Claims(tuple(read_attestations(results)), tuple(read_signatures(results)))
    made = pages(claims.on(built, cells))
    verdicts = []
    for name in (README, *sorted({*made} - {README})):
        path = results / name
        to_come = name == BADGE and not os.path.lexists(path)  # the first attestation brings the badge
        verdict, on_disk = (_another(name), None) if to_come else _compared(name, path, made[name])
        told_later = verdict.verdict == "DIFFERS" and name in (README, BADGE) and (to_come or on_disk is not None)
        if told_later and (newer := _newer(name, on_disk, built, cells, claims)):
            why = f"{newer} newer than the page, which `w2s-bench leaderboard` adds"
            verdict = Verified(name, "identical", why)
        verdicts.append(verdict)
    stale = [name for name in PAGES if name not in made and os.path.lexists(results / name)]
    return [*verdicts, *(_of_none(name, "these cells") for name in stale)]


def compare_curves(results: Path) -> list[Verified]:
    """Verdicts on the page of a results folder's curves and its plots, named from the folder on; none where it has no curves.

    Raises CellError where the boards there make no curve.
    """
    made = curve_pages(results)
    there = [name for name in CURVE_PAGES if os.path.lexists(results / CURVES / name)]
    verdicts = [_compared(f"{CURVES}/{name}", results / CURVES / name, text)[0] for name, text in made.items()]
    return [*verdicts, *(_of_none(f"{CURVES}/{name}", "these curves") for name in there if name not in made)]


def _compared(name: str, path: Path, made: str) -> tuple[Verified, str | None]:
    """The verdict on one page, and its text on disk (None: it cannot be read)."""
    try:
        on_disk = read_text(path, _LARGEST_PAGE, follow=False)
    except UnreadableError as error:
        return Verified(name, "DIFFERS", f"cannot be read: {error}; {_AGAIN} writes it anew"), None
    if on_disk == made:
        return Verified(name, "identical"), on_disk
    if name.endswith(".svg") and _nearly(on_disk, made):
        return Verified(name, "within tolerance", "the same plot, drawn by another library"), on_disk
    return _another(name), on_disk


def _another(name: str) -> Verified:
    why = f"is not what the cells give: it was edited, or written by another version; {_AGAIN} writes it anew"
    return Verified(name, "DIFFERS", why)


def _of_none(name: str, what: str) -> Verified:
    return Verified(name, "DIFFERS", f"is no page of {what}; {_AGAIN} removes it")


def _newer(name: str, page: str | None, board: Leaderboard, cells: Sequence[Cell], claims: Claims) -> str:
    """Which claims have come since a page was written (None: it was not); empty where that does not tell why it is another."""
    for words, earlier in claims.before():
        if written_pages(earlier.on(board, cells)).get(name) == page:
            return words
    return ""


def _nearly(page: str, other: str) -> bool:
    """Whether two SVG texts are the same but for the last digits of numbers."""
    number = re.compile(
        r"(?:(?=-)|(?<![\d.]))-?\d++\.\d++(?:e-?\d++)?"
    )  # the pattern looks at no digit twice: the file may be all digits
    if number.sub("#", page) != number.sub("#", other):
        return False
    pairs = zip(number.findall(page), number.findall(other), strict=True)
    return all(abs(float(a) - float(b)) <= 1e-3 for a, b in pairs)
