"""What `w2s-bench suite check` prints: domains with their gaps, the curve over steps, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench._cli.output import console, say
from w2s_bench.controls import BASE, CEILING, WEAK

if TYPE_CHECKING:
    from w2s_bench.runs.drafting import SuiteLook


def print_look(look: SuiteLook, coverage: float) -> None:
    """Of a suite with such a coverage."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from w2s_bench.results.pages.style import number
    from w2s_bench.text import one_line

    with_gap = any(domain.gap for domain in look.domains)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in (
        "domain",
        "items",
        "in splits",
        *((WEAK, BASE, CEILING, "gap", "labels right") if with_gap else ()),
    ):
        table.add_column(head, justify="left" if head == "domain" else "right", overflow="fold")
    for domain in look.domains:
        figures = ["?" if domain.items is None else str(domain.items), str(domain.asked)]
        if with_gap:
            g = domain.gap
            told = (g.weak, g.base, g.ceiling, g.ceiling - g.weak, g.labels) if g else (None,) * 5
            figures += [number(figure, 3) for figure in told]
        table.add_row(Text(one_line(domain.domain)), *figures)
    console().print(table)
    if any(domain.budget for domain in look.domains):
        _print_budgets(look)
    for domain in look.domains:
        if domain.fault:
            say(f"cannot be run: {domain.domain}: {domain.fault}", error=True)
        elif domain.gap and domain.gap.ceiling <= domain.gap.weak:
            say(f"{domain.domain}: no gap on dev: a weaker teacher, a stronger student, or more steps of the student")
        if domain.gap and coverage > domain.gap.labels:
            say(
                f"{domain.domain}: {100 * domain.gap.labels:.0f} % of the weak labels are right, and the coverage is {coverage:g}: "
                "even perfect trust must keep wrong ones"
            )
    for remark in look.remarks:
        say(f"note: {remark}")
    say(
        "With one seed nothing shows how much seeds differ, and so no difference of arms: ask for three at least (w2s-bench plan)."
        if look.detectable is None
        else f"With {look.seeds} seeds, differences of mean PGR from {look.detectable:.2f} are found with 80 % power, from stated "
        "assumptions (w2s-bench plan)."
    )


def _print_budgets(look: SuiteLook) -> None:
    """The curve over steps as a table, and of each ceiling whether the suite's steps are enough."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from w2s_bench.results.budgets import FLAT
    from w2s_bench.results.pages.budget_section import gained
    from w2s_bench.results.pages.style import NONE, number
    from w2s_bench.text import one_line

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, head in enumerate(("domain", "arm", "×", "steps", "accuracy", "at twice", "with twice")):
        table.add_column(head, justify="left" if column in (0, 1, 6) else "right", overflow="fold")
    told = []
    for domain in look.domains:
        for arm in domain.budget:
            figures = (
                f"{arm.factor:g}",
                f"{arm.steps}",
                number(arm.accuracy, 3),
                gained(arm.more, arm.within),
                arm.verdict or NONE,
            )
            table.add_row(Text(one_line(domain.domain)), arm.arm, *figures)
            if arm.arm == CEILING and arm.factor == 1 and arm.more is not None:
                enough = "the steps are enough" if arm.verdict == "flat" else "the steps are not where it is flat"
                told.append(
                    f"{domain.domain}: {number(abs(arm.more), 3)} {'more' if arm.more >= 0 else 'less'} at {2 * arm.steps} steps than at "
                    f"{arm.steps}: the ceiling {'is flat' if arm.verdict == 'flat' else arm.verdict}, {enough}"
                )
    console().print(table)
    say(
        f"Mean accuracy on dev, two seeds; ±: 95 % over clusters of dev items, these seeds given. Flat: within {FLAT:g}."
    )
    for line in told:
        say(line)
