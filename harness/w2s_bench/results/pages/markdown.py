"""A leaderboard as markdown that GitHub renders. Text that plugins, items or errors supplied is escaped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from w2s_bench.controls import of_kind
from w2s_bench.resolvers import is_on_disk
from w2s_bench.results.attestations import TIERS
from w2s_bench.results.board import DomainSummary, Entry, Leaderboard, Row
from w2s_bench.results.checks import CHECKS
from w2s_bench.results.gains import ARM, PARTS, Part
from w2s_bench.results.pages import columns
from w2s_bench.results.pages.columns import Column, Subject
from w2s_bench.results.pages.standing import standing
from w2s_bench.results.pages.style import TRACKS, count, difference, figure, number, p_value
from w2s_bench.results.pages.warnings import warnings
from w2s_bench.results.statistics import Estimate
from w2s_bench.text import one_line, shortened

_INTRODUCTION = (
    "Each row is one way of choosing which of a weak teacher's labels a strong student trains on. **PGR** is the share of "
    "the gap between the teacher (0) and the same student trained on ground truth (1) that this closes: "
    "(student − weak) / (ceiling − weak) of mean accuracies. Brackets are 95 % intervals over seeds and test items. Trust "
    "functions are ranked within a track (what they may learn from: nothing, the small gold trust set, or more); the "
    "harness's controls stand below them as yardsticks."
)
_MEAN_NOTE = (
    "Paired differences to controls in PGR units, means over the domains that enter means. p is corrected for all the "
    "comparisons of the table (Holm); bold where it is below 0.05. Intervals are not corrected."
)
#: Pairs of ten trust functions, what a table may show of them.
_MOST_PAIRS = 45
_SELECTION_NOTE = (
    "The same trust scores, other rows: `balanced` keeps the highest scores of each class of weak labels, equally many, "
    "`stratified` those of each stratum, as many as its share of the pool; `weighted` keeps every row, with a weight in proportion to "
    "the rank of its score. These arms have no rank and enter no other table. "
    "− by `top`: paired difference to the same trust function's arm above, in PGR units, mean over the domains that enter means; "
    "not corrected for how many there are."
)
_OBJECTIVE_NOTE = (
    "The same rows, other losses: students of these arms are trained by the objective named, all others (the ceiling too) by the "
    "suite's own. These arms have no rank and enter no other table. − by the suite's: paired difference to the same arm by the "
    "suite's own objective, in PGR units, mean over the domains that enter means; not corrected for how many there are. What a loss "
    "over an item's options is worth is seen against `xent:over=options`, which learns the same labels over options too."
)
_GAIN_NOTE = (
    "What a trust function's gain over `naive` is made of, in PGR units, means over the domains that enter means, paired; p "
    "corrected for all of the table (Holm). Budget, label mix and item choice add up to the gain. "
)
_MIX_NOTE = (
    " Labels are matched within strata whose items all offer the same options; elsewhere (generated answers, options of an item's "
    "own) labels are no classes, and strata alone are matched, so that what a mix of labels does counts as choice."
)
_DOMAIN_NOTE = "PGR units, paired; p corrected for the comparisons of this table (Holm)."


#: A word with what cmark-gfm's autolinks and GitHub's mentions begin at; what ends a code span or a table's cell ends it.
_LINKED = re.compile(r"(?<![^\s|`])([^\s|`]*(?:@|://|www\.)[^\s|`]*)", re.IGNORECASE)


def render(board: Leaderboard, plot: str, ties: str = "", badge: str = "", chains: Sequence[str] = ()) -> str:
    """The whole README; `ties` and `badge` are the files that show them, where there are any, `chains` the blocks of chains."""
    suite, headline = board.suite, columns.headline(board)
    rows = {row.arm: row for row in board.rows}
    blocks = [
        f"# {escape(suite.name)}: how much trust recovers",
        f"Suite {_code(suite.name)} version {escape(suite.version)} (digest {_code(suite.digest[:12])}), protocol "
        f"{escape(board.protocol)}, {count(len(board.seeds), 'seed')}, evaluated on `{suite.evaluate_on}`.",
        *_verified(board, badge),
        *_warnings(board),
        _INTRODUCTION,
        f"![PGR of every arm in every domain, with 95 % intervals]({plot})",
        "## Leaderboard",
        _columns(rows, headline),
        columns.notes(headline),
        *([" ".join(said)] if (said := standing(board, lambda arm: f"**{escape(arm)}**")) else []),
        _own_arms(rows),
        *_differences("## What trust functions add", rows, columns.mean_differences(), _MEAN_NOTE),
        *_pairs(board, ties),
        *_other_selections(board),
        *_other_objectives(board),
        *_gains(board),
        *chains,
        *_robust(rows),
        "## What the suite must show",
        "✓: it does, with an interval above 0 where there is one; ✗: it does not, or not clearly; –: it cannot be told.",
        _checks(board),
    ]
    for domain in board.domains:
        blocks += _domain(domain, board)
    if board.failures:
        blocks += ["## Failed seeds", _failures(board)]
    blocks += _models(board)
    blocks += _reproduce(board)
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Text from outside as inert inline markdown: one line, no markup, no HTML, no table bars, no mentions or links.

    It is shown as it is. A word that would become a link or a mention stands in a code span, which is read for neither
    (an entity or a backslash is no help: links are looked for in what these have become).
    """
    return "".join(f"`{part}`" if at % 2 else _escaped(part) for at, part in enumerate(_LINKED.split(one_line(text))))


