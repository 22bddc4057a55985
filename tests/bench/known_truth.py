"""Unsupervised trust functions on labels whose truth is known: `python tests/bench/known_truth.py MINE.jsonl THEIRS.jsonl`.

Each file holds one annotator's labels, with the columns of docs/score.md and `correct` in every row, which no function sees. Files
whose ids agree are of the same items, so that an item's labels are one cluster of the standard errors. `own_labels.py` calls `tables`.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench.plugins.registry import Registry
from w2s_bench.results.statistics.scores import mean_ranks
from w2s_bench.scoring.functions import ALL, chosen, installed
from w2s_bench.scoring.outcome import Asked
from w2s_bench.scoring.schema import Columns
from w2s_bench.scoring.score import outcome_of, prepared, silent
from w2s_bench.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Label:
    """A function's scores of one annotator's n labels, whether each is right, and the item it is of."""

    scores: FloatArray
    right: BoolArray
    items: Sequence[str]

    def purity(self, coverage: float) -> float:
        """Of the most trusted share, ties by expectation."""
        count = int(coverage * len(self.right))
        lowest = np.sort(self.scores)[-count]
        above, tied = self.scores > lowest, self.scores == lowest
        return float((self.right[above].sum() + (count - above.sum()) * self.right[tied].mean()) / count)

    def influence(self) -> tuple[float, FloatArray]:
        """AUROC, and each label's part (n,) in its error: DeLong's placements, whose sum is 0."""
        right, ranks, inside = self.right, mean_ranks(self.scores), np.empty(len(self.right))
        for side in (True, False):
            inside[right == side] = mean_ranks(self.scores[right == side])
        count = np.where(right, right.sum(), (~right).sum())
        beaten = (ranks - inside) / (len(right) - count)  # share of the other side that lies below, ties half
        placed = np.where(right, beaten, 1 - beaten)
        area = float(placed[right].mean())
        return area, (placed - area) / count


def auroc(labels: Sequence[Label]) -> tuple[float, float]:
    """Mean AUROC of the annotators, and its standard error over items: all labels of one item are drawn together."""
    areas, of_item = [], defaultdict[str, float](float)
    for label in labels:
        area, parts = label.influence()
        areas.append(area)
        for item, part in zip(label.items, parts.tolist(), strict=True):
            of_item[item] += part / len(labels)
    sums = np.array([*of_item.values()])
    return float(np.mean(areas)), float(np.sqrt(len(sums) / (len(sums) - 1) * (sums @ sums)))


def unsupervised(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]
) -> tuple[dict[str, Label], dict[str, str]]:
    """Function → its scores, of every installed one of track none that applies; and of the others what they lack."""
    blind = [{name: value for name, value in row.items() if name not in ("correct", "gold")} for row in rows]
    asked, registry = Asked(blind, Columns.of(columns), (ALL,)), Registry.load()
    labels, available = prepared(asked, silent)
    wanted = chosen(registry, asked.trust, available, [])
    scored = outcome_of(registry, asked, labels, available, wanted, silent, time.monotonic())
    right, items = np.array([row["correct"] for row in rows], dtype=np.bool_), [str(row["id"]) for row in rows]
    lacking = {
        of.spec: "; ".join(of.lacks)
        for of in installed(registry, available, [])
        if of.supervision == "none" and of.lacks
    }
    return {of.wanted.spec: Label(of.pool, right, items) for of in scored.functions}, lacking | dict(scored.faults)


def tables(annotators: Mapping[str, Sequence[Mapping[str, Any]]], columns: Mapping[str, str]) -> Iterator[str]:
    """Markdown: a row a function, by mean AUROC, and a column an annotator; then what the functions that do not apply lack."""
    found, lacking = defaultdict[str, dict[str, Label]](dict), dict[str, str]()
    for name, rows in annotators.items():
        of_annotator, lacks = unsupervised(rows, columns)
        lacking |= lacks
        for spec, label in of_annotator.items():
            found[spec][name] = label
    yield f"| trust function | {' | '.join(annotators)} | mean of AUROC |"
    yield "|---" * (len(annotators) + 2) + "|"
    for spec, by_name in sorted(found.items(), key=lambda pair: -auroc([*pair[1].values()])[0]):
        cells = [_told(by_name[name]) if name in by_name else "–" for name in annotators]
        yield f"| `{spec}` | {' | '.join(cells)} | {'{:.3f} ± {:.3f}'.format(*auroc([*by_name.values()]))} |"
    by_lack = defaultdict[str, list[str]](list)
    for spec, lack in sorted(lacking.items()):
        by_lack[lack].append(spec)
    yield from (f"do not apply for want of {lack}: {', '.join(specs)}" for lack, specs in sorted(by_lack.items()))


def _told(label: Label) -> str:
    """AUROC ± its standard error, purity at half and at a fifth of the labels."""
    return "{:.3f} ± {:.3f}".format(*auroc([label])) + f"; {label.purity(0.5):.3f}, {label.purity(0.2):.3f}"


def main(paths: Sequence[str]) -> None:
    read = {Path(path).stem: Path(path).read_text(encoding="utf-8").splitlines() for path in paths}
    print(*tables({name: [json.loads(line) for line in lines] for name, lines in read.items()}, {}), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
