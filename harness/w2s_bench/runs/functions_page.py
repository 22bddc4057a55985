"""`docs/trust-functions.md`, made from docstrings: `python -m w2s_bench.runs.functions_page > docs/trust-functions.md`."""

from __future__ import annotations

import inspect
import re
import sys
from itertools import groupby
from typing import Final

from w2s_bench.names import BUILT_IN
from w2s_bench.plugins.descriptions import module_of, unwrap
from w2s_bench.plugins.registry import Registry
from w2s_bench.runs.functions import FunctionRow, function_rows

_HEAD: Final = """# The trust functions that come with the harness

{count} functions in {families} families. A function's family is the package that its module lies in; `w2s-bench list trust` shows
the same of whatever is installed, plugins included ([how to write one](plugins.md)). `w2s-bench run tiny --trust NAME` runs one,
`--trust all` every one; a plain `run` takes those that [the suite names](suites.md). `--trust 'NAME:key=value'` sets
parameters; each value is checked, and other parameters make another row of the leaderboard.

*Track*: what it learns from (`none`: no gold at all; `trust_set`: the trust set's gold). *Domains*: where it applies; in others
it is passed over. *Needs*: the readings it declares, as `reader.reading[layer or parameters]`; each is computed once for all
functions that need it. *Cost*: what that takes of models, over the labels of the pool; a pass that functions share is paid once.
What depends on the whole pool (scope `pool`) is marked with °; all others score a row by itself. Higher is more trusted,
always.
"""

_FOOT: Final = """
## Elsewhere

More functions are distributions of their own in this project's `plugins/`, so that what is above, and the boards made with it, stays
as it is: [w2s-bench-further](../plugins/w2s-bench-further/README.md) (annotators, ensembles, EigenScore, gradients, data Shapley,
Venn-Abers, PMI, confidence in context, P(True), and a curriculum as an objective),
[w2s-bench-cleanlab](../plugins/w2s-bench-cleanlab/README.md) (confident learning by cleanlab) and
[w2s-bench-chess-verifiers](../plugins/w2s-bench-chess-verifiers/README.md) (legality, search and an engine; track `privileged`).

This page is made from the code: `python -m w2s_bench.runs.functions_page > docs/trust-functions.md`.
"""


def page() -> str:
    """The page's whole text, of the functions that come with the harness."""
    registry = Registry.load([])
    rows = [row for row in function_rows(registry) if row.origin.startswith(f"{BUILT_IN} ")]
    families = [(name, list(group)) for name, group in groupby(rows, key=lambda row: row.family)]
    parts = [_HEAD.format(count=len(rows), families=len(families))]
    for family, members in families:
        factory = unwrap(registry.resolve("trust_function", members[0].name).factory)
        package = sys.modules[module_of(factory).rpartition(".")[0]]
        parts.append(f"\n## {family}\n\n{_escaped((inspect.getdoc(package) or '').strip())}\n\n{_table(members)}")
        parts += [_details(row, unwrap(registry.resolve("trust_function", row.name).factory)) for row in members]
    return "".join([*parts, _FOOT])


def _table(rows: list[FunctionRow]) -> str:
    lines = ["| function | track | domains | needs | cost | what it is |", "|---|---|---|---|---|---|"]
    for row in rows:
        mark = "°" if row.scope == "pool" else ""
        needs = ", ".join(_with_kind(need) for need in row.needs) or "nothing"
        cells = [f"[`{row.name}`](#{row.name}){mark}", row.track, row.kinds, needs, row.cost, _escaped(row.summary)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _with_kind(need: str) -> str:
    reading, space, kind = need.partition(" (")
    return f"`{reading}`{space}{kind}"


def _details(row: FunctionRow, factory: object) -> str:
    """A function's parameters, and its docstring after the first line, which the table has."""
    parameters = [
        f"{name}={parameter.default!r}"
        for name, parameter in inspect.signature(factory).parameters.items()  # type: ignore[arg-type]
        if parameter.default is not parameter.empty
    ]
    given = f"Parameters: `{', '.join(parameters)}`.\n\n" if parameters else ""
    _, _, rest = (inspect.getdoc(factory) or "").partition("\n")
    return f"\n### {row.name}\n\n{given}{_escaped(rest.strip())}\n"


def _escaped(text: str) -> str:
    """A docstring's prose, of which markdown is to take backquotes alone."""
    parts = re.split(r"(`[^`\n]*`)", text)
    return "".join(part if at % 2 else re.sub(r"([*<\[\]])", r"\\\1", part) for at, part in enumerate(parts))


if __name__ == "__main__":
    print(page(), end="")