def _escaped(text: str) -> str:
    # Backslashes first: the entities' own characters must not be escaped.
    text = re.sub(r"([\\`*\[\]|~$!#])", r"\\\1", text)
    text = re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code(text: str) -> str:
    """A name or digest as code; what could end the code span is left out."""
    return "`" + re.sub(r"[^0-9A-Za-z._-]", "", text) + "`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A pipe table, padded so that the raw text reads well too; the first column left, the others centred."""
    import tabulate

    # Widths are counted in characters whether or not wcwidth is installed: the same bytes everywhere.
    tabulate.WIDE_CHARS_MODE = False
    align = ("left", *["center"] * (len(header) - 1))
    lines = [list(row) for row in rows]
    return tabulate.tabulate(lines, list(header), tablefmt="pipe", disable_numparse=True, colalign=align)


def _columns(subjects: Mapping[str, Subject], columns: Sequence[Column[Subject]]) -> str:
    """A table with a line for every arm."""

    def head(column: Column[Subject]) -> str:
        return f"{column.header} {escape(column.domain)}" if column.domain else column.header

    def told(column: Column[Subject], subject: Subject) -> str:
        text = f"**{column.text(subject)}**" if column.strong(subject) else column.text(subject)
        return f"{text} {aside}" if (aside := column.aside(subject)) else text

    rows = [[escape(arm), *(told(column, subject) for column in columns)] for arm, subject in subjects.items()]
    return table(["arm", *map(head, columns)], rows)


def _differences(
    title: str, subjects: Mapping[str, Subject], columns: Sequence[Column[Subject]], note: str
) -> list[str]:
    """The arms that have any difference to a control."""
    shown = {arm: subject for arm, subject in subjects.items() if any(c.value(subject) is not None for c in columns)}
    return [title, note, _columns(shown, columns)] if shown else []


def _pairs(board: Leaderboard, ties: str) -> list[str]:
    """Trust functions of a track against each other."""
    if not board.pairs:
        return []
    rows, shown, few = [], board.pairs, len(board.pairs) <= _MOST_PAIRS
    if not few:
        order = [row.arm for row in board.rows]
        shown = tuple(pair for pair in shown if order.index(pair.second) == order.index(pair.first) + 1)
    for pair in shown:
        told = difference(pair.difference)
        if isinstance(pair.difference, Estimate) and pair.difference.adjusted is not None:
            told = f"**{told}**" if pair.difference.holds else told
            told += f" {p_value(pair.difference.adjusted)}"
        rows.append([escape(pair.first), escape(pair.second), TRACKS[pair.track].word, told])
    picture = [f"![Trust functions that no test tells apart]({ties})"] if ties else []
    return [
        "## Trust functions against each other",
        *picture,
        "Paired, in PGR units, means over the domains that enter means; p corrected for all pairs of a track (Holm)."
        + ("" if few else f" Neighbours alone, of {len(board.pairs)} pairs; `--json` has all."),
        table(["higher", "lower", "track", "difference"], rows),
    ]


