"""An analysis as a page of markdown with its figures. What is claimed elsewhere stands beside what is found here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from w2s_bench.controls import EASY, EASY_GOLD, GOLD_RANDOM, NAIVE, RANDOM
from w2s_bench.results.mechanisms.attribution import SHARES
from w2s_bench.results.mechanisms.facts import SECTIONS, Analysis, Curriculum, Gradients
from w2s_bench.results.mechanisms.label_sections import faithfulness_blocks, fit_blocks
from w2s_bench.results.mechanisms.order_section import order_blocks
from w2s_bench.results.mechanisms.plots import (
    draw_attribution,
    draw_curriculum,
    draw_faithfulness,
    draw_fit,
    draw_gradients,
    draw_orders,
)
from w2s_bench.results.mechanisms.shown import apart, by_seeds, spread
from w2s_bench.results.pages.blocks import escape, table
from w2s_bench.results.pages.style import NONE, TRACKS, count, difference, figure, number
from w2s_bench.results.statistics import Estimate

PAGE: Final = "analysis.md"
FIGURES: Final = {name: f"analysis-{name}.svg" for name in SECTIONS}
_PAPER: Final = "*Trust Functions* ([arXiv 2606.01000](https://arxiv.org/abs/2606.01000))"
_WEAK: Final = (
    "*When Can LLMs Learn to Reason with Weak Supervision?* ([arXiv 2604.18574](https://arxiv.org/abs/2604.18574))"
)
_ORDERS: Final = "*When Do Curricula Work?* ([arXiv 2012.03107](https://arxiv.org/abs/2012.03107))"
_SAID: Final = {
    "curriculum": f"{_PAPER}: choosing by trust acts as an implicit curriculum, easy rows first.",
    "order": f"{_ORDERS}: where training is as long as usual an order of examples is worth nothing; where steps are few or "
    "labels wrong, easy ones first help, and hard ones first do not.",
    "attribution": f"{_PAPER}: what is kept is nearly all right (purity .95 to .98 in most of its settings), and students that "
    "learn from it come near those of ground truth.",
    "gradients": f"{_PAPER}: the gradients of trusted rows are better aligned and of lower rank.",
    "fit": f"{_WEAK}: while rewards have not saturated a model learns what carries over, later it memorises; some fit wrong "
    "labels as fast as right ones.",
    "faithfulness": f"{_WEAK}: whether the reasoning supports the answer, right or wrong, tells who learns from weak supervision.",
}


def pages(analysis: Analysis) -> dict[str, str]:
    """File name → text: the page, and a figure for every section that has figures to show."""
    drawn: dict[str, str] = {}
    if any(d.curriculum and any(arm.by_coverage for arm in d.curriculum.arms) for d in analysis.domains):
        drawn["curriculum"] = draw_curriculum(analysis)
    if any(domain.orders for domain in analysis.domains):
        drawn["order"] = draw_orders(analysis)
    if analysis.attribution:
        drawn["attribution"] = draw_attribution(analysis)
    if any(d.gradients and d.gradients.arms for d in analysis.domains):
        drawn["gradients"] = draw_gradients(analysis)
    if any(d.fit for d in analysis.domains):
        drawn["fit"] = draw_fit(analysis)
    if any(domain.solutions for domain in analysis.domains):
        drawn["faithfulness"] = draw_faithfulness(analysis)
    files = {FIGURES[name]: text for name, text in drawn.items()}
    return {**files, PAGE: render(analysis, {name: FIGURES[name] for name in drawn})}


def render(analysis: Analysis, figures: Mapping[str, str]) -> str:
    """The page; `figures` maps a section to its figure's file."""
    blocks = [
        f"# {escape(analysis.suite)}: why its arms came out as they did",
        f"An analysis of a run that is finished, over {count(len(analysis.seeds), 'seed')}. Gold is read freely here, since "
        "nothing is trained, chosen or ranked by it; what is called held out are `dev` items, never `test`. How each "
        "figure is made: `docs/mechanisms.md`. Figures without brackets are means over seeds.",
        *([f"> **What could not be had.** {'; '.join(map(escape, analysis.problems))}."] if analysis.problems else []),
    ]
    made = {
        "curriculum": _curriculum,
        "order": order_blocks,
        "attribution": _attribution,
        "gradients": _gradients,
        "fit": fit_blocks,
        "faithfulness": faithfulness_blocks,
    }
    for name in analysis.sections:
        picture = [f"![{name.capitalize()}]({figures[name]})"] if name in figures else []
        blocks += [f"## {name.capitalize()}", f"What is said: {_SAID[name]}", *picture, *made[name](analysis)]
    return "\n\n".join(blocks) + "\n"


