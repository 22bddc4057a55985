"""What a board says of each of its domains, whether its means are over it among the rest."""

from __future__ import annotations

from w2s_bench.controls import CEILING, WEAK, of_role
from w2s_bench.names import short
from w2s_bench.results.board import DomainSummary
from w2s_bench.results.checks import CHECKS, suspects
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.seed_results import TRAINING_GOLD_ACCURACY


def summary(name: str, domain: Comparison, of_seeds: int) -> DomainSummary:
    """Of one domain by its cells, on a board of `of_seeds` seeds; `left_out` says whether means are over it."""
    body = next(iter(domain.cells.values())).body
    return DomainSummary(
        name=name,
        version=body.domain.version,
        fingerprint=body.domain.fingerprint,
        teacher=f"{body.teacher.name} ({body.teacher.fingerprint[:12]})",
        student=f"{body.student.name} ({body.student.fingerprint[:12]})",
        items=max(cell.body.items for cell in domain.cells.values()),
        references={
            arm.name: domain.entry(arm.name, of_seeds) for arm in of_role("reference") if arm.name in domain.cells
        },
        gap=domain.accuracy_difference(CEILING, WEAK),
        label_accuracy=domain.of_labels("label_accuracy"),
        checks={check.name: check.of(domain) for check in CHECKS},
        clusters=domain.units(max(cell.body.items for cell in domain.cells.values())),
        discordant=domain.discordant(CEILING, WEAK),
        suspects=suspects(domain),
        trust_from=short(body.trust_from or ""),
        training_gold_accuracy=domain.of_labels(TRAINING_GOLD_ACCURACY),
    )