def _other_selections(board: Leaderboard) -> list[str]:
    """Trust functions by another selection than `top`, which nothing else of the page is about."""
    if not board.other_selections:
        return []
    shown = columns.other_selections(board)
    rows = [[escape(row.of), *(column.text(row) for column in shown)] for row in board.other_selections]
    header = ["trust function", *(f"{c.header} {escape(c.domain)}" if c.domain else c.header for c in shown)]
    return ["## Other selections", _SELECTION_NOTE, table(header, rows)]


def _other_objectives(board: Leaderboard) -> list[str]:
    """Arms by other objectives than the suite's, which nothing else of the page is about."""
    if not board.other_objectives:
        return []
    shown = columns.other_objectives(board)
    rows = [
        [escape(row.of), escape(row.objective), *(column.text(row) for column in shown)]
        for row in sorted(board.other_objectives, key=lambda row: (row.of, row.objective))
    ]
    header = ["arm", "objective", *(f"{c.header} {escape(c.domain)}" if c.domain else c.header for c in shown)]
    return ["## Other objectives", _OBJECTIVE_NOTE, table(header, rows)]


def _gains(board: Leaderboard) -> list[str]:
    """What the gains are made of, of the arms that controls are made of; in each domain too where there are several."""
    if not board.gains:
        return []
    told = "; ".join(f"{part.header} ({_contrast(part)}): {part.words}" for part in PARTS)
    means = _columns({gain.arm: gain for gain in board.gains}, columns.parts(lambda gain: gain.mean))
    blocks = ["## What the gains are made of", f"{_GAIN_NOTE}{told[0].upper()}{told[1:]}.{_MIX_NOTE}", means]
    for domain in board.domains if len(board.domains) > 1 else ():
        here = {gain.arm: gain for gain in board.gains if domain.name in gain.in_domains}
        if here:
            name = domain.name
            shown = columns.parts(lambda gain, name=name: gain.in_domains[name])  # type: ignore[misc]
            blocks += [f"### Gains in {escape(name)}", _columns(here, shown)]
    return blocks


def _contrast(part: Part) -> str:
    """Two arms of which one or both are made of the arm that the table's line is about."""
    plus, minus = ("arm" if arm == ARM else f"`{arm}`" for arm in (part.plus, part.minus))
    return f"{plus} − {minus}"


def _robust(rows: Mapping[str, Row]) -> list[str]:
    """Summaries that no single seed decides, of the arms that have any."""
    shown = {arm: row for arm, row in rows.items() if row.iqm is not None}
    if not shown:
        return []
    return ["## Seed by seed", _columns(shown, columns.robust()), columns.notes(columns.robust())]


def _checks(board: Leaderboard) -> str:
    def told(domain: DomainSummary, name: str) -> str:
        check = domain.checks[name]
        mark = {True: "✓", False: "✗", None: "–"}[check.shown]
        if isinstance(check.figure, int):
            return f"{mark} {check.figure}"
        shown = number(check.figure) if isinstance(check.figure, float) else figure(check.figure)
        return shown if shown == mark else f"{mark} {shown}"

    header = ["check", *(escape(d.name) for d in board.domains)]
    return table(header, [[check.words, *(told(d, check.name) for d in board.domains)] for check in CHECKS])


def _own_arms(rows: Collection[str]) -> str:
    references = "; ".join(f"`{arm.name}` is {arm.words}" for arm in of_kind("reference"))
    there = [arm for arm in of_kind("control") if not arm.explains or arm.name in rows]
    controls = "; ".join(f"`{arm.name}` trains on {arm.words}" for arm in there)
    return f"Controls: {controls}. References, in the tables below: {references}."