def _curriculum(analysis: Analysis) -> list[str]:
    told = [(d, d.curriculum) for d in analysis.domains if d.curriculum is not None]
    if not told:
        return ["No domain has its difficulties: see above."]
    blocks = [f"What is found: {_found_of_curriculum([curriculum for _, curriculum in told])}"]
    for domain, curriculum in told:
        header = [
            "arm",
            "track",
            "Spearman of trust and easiness",
            "among right labels",
            "place of kept rows",
            "their loss",
        ]
        rows = [
            [
                escape(arm.arm),
                TRACKS[arm.track].word,
                by_seeds(arm.spearman),
                by_seeds(arm.among_right),
                number(arm.kept_place.mean),
                number(arm.kept_loss.mean),
            ]
            for arm in curriculum.arms
        ]
        rows.append(["(being right)", NONE, by_seeds(curriculum.of_right), NONE, NONE, NONE])
        rows.append(["(the whole pool)", NONE, NONE, NONE, number(0.5), number(curriculum.pool_loss.mean)])
        blocks += [f"### Curriculum in {escape(domain.name)}", table(header, rows)]
    return [*blocks, *_easy(analysis)]


def _found_of_curriculum(domains: Sequence[Curriculum]) -> str:
    scored = [arm for domain in domains for arm in domain.arms if arm.spearman.there]
    if not scored:
        return "no arm of this run has trust scores."
    easier = sum(arm.spearman.agrees > 0 for arm in scored)
    harder = sum(arm.spearman.agrees < 0 for arm in scored)
    left = sum(arm.among_right.agrees > 0 for arm in scored)
    shrunk = sum(abs(arm.among_right.mean or 0) < abs(arm.spearman.mean or 0) for arm in scored)
    return (
        f"of {count(len(scored), 'pair')} of trust function and domain, easier rows are trusted more in {easier} on every seed, "
        f"harder ones in {harder}. Right labels are easier rows anyway ({spread(domain.of_right for domain in domains)} for being right "
        f"itself); among right labels alone trust still prefers easy rows in {left}, more weakly than over the pool in {shrunk}."
    )


def _easy(analysis: Analysis) -> list[str]:
    arms = [arm for arm in (EASY, RANDOM, EASY_GOLD, GOLD_RANDOM) if any(arm in d.easy for d in analysis.domains)]
    if EASY not in arms:
        how = (
            f" `{analysis.decompose}` makes them."
            if analysis.decompose
            else " A new run with `--decompose` makes them."
        )
        return [f"This run has no arms `{EASY}` and `{EASY_GOLD}`, which say what easy rows are worth.{how}"]
    shown = [d for d in analysis.domains if d.easy]
    rows = [[escape(d.name), *(figure(d.easy.get(arm)) for arm in arms)] for d in shown]
    said = f"PGR of the easiest rows as students learn them, weak labels (`{EASY}`) and gold (`{EASY_GOLD}`), beside random rows:"
    return ["### What easy rows are worth", said, table(["domain", *(f"`{arm}`" for arm in arms)], rows)]


def _attribution(analysis: Analysis) -> list[str]:
    if not analysis.attribution:
        how = f": `{analysis.decompose}`" if analysis.decompose else ""
        return [
            f"This run has no controls that are made of its arms, so gains cannot be parted; run it with `--decompose`{how}"
        ]
    meant = "; ".join(f"**{share.name}**: {share.words}" for share in SHARES)
    header = ["arm", *(share.name for share in SHARES)]
    is_one_domain = len(analysis.domains) == 1
    blocks = [
        f"What is found: {_found_of_attribution(analysis)}",
        f"Paired differences in PGR units; intervals are not corrected for how many there are. {meant}. Budget, items and purity add "
        f"up to the gain over `{NAIVE}`; the board's section *What the gains are made of* parts the same gain by mix and choice.",
    ]
    if not is_one_domain:
        rows = [[escape(a.arm), *(difference(a.mean[s.name]) for s in SHARES)] for a in analysis.attribution]
        blocks += ["### Mean over domains", table(header, rows)]
    for domain in analysis.domains:
        here = [a for a in analysis.attribution if domain.name in a.in_domains]
        rows = [[escape(a.arm), *(difference(a.in_domains[domain.name][s.name]) for s in SHARES)] for a in here]
        if rows:
            blocks += [f"### Gains in {escape(domain.name)}", table(header, rows)]
    return blocks


