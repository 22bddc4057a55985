"""`w2s-bench submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.options import AllowedSigners
from w2s_bench._cli.output import say

if TYPE_CHECKING:
    from w2s_bench.results.combining.submitting import Submitted

EPILOG = """
**Examples**

`w2s-bench submit w2s-results/tiny --to leaderboards/tiny` — every row that is sound and not there yet

`w2s-bench submit w2s-results/tiny --to leaderboards/tiny --row math/mine.margin --row chess/mine.margin`

`w2s-bench submit w2s-results/tiny --statement alice@example.org` — what to sign, and how

`w2s-bench submit --workflow > .github/workflows/leaderboards.yml` — what a repository of leaderboards runs

Exit codes: 0 every row is in the leaderboard; 1 some are not, and why is said; 2 the user's mistake.
"""


def submit(
    results: Annotated[
        Path | None,
        typer.Argument(help="A suite's results folder: suite.yaml and results/DOMAIN/ARM.json.", metavar="DIR"),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", help="The leaderboard's folder; it is made where it is not there.", metavar="leaderboards/SUITE"
        ),
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option("--row", "-r", help="A row to copy; repeat for more (default: all).", metavar="DOMAIN/ARM"),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take rows that the leaderboard has with other figures, too.")
    ] = False,
    allowed_signers: AllowedSigners = None,
    statement: Annotated[
        str | None,
        typer.Option(
            "--statement",
            help="Write what this signer would sign of DIR (rows and digests), say how, and end.",
            metavar="SIGNER",
        ),
    ] = None,
    workflow: Annotated[
        bool,
        typer.Option("--workflow", help="Print a GitHub workflow that checks a repository of leaderboards, and end."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but what is not copied.")] = False,
) -> None:
    """Copy rows to a leaderboard: only what `check` passes, alone and beside what is there."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.errors import W2SBenchError

        if workflow:
            print(workflow_text(), end="")
            raise typer.Exit
        if statement is not None and results is not None:
            _write_statement(results, statement)
            raise typer.Exit
        if results is None or to is None:
            raise W2SBenchError(
                "give the results folder and --to with the leaderboard's, such as --to leaderboards/tiny"
            )
        from w2s_bench._cli.waiting import told_waits
        from w2s_bench.results.combining.submitting import submit as submitted

        with told_waits(quiet=quiet) as awaits:
            done = submitted(results, to, row or (), replace=replace, allowed_signers=allowed_signers, awaits=awaits)
        _print(done, to, quiet=quiet)
        raise typer.Exit(0 if done.whole else 1)


def _write_statement(results: Path, signer: str) -> None:
    """What there is to sign, and the command that signs it."""
    import shlex

    from w2s_bench.errors import CellError
    from w2s_bench.results.checking.folder import read_folder
    from w2s_bench.results.signatures import NAMESPACE, Statement

    folder = read_folder(results)
    if folder.refused:
        first = folder.refused[0]
        raise CellError(f"{results} is not sound: {first.file}: {first.found}; `w2s-bench check {results}` lists all")
    path = Statement.of(folder.cells, signer).write(results)
    say(f"Wrote {path}: {len(folder.cells)} rows. Sign it with your key:")
    say(f"ssh-keygen -Y sign -f ~/.ssh/id_ed25519 -n {NAMESPACE} {shlex.quote(str(path))}")


def workflow_text() -> str:
    """The workflow with this version in it."""
    from importlib.resources import files

    from w2s_bench import __version__

    return (
        (files("w2s_bench") / "templates" / "leaderboard.yml")
        .read_text(encoding="utf-8")
        .replace("VERSION", __version__)
    )


def _print(done: Submitted, to: Path, *, quiet: bool) -> None:
    from w2s_bench.results.pages.style import count
    from w2s_bench.text import one_line, shortened

    for finding in done.findings:
        said = f"not copied: {finding.file}: {shortened(finding.found, 600)} [{finding.rule}] → {finding.to_do}"
        say(one_line(said), error=True)
    for row in done.held:
        say(one_line(f"not copied: {row}: {to} has it with other figures; --replace takes this one"), error=True)
    if not quiet:
        signed = f", {count(len(done.signatures), 'signature')} with them" if done.signatures else ""
        say(f"Copied {count(len(done.copied), 'cell')} to {to}{signed}; {len(done.there)} were there already")
    if done.unverified and done.copied:
        left = count(done.unverified, "signed statement")
        say(f"note: {left} stayed behind, not verified; give --allowed-signers FILE to take them along", error=True)
