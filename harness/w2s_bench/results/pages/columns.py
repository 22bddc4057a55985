"""The columns that a board's tables have: what each shows of a row, how it is written and how to read it.

Markdown, terminal and JSON all take their columns from here; one more column is one more entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from w2s_bench.controls import NAIVE, rivals
from w2s_bench.results.board import OVER_OPTIONS, Entry, Gain, Leaderboard, Row
from w2s_bench.results.gains import Part
from w2s_bench.results.pages.column import (
    Column,
    by_name,
    difference_column,
    had,
    in_domain,
    minus_column,
    number_column,
    ratio_column,
)
from w2s_bench.results.pages.style import NONE, TRACKS, difference, figure, written_seconds
from w2s_bench.results.seed_results import (
    CERTIFIED_PURITY,
    KEPT_BY_DIFFICULTY,
    KEPT_BY_LABEL,
    KEPT_BY_LENGTH,
    WITHIN_LABEL,
    WITHIN_STRATUM,
)
from w2s_bench.results.statistics import Ratio
from w2s_bench.selections import guarantee_of


def _seeds(entry: Entry) -> str:
    return f"{len(entry.seeds)} of {entry.of_seeds}"


#: Of an arm on one domain.
ENTRY: Final[Mapping[str, Column[Entry]]] = by_name(
    ratio_column("accuracy", "accuracy", lambda entry: entry.accuracy, 3),
    ratio_column(
        "pgr",
        "PGR",
        lambda entry: entry.pgr,
        aside=lambda entry: f"({_seeds(entry)} seeds)" if 0 < len(entry.seeds) < entry.of_seeds else "",
    ),
    Column(
        "recovery",
        "Recovery",
        lambda entry: entry.recovery,
        lambda entry: NONE if entry.role == "reference" else figure(entry.recovery),
        note="Recovery: (student − base) / (ceiling − base).",
    ),
    Column(
        "kept",
        "rows kept",
        lambda entry: entry.kept,
        lambda entry: "–".join(map(str, dict.fromkeys(entry.kept))) if entry.kept else NONE,
    ),
    Column(
        "shortfall",
        "short of",
        lambda entry: entry.shortfall,
        lambda entry: str(entry.shortfall) if entry.kept else NONE,
        note="Short of: rows an arm was asked to keep and could not find.",
    ),
    number_column("purity", "purity", lambda entry: entry.purity, 3),
    number_column("coverage", "coverage", lambda entry: entry.coverage),
    number_column(
        "auroc",
        "AUROC",
        lambda entry: entry.diagnostics.get("auroc"),
        note="AUROC: of the trust scores against the correctness of the weak labels; it need not predict PGR.",
    ),
    number_column(
        WITHIN_LABEL,
        "within label",
        lambda entry: entry.diagnostics.get(WITHIN_LABEL),
        note="Within label, within stratum: AUROC over pairs of rows of one weak label (of one stratum too, where strata offer "
        "other options), or of one stratum, alone; near 0.5 the scores tell whole labels or strata apart and nothing more.",
        rare=True,
    ),
    number_column(WITHIN_STRATUM, "within stratum", lambda entry: entry.diagnostics.get(WITHIN_STRATUM), rare=True),
    *(
        number_column(name, header, lambda entry, name=name: entry.diagnostics.get(name), 3, note=note, rare=True)  # type: ignore[misc]
        for name, header, note in (
            ("aurc", "AURC", "AURC: mean over all coverages of the share of wrong labels kept (lower is better)."),
            (
                "augrc",
                "AUGRC",
                "AUGRC: mean over all coverages of the wrong labels kept, as a share of all (lower is better).",
            ),
        )
    ),
    number_column(
        "gold_labels",
        "gold labels",
        lambda entry: entry.gold_labels,
        0,
        note="Gold labels: those of all items that lie behind an arm's answers, its teacher's among them.",
        rare=True,
    ),
    Column("seeds", "seeds", lambda entry: entry.seeds, _seeds),
    Column(
        "seconds",
        "seconds",
        lambda entry: entry.seconds,
        lambda entry: written_seconds(entry.seconds),
        note="Seconds: of all stages that a cell needs when they ran, those that other arms share included.",
    ),
)

#: Of what else than strata tables say what share is kept: the diagnostic, and its words after "share kept".
KEPT_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        KEPT_BY_LABEL: "of weak label",
        KEPT_BY_LENGTH: "of the pool by the length of its labels, the shortest first, equal ones together",
        KEPT_BY_DIFFICULTY: "of the pool by difficulty, the easiest first, equal ones together",
    }
)

#: Which of them a domain's own table shows.
DOMAIN: Final = (
    "accuracy",
    "recovery",
    "kept",
    "shortfall",
    "purity",
    "auroc",
    WITHIN_LABEL,
    WITHIN_STRATUM,
    "aurc",
    "augrc",
    "gold_labels",
    "seeds",
)

#: Of an arm over all domains.
ROW: Final[Mapping[str, Column[Row]]] = by_name(
    Column(
        "rank",
        "#",
        lambda row: row.rank,
        lambda row: str(row.rank) if row.rank and row.places else "" if row.is_control else NONE,
        note="Number (#): the place in the track by mean PGR, with nothing tested.",
    ),
    Column(
        "places",
        "ranks",
        lambda row: row.places,
        lambda row: "–".join(map(str, dict.fromkeys(row.places))) if row.places else "" if row.is_control else NONE,
        note="Ranks: those that paired tests within the track leave open, all together at 95 %; bold: it may be the first; –: it is "
        "alone in its track, or has no mean.",
    ),
    Column("track", "track", lambda row: row.track, lambda row: TRACKS[row.track].word, left=True),
    ratio_column(
        "mean_pgr",
        "mean PGR",
        lambda row: row.mean_pgr,
        strong=lambda row: row.places is not None and row.places[0] == 1,
    ),
    number_column(
        "purity",
        "purity",
        lambda row: row.purity,
        note="Purity: share of kept labels that are right, mean over domains.",
    ),
    number_column(
        "coverage", "coverage", lambda row: row.coverage, note="Coverage: share of the pool kept, mean over domains."
    ),
    number_column(
        "iqm",
        "interquartile mean",
        lambda row: row.iqm,
        note="Interquartile mean: of the PGRs of all seeds in all domains, the outer quarters left out.",
    ),
    number_column(
        "improvement",
        f"outdoes {NAIVE}",
        lambda row: row.improvement,
        note=f"Outdoes {NAIVE}: the chance that one of its seeds has a higher PGR than one of {NAIVE}, ties counting half, mean over "
        "domains (Agarwal et al. 2021).",
    ),
    Column(
        "verified",
        "verified",
        lambda row: row.verified or None,
        lambda row: f"✓ {row.verified} of {len(row.entries)}" if row.verified else NONE,
        note="Verified: how many of its cells somebody has computed again with the same outcome.",
        rare=True,
    ),
    Column(
        "made_elsewhere",
        "made",
        lambda row: "; ".join(row.made_elsewhere) or None,
        lambda row: "elsewhere" if row.made_elsewhere else "",
        note="Made: elsewhere, where cells of the row come from other versions or machines than most of the board.",
        rare=True,
    ),
)


def ranks(board: Leaderboard) -> list[Column[Row]]:
    """Where an arm stands in its track; nothing of a board that has too few seeds to say."""
    return [ROW["rank"], ROW["places"]] if board.ranks else []


def _pgrs(board: Leaderboard) -> list[Column[Row]]:
    """PGR in every domain, and the mean over those that enter means."""
    return [*(in_domain(ENTRY["pgr"], domain.name) for domain in board.domains), _mean(board)]


def _mean(board: Leaderboard) -> Column[Row]:
    means, mean = board.mean_domains, ROW["mean_pgr"]
    if len(means) < len(board.domains):
        mean = replace(mean, header=f"{mean.header} ({len(means)} of {len(board.domains)} domains)")
    return mean


def _first_pgrs(board: Leaderboard) -> list[Column[Row]]:
    """PGR in every domain or, of many, in each family; and the mean."""
    return [_mean(board), *of_families(board)] if board.wide else _pgrs(board)


def first(board: Leaderboard) -> list[Column[Row]]:
    """The columns of the first table: as `headline`, families in place of domains where there are many of these."""
    if not board.wide:
        return headline(board)
    shown = [*ranks(board), ROW["track"], _mean(board), *of_families(board), ROW["purity"], ROW["coverage"]]
    return had([*shown, ROW["verified"], ROW["made_elsewhere"]], board.rows)


def of_families(board: Leaderboard) -> list[Column[Row]]:
    """Mean PGR in each family of domains."""
    return [
        ratio_column(
            f"pgr_of_{name}",
            f"mean of {len(domains)}:",
            lambda row, name=name: row.family_pgr.get(name),  # type: ignore[misc]
            domain=name,
        )
        for name, domains in board.families.items()
    ]


def headline(board: Leaderboard) -> list[Column[Row]]:
    """Ranks, PGR in every domain and the mean."""
    shown = [*ranks(board), ROW["track"], *_pgrs(board), ROW["purity"], ROW["coverage"]]
    return had([*shown, ROW["verified"], ROW["made_elsewhere"]], board.rows)


def _certified(row: Row) -> float | None:
    """Mean over the domains in which it kept anything."""
    purities = [
        entry.diagnostics[CERTIFIED_PURITY] for entry in row.entries.values() if CERTIFIED_PURITY in entry.diagnostics
    ]
    return sum(purities) / len(purities) if purities else None


def _abstained(row: Row) -> str:
    entries = row.entries.values()
    return f"{sum(e.abstained for e in entries)} of {sum(e.of_seeds for e in entries)}" if _may_abstain(row) else NONE


def _may_abstain(row: Row) -> bool:
    return guarantee_of(row.selection) is not None


#: Of arms by a selection with a guarantee.
_CERTIFIED: Final[Column[Row]] = number_column("certified", "guaranteed", _certified, rare=True)
_ABSTAINED: Final[Column[Row]] = Column(
    "abstained",
    "seeds that abstained",
    lambda row: sum(entry.abstained for entry in row.entries.values()) if _may_abstain(row) else None,
    _abstained,
    rare=True,
)


def _minus_arm(name: str, header: str, of: Callable[[Row], Ratio | None]) -> Column[Row]:
    """A mean paired difference to the arm that one beside the ranked ones goes back to."""
    return Column(name, header, of, lambda row: NONE if (ratio := of(row)) is None else difference(ratio), rare=True)


#: Of arms that the board has beside the ranked ones, each in the table of its kind.
BESIDE: Final[Mapping[str, Column[Row]]] = by_name(
    _minus_arm("minus_top", "− by `top`", lambda row: row.minus_top),
    _minus_arm("minus_usual", "− by the suite's", lambda row: row.minus_usual),
    _minus_arm("minus_over_options", f"− by `{OVER_OPTIONS}`", lambda row: row.minus_over_options),
)


def other_selections(board: Leaderboard) -> list[Column[Row]]:
    """The columns of arms that keep other rows than those of highest score."""
    selection: Column[Row] = Column("selection", "selection", lambda row: row.selection, lambda row: row.selection)
    shown = [
        selection,
        ROW["track"],
        *_first_pgrs(board),
        BESIDE["minus_top"],
        _CERTIFIED,
        ROW["purity"],
        ROW["coverage"],
        _ABSTAINED,
    ]
    return had(shown, board.other_selections)


def other_objectives(board: Leaderboard) -> list[Column[Row]]:
    """The columns of arms whose students are trained otherwise than the suite says."""
    compared = [BESIDE["minus_usual"], BESIDE["minus_over_options"]]
    shown = [ROW["track"], *_first_pgrs(board), *compared, ROW["purity"], ROW["coverage"]]
    return had(shown, board.other_objectives)


def parts(told: Sequence[Part], of: Callable[[Gain], Mapping[str, Ratio]]) -> list[Column[Gain]]:
    """One column a part of an arm's gain."""
    return [difference_column(part.name, part.header, lambda gain, name=part.name: of(gain).get(name)) for part in told]  # type: ignore[misc]


def robust() -> list[Column[Row]]:
    """Summaries that no single seed decides."""
    return [ROW["iqm"], ROW["improvement"]]


def of_domain() -> list[Column[Entry]]:
    """The columns of a domain's own table."""
    return [ENTRY[name] for name in DOMAIN]


def mean_differences() -> list[Column[Row]]:
    """One column a control that trust functions are compared with."""
    return [minus_column(rival, lambda row: row.mean_minus) for rival in rivals()]


def differences() -> list[Column[Entry]]:
    """The same in one domain."""
    return [minus_column(rival, lambda entry: entry.minus) for rival in rivals()]