def _found_of_attribution(analysis: Analysis) -> str:
    """How many intervals of each part lie above 0, and how many below, over arms and domains."""
    parts = [share for share in SHARES if share.adds_up or share.name == "gain"]
    if not any(isinstance(d["gain"], Estimate) for a in analysis.attribution for d in a.in_domains.values()):
        return "nothing, for no domain's gap between teacher and ceiling is told from 0 by so many seeds: run more (`--seeds`)."
    told = []
    for share in parts:
        differences = [
            r for a in analysis.attribution for d in a.in_domains.values() if isinstance(r := d[share.name], Estimate)
        ]
        above, below = sum(r.low > 0 for r in differences), sum(r.high < 0 for r in differences)
        told.append(f"{share.name} above 0 in {above} and below in {below} of {len(differences)}")
    return f"beyond their intervals, over arms and domains: {'; '.join(told)}."


def _gradients(analysis: Analysis) -> list[str]:
    told = [(d, [at for at in (d.gradients, d.warmed) if at is not None]) for d in analysis.domains]
    if not any(students for _, students in told):
        return ["No domain has its gradients: see above."]
    blocks = ["What is found:", "\n".join(f"- {words}" for words in _found_at_each([s for _, s in told]))]
    for domain, students in told:
        if students:
            blocks.append(f"### Gradients in {escape(domain.name)}")
        for gradients in students:
            blocks += _gradients_of(gradients)
    return blocks


def _found_at_each(told: Sequence[Sequence[Gradients]]) -> Iterable[str]:
    """What is found at the untuned student, and at the one that has begun to learn, over domains."""
    for words, warm in (("at the untuned student", False), ("after warm-up", True)):
        domains = [gradients for students in told for gradients in students if (gradients.steps > 0) == warm]
        if domains:
            yield f"{words}, {_found_of_gradients(domains)}"


def _gradients_of(gradients: Gradients) -> list[str]:
    header = [
        "arm",
        "labels",
        "mean pairwise cosine",
        "cosine with gold, held out",
        "effective rank",
        "stable rank",
        "noise scale",
    ]
    rows = [
        [
            escape(arm.arm),
            arm.labels,
            by_seeds(arm.cosine, 3),
            by_seeds(arm.alignment, 3),
            number(arm.effective_rank.mean, 1),
            number(arm.stable_rank.mean, 1),
            number(arm.noise_scale.mean, 0),
        ]
        for arm in gradients.arms
    ]
    held = (
        f"{gradients.held_out} held-out items" if gradients.held_out else "no held-out items (the suite has no `dev`)"
    )
    at = (
        f"After warm-up, {count(gradients.steps, 'step')} on all weak labels, the same student for all arms"
        if gradients.steps
        else "At the untuned student"
    )
    rows_each = " and ".join(map(str, sorted(set(gradients.rows))))
    facts = f"{at}: {rows_each} rows an arm and seed, {gradients.width} numbers a gradient, {held}."
    left = "; ".join(f"{escape(arm)} ({why})" for arm, why in gradients.left_out.items())
    return [facts, table(header, rows), *([f"Left out: {left}."] if left else [])]


def _found_of_gradients(domains: Sequence[Gradients]) -> str:
    """Trust functions against random rows with weak labels, pair by pair of arm and domain."""
    pairs = []
    for domain in domains:
        blind = next((arm for arm in domain.arms if arm.arm == RANDOM), None)
        pairs += [(arm, blind) for arm in domain.arms if blind and arm.track != "control"]
    if not pairs:
        return f"there is no trust function beside `{RANDOM}` to compare."
    told = []
    for words, name, up in (
        ("a higher pairwise cosine", "cosine", 1),
        ("a higher cosine with held-out gold", "alignment", 1),
        ("a lower effective rank", "effective_rank", -1),
    ):
        signs = [apart(getattr(arm, name), getattr(blind, name)) for arm, blind in pairs]
        told.append(f"{words} in {sum(a == up for a in signs)} (the opposite in {sum(a == -up for a in signs)})")
    return f"of {count(len(pairs), 'pair')} of trust function and domain, on every seed, against `{RANDOM}`: {'; '.join(told)}."
