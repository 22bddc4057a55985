"""Sections of a board's page about its arms: against each other, by other selections and objectives, and what gains are made of."""

from __future__ import annotations

from collections.abc import Mapping

from w2s_bench.controls import NAIVE
from w2s_bench.names import AGAINST
from w2s_bench.results.board import Leaderboard, Row
from w2s_bench.results.folding import folds
from w2s_bench.results.gains import ARM, Part, parts_told, whole_sum
from w2s_bench.results.pages import columns
from w2s_bench.results.pages.blocks import columns_table, escape, table, unfolding
from w2s_bench.results.pages.column import notes_of
from w2s_bench.results.pages.scatter import Against, correlation, kinds, panels
from w2s_bench.results.pages.standing import not_shown
from w2s_bench.results.pages.style import NONE, TRACKS, count, difference, number, p_value
from w2s_bench.results.statistics import Estimate
from w2s_bench.selections import METHODS, guarantee_of

#: Pairs of ten trust functions, what a table may show of them.
_MOST_PAIRS = 45
_SELECTION_NOTE = (
    "The same trust scores, other rows: `balanced` keeps the highest scores of each class of weak labels, equally many, "
    "`stratified` those of each stratum, as many as its share of the pool; `weighted` keeps every row, with a weight in proportion to "
    "the rank of its score. These arms have no rank and enter no other table. "
    "− by `top`: paired difference to the same trust function's arm above, in PGR units, mean over the domains that enter means; "
    "not corrected for how many there are."
)
_DIVERSE_NOTE = (
    " `diverse` keeps, of the half of the pool that is highest, the rows whose prompts stand for that half best: facility location over "
    "the untuned student's states."
)
_GUARANTEE_NOTE = (
    f" {', '.join(f'`{method}` ({words})' for method, words in METHODS.items())} keep as many rows as the purity that they name can "
    "be guaranteed of, by gold of the trust set that the scores have not learnt from, so that these arms are of the trust set's track "
    "at least; a seed in which there are none keeps nothing (abstained) and enters no figure. Guaranteed: mean of the purities that "
    "were; purity: what the kept rows have."
)
_OBJECTIVE_NOTE = (
    "The same rows, other losses: students of these arms are trained by the objective named, all others (the ceiling too) by the "
    "suite's own. These arms have no rank and enter no other table. − by the suite's: paired difference to the same arm by the "
    "suite's own objective, in PGR units, mean over the domains that enter means; not corrected for how many there are. What a loss "
    "over an item's options is worth is seen against `xent:over=options`, which learns the same labels over options too."
)
_GAIN_NOTE = (
    "What a trust function's gain over `naive` is made of, in PGR units, means over the domains that enter means, paired; p "
    "corrected for all of the table (Holm)."
)
_SUM_NOTE = " Budget, label mix and item choice add up to the gain."
_MIX_NOTE = (
    "Labels are matched within strata whose items all offer the same options; elsewhere (generated answers, options of an item's "
    "own) labels are no classes, and strata alone are matched, so that what a mix of labels does counts as choice."
)


def pairs(board: Leaderboard, ties: str) -> list[str]:
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
    listed = [table(["higher", "lower", "track", "difference"], rows)]
    unseen = "".join(f"; track {TRACKS[track].word}: {told}" for track, told in not_shown(board).items())
    picture = [f"![Trust functions that no test tells apart{unseen}]({ties})"] if ties else []
    return [
        "## Trust functions against each other",
        *(unfolding("Which are tied", picture) if folds(board.rows) else picture),
        "Paired, in PGR units, means over the domains that enter means; p corrected for all pairs of a track (Holm)."
        + ("" if few else f" Neighbours alone, of {len(board.pairs)} pairs; `--json` has all."),
        *(unfolding(f"{len(rows)} pairs", listed) if folds(board.rows) else listed),
    ]


