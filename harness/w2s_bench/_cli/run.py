"""`w2s-bench run`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from w2s_bench._cli.curves import plans_beside
from w2s_bench._cli.executors import (
    CLUSTERS,
    ExecutorName,
    chosen,
    limits_of,
    refuse_others_options,
    slurm_settings,
)
from w2s_bench._cli.options import Data, Device, IncludePath, Store
from w2s_bench._cli.preflight import refuse_before_preview, refuse_measuring_alone, use_device, use_tasks
from w2s_bench.names import CURVES, RESULTS

EPILOG = """
**Examples**

`w2s-bench run` — the default suite `long-tail` with its few trust functions, and those of installed plugins

`w2s-bench run tiny --domain chess --trust confidence --trust probe` — one domain, two trust functions, all controls

`w2s-bench run tiny --decompose` — what each trust function's gain is made of; five students more for each

`w2s-bench run my-suite.yaml --out results --workers 8` — your own suite file

`w2s-bench run tiny --gold-budget 25,75 --coverage .2,.8` — also with less gold and at other coverages: curves, a board a point

`w2s-bench run my-suite.yaml --executor ray --address HOST:6379 --store /shared/store` — the same file on a Ray cluster

`w2s-bench run my-suite.yaml --executor slurm --slurm partition=long --store /shared/store` — as jobs of Slurm; returns at once

`w2s-bench run tiny --dry-run` — how much would run, how much is stored, what each model takes, and nothing else

`w2s-bench run tiny --dry-run --measure` — the same with the time of each model, from ten seconds in which this machine is timed

`w2s-bench run my-suite.yaml --until 22:00` — as far as it comes by then; the same command goes on from there

`w2s-bench run tiny --log tensorboard` — losses and rows also as `w2s-results/tensorboard/`; see docs/logging.md

`w2s-bench run tiny --explain` — stage by stage: stored, to run and why, or waiting for what

Rows that are there and must be computed again, as a plugin or a library has changed since, are named first, with the reason.

