"""The report: one page of markdown with two plots, and the same figures as JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from w2s_bench.names import README
from w2s_bench.record import write_json
from w2s_bench.results.pages.blocks import escape, table
from w2s_bench.results.pages.style import NONE, count, number, percent, significant
from w2s_bench.results.statistics.scores import auroc
from w2s_bench.scoring.figures import calibration_error, calibration_of, is_probability, summary_of
from w2s_bench.scoring.outcome import Of, Scored
from w2s_bench.scoring.plots import calibration_plot, coverage_plot
from w2s_bench.scoring.seen import Seen
from w2s_bench.scoring.selecting import SHOWN, curve_of, purity_at
from w2s_bench.scoring.writing import CALIBRATION, COVERAGE, SCORED, SUMMARY, TRAINING
from w2s_bench.text import shortened

_LONGEST = 220  # characters of a prompt or label in an example


def write_report(folder: Path, scored: Scored, seen: Seen) -> None:
    """The page, its plots and `score.json`; `seen` has watched all rows."""
    write_json(folder / SUMMARY, summary_of(scored))
    first = scored.functions[0]
    plots = ""
    if len(first.trust):
        confidence = scored.asked.goal.confidence
        curves = {
            of.wanted.spec: curve_of(of.pool, of.trust, of.right, confidence)
            for of in scored.functions
            if len(of.trust)
        }
        share = first.kept.chosen / scored.labels.count
        base, purity = float(first.right.mean()), scored.asked.goal.purity
        (folder / COVERAGE).write_text(
            coverage_plot(curves, base=base, purity=purity, kept=share, confidence=confidence), encoding="utf-8"
        )
        bins = calibration_of(first.trust, first.right)
        (folder / CALIBRATION).write_text(calibration_plot(bins, probabilities=is_probability(first)), encoding="utf-8")
        plots = f"![Purity over coverage]({COVERAGE})\n\n![Calibration]({CALIBRATION})"
    blocks = [
        "# Scored weak labels",
        _what(scored),
        "## Trust functions",
        _functions(scored),
        *([plots] if plots else []),
        *([_calibration(first)] if plots else []),
        *_classes(scored, seen.kept),
        "## Examples",
        _examples(scored, seen),
        "## How to read this",
        _notes(scored),
    ]
    (folder / README).write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def _what(scored: Scored) -> str:
    labels, goal = scored.labels, scored.asked.goal
    kept = int(scored.kept.sum())
    first = scored.functions[0]
    lines = [
        f"{count(labels.count, 'weak label')} of {escape(Path(labels.table.name).name)} "
        f"({'chosen among options' if labels.kind == 'choice' else 'generated'}). Asked for: {goal.words}, by "
        f"{escape(first.wanted.spec)}. **Kept: {kept} of {labels.count} ({kept / labels.count:.1%})**"
        + (f", in `{TRAINING}/` and `{TRAINING}.jsonl`" if kept else "")
        + f"; every row's scores are in `{SCORED}`."
    ]
    if wrong := first.kept.known_wrong:
        lines.append(
            f"It chose {first.kept.chosen} ({first.kept.chosen / labels.count:.1%}); {count(wrong, 'row')} of them, whose label gold calls "
            "wrong, are not kept, and none takes their place. Scores, and what is said of purity, are of all that it chose."
        )
    if first.kept.drawn:
        lines.append(
            f"{first.kept.drawn} of the {first.kept.chosen} that it chose were drawn by lot among {first.kept.tied} rows of one score: "
            "there the scores say nothing of which to keep."
        )
    certified = first.kept.certified
    if certified is not None:
        lines.append(
            f"**It abstains**: {escape(certified.why)}. Nothing is kept, and that is the result: with these scores and this trust "
            "set that purity cannot be promised. A larger trust set, a lower purity or another trust function may."
            if certified.threshold is None
            else f"Guaranteed purity: **{certified.purity:.1%}**. Above the threshold "
            f"{significant(certified.threshold, 6)} the trust set has {count(certified.above, 'row')}, {certified.right} of them right."
        )
    trust = labels.trust
    if trust:
        right = sum(bool(row.right) for row in trust)
        where = (
            f"{count(len(trust), 'row')} beside the pool" if labels.outside else f"{len(trust)} of the pool's own rows"
        )
        lines.append(
            f"Trust set: {where}, {right} right ({right / len(trust):.1%})"
            + (
                f"; functions that learn from it learnt from {scored.learnt_from}, the others certify."
                if scored.learnt_from
                else "; each of its rows is scored by a function that has not learnt from it."
                if any(of.wanted.learns for of in scored.functions)
                else "; no function learns from it."
            )
        )
    else:
        lines.append("There is no trust set, so nothing here says how pure the kept labels are.")
    return "\n\n".join(lines)


def _functions(scored: Scored) -> str:
    confidence = scored.asked.goal.confidence
    header = [
        "trust function",
        "track",
        "AUROC",
        *(f"purity at {c:.0%}" for c in SHOWN),
        "kept",
        *(["guarantee"] if scored.asked.goal.purity else []),
    ]
    rows = []
    for of in scored.functions:
        area = auroc(of.trust, of.right) if len(of.trust) else None
        purities = [_interval(purity_at(c, of.pool, of.trust, of.right, confidence)) for c in SHOWN]
        mark = "°" if of.wanted.scope == "pool" else ""
        line = [
            escape(of.wanted.spec) + mark,
            str(of.wanted.supervision).replace("_", " "),
            number(area, 3),
            *purities,
            str(int(of.kept.rows.sum())),
        ]
        if of.kept.certified is not None:
            certified = of.kept.certified
            line.append("abstains" if certified.threshold is None else f"≥ {certified.purity:.3f}")
        rows.append(line)
    scope = (
        "\n\n°: its scores depend on the whole pool, which was held in memory at once."
        if any(of.wanted.scope == "pool" for of in scored.functions)
        else ""
    )
    return (
        table(header, rows)
        + f"\n\nPurity by the trust set, with {percent(confidence)} intervals (Clopper & Pearson); the first function decides what is kept."
        + scope
    )


def _interval(interval: tuple[float, float, float] | None) -> str:
    return NONE if interval is None else f"{number(interval[0])} [{number(interval[1])}, {number(interval[2])}]"


def _calibration(of: Of) -> str:
    name = escape(of.wanted.spec)
    if not is_probability(of):
        return f"Calibration of {name}: its scores are no probabilities, so only their order counts."
    brier = float(((of.trust - of.right) ** 2).mean())
    error = number(calibration_error(of), 3)
    return (
        f"Calibration of {name}, its scores read as probabilities that a label is right: expected calibration error {error}, Brier score "
        f"{number(brier, 3)} (0 is best)."
    )


def _classes(scored: Scored, kept: Counter[str]) -> list[str]:
    """Which labels the selection keeps: functions are known to keep whole classes and drop others."""
    classes = scored.labels.classes
    if classes is None or len(classes) < 2 or len(classes) == scored.labels.count:
        return []
    total = max(int(scored.kept.sum()), 1)
    lines = [
        [
            escape(shortened(name, 60)),
            str(times),
            str(kept[name]),
            f"{kept[name] / times:.0%}",
            f"{times / scored.labels.count:.0%} → {kept[name] / total:.0%}",
        ]
        for name, times in classes.most_common()
    ]
    shares = [kept[name] / times for name, times in classes.items()]
    warning = (
        "\n\nClasses are kept very unequally: the kept labels may tell a student more of the classes' frequencies than of the task."
        if scored.kept.any() and max(shares) > 2 * min(shares) + 1e-9
        else ""
    )
    return [
        "## Classes kept and dropped",
        table(["label", "rows", "kept", "of them", "share of all → of kept"], lines) + warning,
    ]


def _examples(scored: Scored, seen: Seen) -> str:
    """The rows at both ends of the first function's scores."""
    scores, labels = scored.functions[0].pool, scored.labels
    blocks = []
    for title, places in seen.ends.items():
        lines = [
            [
                escape(row.id),
                number(float(scores[index]), 4),
                escape(shortened(row.prompt, _LONGEST)),
                escape(shortened(row.label, _LONGEST)),
                "yes" if scored.kept[index] else "no: wrong by gold" if labels.right.get(index) is False else "no",
            ]
            for index in places
            if (row := seen.rows[index])
        ]
        blocks.append(f"{title}\n\n{table(['id', 'score', 'prompt', 'label', 'kept'], lines)}")
    return "\n\n".join(blocks)


