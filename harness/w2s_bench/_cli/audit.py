"""`w2s-bench audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.options import Data, Store, Workers
from w2s_bench._cli.output import print_json

if TYPE_CHECKING:
    from w2s_bench.runs.audit import Audited

_MOST_SHOWN = 5
EPILOG = """
**Examples**

`w2s-bench audit probe` — every domain of `tiny` that it is meant for, one seed each

`w2s-bench audit my-plugin/margin:k=8 --suite tiny --domain knowledge`

Scores as a run has them are compared with scores by a process that has the same evidence, no store in sight, and a domain
whose files give every question another answer. A sound function does not notice. Where gold of a scored item lies in no file
that can be altered, nothing is called sound. What solves the question itself, or has facts of its own, is not found out: that is
for the track `privileged`. Exit codes: 0 sound; 1 not; 2 a mistake in the call.
"""


def audit(
    trust: Annotated[str, typer.Argument(help="A trust function: NAME or NAME:key=value,…", metavar="TRUST")],
    suite: Annotated[str, typer.Option("--suite", "-s", help="A suite's name or its file.", metavar="SUITE")] = "tiny",
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", "-d", help="A domain of the suite; repeat for more (default: all).", metavar="D"),
    ] = None,
    store: Store = None,
    workers: Workers = None,
    data: Data = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print verdicts as JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; verdicts only.")] = False,
) -> None:
    """Does gold reach a trust function? Score again with other gold and no store in sight, and compare."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.preflight import use_tasks
        from w2s_bench._cli.progress import shown_progress
        from w2s_bench.runs import audit as audits
        from w2s_bench.runs.execute import local_executor
        from w2s_bench.store import default_location

        use_tasks(data, ())
        with shown_progress(f"audit {trust}", quiet=quiet, as_json=json_output) as events:
            domains_audited = audits.audit(
                trust,
                suite,
                domains=domain or (),
                store=store or default_location(),
                executor=local_executor(workers),
                events=events,
            )
        if json_output:
            from dataclasses import asdict

            print_json([asdict(audited) for audited in domains_audited])
        else:
            for audited in domains_audited:
                _print(audited)
        raise typer.Exit(0 if all(audited.ok for audited in domains_audited) else 1)


def _print(audited: Audited) -> None:
    from w2s_bench._cli.output import say
    from w2s_bench.results.pages.style import significant
    from w2s_bench.runs.audit import MEANING
    from w2s_bench.text import one_line

    say(f"{audited.domain}  {audited.trust_function}: {audited.verdict.upper() if not audited.ok else audited.verdict}")
    said = one_line(audited.reason) if audited.reason else MEANING[audited.verdict]
    say(f"  {said} ({audited.count} rows, {audited.records} records with other gold)")
    for row in audited.rows[:_MOST_SHOWN]:
        say(f"  {one_line(row.item)}: {significant(row.run, 6)} in the run, {significant(row.audited, 6)} here")
    if len(audited.rows) > _MOST_SHOWN:
        say(f"  … {len(audited.rows)} of {audited.count} rows differ")
