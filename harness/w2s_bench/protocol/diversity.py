"""Trust scores and embeddings → rows that differ: facility location within the trusted half of the pool. No gold is behind it."""

from __future__ import annotations

import heapq
from typing import Final

import numpy as np

from w2s_bench.coverage import count_to_keep
from w2s_bench.protocol.evidence.readings.base import array_of
from w2s_bench.protocol.files import PREDICTIONS, READING
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.protocol.selection import top_ids
from w2s_bench.randomness import hash_rank
from w2s_bench.record import iter_rows, read_arrays
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import FloatArray, IntArray, Need

#: What an item is embedded as: the untuned student's states at the end of the prompt, of which the middle layer is taken. It has
#: not read the label, so that rows differ by what is asked, and not by what the teacher answered.
EMBEDDING: Final = Need("student", "prompt_states", layers="middle")
#: The part of the pool that is trusted, by the scores.
TRUSTED: Final = 0.5
#: Decimals of a gain, of which rows that stand for others well have hundreds: last digits are not what chooses.
_DECIMALS = 9
#: Numbers of the similarities that are held at once; of 50,000 rows all would take 20 GB.
_AT_ONCE = 8_000_000


def diverse(scores: Stage, embeddings: Stage, labels: Stage, *, coverage: float, seed: int, label: str = "") -> Stage:
    """Stage: k = ⌊coverage · n⌋ rows of the trusted half that stand for it: facility location, greedily.

    `embeddings` is a reading of `EMBEDDING` of `labels`. From a coverage of a half on, these are the rows that `top` keeps.
    """
    inputs = {"scores": scores, "embeddings": embeddings, "labels": labels}
    return Stage(run_diverse, {"coverage": coverage, "seed": seed}, inputs, label=label)


@stage("diverse", version=1)
def run_diverse(context: StageContext) -> None:
    """The trusted half by score, ties by a seeded hash of the id; of it the rows that facility location takes, ties by that hash."""
    scores, seed = Scores.read(context.inputs["scores"]), context.params["seed"]
    wanted = count_to_keep(context.params["coverage"], len(scores))
    trusted = top_ids(scores, max(wanted, count_to_keep(TRUSTED, len(scores))), seed)
    rows = {row["id"]: place for place, row in enumerate(iter_rows(context.inputs["labels"] / PREDICTIONS))}
    states = array_of(read_arrays(context.inputs["embeddings"] / READING))
    states = states[:, states.shape[1] // 2].astype(np.float64)
    by_hash = sorted(trusted, key=lambda name: hash_rank("tie", seed, name))
    # What all prompts have in common is taken out, else every two states of a language model are much alike.
    centred = states[[rows[name] for name in by_hash]] - states.mean(0)
    Kept.whole(sorted(by_hash[row] for row in facility_location(centred, wanted)), wanted).write(context.out)


def facility_location(embeddings: FloatArray, count: int) -> IntArray:
    """(count,) rows of (n, d) `embeddings`, the first chosen first, by the lazy greedy algorithm; equal gains: the first row.

    f(S) = Σ_i max_{j ∈ S} s(i, j) over all n rows, with s = (1 + cos) / 2 in [0, 1] (of a row of zeros and any other: 1/2), is what
    is raised most at each step. f is monotone, submodular and 0 of nothing, so that f of what is returned is at least 1 − (1 − 1/n)^n
    > 1 − 1/e of the greatest that `count` rows can have (Nemhauser, Wolsey & Fisher 1978). A row's gain only falls as others are
    chosen, so that one is computed anew where it may be the greatest alone (Minoux 1978). Time: n² d numbers, and n d for every gain
    that is computed anew; memory: n d.
    """
    n = len(embeddings)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    units = np.divide(embeddings, lengths, out=np.zeros_like(embeddings), where=lengths > 0)
    served = np.zeros(n)  # how well each row is stood for
    at_once = max(1, _AT_ONCE // max(n, 1))
    blocks = [_similarities(units, slice(start, start + at_once)).sum(0) for start in range(0, n, at_once)]
    # By the number of rows chosen when it was computed: a bound from above ever after.
    gains = np.concatenate([*blocks, np.zeros(0)]).round(_DECIMALS)
    bounds = [(-gain, row, 0) for row, gain in enumerate(gains.tolist())]
    heapq.heapify(bounds)
    chosen: list[int] = []
    while len(chosen) < min(count, n):
        _, row, known_at = heapq.heappop(bounds)
        similar = _similarities(units, slice(row, row + 1))[:, 0]
        if known_at < len(chosen):
            gain = round(float(np.maximum(similar - served, 0.0).sum()), _DECIMALS)
            heapq.heappush(bounds, (-gain, row, len(chosen)))
            continue
        chosen.append(row)
        np.maximum(served, similar, out=served)
    return np.array(chosen, dtype=np.int64)


def _similarities(units: FloatArray, of: slice) -> FloatArray:
    """(n, m) of all rows to some; `units` have the length 1 or 0."""
    similar: FloatArray = (1.0 + units @ units[of].T) / 2
    return np.clip(similar, 0.0, 1.0)