Results go to `OUT/SUITE/`: `README.md` (the leaderboard), a plot, `suite.yaml`, and one JSON file a cell; curves to
`OUT/SUITE/curves/`, which has a board for each point and a page with all of them. What was
computed once is in the store: a run that was stopped goes on, and one more trust function costs its own students alone.
Exit codes: 0 done, 1 a cell failed or a plugin was left out, 2 a mistake in the call or the suite,
3 the hour of --until came first.
"""


def run(
    suite: Annotated[
        str, typer.Argument(help="A suite's name (see `w2s-bench list suites`) or the path of a suite file.")
    ] = "long-tail",
    domain: Annotated[
        list[str] | None, typer.Option("--domain", "-d", help="Run this domain only; repeat for more.", metavar="D")
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            "--trust",
            "-t",
            help="Run this trust function only, as NAME or NAME:key=value,…; repeat for more. `all`: every installed one. "
            "(Default: those that the suite names, and plugins'.)",
            metavar="T",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="Seeds to run (default: the suite's).", metavar="N", min=1)
    ] = None,
    decompose: Annotated[
        bool,
        typer.Option(
            "--decompose",
            help="Also train what explains each trust function's gain: on gold for its rows, on random rows with its labels and "
            "strata, on its rows in order of trust, and on its rows with the trust set's gold; at every point of a curve.",
        ),
    ] = False,
    control: Annotated[
        list[str] | None,
        typer.Option(
            "--control",
            help="Of what --decompose trains, this alone: kept_plus_gold (each trust function's rows with the trust set's gold), "
            "gold_kept, matched_random, …; repeat for more.",
            metavar="C",
        ),
    ] = None,
    coverage: Annotated[
        str | None,
        typer.Option(
            "--coverage",
            help="Then the same at these coverages too, for a curve: .2,.5,.8 (shares of the pool that trust functions keep).",
            metavar="C,…",
        ),
    ] = None,
    gold_budget: Annotated[
        str | None,
        typer.Option(
            "--gold-budget",
            help="Then the same with gold for so many items of the trust set, for a curve: 25,75,150.",
            metavar="N,…",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Parent of the results folder.", metavar="DIR")] = RESULTS,
    store: Store = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            help="Stages at once, one thread each (default: one a processor, of this machine or the cluster).",
            metavar="N",
            min=1,
        ),
    ] = None,
    executor: Annotated[
        ExecutorName, typer.Option("--executor", "-x", help="Where stages run.", rich_help_panel=CLUSTERS)
    ] = ExecutorName.LOCAL,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            help="The Ray cluster: HOST:PORT, `auto` (this machine's, or $RAY_ADDRESS; the default), or `local`.",
            metavar="A",
            rich_help_panel=CLUSTERS,
        ),
    ] = None,
    device: Device = None,
    data: Data = None,
    include_path: IncludePath = None,
    stage_timeout: Annotated[
        float | None,
        typer.Option(
            "--stage-timeout",
            help="Seconds a stage may take (default: an hour for a trust function, no limit for the harness's own).",
            metavar="S",
        ),
    ] = None,
    stage_memory: Annotated[
        float | None,
        typer.Option(
            "--stage-memory", help="Gigabytes a stage may take (default: nine tenths of the machine's).", metavar="GB"
        ),
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm",
            help="What every job asks Slurm for, as sbatch names it: partition=long, time=30, …; repeat for more.",
            metavar="KEY=VALUE",
            rich_help_panel=CLUSTERS,
        ),
    ] = None,
    slurm_gpu: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm-gpu",
            help="On top of it, what the job of a stage asks for that takes a GPU (default: one GPU).",
            metavar="KEY=VALUE",
            rich_help_panel=CLUSTERS,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            help="Start nothing from this hour on (22:00, or 2026-11-29T08:00); what runs then ends. The same command goes on.",
            metavar="HOUR",
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            help="Follow losses and rows in tensorboard, mlflow or wandb too, each with an extra of its name; repeat for more.",
            metavar="LOGGER",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Count what would run and what is stored, and tell what each model takes; compute nothing.",
        ),
    ] = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="With --dry-run: measure this machine for ten seconds, and tell from that how long each model takes.",
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Say of every stage: stored, to run and what made it stale, waits; compute nothing."
        ),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="No progress, and no table of a run: errors only. --dry-run and --explain print what they find.",
        ),
    ] = False,
) -> None:
    """Take a suite through the whole protocol and write its leaderboard."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.progress import shown_progress
        from w2s_bench.executors.until import Until
        from w2s_bench.runs.execute import execute, make_plan
        from w2s_bench.runs.logs.opening import opened, refuse_unknown
        from w2s_bench.store import default_location
        from w2s_bench.suite_files import load_suite

        refuse_others_options(executor, address, slurm or (), slurm_gpu or (), until, log or ())
        refuse_unknown(log or ())
        refuse_measuring_alone(measure=measure, dry_run=dry_run)
        stop = Until.parse(until) if until is not None else None
        settings = slurm_settings(slurm or (), slurm_gpu or ()) if executor is ExecutorName.SLURM else None
        limits = limits_of(stage_timeout, stage_memory)
        use_device(device)
        use_tasks(data, include_path or ())
        location = store or default_location()
        explaining = decompose or tuple(control or ())
        read = load_suite(suite)
        with ExitStack() as display:
            # Planning is shown as the run is: plugins and data may take their time.
            events = display.enter_context(shown_progress(read.name, quiet=quiet, as_json=json_output))
            planned = make_plan(
                read, domains=domain or (), trust=trust or None, seeds=seeds, decompose=explaining, events=events
            )
            beside = plans_beside(
                planned,
                coverage,
                gold_budget,
                executor,
                as_json=json_output,
                domains=domain or (),
                trust=trust or None,
                decompose=explaining,
                events=events,
            )
            if dry_run or explain:
                from w2s_bench._cli.dry_run import print_dry_run
                from w2s_bench._cli.report import print_explanation

                display.close()
                earlier = set[str]()  # what a board has computed is there for those after it
                for each in (planned, *beside):
                    parent = out if each is planned else out / planned.suite.name / CURVES
                    unknown = refuse_before_preview(each, parent, location, executor)
                    board = each, parent / each.suite.name, location, unknown
                    if explain:
                        print_explanation(*board, as_json=json_output, earlier=earlier)
                    else:
                        print_dry_run(*board, as_json=json_output, measure=measure, earlier=earlier)
                    earlier |= {stage.node for stage in each.stages()}
                raise typer.Exit
            from w2s_bench._cli.announced import announced
            from w2s_bench._cli.report import print_report, print_submitted

            if settings is not None:
                from w2s_bench.runs.submit import collected, submit_suite

                handed_in = submit_suite(
                    planned, out=out, store=location, settings=settings, limits=limits, workers=workers, events=events
                )
                display.close()
                if handed_in.last is not None:
                    print_submitted(handed_in, planned, as_json=json_output, quiet=quiet)
                    raise typer.Exit
                report = collected(handed_in.folder)  # everything was stored, so the results are written already
            else:
                where = chosen(executor, workers=workers, limits=limits, address=address, until=stop)
                with (
                    opened(log or (), planned.suite, out) as logged,
                    announced(planned.suite.name, out / planned.suite.name, events) as told,
                ):
                    report = execute(planned, out=out, store=location, executor=where, events=told, log=logged)
        print_report(report, events, as_json=json_output, quiet=quiet)
        fine = report.ok
        if beside:
            from w2s_bench._cli.curves import run_beside

            fine &= run_beside(
                beside,
                report.folder,
                location,
                lambda: chosen(executor, workers=workers, limits=limits, address=address, until=stop),
                quiet=quiet or json_output,
                log=lambda suite: opened(log or (), suite, out),
            )
        raise typer.Exit(0 if fine else 1)
