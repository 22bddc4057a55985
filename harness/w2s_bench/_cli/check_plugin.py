"""`w2s-bench check-plugin`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.options import Data
from w2s_bench._cli.output import print_json, say

if TYPE_CHECKING:
    from w2s_bench.testing.distributions import Verdict

EPILOG = """
**Examples**

`w2s-bench check-plugin my-margin` — the conformance kit on all that the distribution registers

`w2s-bench check-plugin my-margin --name my_margin` — on one entry

`w2s-bench check-plugin w2s-bench-lichess --data DIR -n puzzles:file=puzzles.csv,most=1000` — on one with parameters

What is checked is what `w2s_bench.testing` has: a trust function on made-up evidence, a domain's items and grading, a model's
weights and tokenizer, a reading's form, an objective's loss on made-up logits.
No score is judged. Exit codes: 0 all rules are kept, 1 one is broken, 2 no such plugin.
"""


def check_plugin(
    distribution: Annotated[
        str, typer.Argument(help="An installed distribution (see `w2s-bench plugins`).", metavar="DISTRIBUTION")
    ],
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            "-n",
            help="Of these entries alone, each with parameters (`name:key=value`) or without; repeat for more.",
            metavar="NAME",
        ),
    ] = None,
    data: Data = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Does a plugin keep the contract? Every rule on everything that a distribution registers."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.preflight import use_tasks
        from w2s_bench._cli.waiting import told_waits
        from w2s_bench.testing.distributions import distribution_verdicts

        use_tasks(data, ())
        told: Callable[[str], None] = (lambda what: None) if json_output else _next
        verdicts: list[Verdict] = []
        with told_waits() as awaits:
            for _, of_entry in groupby(
                distribution_verdicts(distribution, names=name or (), tell=told, awaits=awaits),
                lambda verdict: (verdict.entry_kind, verdict.name),
            ):
                of_one = list(of_entry)
                verdicts += of_one
                if not json_output:
                    _tell(of_one)
        broken = [verdict for verdict in verdicts if verdict.fault]
        if json_output:
            from dataclasses import asdict

            print_json([asdict(verdict) for verdict in verdicts])
        else:
            say(_summary(verdicts, distribution))
        raise typer.Exit(1 if broken else 0)


def _summary(verdicts: Sequence[Verdict], distribution: str) -> str:
    broken = [verdict for verdict in verdicts if verdict.fault]
    every, some = (len({(verdict.entry_kind, verdict.name) for verdict in those}) for those in (verdicts, broken))
    entries = f"{every} {'entry' if every == 1 else 'entries'} of {distribution}"
    if not broken:
        return f"All {len(verdicts)} rules are kept, by {entries}."
    return f"{len(broken)} of {len(verdicts)} rules are broken, by {some} of {entries}."


def _next(what: str) -> None:
    """What is checked now, on standard error: an entry may take a minute."""
    say(f"checking {what}", error=True)


def _tell(verdicts: Sequence[Verdict]) -> None:
    """What came of one entry: a line where all is well, else one a broken rule."""
    first = verdicts[0]
    broken = [verdict for verdict in verdicts if verdict.fault]
    for verdict in broken:
        say(f"BROKEN  {verdict.entry_kind} {verdict.name}: {verdict.rule}: {verdict.fault}")
    if not broken:
        seconds = sum(verdict.seconds for verdict in verdicts)
        say(f"kept    {first.entry_kind} {first.name}: {', '.join(_plain(verdicts))} ({seconds:.1f} s)")
    for verdict in verdicts:
        for remark in verdict.remarks:
            say(f"        note: {remark}")


def _plain(verdicts: Sequence[Verdict]) -> list[str]:
    """Their rules, those of several kinds of domain once."""
    return list(dict.fromkeys(verdict.rule.rpartition("-")[0] or verdict.rule for verdict in verdicts))
