"""The pages of a results folder against what its cells give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from w2s_bench.names import README
from w2s_bench.results.cells import Cell
from w2s_bench.results.compared import Verified
from w2s_bench.results.leaderboard import build, pages
from w2s_bench.untrusted import UnreadableError, read_text

_LARGEST_PAGE: Final = 64 << 20  # bytes


def compare_pages(results: Path, cells: Sequence[Cell]) -> list[Verified]:
    """Verdicts on the README and the plots of a results folder: are they what its cells give?"""
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
