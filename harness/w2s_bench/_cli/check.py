"""`w2s-bench check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.options import AllowedSigners
from w2s_bench._cli.output import print_json, refuse_no_file, say

if TYPE_CHECKING:
    from w2s_bench.results.checking.rules import Checked

EPILOG = """
**Examples**

`w2s-bench check leaderboards/tiny` — every rule on a board

`w2s-bench check THEIRS --sarif check.sarif` — for a code host, which shows findings beside the files

`w2s-bench check leaderboards/tiny --allowed-signers allowed_signers` — signatures too, by your own list of keys

`w2s-bench check --rules` — what is looked for

No model is needed and nothing of the folder is run: it may be a stranger's. What the files alone cannot contradict,
`w2s-bench verify` does. Exit codes: 0 no errors (warnings and notes may be); 1 errors; 2 there is nothing to check.
"""


def check(
    results: Annotated[
        Path | None,
        typer.Argument(help="A suite's results folder: suite.yaml and results/DOMAIN/ARM.json.", metavar="DIR"),
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules and end.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print findings as JSON on standard output.")] = False,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", help="Write findings as SARIF 2.1.0, too.", metavar="FILE")
    ] = None,
    allowed_signers: AllowedSigners = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors alone.")] = False,
) -> None:
    """Look for whatever is wrong with a results folder, without a model: digests, figures, what is missing."""
    from w2s_bench._cli.errors import explained

    with explained():
        if rules:
            _print_rules(as_json=json_output)
            raise typer.Exit
        if results is None:
            raise typer.BadParameter(
                "give the folder to check, or --rules to list what is looked for", param_hint="DIR"
            )
        if sarif is not None:
            refuse_no_file(sarif, "--sarif", "check.sarif")
        from w2s_bench._cli.waiting import told_waits
        from w2s_bench.results.checking.rules import check as checked

        with told_waits(quiet=quiet) as awaits:
            report = checked(results, allowed_signers=allowed_signers, awaits=awaits)
        if sarif is not None:
            _write_sarif(sarif, results, report)
        _print(report, results, as_json=json_output, quiet=quiet)
        raise typer.Exit(0 if report.passed else 1)


def _write_sarif(path: Path, results: Path, report: Checked) -> None:
    import json

    from w2s_bench import __version__
    from w2s_bench.record import write_atomically
    from w2s_bench.results.checking.findings import as_sarif
    from w2s_bench.results.checking.rules import levels_and_words

    content = as_sarif(results, report.findings, levels_and_words(), __version__)
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n", errors="backslashreplace")


def _print(report: Checked, results: Path, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        from w2s_bench.results.checking.findings import as_json as told

        print_json(told(results, report.findings, len(report.folder.cells)))
        return
    from w2s_bench.text import one_line, shortened

    shown = report.errors if quiet else report.findings
    for finding in shown:
        say(one_line(f"{finding.level}: {finding.file}: {shortened(finding.found, 600)} [{finding.rule}]"))
        say(one_line(f"  → {finding.to_do}"))
    if not quiet:
        from w2s_bench.results.checking.findings import LEVELS
        from w2s_bench.results.pages.style import count

        counts = [count(sum(f.level == level for f in report.findings), level) for level in LEVELS]
        say(f"{results}: {count(len(report.folder.cells), 'sound cell')}; {', '.join(counts)}")


def _print_rules(*, as_json: bool) -> None:
    from w2s_bench.results.checking.rules import RULES

    if as_json:
        print_json([{"rule": r.name, "level": r.level, "words": r.words} for r in RULES.values()])
        return
    width = max(map(len, RULES))
    for rule in RULES.values():
        say(f"{rule.name:<{width}}  {rule.level:<7}  {rule.words}")
