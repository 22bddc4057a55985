"""Calls a trust function, guards it, and validates what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.random import Generator

from w2s_bench.errors import EvidenceError, NotApplicableError, TrustFunctionError, said
from w2s_bench.isolation.watch import left_as_found, unchanged
from w2s_bench.plugins.checks import raised_at
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.evidence.files import item_ids, view, views
from w2s_bench.protocol.evidence.view import ShownAs, read_only
from w2s_bench.protocol.files import READING
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import read_arrays
from w2s_bench.store.stage import Code, Stage, StageContext, stage
from w2s_bench.types import BoolArray, FloatArray, Need

T = TypeVar("T")

#: What a trust function may take, where a run sets no other limit: one that hangs must not hold everything up.
MOST_SECONDS = 3600.0
#: Rows that a function of scope "row" scores in one call, so that any pool fits into memory. Part of the stage's version:
#: another number may change the last bits of a sum.
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Labelled:
    """The stages a trust function's evidence on one split is made of. `grades` for the trust set, `gold` for the privileged.

    `shown_as` says how the readings of plugins are shown, by their needs as text.
    """

    subset: Stage
    labels: Stage
    readings: Mapping[Need, Stage]
    grades: Stage | None = None
    gold: Stage | None = None
    shown_as: Mapping[str, ShownAs] = field(default_factory=dict)

    def inputs(self, split: str) -> dict[str, Stage]:
        named: dict[str, Stage | None] = {
            "items": self.subset,
            "labels": self.labels,
            "grades": self.grades,
            "gold": self.gold,
        }
        named |= {str(need): stage for need, stage in self.readings.items()}
        return {f"{split}:{name}": stage for name, stage in named.items() if stage is not None}


def score(
    function: Mapping[str, Any],
    pool: Labelled,
    trust: Labelled | None,
    *,
    salt: str,
    seed: int,
    libraries: tuple[str, ...],
    fitted_on: str | None = None,
    label: str = "",
) -> Stage:
    """Stage: a trust score for every row of the pool. `function` is its name, parameters, supervision and plugin.

    `trust` is None exactly for supervision `none`: such a function has no path to the trust set's gold. `libraries` are
    those that the plugin computes with (`Registry.libraries`): a new version of one makes new scores. `fitted_on` names the
    domain that `trust` is of, where it is another than the pool's.
    """
    inputs = pool.inputs("pool") | (trust.inputs("trust") if trust else {})
    params: dict[str, Any] = {"function": function, "salt": salt, "seed": seed}
    if pool.shown_as:
        params["readings"] = shown_as(pool)
    if fitted_on is not None and trust is not None:
        params["fitted_on"] = fitted_on
    return Stage(
        run_score,
        params,
        inputs,
        libraries,
        label,
        seconds=MOST_SECONDS,
        code=Code("trust", function["name"], function["supervision"]),
    )


def not_applicable(labels: Stage, why: str, label: str = "") -> Stage:
    """Stage: fails, for a trust function that reads what there is none of."""
    return Stage(refuse_score, {"why": why}, {"labels": labels}, label=label)


def lacking(scores: Stage | None) -> str | None:
    """Why there are no scores, of a stage that `not_applicable` made; None of any other."""
    return None if scores is None or scores.name != refuse_score.name else str(scores.params["why"])


@stage("no_score", version=1)
def refuse_score(context: StageContext) -> None:
    raise NotApplicableError(context.params["why"])


def shown_as(pool: Labelled) -> dict[str, Any]:
    """What a stage is told of the readings of plugins: the process of a trust function knows nothing of them."""
    return {need: asdict(shown) for need, shown in sorted(pool.shown_as.items())}


def built(context: StageContext) -> Any:
    """The trust function that a stage's parameters name."""
    planned = context.params["function"]
    return context.registry.trust_function(planned["name"], **planned["parameters"])


@stage("score", version=2)
def run_score(context: StageContext) -> None:
    p = context.params
    name, inputs = p["function"]["name"], tuple(context.inputs.values())
    check_plugin_unchanged(context)
    function = built(context)
    fit_rng, score_rng = (np.random.default_rng(s) for s in np.random.SeedSequence(p["seed"]).spawn(2))
    needs = guarded(name, "needs", lambda: tuple(function.needs))
    if "fitted_on" in p:
        _refuse_unlike(context, needs)
    if p["function"]["supervision"] != "none":
        trust = view(context.inputs, "trust", needs, salt=p["salt"], fitting=True, shown_as=_shown_as(context))
        correct = _correct(context)
        with left_as_found(name, "fit", inputs), unchanged(name, "fit", label_index=trust.label_index, correct=correct):
            guarded(name, "fit", lambda: function.fit(trust, correct, rng=fit_rng))
    scores = scored(context, function, needs, score_rng)
    check_plugin_unchanged(context)  # once more: imports inside the function's code came from the disk only now
    scores.write(context.out)


