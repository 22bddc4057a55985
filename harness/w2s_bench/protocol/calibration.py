"""Trust scores with some rows of gold beside them that no score has learnt from: what a guarantee is calibrated on.

A function that learns is fitted on one half of the trust set; the other half calibrates. One that learns from nothing leaves all
of it. Rows that calibrate are scored as the pool's are, by the same function: those of scope `pool` see both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.random import Generator

from w2s_bench.errors import TrustFunctionError
from w2s_bench.isolation.watch import left_as_found, unchanged
from w2s_bench.protocol.crossfit import concatenated
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.evidence.readings.base import arranged
from w2s_bench.protocol.evidence.view import EvidenceView, ShownAs, opaque_id, read_only, shown_as_of
from w2s_bench.protocol.files import CALIBRATION, ITEMS, PREDICTIONS, READING
from w2s_bench.protocol.scores import Scores
from w2s_bench.protocol.slices import grouped
from w2s_bench.protocol.trust import Labelled, built, check_plugin_unchanged, guarded, scored, shown_as, validated
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_arrays, read_records, write_json
from w2s_bench.store.stage import Code, Stage, StageContext, stage
from w2s_bench.types import GOLD_READERS, Item, Need, Prediction, Supervision


def held_out(
    function: Mapping[str, Any],
    pool: Labelled,
    trust: Labelled,
    *,
    salt: str,
    seed: int,
    half: int,
    libraries: tuple[str, ...],
    seconds: float,
    label: str = "",
) -> Stage:
    """Stage: a trust score for every row of the pool, and for the rows of the trust set that calibrate.

    As `trust.score`; `half` is the seed by which the trust set is cut. Of a function that learns from nothing, `trust` has no
    grades, and this stage no gold behind it.
    """
    params: dict[str, Any] = {"function": function, "salt": salt, "seed": seed, "half": half}
    if pool.shown_as:
        params["readings"] = shown_as(pool)
    return Stage(
        run_held_out,
        params,
        pool.inputs("pool") | trust.inputs("trust"),
        libraries,
        label,
        seconds=seconds,
        code=Code("trust", function["name"], function["supervision"]),
    )


def halves(items: Sequence[Item], seed: int) -> tuple[list[str], list[str]]:
    """The ids of the half of a trust set that is learnt from, and of the other. Groups are whole, in an order by a seeded hash."""
    groups = grouped((item.id, item.group) for item in items)
    if len(groups) < 2:
        raise TrustFunctionError(
            f"a trust set of {len(items)} items in {len(groups)} group cannot be cut into a half to learn from and one that "
            "calibrates; give it more items, or take a trust function of track none"
        )
    learnt: list[str] = []
    order = sorted(groups, key=lambda name: hash_rank("half", seed, name))
    for group in order[:-1]:
        if learnt and 2 * (len(learnt) + len(groups[group])) > len(items) + 1:
            continue  # a large one does not fit; smaller ones after it may
        learnt += groups[group]
    first = set(learnt)
    return sorted(learnt), sorted(item.id for item in items if item.id not in first)


@stage("held_out_scores", version=2)
def run_held_out(context: StageContext) -> None:
    name, supervision = context.params["function"]["name"], context.params["function"]["supervision"]
    check_plugin_unchanged(context)
    function = built(context)
    fit_rng, score_rng, calibration_rng = (
        np.random.default_rng(s) for s in np.random.SeedSequence(context.params["seed"]).spawn(3)
    )
    needs = guarded(name, "needs", lambda: tuple(function.needs))
    rows = _Rows(context, needs)
    items = read_records(context.inputs["trust:items"] / ITEMS, Item)
    calibrate = sorted(item.id for item in items)
    inputs = tuple(context.inputs.values())
    if supervision != "none":
        learnt, calibrate = halves(items, context.params["half"])
        grades = read_grades(context.inputs["trust:grades"])
        evidence, ids = rows.shown([("trust", learnt)], fitting=True)
        correct = read_only(np.array([grades[i] for i in ids], dtype=np.bool_))
        with (
            left_as_found(name, "fit", inputs),
            unchanged(name, "fit", label_index=evidence.label_index, correct=correct),
        ):
            guarded(name, "fit", lambda: function.fit(evidence, correct, rng=fit_rng))
    if guarded(name, "scope", lambda: function.scope) == "row":
        pool = scored(context, function, needs, score_rng)
        calibration = _scored(context, rows.shown([("trust", calibrate)]), function.score, calibration_rng)
    else:
        everything = [row.id for row in read_records(context.inputs["pool:labels"] / PREDICTIONS, Prediction)]
        together = _scored(context, rows.shown([("pool", everything), ("trust", calibrate)]), function.score, score_rng)
        kept = set(calibrate)
        pool = Scores.of(
            [i for i in together if i not in kept], np.array([together[i] for i in together if i not in kept])
        )
        calibration = {i: together[i] for i in calibrate}
    check_plugin_unchanged(context)
    pool.write(context.out)
    write_json(context.out / CALIBRATION, {i: calibration[i] for i in calibrate})


def _scored(
    context: StageContext, shown: tuple[EvidenceView, list[str]], score: Callable[..., Any], rng: Generator
) -> dict[str, float]:
    """Id → score of the rows of one view."""
    name, (evidence, ids) = context.params["function"]["name"], shown
    with left_as_found(name, "score", tuple(context.inputs.values())):
        with unchanged(name, "score", label_index=evidence.label_index):
            given = guarded(name, "score", partial(score, evidence, rng=rng))
        values = validated(name, given, len(evidence))
    return dict(zip(ids, values.tolist(), strict=True))


class _Rows:
    """Views of rows of both splits, under the ids that the pool's have."""

    def __init__(self, context: StageContext, needs: Sequence[Need]) -> None:
        self._inputs, self._needs, self._salt = context.inputs, needs, context.params["salt"]
        self._shown_as = {need: ShownAs(**shown) for need, shown in context.params.get("readings", {}).items()}

    def shown(
        self, parts: Sequence[tuple[str, Sequence[str]]], *, fitting: bool = False
    ) -> tuple[EvidenceView, list[str]]:
        """The evidence on rows of one split or more, given as (split, ids), and the ids behind its rows in their order."""
        items: list[Item] = []
        labels: list[Prediction] = []
        places: dict[str, list[int]] = {}
        for split, ids in parts:
            wanted = set(ids)
            items += [item for item in read_records(self._inputs[f"{split}:items"] / ITEMS, Item) if item.id in wanted]
            there = read_records(self._inputs[f"{split}:labels"] / PREDICTIONS, Prediction)
            places[split] = [index for index, label in enumerate(there) if label.id in wanted]
            labels += [there[index] for index in places[split]]
        salt = f"{self._salt} {'trust' if fitting else 'pool'}"
        arrays = {}
        for need in self._needs:
            paths = {split: self._inputs.get(f"{split}:{need}") for split in places}
            stored = {split: path for split, path in paths.items() if path is not None}
            if len(stored) < len(paths):
                continue
            form = shown_as_of(need, self._shown_as).form
            read = [arranged(form, read_arrays(path / READING), places[split], None) for split, path in stored.items()]
            arrays[need] = read[0] if len(read) == 1 else concatenated(form, read)
        evidence = EvidenceView(
            items,
            labels,
            salt=salt,
            declared=self._needs,
            arrays=arrays,
            shown_as=self._shown_as,
            fitting=fitting,
        )
        return evidence, sorted((label.id for label in labels), key=lambda name: opaque_id(salt, name))


def not_applicable(supervision: Supervision, needs: Sequence[Need], elsewhere: str | None = None) -> str | None:
    """Why no part of a trust set can calibrate a function's scores; None where it can. `elsewhere`: whose trust set it is."""
    if elsewhere is not None:
        return f"the trust set is of {elsewhere}, and what is certified there is not guaranteed of other items"
    if supervision == "privileged":
        return "it sees the gold of the pool, of which nothing is left to be guaranteed"
    if learnt := [str(need) for need in needs if need.of in GOLD_READERS]:
        return (
            f"its {', '.join(learnt)} comes of models that learnt from the whole trust set, so that no gold is left which its "
            "scores have not learnt from; take one that reads teacher or student"
        )
    return None
