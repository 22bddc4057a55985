"""`w2s-bench try`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.options import Data, Device, IncludePath, Store, Workers
from w2s_bench._cli.output import console, print_json, say
from w2s_bench._cli.preflight import use_device, use_tasks

if TYPE_CHECKING:
    from w2s_bench.runs.tryout import Trial, Tried

EPILOG = """
**Examples**

`w2s-bench try my-margin/my_margin --on knowledge` — how well it tells right labels from wrong, and examples of both ends

`w2s-bench try probe confidence 'probe:l2=1' --on chess` — three, beside each other

`w2s-bench try probe --on math --seed 100` — on a split of the data that no leaderboard uses

The teacher is trained and labels the pool (once; seconds where that is stored), the function scores it, and gold of the pool
says how good the scores are. No student is trained, and no test item is looked at. What you choose by these figures is chosen
on this seed: report it on others. Exit codes: 0 done, 1 a function failed, 2 a mistake in the call.
"""


def try_(
    name: Annotated[list[str], typer.Argument(help="Trust functions, as NAME or NAME:key=value,…", metavar="NAME...")],
    on: Annotated[str, typer.Option("--on", "-d", help="A domain of the suite.", metavar="DOMAIN")],
    suite: Annotated[
        str, typer.Option("--suite", "-s", help="A suite's name, or the path of a suite file.", metavar="SUITE")
    ] = "tiny",
    seed: Annotated[
        int,
        typer.Option("--seed", help="Which seed; it may be one that the suite has not.", metavar="N", min=0, max=999),
    ] = 0,
    examples: Annotated[
        int, typer.Option("--examples", "-e", help="Labels to show of each end.", metavar="N", min=0, max=100)
    ] = 3,
    store: Store = None,
    workers: Workers = None,
    device: Device = None,
    data: Data = None,
    include_path: IncludePath = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """What a trust function's scores are worth on one domain, in seconds: before any student is trained."""
    from w2s_bench._cli.errors import explained

    with explained():
        from dataclasses import asdict, replace

        from w2s_bench._cli.progress import shown_progress
        from w2s_bench.runs.execute import local_executor, make_plan
        from w2s_bench.runs.refusals import refuse_absent_device, refuse_unwritable_store
        from w2s_bench.runs.tryout import try_functions
        from w2s_bench.store import default_location, open_store
        from w2s_bench.suite_files import load_suite

        use_device(device)
        use_tasks(data, include_path or ())
        chosen = load_suite(suite)
        with shown_progress(f"try {on}", quiet=quiet, as_json=json_output) as events:
            planned = make_plan(chosen, domains=[on], trust=name, seeds=max(chosen.seeds, seed + 1), events=events)
            refuse_absent_device(planned)
            opened = open_store(store or default_location())
            refuse_unwritable_store(planned, opened)
            tried = try_functions(
                planned, seed, store=opened, executor=local_executor(workers), events=events, examples=examples
            )
        tried = replace(tried, seeds=chosen.seeds)  # of the suite's own, however many were planned
        if json_output:
            print_json(asdict(tried) | {"trials": [trial.as_json() for trial in tried.trials]})
        else:
            _print(tried, is_of_suite=seed < chosen.seeds)
        raise typer.Exit(1 if any(trial.fault for trial in tried.trials) else 0)


def _print(tried: Tried, *, is_of_suite: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from w2s_bench.results.pages.style import number
    from w2s_bench.runs.tryout import GRID
    from w2s_bench.text import one_line

    screen = console()
    title = f"{tried.domain} · seed {tried.seed} of {tried.suite} · {tried.rows} weak labels, {100 * tried.accuracy:.1f} % right"
    screen.print(Text(one_line(title), style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("trust function", overflow="fold")
    for head in ("track", "AUROC", "of one\nlabel", "of one\nstratum", *(f"purity\nat {at:g}" for at in GRID)):
        table.add_column(head, justify="right")
    for trial in tried.trials:
        told = trial.diagnostics or {}
        figures = [told.get(key) for key in ("auroc", "auroc_within_label", "auroc_within_stratum")]
        figures += [(trial.purity or {}).get(at) for at in GRID]
        table.add_row(Text(one_line(trial.function)), trial.track, *(number(figure, 3) for figure in figures))
    screen.print(table)
    for trial in tried.trials:
        _print_trial(trial, tried)
    say(
        "AUROC: the chance that a right label outscores a wrong one, .5 = no better than chance; of one label, of one stratum: "
        "among such pairs alone, so that what the class tells counts nothing."
    )
    if is_of_suite:
        say(
            f"Seed {tried.seed} is one of the suite's: what you choose here, choose with --seed {tried.seeds} or above."
        )


def _print_trial(trial: Trial, tried: Tried) -> None:
    from rich.text import Text

    from w2s_bench.text import one_line, shortened

    screen = console()
    if trial.fault:
        say(
            f"failed: {trial.function}: see above", error=True
        )  # the progress tells how stages fail, also where it is quiet
        return
    screen.print(Text(f"{one_line(trial.function)}, at coverage {tried.coverage:g}", style="bold"))
    for key, what in (("kept_by_label", "label"), ("kept_by_stratum", "stratum")):
        shares = (trial.diagnostics or {}).get(key) or {}
        if shares:
            told = ", ".join(f"{one_line(str(name))} {100 * share:.0f} %" for name, share in shares.items())
            screen.print(Text(f"  kept by {what}: {shortened(told, 400)}"))
    for title, rows in (("most trusted", trial.most), ("least trusted", trial.least)):
        if rows:
            screen.print(Text(f"  {title}"))
        for row in rows:
            mark, prompt = "right" if row.right else "WRONG", one_line(row.prompt)
            asked = prompt if len(prompt) <= 100 else f"…{prompt[-99:]}"
            screen.print(Text(f"    {row.score:10.4g}  {mark}  {asked} → {shortened(one_line(row.label), 60)}"))