def _refuse_unlike(context: StageContext, needs: Sequence[Need]) -> None:
    """States of one width, or none: what was learnt from others' says nothing of these."""
    for need in needs:
        paths = [context.inputs.get(f"{split}:{need}") for split in ("trust", "pool")]
        there, here = (None if path is None else _width(path) for path in paths)
        if there is not None and here is not None and there != here:
            raise NotApplicableError(
                f"trust_from: of one label {need} has the shape {there} in {context.params['fitted_on']}, and {here} here, where the "
                "models are others; take models of one architecture in both domains, or a trust function that reads no states"
            )


def _width(folder: Path) -> tuple[int, ...]:
    """The shape of a reading's entries, without how many rows, options or tokens there are."""
    arrays = read_arrays(folder / READING)
    return tuple(arrays["states" if "states" in arrays else "values"].shape[1:])


def scored(context: StageContext, function: Any, needs: Sequence[Need], rng: Generator) -> Scores:
    """The scores that a fitted function gives the pool, so many rows at a time as its scope lets it see."""
    p, name, inputs = context.params, context.params["function"]["name"], tuple(context.inputs.values())
    rows = ROWS_AT_ONCE if guarded(name, "scope", lambda: function.scope) == "row" else None
    parts: list[FloatArray] = []
    with left_as_found(name, "score", inputs):
        shown = views(
            context.inputs, "pool", needs, salt=p["salt"], fitting=False, rows=rows, shown_as=_shown_as(context)
        )
        for pool in shown:
            with unchanged(name, "score", label_index=pool.label_index):
                given = guarded(name, "score", partial(function.score, pool, rng=rng))
            parts.append(validated(name, given, len(pool)))
    names = item_ids(context.inputs, "pool", salt=p["salt"], rows=rows)
    return Scores.joined([Scores.of(ids, values) for ids, values in zip(names, parts, strict=True)])


def _shown_as(context: StageContext) -> dict[str, ShownAs]:
    return {need: ShownAs(**shown) for need, shown in context.params.get("readings", {}).items()}


def _correct(context: StageContext) -> BoolArray:
    """Whether each weak label of the trust set is right, in the order in which `fit` sees them."""
    grades = read_grades(context.inputs["trust:grades"])
    (ids,) = item_ids(context.inputs, "trust", salt=context.params["salt"], rows=None)
    return read_only(np.array([grades[i] for i in ids], dtype=np.bool_))


def check_plugin_unchanged(context: StageContext) -> None:
    """The plugin's source on disk is what the stage is named by, so that no scores are stored as those of other code."""
    planned = context.params["function"]
    registered = context.registry.resolve("trust_function", planned["name"])
    if context.registry.source_digest(registered) != planned["plugin"]["source"]:
        raise TrustFunctionError(f"{registered} changed on disk since the run began; run again")


def guarded(name: str, what: str, call: Callable[[], T]) -> T:
    """Run a trust function's own code; whatever it raises becomes one error that names it and the line."""
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except (EvidenceError, TrustFunctionError) as error:  # the harness raised these
        raise type(error)(f"trust function {name!r} {said(error)}") from error
    except BaseException as error:  # a plugin may raise anything, SystemExit too; it fails its own cell alone
        raise TrustFunctionError(
            f"trust function {name!r} raised {type(error).__name__} in {what}: {said(error)} ({raised_at(error)})"
        ) from error


def validated(name: str, scores: Any, count: int) -> FloatArray:
    """`scores` if it is one finite number a row, else an error that says what it is instead."""
    expected = f"expected a numpy array of shape ({count},) of finite floats, higher = more trusted"
    if not isinstance(scores, np.ndarray) or isinstance(scores, np.ma.MaskedArray):  # a mask would hide missing scores
        raise TrustFunctionError(f"trust function {name!r} returned {type(scores).__name__}; {expected}")
    if scores.dtype.kind not in "fiu":
        raise TrustFunctionError(f"trust function {name!r} returned an array of {scores.dtype}; {expected}")
    if scores.shape != (count,):
        raise TrustFunctionError(f"trust function {name!r} returned shape {scores.shape}; {expected}")
    with np.errstate(over="ignore"):  # a score that float64 cannot hold becomes infinite, and the error below says so
        scores = scores.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        first = f"the first {scores[bad[0]]} in row {bad[0]}"
        raise TrustFunctionError(
            f"trust function {name!r} returned {len(bad)} scores that are not finite, {first}; {expected}"
        )
    return cast(FloatArray, scores)
