"""The pages of a results folder against what its cells give."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from w2s_bench.names import BADGE, PAGES, README
from w2s_bench.results.attestations import Attestation, read_attestations
from w2s_bench.results.cells import Cell
from w2s_bench.results.compared import Verified
from w2s_bench.results.leaderboard import Leaderboard, attested, build, claimed, pages, written_pages
from w2s_bench.results.signatures import read_signatures
from w2s_bench.untrusted import UnreadableError, read_text

_LARGEST_PAGE: Final = 64 << 20  # bytes
#: Attestations that may have come since a page was written; older pages are written anew first.
_MOST_NEWER: Final = 8


def compare_pages(results: Path, cells: Sequence[Cell]) -> list[Verified]:
    """Verdicts on the README and the plots of a results folder: are they what its cells give?"""
    board, attestations = claimed(build(cells, results), cells, read_signatures(results)), read_attestations(results)
    made = pages(attested(board, cells, attestations))
    again = "`w2s-bench leaderboard` writes it anew"
    verdicts = []
    for name in (README, *sorted({*made} - {README})):
        on_disk = None
        try:
            if name != BADGE or os.path.lexists(results / name):  # the first attestation brings the badge
                on_disk = read_text(results / name, _LARGEST_PAGE, follow=False)
        except UnreadableError as error:
            verdicts.append(Verified(name, "DIFFERS", f"cannot be read: {error}; {again}"))
            continue
        if on_disk == made[name]:
            verdicts.append(Verified(name, "identical"))
        elif name in (README, BADGE) and (newer := _newer(name, on_disk, board, cells, attestations)):
            why = f"{newer} newer than the page, which `w2s-bench leaderboard` adds"
            verdicts.append(Verified(name, "identical", why))
        elif name.endswith(".svg") and _nearly(on_disk or "", made[name]):
            verdicts.append(Verified(name, "within tolerance", "the same plot, drawn by another library"))
        else:
            why = f"is not what the cells give: it was edited, or written by another version; {again}"
            verdicts.append(Verified(name, "DIFFERS", why))
    removes = again.replace("writes it anew", "removes it")
    stale = (name for name in PAGES if name not in made and os.path.lexists(results / name))
    verdicts += [Verified(name, "DIFFERS", f"is no page of these cells; {removes}") for name in stale]
    return verdicts


def _newer(
    name: str, page: str | None, board: Leaderboard, cells: Sequence[Cell], attestations: Sequence[Attestation]
) -> str:
    """How many attestations have come since a page was written (None: it was not); empty where that does not tell why it is
    another."""
    for newer in range(1, len(attestations) + 1)[:_MOST_NEWER]:
        earlier = attested(board, cells, attestations[: len(attestations) - newer])
        if written_pages(earlier).get(name) == page:
            return "1 attestation is" if newer == 1 else f"{newer} attestations are"
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
