"""Why a domain's gap is not resolved, as far as its accuracies tell, and what to change."""

from __future__ import annotations

import math

from w2s_bench.controls import BASE, CEILING, WEAK
from w2s_bench.results.board import LEAST_GAP, DomainSummary
from w2s_bench.results.pages.style import figure, number
from w2s_bench.results.statistics import Estimate
from w2s_bench.results.statistics.variance import LEVEL

_MOST_TIMES = 20  # times as many items; nobody has more
_SEEDS = 5  # fewer have a quantile of 3 and more


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
    if isinstance(learned, Estimate) and learned.low <= 0 and learned.value < LEAST_GAP:
        return (
            f"The ceiling ({accuracy[CEILING]}) is hardly above the untuned student ({accuracy[BASE]}): too few steps, or "
            "too low a learning rate, to learn from ground truth."
        )
    if isinstance(learned, Estimate) and learned.low <= 0:
        return (
            "Too few items or seeds to tell whether ground truth teaches the student anything: "
            f"{_measured(f'{CEILING} − {BASE}', learned)}. {_narrower(learned)}; or train the student for more steps."
        )
    shown = f"{CEILING} − {WEAK} is {figure(gap, 3)}"
    # An interval that reaches as far as all that the student has learned leaves open whether the teacher is any good.
    if gap.value <= 0 and not (isinstance(learned, Estimate) and gap.high >= learned.value):
        return (
            f"The teacher is as good as the student trained on ground truth ({shown}). Take a weaker teacher (a smaller model, "
            "fewer steps), or train the student for more steps."
        )
    return (
        f"Too few items or seeds to tell the gap from none: {_measured(f'{CEILING} − {WEAK}', gap)}. {_narrower(gap)}; or widen "
        "the gap: take a weaker teacher, or train the student for more steps."
    )


def _measured(name: str, difference: Estimate) -> str:
    seeds = "1 seed" if difference.seeds == 1 else f"{difference.seeds} seeds"
    return f"{name} is {figure(difference, 3)} over {difference.items} items and {seeds}"


def _narrower(difference: Estimate) -> str:
    """What narrows the interval: seeds where their part of it is the larger one, else items."""
    if _is_wide_by_seeds(difference):
        return f"Seeds are most of its width: take more (`--seeds {max(_SEEDS, 2 * difference.seeds)}` keeps those there are)"
    if difference.value <= 0:
        return "Take more test items"
    more = max(
        math.ceil(((difference.value - difference.low) / difference.value) ** 2), 2
    )  # it shrinks with their root
    if more > _MOST_TIMES:
        return f"It would take more than {_MOST_TIMES} times as many test items"
    return f"About {more} times as many test items would do"


def _is_wide_by_seeds(difference: Estimate) -> bool:
    """Whether seeds have a larger part of the interval than items; few of them have a large quantile besides."""
    from w2s_bench.results.statistics.student import quantile  # scipy

    variance = difference.variance
    if variance is None or difference.seeds < 2:
        return False
    seeds, items = (quantile(df, (1 - LEVEL) / 2) ** 2 for df in (variance.seeds_df, variance.items_df))
    return bool(seeds * variance.seeds > items * variance.items)
