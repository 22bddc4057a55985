"""Several boards on a terminal: how often each trust function holds up."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from w2s_bench._cli.output import console, say
from w2s_bench.controls import NAIVE
from w2s_bench.results.across import AGAINST, Across
from w2s_bench.results.pages.style import TRACKS, count, signed
from w2s_bench.text import one_line


def print_across(across: Across) -> None:
    """The trust functions with figures on several settings: counts of differences that hold, and the median of those to naive."""
    told = f"{count(len(across.boards), 'board')} of {count(len({b.setting for b in across.boards}), 'setting')}"
    say(
        f"{told}; PGR units; above / below: on how many settings a difference to a control holds after its board's correction"
    )
    if not across.shown:
        say(
            f"No trust function has figures on {across.least} settings or more, so that there is no table over boards; "
            "`w2s-bench leaderboard` with a board's own folder prints that board."
        )
        return
    # Names come from plugins: `Text`, in which no brackets mean anything.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("trust function", overflow="fold")
    for head in ("track", "settings", f"median − {NAIVE}", *(f"above / below {arm}" for arm in AGAINST)):
        table.add_column(head, justify="right")
    for function in across.shown:
        counts = (f"{function.above(rival)} / {function.below(rival)}" for rival in AGAINST)
        look = TRACKS[function.track]
        figures = (look.word, str(len(function.results)), signed(function.median), *counts)
        table.add_row(Text(one_line(function.arm)), *figures, style=look.terminal)
    console().print(table)