def _domain(domain: DomainSummary, board: Leaderboard) -> list[str]:
    arms: dict[str, Entry] = dict(domain.references)
    arms |= {row.arm: row.entries[domain.name] for row in board.rows if domain.name in row.entries}
    clusters = f" in {domain.clusters} clusters" if domain.clusters < domain.items else ""
    facts = (
        f"Version {escape(domain.version)}, {domain.items} items of `{board.suite.evaluate_on}`{clusters}, teacher "
        f"{escape(domain.teacher)}, student {escape(domain.student)}."
    )
    if domain.label_accuracy is not None:
        facts += f" Of the weak labels of the transfer pool, {number(domain.label_accuracy, 3)} are right."
    shown = columns.had(columns.of_domain(), arms.values())
    blocks = [f"## Domain {escape(domain.name)}", facts, _columns(arms, shown), columns.notes(shown)]
    strata = sorted({s for entry in arms.values() for s in (*entry.by_stratum, *entry.kept_by_stratum)})
    if len(strata) > 1:
        header = ["accuracy (share kept)", *(escape(s) for s in strata)]
        rows = [[escape(arm), *(_stratum(entry, s) for s in strata)] for arm, entry in arms.items()]
        blocks.append(table(header, rows))
    if labels := sorted({label for entry in arms.values() for label in entry.kept_by_label}):
        with_labels = {arm: entry.kept_by_label for arm, entry in arms.items() if entry.kept_by_label}
        rows = [[escape(arm), *(number(kept.get(label)) for label in labels)] for arm, kept in with_labels.items()]
        blocks.append(table(["share kept of weak label", *map(escape, labels)], rows))
    title = f"### Differences to controls in {escape(domain.name)}"
    return blocks + _differences(title, arms, columns.differences(), _DOMAIN_NOTE)


def _stratum(entry: Entry, stratum: str) -> str:
    kept = entry.kept_by_stratum.get(stratum)
    return number(entry.by_stratum.get(stratum)) + (f" ({number(kept)})" if kept is not None else "")


def _verified(board: Leaderboard, badge: str) -> list[str]:
    """How many cells somebody has computed again, and how they came out."""
    if not board.attested:
        return []
    counted = Counter(board.attested.values())
    told = ", ".join(f"{counted[tier]} {tier}" for tier in TIERS if counted[tier])
    picture = f"![Verified]({badge}) " if badge else ""
    said = f"Computed again: {len(board.attested)} of {count(board.cells, 'cell')} ({told}), last on {board.attested_last[:10]}."
    differ = [escape(row) for row, tier in board.attested.items() if tier == "DIFFERS"]
    said += f" **These did not come again: {', '.join(differ)}.**" if differ else ""
    return [f"{picture}{said} `attestations/` says by what machines."]


def _warnings(board: Leaderboard) -> list[str]:
    """What a reader must know before any figure, as one block quote."""
    lines = [f"**{w.title}** {w.text}" for w in warnings(board, escape, "[Failed seeds](#failed-seeds)")]
    return ["\n>\n".join(f"> {line}" for line in lines)] if lines else []


def _failures(board: Leaderboard) -> str:
    rows = [[str(f.seed), ", ".join(map(escape, f.rows)), escape(shortened(f.reason))] for f in board.failures]
    return table(["seed", "rows", "reason"], rows)


def _models(board: Leaderboard) -> list[str]:
    rows = [
        [escape(d.name), escape(d.version), _code(d.fingerprint[:12]), escape(d.teacher), escape(d.student)]
        for d in board.domains
    ]
    blocks = ["## Models and versions", table(["domain", "version", "fingerprint", "teacher", "student"], rows)]
    plugins = [[escape(row.arm), "; ".join(map(escape, row.plugins))] for row in board.rows if row.plugins]
    if plugins:
        blocks.append(table(["trust function", "distribution, version (source digest)"], plugins))
    if board.packages:
        versions = (f"{escape(name)} {' and '.join(map(escape, seen))}" for name, seen in board.packages.items())
        blocks.append(f"Cells were made with {', '.join(versions)}.")
    return blocks


def _reproduce(board: Leaderboard) -> list[str]:
    rows = [entry.row for row in board.rows for entry in row.entries.values()]
    example = rows[0] if rows and re.fullmatch(r"[0-9A-Za-z._/@=,+-]+", rows[0]) else "DOMAIN/ARM"
    folders = any(is_on_disk("model", model) for d in board.domains for model in (d.teacher, d.student))
    elsewhere = (
        " Models of this suite are folders: give `verify` each as `--model FINGERPRINT=FOLDER`, by its digits above, or "
        "`--trust-folder` where they lie as the suite says."
    )
    return [
        "## Run it again",
        "In the folder of this file, which also holds `suite.yaml` and the cells under `results/`:",
        "```sh\n"
        "# the whole suite, one row computed anew and compared, this page from the cell files (the same bytes)\n"
        "w2s-bench run suite.yaml\n"
        f"w2s-bench verify . --row {example}\n"
        "w2s-bench leaderboard .\n"
        "```",
        "Made by `w2s-bench` from the cell files alone; do not edit it by hand." + (elsewhere if folders else ""),
    ]
