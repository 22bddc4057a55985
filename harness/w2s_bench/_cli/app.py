"""The app and its verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from w2s_bench._cli import (
    analyse,
    audit,
    check,
    check_plugin,
    diff,
    items,
    leaderboard,
    listing,
    new,
    plan,
    plugins,
    run,
    score,
    show,
    store,
    submit,
    suite,
    table,
    try_,
    verify,
)
from w2s_bench._cli.wording import Worded

HELP = """Weak-to-strong generalization, benchmarked: every trust function through one protocol.

A weak teacher labels a pool. A trust function scores each weak label; a strong student trains on the half it trusts
most. The leaderboard says how much of the gap between the weak teacher and ground-truth training that recovered (PGR).
"""
EPILOG = """
**Start here**

`w2s-bench run` — the default suite, two domains on your own processors, a few minutes

`w2s-bench list` — what is installed: suites, domains, trust functions, models, plugins

`w2s-bench run tiny --domain math --trust confidence` — a part of it

`w2s-bench score labels.jsonl --trust confidence --out scored` — weak labels of your own: scores, what to keep, a report

`w2s-bench verify leaderboards/tiny --row math/oracle` — compute a published row again and compare
"""

app = typer.Typer(
    name="w2s-bench",
    cls=Worded,
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from w2s_bench import __version__

        print(f"w2s-bench {__version__}")
        raise typer.Exit


@app.callback(help=HELP, epilog=EPILOG)
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    return  # each option acts by its own callback


_RUN, _BOARD, _PLUGIN, _OWN = "Run", "Boards", "Plugins", "Labels of your own"

app.command("run", epilog=run.EPILOG, rich_help_panel=_RUN)(run.run)
app.command("list", rich_help_panel=_RUN)(listing.list_)
app.command("plan", epilog=plan.EPILOG, rich_help_panel=_RUN)(plan.plan)
app.add_typer(suite.app, rich_help_panel=_RUN)
app.add_typer(store.app, rich_help_panel=_RUN)

app.command("leaderboard", epilog=leaderboard.EPILOG, rich_help_panel=_BOARD)(leaderboard.leaderboard)
app.command("report", epilog=show.REPORT_EPILOG, rich_help_panel=_BOARD)(show.report)
app.command("serve", epilog=show.SERVE_EPILOG, rich_help_panel=_BOARD)(show.serve)
app.command("verify", epilog=verify.EPILOG, rich_help_panel=_BOARD)(verify.verify)
app.command("check", epilog=check.EPILOG, rich_help_panel=_BOARD)(check.check)
app.command("submit", epilog=submit.EPILOG, rich_help_panel=_BOARD)(submit.submit)
app.command("diff", epilog=diff.DIFF_EPILOG, rich_help_panel=_BOARD)(diff.diff)
app.command("merge", epilog=diff.MERGE_EPILOG, rich_help_panel=_BOARD)(diff.merge)
app.command("table", epilog=table.EPILOG, rich_help_panel=_BOARD)(table.table)
app.command("analyse", epilog=analyse.EPILOG, rich_help_panel=_BOARD)(analyse.analyse)
app.command("items", epilog=items.EPILOG, rich_help_panel=_BOARD)(items.items)

app.command("new", epilog=new.EPILOG, rich_help_panel=_PLUGIN)(new.new)
app.command("try", epilog=try_.EPILOG, rich_help_panel=_PLUGIN)(try_.try_)
app.command("check-plugin", epilog=check_plugin.EPILOG, rich_help_panel=_PLUGIN)(check_plugin.check_plugin)
app.command("audit", epilog=audit.EPILOG, rich_help_panel=_PLUGIN)(audit.audit)
app.command("plugins", epilog=plugins.EPILOG, rich_help_panel=_PLUGIN)(plugins.plugins)

app.command("score", epilog=score.EPILOG, rich_help_panel=_OWN)(score.score)
