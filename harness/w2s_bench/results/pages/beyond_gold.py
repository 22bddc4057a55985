"""Of a domain whose training gold is worse than what grades: who outdoes the ceiling, and which labels are better than that gold."""

from __future__ import annotations

from collections.abc import Mapping

from w2s_bench.controls import CEILING
from w2s_bench.results.board import DomainSummary, Entry
from w2s_bench.results.pages.blocks import escape, table
from w2s_bench.results.pages.style import number
from w2s_bench.results.seed_results import BETTER, RIGHT_WHERE_DIFFERENT, TRAINING_PURITY
from w2s_bench.results.statistics import Estimate

_HEADER = (
    "arm",
    "kept labels as training gold has them",
    "better than training gold: of rows kept",
    "dropped",
    "all of the pool",
    "right where they differ: of rows kept",
    "dropped",
    "all of the pool",
)
_NOTE = (
    "Better than training gold: the share of rows whose weak label is another than training gold, and right. Right where they "
    "differ: the share of right labels among those that are another. Rows drawn blindly have, in expectation, what all of the pool "
    "has. Means over seeds."
)


def beyond_gold(domain: DomainSummary, arms: Mapping[str, Entry]) -> list[str]:
    """The blocks about it; none where training gold is what grades."""
    if domain.training_gold_accuracy is None:
        return []
    title = f"### Beyond the training gold of {escape(domain.name)}"
    told = (
        f"What is learned from is not what grades here: of the pool's training gold {number(domain.training_gold_accuracy, 3)} is "
        f"right. Teacher, `{CEILING}`, gold controls and trust functions of the trust set learn from training gold; accuracies, purity, "
        f"AUROC and oracles are by the answer that grades. PGR 1 is a student trained on training gold, and can be surpassed."
    )
    rows = []
    for arm, entry in arms.items():
        if TRAINING_PURITY in entry.diagnostics:
            figures = (entry.diagnostics.get(name) for name in (TRAINING_PURITY, *BETTER, *RIGHT_WHERE_DIFFERENT))
            rows.append([escape(arm), *(number(value, 3) for value in figures)])
    blocks = [title, f"{told} {_surpassing(arms)}"]
    return [*blocks, table(_HEADER, rows), _NOTE] if rows else blocks


def _surpassing(arms: Mapping[str, Entry]) -> str:
    """Which arms have a PGR above 1, and of which the interval says so too."""
    above = {
        arm: entry.pgr
        for arm, entry in arms.items()
        if entry.role != "reference" and isinstance(entry.pgr, Estimate) and entry.pgr.value > 1
    }
    if not above:
        return "No arm's PGR is above 1."
    clear = [escape(arm) for arm, pgr in above.items() if pgr.low > 1]
    others = [escape(arm) for arm, pgr in above.items() if pgr.low <= 1]
    said = [f"PGR is above 1, with its whole interval, of {', '.join(clear)}."] if clear else []
    said += [f"PGR is above 1, with an interval that reaches 1, of {', '.join(others)}."] if others else []
    return " ".join(said)
