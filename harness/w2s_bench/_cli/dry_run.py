"""What `run --dry-run` prints: stages to run and stored, what a run costs, and what each of its models takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench._cli.output import console, print_json, say
from w2s_bench._cli.report import counted, print_again, print_problems, print_unseen
from w2s_bench.controls import CEILING
from w2s_bench.names import short
from w2s_bench.results.pages.style import significant
from w2s_bench.store.stage import walk
from w2s_bench.text import one_line

if TYPE_CHECKING:
    from w2s_bench.models.speed import Throughput
    from w2s_bench.runs.estimate import ModelCost, Where
    from w2s_bench.runs.forecast import Forecast
    from w2s_bench.runs.plan import Plan

_STEPS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def print_dry_run(
    planned: Plan,
    folder: Path,
    store: str,
    unchecked: Sequence[str],
    *,
    as_json: bool,
    measure: bool = False,
    earlier: Collection[str] = (),
) -> None:
    """What is stored and what would run, stage by stage name; `unchecked`: domains that may be too small for their sizes.

    `folder`: where results go, of which rows that would be computed again are named. `measure`: whether this machine is timed,
    for how long each model takes. `earlier`: nodes of what boards before this one have computed by then, and which is stored then.
    """
    from w2s_bench.executors.timings import Timings
    from w2s_bench.runs.again import computed_again
    from w2s_bench.runs.estimate import estimate, places
    from w2s_bench.runs.forecast import forecast
    from w2s_bench.runs.preview import as_after, explain, preview_of
    from w2s_bench.store import open_store

    print_problems(planned.problems)
    opened = open_store(store)
    looked = explain(stages := planned.stages(), opened, reasons=False, whole=False)
    previewed, again = preview_of(as_after(looked, earlier)), computed_again(planned, folder, looked)
    timings = Timings.of_store(opened.root)
    cost = forecast(planned.suite, previewed.to_run, timings, {cell.domain.name for cell in planned.cells})
    fast = _measured(places(planned)) if measure else {}
    models = estimate(planned, previewed.to_run, timings, previewed.paths, fast)
    stored, to_run = Counter(s.name for s in previewed.stored), Counter(s.name for s in previewed.to_run)
    own = _for_one_arm(planned, {stage.node for stage in previewed.to_run})
    if as_json:
        print_json(
            {
                "cells": [cell.row for cell in planned.cells],
                "stored": dict(stored),
                "to_run": dict(to_run),
                "to_run_for_one_arm": own,
                "computed_again": {each.why: each.rows for each in again},
                "forecast": asdict(cost),
                "models": [asdict(model) for model in models],
                "sizes_unchecked": list(unchecked),
                "store": store,
                "problems": planned.problems,
                "passed_over": planned.passed_over,
            }
        )
        return
    suite = planned.suite
    say(
        f"{suite.name} {suite.version}: {counted(len(planned.cells), 'cell')}, {counted(suite.seeds, 'seed')}; store {store}"
    )
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("stage", "stored", "to run"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name in dict.fromkeys(stage.name for stage in stages):
        table.add_row(name, str(stored[name]), str(to_run[name]))
    table.add_section()
    table.add_row("all", str(stored.total()), str(to_run.total()))
    console().print(table)
    if beforehand := sum(look.status != "stored" and look.stage.node in earlier for look in looked):
        say(f"Of what counts as stored, {counted(beforehand, 'stage')} are computed by the boards before this one.")
    if own:
        arms = ", ".join(f"{short(arm)} {count}" for arm, count in own.items())
        say(f"To run for one arm alone: {arms}; for several: {to_run.total() - sum(own.values())}")
    print_again(again, folder)
    _print_cost(cost, learnt_for_diagnostics=suite.diagnostics == "full")
    _print_models(models, measured=measure)
    print_unseen(unchecked, planned.passed_over)


def _print_cost(cost: Forecast, *, learnt_for_diagnostics: bool) -> None:
    """Nothing where nothing would run. `learnt_for_diagnostics`: whether gold of the pool also teaches students that tell how hard
    its items are."""
    if not cost.trainings and not cost.items:
        return
    say(f"To compute: {trainings(cost)}; {cost.items:,} items to read.")
    for domain, gold in cost.gold.items():
        words = _readers(gold["transfer"], cost.source_gold.get(domain), learnt_for_diagnostics=learnt_for_diagnostics)
        told = ", ".join(f"{size:,} {words[split]}" for split, size in gold.items())
        say(f"Gold labels a seed, {domain}: {told}.")
    minutes = cost.seconds / 60
    if not cost.untimed:
        say(f"Time: about {minutes:.0f} min of one worker, as long as such stages took in this store.")
        return
    several = f"{counted(len(cost.untimed), 'kind')} of stages never ran in this store"
    timed = f"about {minutes:.0f} min of one worker for the others; " if minutes >= 1 else ""
    say(f"Time: {timed}{several}. A run tells its time left once each kind has run.")


def _readers(pool: int, labelled: int | None, *, learnt_for_diagnostics: bool) -> dict[str, str]:
    """Split → for whom its gold is read, in words; `labelled`: how many of the `pool`'s golds a label source gives as labels."""
    of_pool = [CEILING, "privileged arms", *(["the difficulty of items"] if learnt_for_diagnostics else [])]
    of_pool = ["the label source", *of_pool] if labelled == pool else of_pool
    also = f", {labelled:,} of them also for the label source" if labelled is not None and labelled < pool else ""
    return {
        "weak_train": "for the teacher",
        "trust": "for trust functions" if labelled is None else "for the label source and trust functions",
        "transfer": f"for {', '.join(of_pool[:-1])} and {of_pool[-1]}{also or ' alone'}",
    }


