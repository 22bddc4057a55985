"""What a suite must show to be worth filtering in: one entry a check. And which arms show too much."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from w2s_bench.controls import BASE, CEILING, GOLD_TRUST_SET, NAIVE, ORACLE, WEAK
from w2s_bench.names import parted
from w2s_bench.results.board import Check, Figure
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.seed_results import LABEL_PROBABILITY_AUROC
from w2s_bench.results.statistics import Estimate, Unresolved


@dataclass(frozen=True)
class Requirement:
    """A check: its `name` in JSON, its `words` for people, the `figure` that shows it, and whether a figure does."""

    name: str
    words: str
    figure: Callable[[Comparison], Figure]
    shown: Callable[[Figure], bool]

    def of(self, domain: Comparison) -> Check:
        """The check of one domain; without a figure it cannot be told."""
        figure = self.figure(domain)
        return Check(figure, None if figure is None or isinstance(figure, Unresolved) else self.shown(figure))


def _above_zero(figure: Figure) -> bool:
    return isinstance(figure, Estimate) and figure.low > 0


#: An AUROC above this is a sign of gold, where an arm should have none of the pool's.
BELIEVABLE_AUROC: Final = 0.99


def suspects(domain: Comparison) -> Mapping[str, str]:
    """Trust function of a track below `privileged` → what it should not be able to: only right rows, or almost all pairs in order.

    Where all labels are right (label source `scarce`) only right rows are no sign.
    """
    teacher = domain.cells.get(WEAK)
    sound = {s.seed for s in (teacher.body.seeds if teacher else ()) if s.diagnostics.get("label_accuracy") == 1.0}
    reasons = {}
    for arm, cell in domain.cells.items():
        if cell.body.arm.role != "trust_function" or cell.body.arm.supervision == "privileged":
            continue
        seeds = cell.body.seeds
        pure = [str(s.seed) for s in seeds if s.purity == 1.0 and s.seed not in sound]
        sharp = [str(s.seed) for s in seeds if (s.diagnostics.get("auroc") or 0.0) > BELIEVABLE_AUROC]
        said = [f"every row that it keeps is right (seed {', '.join(pure)})"] if pure else []
        said += [f"AUROC is above {BELIEVABLE_AUROC} (seed {', '.join(sharp)})"] if sharp else []
        if said:
            reasons[arm] = " and ".join(said)
    return reasons


def to_audit(arm: str, suite: str) -> str:
    """The command that tells whether gold reaches a suspect; of an arm with another selection or objective, its trust function."""
    made = parted(arm)
    name = made[1] if made else arm
    # What a shell or a page might read otherwise is for the reader to write.
    name = name if re.fullmatch(r"[0-9A-Za-z._/=,:+-]+", name) else "NAME"
    return f"w2s-bench audit {name} --suite {suite}"


CHECKS: Final = (
    Requirement(
        "gap",
        f"{CEILING} − {WEAK}, accuracy: there is a gap to close",
        lambda domain: domain.accuracy_difference(CEILING, WEAK),
        _above_zero,
    ),
    Requirement(
        "ceiling_over_base",
        f"{CEILING} − {BASE}, accuracy: ground truth teaches the student something",
        lambda domain: domain.accuracy_difference(CEILING, BASE),
        _above_zero,
    ),
    Requirement(
        "naive_pgr",
        f"PGR of {NAIVE}: the student outdoes its teacher without any filter",
        lambda domain: domain.pgr(NAIVE),
        _above_zero,
    ),
    Requirement(
        "oracle_pgr",
        f"PGR of {ORACLE}: right labels alone close part of the gap",
        lambda domain: domain.pgr(ORACLE),
        _above_zero,
    ),
    Requirement(
        "oracle_minus_naive",
        f"{ORACLE} − {NAIVE}, PGR: a filter has something to win",
        lambda domain: domain.difference(ORACLE, NAIVE),
        _above_zero,
    ),
    Requirement(
        "oracle_minus_gold_trust_set",
        f"{ORACLE} − {GOLD_TRUST_SET}, PGR: the trust set's gold alone is not enough",
        lambda domain: domain.difference(ORACLE, GOLD_TRUST_SET),
        _above_zero,
    ),
    Requirement(
        "oracle_shortfall",
        f"rows {ORACLE} lacks: enough weak labels are right",
        lambda domain: domain.shortfall(ORACLE),
        lambda figure: figure == 0,
    ),
    Requirement(
        LABEL_PROBABILITY_AUROC,
        "AUROC of the teacher's own label probability is above 0.5",
        lambda domain: domain.of_labels(LABEL_PROBABILITY_AUROC),
        lambda figure: isinstance(figure, float) and figure > 0.5,
    ),
)
