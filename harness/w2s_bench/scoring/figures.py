"""The figures of a report, for programs and for people."""

from __future__ import annotations

import numpy as np

from w2s_bench.plugins.installation import running_version
from w2s_bench.protocol.guarantees import binomial_lower, binomial_upper
from w2s_bench.results.statistics import selective
from w2s_bench.results.statistics.scores import auroc
from w2s_bench.scoring.outcome import Of, Scored
from w2s_bench.scoring.selecting import SHOWN, purity_at
from w2s_bench.types import JSON, BoolArray, FloatArray


def summary_of(scored: Scored) -> dict[str, JSON]:
    """The figures of a report, for programs."""
    asked, labels = scored.asked, scored.labels
    goal = asked.goal
    return {
        "schema": "w2s-bench/score/1",
        "w2s_bench": running_version(),
        "plugins": dict(scored.versions),
        "labels": labels.table.name,
        "rows": labels.count,
        "kind": labels.kind,
        "signals": sorted(labels.shapes),
        "trust_set": {
            "rows": len(labels.trust),
            "right": sum(bool(row.right) for row in labels.trust),
            "in_pool": not labels.outside,
            "taught": scored.learnt_from,
        },
        "goal": {"keep": goal.keep, "purity": goal.purity, "confidence": goal.confidence, "guarantee": goal.method},
        "seed": asked.seed,
        "kept": int(scored.kept.sum()),
        "known_wrong": scored.functions[0].kept.known_wrong,
        "functions": [_of_function(of, goal.confidence) for of in scored.functions],
        "failed": dict(scored.faults),
        "seconds": round(scored.seconds, 1),
    }


def _of_function(of: Of, confidence: float) -> dict[str, JSON]:
    certified = of.kept.certified
    told: dict[str, JSON] = {
        "name": of.wanted.spec,
        "track": of.wanted.supervision,
        "scope": of.wanted.scope,
        "judged_by": len(of.trust),
        "auroc": auroc(of.trust, of.right) if len(of.trust) else None,
        "purity_at": {f"{c:g}": purity_at(c, of.pool, of.trust, of.right, confidence) for c in SHOWN},
        "kept": int(of.kept.rows.sum()),
        "known_wrong": of.kept.known_wrong,
        "drawn_by_lot": of.kept.drawn,
    }
    if certified is not None:
        told["certified"] = {
            "threshold": certified.threshold,
            "purity": certified.purity,
            "above": certified.above,
            "right": certified.right,
            "why": certified.why,
        }
    if is_probability(of) and len(of.trust):
        told["brier"] = float(((of.trust - of.right) ** 2).mean())
        told["ece"] = calibration_error(of)
    return told


def is_probability(of: Of) -> bool:
    """Whether all scores lie in [0, 1]."""
    return len(of.pool) > 0 and bool(of.pool.min() >= 0 and of.pool.max() <= 1)


def calibration_error(of: Of) -> float:
    """Expected calibration error over the trust set, in the bins of `calibration_of`: 0 to 1, 0 is best."""
    return selective.calibration_error(of.trust, of.right, _bins_for(len(of.trust)))


def calibration_of(scores: FloatArray, right: BoolArray) -> list[tuple[float, float, float, float, int]]:
    """(mean score, share of right labels, its 95 % interval's ends, rows) of bins of equally many rows; equal scores share one."""
    if not len(scores):
        return []
    bins_found = []
    for one in selective.reliability(scores, right, _bins_for(len(scores))):
        good, rows = np.array([round(one.right * one.rows)]), np.array([one.rows])
        low, high = float(binomial_lower(good, rows, 0.025)[0]), float(binomial_upper(good, rows, 0.025)[0])
        bins_found.append((one.score, one.right, low, high, one.rows))
    return bins_found


def _bins_for(rows: int) -> int:
    """As many as a cell's calibration error has, fewer where a small trust set would leave a bin less than ten rows."""
    return max(1, min(selective.BINS, rows // 10))