def trainings(cost: Forecast) -> str:
    """How many there are and how long; heads that are fitted to convergence have no number of steps that could be told."""
    told = counted(cost.trainings, "training")
    stepped = f"{cost.steps:,} optimizer steps and {cost.rows:,} rows in all"
    fitted = f"heads fitted to convergence, in at most {cost.iterations:,} iterations a fit"
    if not cost.converging:
        return f"{told} of {stepped}" if cost.trainings else told
    if cost.converging == cost.trainings:
        return f"{told} of {fitted}"
    return f"{told}, {cost.trainings - cost.converging:,} of {stepped} and {cost.converging:,} of {fitted}"


def _for_one_arm(planned: Plan, to_run: set[str]) -> dict[str, int]:
    """Arm → how many of the stages to run it alone needs; arms that need none for themselves are left out."""
    if not to_run:
        return {}
    users: dict[str, set[str]] = {}
    for cell in planned.cells:
        for stage in walk(cell.targets()):
            if stage.node in to_run:
                users.setdefault(stage.node, set()).add(cell.arm.ref.name)
    return dict(Counter(next(iter(arms)) for arms in users.values() if len(arms) == 1).most_common())


def _measured(places: Sequence[Where]) -> Mapping[Where, Throughput]:
    """Ten seconds in all."""
    from w2s_bench.models.speed import measure

    return {(device, dtype): measure(device, dtype, seconds=10 / len(places)) for device, dtype in places}


def _print_models(models: Sequence[ModelCost], *, measured: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("model", "recipe", "parameters", "memory", "on disk", "to fetch", "time")
    for column in columns:
        left = column in ("model", "recipe")
        table.add_column(column, justify="left" if left else "right", overflow="fold" if left else "ellipsis")
    for model in models:
        table.add_row(
            Text(one_line(model.name)),
            ", ".join(model.recipes),
            "?" if model.parameters is None else _number(model.parameters),
            _bytes(None if model.memory is None else model.memory["total"]),
            _bytes(model.on_disk),
            _bytes(model.download) if model.download_at_most is None else f"≤ {_bytes(model.download_at_most)}",
            "?" if model.seconds is None else _time(model.seconds),
        )
    console().print(table)
    said = "Memory is of one worker at its fullest, time of one worker for all that the model has to do"
    if any(model.assumed_lengths for model in models):
        said += "; rows of 256 tokens are assumed where no documents have been looked at"
    say(f"{said}.")
    for model in models:
        if model.why:
            say(f"{one_line(model.name)}: {one_line(model.why)}.")
    if not measured and any(model.seconds is None for model in models):
        say("--measure times this machine for ten seconds and tells the times that are not known.")


def _bytes(size: int | None) -> str:
    if size is None:
        return "?"
    name, step = next(((name, step) for name, step in _STEPS if size >= step), ("B", 1))
    return f"{size / step:.1f} {name}" if step > 1 else f"{size} B"


def _number(count: int) -> str:
    for step, name in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= 0.9995 * step:  # to three digits it is one of them
            return f"{significant(count / step, 3)} {name}"
    return str(count)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
