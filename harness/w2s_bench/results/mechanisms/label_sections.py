"""The sections of an analysis that are about weak labels themselves: how students fit them, whether solutions hang together."""

from __future__ import annotations

from collections.abc import Sequence

from w2s_bench.controls import NAIVE
from w2s_bench.results.mechanisms.facts import Analysis, ArmSolutions, Fit
from w2s_bench.results.mechanisms.shown import apart, by_seeds, minus
from w2s_bench.results.pages.blocks import escape, table
from w2s_bench.results.pages.style import TRACKS, count, number


def fit_blocks(analysis: Analysis) -> list[str]:
    told = [(d, d.fit) for d in analysis.domains if d.fit is not None]
    if not told:
        return ["No domain has its students: see above."]
    blocks = [
        f"What is found: {_found_of_fit([fit for _, fit in told])}",
        "Students trained on all weak labels of trust set and pool, each for twice the steps of the one before; how far they give "
        "the pool's weak labels back: whether the label is the likeliest option, or of a generated label the share of tokens "
        "whose probability is above one half. Saturated: from these steps on it is within 1 % of its greatest.",
    ]
    for domain, fit in told:
        header = ["weak labels", *(f"{count(steps, 'step')}" for steps in fit.steps), "saturated from"]
        rows = [
            [words, *(number(at.mean) for at in by_point), by_seeds(saturated, 0)]
            for words, by_point, saturated in (
                ("right", fit.right, fit.right_saturates),
                ("wrong", fit.wrong, fit.wrong_saturates),
            )
        ]
        blocks += [f"### Fit in {escape(domain.name)}", table(header, rows)]
    return blocks


def _found_of_fit(domains: Sequence[Fit]) -> str:
    better = sum(apart(fit.right[-1], fit.wrong[-1]) > 0 for fit in domains)
    grows = sum(apart(minus(fit.right[-1], fit.wrong[-1]), minus(fit.right[0], fit.wrong[0])) > 0 for fit in domains)
    return (
        f"of {count(len(domains), 'domain')}, the fully trained student fits right labels better than wrong ones in {better} on "
        f"every seed; the gap is wider then than at the first of these students in {grows}."
    )


def faithfulness_blocks(analysis: Analysis) -> list[str]:
    told = [d for d in analysis.domains if d.solutions]
    if not told:
        return ["No domain of this run generates answers, so that there are no worked solutions."]
    blocks = [
        f"What is found: {_found_of_faithfulness([d.solutions for d in told])}",
        "Faithful: steps are written out, each holds, each operand stands in the question or is an earlier result, and the "
        "answer is the last result. A faithful solution may be wrong (a verb misread), and an unfaithful one right (slips that cancel).",
    ]
    header = ["arm", "track", "right", "faithful", "faithful among right", "faithful among wrong"]
    for domain in told:
        rows = [
            [
                escape(arm.arm),
                TRACKS[arm.track].word,
                *(by_seeds(figure) for figure in (arm.purity, arm.faithful, arm.among_right, arm.among_wrong)),
            ]
            for arm in domain.solutions
        ]
        blocks += [f"### Faithfulness in {escape(domain.name)}", table(header, rows)]
    return blocks


def _found_of_faithfulness(domains: Sequence[Sequence[ArmSolutions]]) -> str:
    pairs = []
    for arms in domains:
        whole = next((arm for arm in arms if arm.arm == NAIVE), None)
        pairs += [(arm, whole) for arm in arms if whole and arm.track != "control"]
    if not pairs:
        return f"there is no trust function beside `{NAIVE}` to compare."
    more = sum(apart(arm.faithful, whole.faithful) > 0 for arm, whole in pairs)
    wrong = sum(apart(arm.among_wrong, whole.among_wrong) > 0 for arm, whole in pairs)
    return (
        f"of {count(len(pairs), 'pair')} of trust function and domain, on every seed, against the whole pool: more faithful "
        f"solutions kept in {more}, more of the wrong ones that are kept faithful in {wrong}."
    )