def other_selections(board: Leaderboard) -> list[str]:
    """Trust functions by another selection than `top`, which nothing else of the page is about."""
    if not board.other_selections:
        return []
    shown = columns.other_selections(board)
    rows = [[escape(row.of), *(column.text(row) for column in shown)] for row in board.other_selections]
    header = ["trust function", *(f"{c.header} {escape(c.domain)}" if c.domain else c.header for c in shown)]
    sure = any(guarantee_of(row.selection) for row in board.other_selections)
    diverse = any(row.selection == "diverse" for row in board.other_selections)
    note = _SELECTION_NOTE + (_DIVERSE_NOTE if diverse else "") + (_GUARANTEE_NOTE if sure else "")
    return ["## Other selections", note, table(header, rows)]


def other_objectives(board: Leaderboard) -> list[str]:
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


def gains(board: Leaderboard) -> list[str]:
    """What the gains are made of, of the arms that controls are made of; in each domain too where there are several."""
    if not board.gains:
        return []
    parts = parts_told(board.gains)
    compared = table(["column", "compares", "that is"], [[p.header, _contrast(p), p.words] for p in parts], prose=True)
    means = columns_table({gain.arm: gain for gain in board.gains}, columns.parts(parts, lambda gain: gain.mean))
    whole = whole_sum(parts)
    blocks = [
        "## What the gains are made of",
        f"{_GAIN_NOTE}{_SUM_NOTE if whole else ''}",
        means,
        *unfolding("What each column compares", [compared, *([_MIX_NOTE] if whole else [])]),
    ]
    for domain in board.domains if len(board.domains) > 1 else ():
        here = {gain.arm: gain for gain in board.gains if domain.name in gain.in_domains}
        if here:
            name = domain.name
            shown = columns.parts(parts, lambda gain, name=name: gain.in_domains[name])  # type: ignore[misc]
            blocks += [f"### Gains in {escape(name)}", columns_table(here, shown)]
    return blocks


def _contrast(part: Part) -> str:
    """Two arms of which one or both are made of the arm that the table's line is about."""
    plus, minus = ("arm" if arm == ARM else f"`{arm}`" for arm in (part.plus, part.minus))
    return f"{plus} − {minus}"


def goes_with(board: Leaderboard) -> list[str]:
    """Whether purity, AUROC and cost say which arms have a high PGR: rank correlations, and the plots to unfold."""
    shown = {against: here for against in kinds(board) if (here := panels(board, against))}
    if not shown:
        return []
    titles = list(dict.fromkeys(title for here in shown.values() for title in here))
    correlations = {
        against: {title: correlation(here.get(title, ())) for title in titles} for against, here in shown.items()
    }
    told = {against: each for against, each in correlations.items() if any(each.values())}
    blocks = ["## What goes with a high PGR"]
    if told:
        rows = [[against.title, *(_rho(each[title]) for title in titles)] for against, each in told.items()]
        blocks += [
            "Spearman's ρ over trust functions, how many in brackets. 1: whoever has more of it has the higher PGR, throughout; 0: it "
            "says nothing of PGR.",
            table(["", *map(escape, titles)], rows),
        ]
    words = ", ".join(against.title.removeprefix("PGR against ") for against in shown)
    pictures = [
        block
        for against in shown
        for block in (_how_to_read(against), f"![{against.title}, {_drawn(titles)}]({AGAINST[against.name]})")
    ]
    return [*blocks, *unfolding(f"PGR against {words}: a plot each", pictures)]


def _rho(told: tuple[float, int] | None) -> str:
    return NONE if told is None else f"{number(told[0])} ({told[1]})"


def _how_to_read(against: Against) -> str:
    level = "chance" if against.level is not None else f"the value of `{NAIVE}`, which does not choose"
    line = "; the solid line: the trust functions that no cheaper one outdoes" if against.logarithmic else ""
    return f"{against.note} Dashed: {level}{line}."


def _drawn(titles: list[str]) -> str:
    return f"{count(len(titles), 'panel')}, one mark per arm, named where there is room"


def robust(rows: Mapping[str, Row]) -> list[str]:
    """Summaries that no single seed decides, of the arms that have any."""
    shown = {arm: row for arm, row in rows.items() if row.iqm is not None}
    if not shown:
        return []
    listed = [columns_table(shown, columns.robust())]
    notes = notes_of(columns.robust())
    if folds([*rows.values()]):
        return ["## Seed by seed", notes, *unfolding(f"All {len(shown)} arms", listed)]
    return ["## Seed by seed", *listed, notes]
