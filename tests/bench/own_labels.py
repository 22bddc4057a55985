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

from known_truth import Label, auroc, tables
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import guarantees
from w2s_bench.scoring.functions import chosen
from w2s_bench.scoring.outcome import Asked, Scored
from w2s_bench.scoring.schema import Columns
from w2s_bench.scoring.score import outcome_of, prepared, silent
from w2s_bench.scoring.selecting import Goal

WEAK = "6b_verification"
TRUST_SETS = 200
Rows = list[dict[str, Any]]


def final(solution: str) -> str:
    found = re.findall(r"A:\s*(.+)\s*$", solution.strip())
    return re.sub(r"[,$ ]", "", found[-1]).rstrip(".") if found else "none"


def files(items: Rows, name: str) -> tuple[Rows, Rows, Any]:
    """`text` and `votes` of an annotator's labels, and which are right; the other annotators are evidence of both.

    Options of `votes` are filled up to one number: how many differ would tell how far the annotators agree.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    names = annotators(items)
    solutions, others = [item[name]["solution"] for item in items], [other for other in names if other != name]
    counts = TfidfVectorizer(sublinear_tf=True, min_df=3, ngram_range=(1, 2)).fit_transform(solutions)
    states = TruncatedSVD(32, random_state=0).fit_transform(counts)
    answers = [{other: final(item[other]["solution"]) for other in others} for item in items]
    agree = np.array([[final(s) == other for other in own.values()] for s, own in zip(solutions, answers, strict=True)])
    states = np.hstack([states / states.std(0), 2.0 * agree])
    right = [bool(item[name]["is_correct"]) for item in items]
    text, votes = [], []
    for n, (item, solution, own) in enumerate(zip(items, solutions, answers, strict=True)):
        named, label = {"id": f"q{n}", "prompt": item["question"], "correct": right[n]}, final(solution)
        text.append(named | {"label": solution, "embedding": states[n].tolist()})
        options = [*dict.fromkeys([label, *own.values()]), *(f"none of these {n}" for n in range(len(names)))]
        votes.append(named | {"label": label, "options": options[: len(names) + 1], "votes": [*own.values()]})
    return text, votes, np.array(right)


def annotators(items: Rows) -> list[str]:
    return [name for name, value in items[0].items() if isinstance(value, dict)]


def with_stand_ins(items: Rows, name: str) -> dict[str, Rows]:
    """The other annotators in the places of what a run would make: samples of the teacher, an untuned and a cross-fitted student.

    The untuned student is the one of the other size and the same training, the cross-fitted one the next in the file's order. Each
    has the probabilities that its answer as the only vote gives.
    """
    text, votes, _ = files(items, name)
    names = annotators(items)
    after = [names[(names.index(name) + step) % len(names)] for step in range(1, len(names))]
    peers = {"student_probs": after[(len(after) - 1) // 2], "student_cv.choice_probs": after[0]}
    for item, of_text, of_votes in zip(items, text, votes, strict=True):
        of_text["samples"] = [item[other]["solution"] for other in after]
        for column, who in peers.items():
            of_votes[column] = one_vote(final(item[who]["solution"]), of_votes["options"])
    return {"text": text, "votes": votes}


def one_vote(answer: str, options: list[str]) -> list[float]:
    """As `w2s-bench score` makes probabilities of votes: with one more vote parted among all options."""
    return [((option == answer) + 1 / len(options)) / 2 for option in options]


def scored(rows: Rows, gold: Any, trust: str, count: int, goal: Goal, seed: int) -> Scored:
    """With gold of `count` random rows as the trust set."""
    drawn = set(np.random.default_rng(seed).choice(len(rows), count, replace=False).tolist())
    given = [row | {"correct": bool(gold[n]) if n in drawn else None} for n, row in enumerate(rows)]
    columns = {"student_embedding": "embedding"} if "embedding" in rows[0] else {}
    asked, registry = Asked(given, Columns.of(columns), (trust,), goal=goal, seed=seed), Registry.load()
    labels, available = prepared(asked, silent)
    wanted = chosen(registry, asked.trust, available, [bool(row.right) for row in labels.trust])
    return outcome_of(registry, asked, labels, available, wanted, silent, time.monotonic())


def checked(rows: Rows, gold: Any, trust: str, count: int) -> Iterator[str]:
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
        broken = "–" if name == "conformal" else f"{violated.mean():.1%}"  # it promises the average alone
        figures = f"{kept.mean():.1%} | {1 - some.mean():.1%} | {broken} | {wrong.mean():.3f} | {pure}"
        yield f"| `{trust}`, {count} | {wanted} | {name} | {figures} |"


def main(path: Path) -> None:
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    text, votes, gold = files(items, WEAK)
    for name, rows in (("text", text), ("votes", votes)):
        for of in scored(rows, gold, "all", 300, Goal(), 0).functions:
            if of.wanted.learns:
                label = Label(of.pool, gold, [row["id"] for row in rows])
                area = "{:.3f} ± {:.3f}".format(*auroc([label]))
                pure = f"{label.purity(0.5):.3f} | {label.purity(0.2):.3f}"
                print(f"| `{of.wanted.spec}` | {name} | {area} | {pure} |", flush=True)
    own = {name: with_stand_ins(items, name) for name in annotators(items)}
    for signals in own[WEAK]:
        columns = {"student_embedding": "embedding"} if signals == "text" else {}
        told = tables({name: of[signals] for name, of in own.items()}, columns)
        print(f"\nLearning from nothing, of signals {signals!r}", *told, sep="\n", flush=True)
    for rows, trust, count in ((votes, "confidence", 200), (votes, "confidence", 400), (text, "mass_mean", 400)):
        print(*checked(rows, gold, trust, count), sep="\n", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
