"""Why a domain's gap is not resolved, as far as its accuracies tell, and what to change."""

from __future__ import annotations

import math

from w2s_bench.controls import BASE, CEILING, WEAK
from w2s_bench.results.board import DomainSummary
from w2s_bench.results.pages.style import figure, number
from w2s_bench.results.statistics import Estimate

_MOST_TIMES = 20  # times as many items; nobody has more


def likely_cause(domain: DomainSummary) -> str:
    """One or two sentences: what the accuracies of teacher, untuned student and ceiling point to, and the next step."""
    accuracy = {name: number(entry.accuracy.value, 3) for name, entry in domain.references.items() if entry.accuracy}
    gap, learned = domain.gap, domain.checks["ceiling_over_base"].figure
    if gap is None:
        absent = [name for name in (WEAK, CEILING) if name not in accuracy]
        missing = " and ".join(absent) if absent else f"{WEAK} and {CEILING} on one seed"
        return f"There is no result of {missing} to measure it between: run them, or see what failed."
    if isinstance(learned, Estimate) and learned.high < 0:
        return (
            f"The ceiling ({accuracy[CEILING]}) is below the untuned student ({accuracy[BASE]}): training on ground truth "
            "makes it worse. Lower the student's learning rate, or take more steps."
        )
    if isinstance(learned, Estimate) and learned.low <= 0:
        return (
            f"The ceiling ({accuracy[CEILING]}) is hardly above the untuned student ({accuracy[BASE]}): too few steps, or "
            "too low a learning rate, to learn from ground truth."
        )
    shown = f"{CEILING} − {WEAK} is {figure(gap, 3)}"
    if gap.value <= 0:
        return (
            f"The teacher is as good as the student trained on ground truth ({shown}). Take a weaker teacher (a smaller model, "
            "fewer steps), or train the student for more steps."
        )
    more = max(math.ceil(((gap.value - gap.low) / gap.value) ** 2), 2)  # intervals shrink with the root of the items
    seeds = "1 seed" if gap.seeds == 1 else f"{gap.seeds} seeds"
    remedy = f"About {more} times as many test items would do; or widen it" if more <= _MOST_TIMES else "Widen it"
    return (
        f"Too few items or seeds to tell the gap from none: {shown} over {gap.items} items and {seeds}. {remedy}: "
        "take a weaker teacher, or train the student for more steps."
    )
