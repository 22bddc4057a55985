"""`docs/objectives.md`, made from docstrings: `python -m w2s_bench.runs.objectives_page > docs/objectives.md`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from w2s_bench.errors import W2SBenchError
from w2s_bench.models.objectives import over_of
from w2s_bench.names import BUILT_IN
from w2s_bench.plugins.installation import running_version
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.objectives import OBJECTIVES, PlannedObjective, planned_objective
from w2s_bench.runs.functions_page import _escaped
from w2s_bench.types import Kind

_HEAD: Final = """# Objectives

What a step of training minimises. A suite's `teacher` and `student` have one (`objective`, `xent` unless it says otherwise), as
`NAME` or `NAME:key=value,…`. A suite's `objectives` names others beside it: each is crossed with every arm that keeps all weak
labels (`naive`) and with every trust function by `top`, and the student is trained on the rows of that arm by that objective, with
the same schedule and randomness. Such an arm is called `OBJECTIVE:ARM`: `soft:naive`, `gce(q=0.5):confidence`. Its
cell says `objective`, the leaderboard has a table of its own for them, with the paired difference to the same arm by the
suite's own objective, and no rank, mean or test of another table is about them. References, the ceiling too, are trained by the
suite's own. The suites `tiny-objectives`, `tiny-on-policy` and `tiny-co-teaching` try them all on bundled domains.

Gold is no input of any objective. The label of a row may be gold, though: of the ceiling's rows, the trust set's, those of gold
controls. Such a row comes without a teacher's distribution, and has a distribution that is all on its label.

*Over*: what the loss is a function of. `options`: the summed log-probabilities of an item's options (`full`, `lora`), or a head's
logits of them. `tokens`: the next-token logits at every token of the completion (`full`, `lora`). One that is over options alone has no
arm where answers are generated, and cannot be a student's there. *Needs*: whose distribution over the options it reads beside
the label: the teacher's, the untuned student's, or that of the teacher before it was trained. A teacher has none.

*On policy* are `opd`, `trb`, `tropd` and `w2s_opd`: where answers are generated, the student writes its own at every step, and what it
needs are distributions over their tokens. They stand in a suite's `objectives` alone, have an arm by `weighted`, too, and a page
of their own: [on-policy distillation](on-policy.md).

*A head* under a penalty (`ridge`) is fitted to convergence by objectives with a derivative of their own, and by `steps` of AdamW
by the others, whose targets leap: compare those with `xent` under `ridge: []`, where all are trained by AdamW. The penalty of the
former is chosen by their own loss on rows held out, which asks for other penalties than cross-entropy does (on made-up rows `gce`
took .1 to .3 where cross-entropy took 1.1 to 1.5): under a penalty two objectives differ in both.

Losses are means over the rows of logits of a batch. A row's weight, where a selection gives some, multiplies its losses;
[weights](protocol.md#objectives-and-weights) have mean 1. `w2s-bench list objectives` shows the table, with those of installed
plugins: [how to write one](plugins.md#an-objective). A plugin's stands in a suite's `objectives` alone, by its full name
(`DISTRIBUTION/NAME`) or a bare one that nobody else has, so that it trains on weak labels always; its students are trained in
processes of its distribution's own, and a fault of it costs its own cells. One more of the harness's is a file in
`models/losses/` and a row of `protocol/objectives.py`. `co_teaching` trains a second student beside the one that is kept
(`models/peers.py`); a plugin's sees the logits of one alone.
"""

_FOOT: Final = """
This page is made from the code: `python -m w2s_bench.runs.objectives_page > docs/objectives.md`.
"""


def objective_rows(registry: Registry) -> list[dict[str, str]]:
    """A row for every objective, the harness's own before plugins': its name, what it is over in domains of either kind, what
    it needs, where it comes from, and what it minimises, or why it cannot be built.
    """
    own = [_row(planned_objective(name), _summary(factory)) for name, factory in OBJECTIVES.items()]
    rows = [{**row, "from": f"{BUILT_IN} {running_version()}"} for row in own]
    for entry in registry.table("objective").values():
        origin = f"{entry.distribution} {entry.version}"
        try:
            rows.append({**_row(planned_objective(entry.name, registry), entry.summary), "from": origin})
        except W2SBenchError as error:
            unknown = dict.fromkeys(("choice", "generated", "needs", "heads"), "?")
            rows.append({"name": entry.name, **unknown, "summary": str(error), "from": origin})
    return rows


def page() -> str:
    """The page's whole text."""
    rows = ["| objective | choice domains | generated answers | needs | a head is fitted | what it minimises |"]
    rows.append("|---|---|---|---|---|---|")
    for name, factory in OBJECTIVES.items():
        told = [*_row(planned_objective(name), _summary(factory)).values()][1:]
        cells = [f"[`{name}`](#{name})", *map(_escaped, told)]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    details = [_details(name, factory) for name, factory in OBJECTIVES.items()]
    return "\n".join([_HEAD, *rows, "", *details]) + _FOOT


def _row(planned: PlannedObjective, summary: str) -> dict[str, str]:
    def over(kind: Kind) -> str:
        return over_of(planned.over, chooses=kind == "choice") or "–" if kind in planned.kinds else "–"

    return {
        "name": planned.written,
        "choice": over("choice"),
        "generated": over("generate"),
        "needs": ", ".join(planned.needs) or "nothing",
        "heads": "–"
        if planned.stops_early or planned.of_two or "choice" not in planned.kinds
        else "to convergence"
        if planned.in_closed_form
        else "by AdamW",
        "summary": summary,
    }


def _summary(factory: Callable[..., Any]) -> str:
    return (inspect.getdoc(factory) or "").partition("\n")[0]


def _details(name: str, factory: Callable[..., Any]) -> str:
    """An objective's parameters, and its docstring after the first line, which the table has."""
    parameters = inspect.signature(factory).parameters.values()
    given = ", ".join(f"{parameter.name}={parameter.default!r}" for parameter in parameters)
    rest = (inspect.getdoc(factory) or "").partition("\n")[2].strip()
    return f"## {name}\n\nParameters: `{given}`.\n\n{_escaped(rest)}\n"


if __name__ == "__main__":
    print(page(), end="")
