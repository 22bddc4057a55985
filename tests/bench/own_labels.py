"""The figures of docs/score.md: `python tests/bench/own_labels.py example_model_solutions.jsonl` (openai/grade-school-math).

Half an hour on one processor, nearly all of it the guarantee of a function that learns, fitted anew on 200 trust sets.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import guarantees
from w2s_bench.results.statistics.scores import auroc
from w2s_bench.scoring.functions import chosen
from w2s_bench.scoring.outcome import Asked, Scored
from w2s_bench.scoring.schema import Columns
from w2s_bench.scoring.score import outcome_of, prepared, silent
from w2s_bench.scoring.selecting import Goal

WEAK, OTHERS = "6b_verification", ("6b_finetuning", "175b_finetuning", "175b_verification")
TRUST_SETS = 200


def final(solution: str) -> str:
    found = re.findall(r"A:\s*(.+)\s*$", solution.strip())
    return re.sub(r"[,$ ]", "", found[-1]).rstrip(".") if found else "none"


def files(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Any]:
    """`text` and `votes`, and which labels are right."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    solutions = [item[WEAK]["solution"] for item in items]
    counts = TfidfVectorizer(sublinear_tf=True, min_df=3, ngram_range=(1, 2)).fit_transform(solutions)
    states = TruncatedSVD(32, random_state=0).fit_transform(counts)
    answers = [[final(item[other]["solution"]) for other in OTHERS] for item in items]
    agree = np.array([[final(s) == other for other in own] for s, own in zip(solutions, answers, strict=True)])
    states = np.hstack([states / states.std(0), 2.0 * agree])
    text, votes = [], []
    for n, (item, solution, own) in enumerate(zip(items, solutions, answers, strict=True)):
        named, label = {"id": f"q{n}", "prompt": item["question"]}, final(solution)
        text.append(named | {"label": solution, "embedding": states[n].tolist()})
        votes.append(
            named | {"label": label, "options": list(dict.fromkeys([label, *own, "none of these"])), "votes": own}
        )
    return text, votes, np.array([item[WEAK]["is_correct"] for item in items])


def scored(rows: list[dict[str, Any]], gold: Any, trust: str, count: int, goal: Goal, seed: int) -> Scored:
    """With gold of `count` random rows as the trust set."""
    drawn = set(np.random.default_rng(seed).choice(len(rows), count, replace=False).tolist())
    given = [row | ({"correct": bool(gold[n])} if n in drawn else {}) for n, row in enumerate(rows)]
    columns = {"student_embedding": "embedding"} if "embedding" in rows[0] else {}
    asked, registry = Asked(given, Columns.of(columns), (trust,), goal=goal, seed=seed), Registry.load()
    labels, available = prepared(asked, silent)
    wanted = chosen(registry, asked.trust, available, [bool(row.right) for row in labels.trust])
    return outcome_of(registry, asked, labels, available, wanted, silent, time.monotonic())


def purity(scores: Any, gold: Any, coverage: float) -> float:
    """Of the most trusted share, ties by expectation."""
    count = int(coverage * len(gold))
    lowest = np.sort(scores)[-count]
    above, tied = scores > lowest, scores == lowest
    return float((gold[above].sum() + (count - above.sum()) * gold[tied].mean()) / count)


def checked(rows: list[dict[str, Any]], gold: Any, trust: str, count: int) -> Iterator[str]:
    """How each guarantee fares over random trust sets, at confidence .9."""
    tally: dict[tuple[float, str], list[tuple[float, ...]]] = {}
    for seed in range(TRUST_SETS):
        found = scored(rows, gold, trust, count, Goal(None, 0.8, 0.9), seed)
        (of,) = found.functions
        for wanted in (0.7, 0.8, 0.9):
            for name, method in guarantees.METHODS.items():
                certified = method(of.trust, of.right, of.pool[~found.in_trust], purity=wanted, confidence=0.9)
                kept = of.pool >= (np.inf if certified.threshold is None else certified.threshold)
                share = float(gold[kept].mean()) if kept.any() else np.nan
                blind = kept & ~found.in_trust
                wrong = 1 - gold[blind].mean() if blind.any() else 0.0
                tally.setdefault((wanted, name), []).append(
                    (kept.mean(), kept.any(), share < certified.purity, wrong, share)
                )
    for (wanted, name), told in tally.items():
        kept, some, violated, wrong, share = np.array(told, dtype=np.float64).T
        pure = f"{np.nanmean(share):.3f}" if some.any() else "–"
        figures = f"{kept.mean():.1%} | {1 - some.mean():.1%} | {violated.mean():.1%} | {wrong.mean():.3f} | {pure}"
        yield f"| `{trust}`, {count} | {wanted} | {name} | {figures} |"


def main(path: Path) -> None:
    text, votes, gold = files(path)
    for name, rows in (("text", text), ("votes", votes)):
        for of in scored(rows, gold, "all", 300, Goal(), 0).functions:
            figures = " | ".join(
                f"{value:.3f}"
                for value in (auroc(of.pool, gold), purity(of.pool, gold, 0.5), purity(of.pool, gold, 0.2))
            )
            print(f"| `{of.wanted.spec}` | {of.wanted.supervision} | {name} | {figures} |", flush=True)
    for rows, trust, count in ((votes, "confidence", 200), (votes, "confidence", 400), (text, "mass_mean", 400)):
        print(*checked(rows, gold, trust, count), sep="\n", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