def _notes(scored: Scored) -> str:
    labels, goal = scored.labels, scored.asked.goal
    notes = ["Scores are higher = more trusted; scores of two functions are on scales of their own."]
    if labels.trust:
        notes.append(
            "What the trust set says of the pool holds as far as it was drawn from it at random, each row by itself. A trust set of easy "
            "rows, or of rows from elsewhere, promises nothing."
        )
        prompts = len({row.prompt for row in labels.trust})
        if prompts < len(labels.trust):
            notes.append(
                f"Its {len(labels.trust)} rows have {prompts} prompts. Rows of one prompt are not independent: intervals and guarantees "
                "are narrower than they should be. One row a prompt is safe."
            )
    if goal.purity is not None:
        notes.append(_PROMISES[goal.method])
        if len(scored.functions) > 1:
            notes.append(
                "The guarantee is that of one function named beforehand. To choose the one that keeps most, after looking, voids it."
            )
    if labels.same_prompts:
        notes.append(
            f"{count(labels.same_prompts, 'row')} of the pool have a prompt of the trust set's; functions that learn "
            "from it have seen those prompts."
        )
    if labels.unused:
        notes.append(f"Columns that were not used: {', '.join(escape(name) for name in labels.unused)}.")
    notes += [f"Left out, since it failed: {escape(shortened(fault, 300))}" for fault in scored.faults.values()]
    notes.append(
        "Kept labels are weak labels: gold teaches, certifies and takes out what it calls wrong, and is never put in a label's place. "
        "Whether training on them helps a student is another question, which `w2s-bench run` asks."
    )
    return "\n".join(f"- {note}" for note in notes)


_PROMISES = {
    "ltt": "Learn then Test promises, with the confidence asked for over the draw of the trust set, the purity of the population above the "
    "threshold; a small pool strays from its population by chance.",
    "sgr": "SGR promises, with the confidence asked for over the draw of the trust set, the purity of the population above the threshold.",
    "hoeffding": "Hoeffding's bound promises, with the confidence asked for, the purity of the population above the threshold; it is "
    "the most cautious.",
    "conformal": "Conformal selection promises the share of wrong labels on average over trust sets and pools, for the rows without gold; "
    "any single selection may be worse.",
}
