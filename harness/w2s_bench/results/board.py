"""What a leaderboard holds: plain values, ready for pages. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from w2s_bench.results.cells import SuiteRef
from w2s_bench.results.statistics import Estimate, Ratio

#: The tracks that are ranked, in their order.
TRACKS = ("none", "trust_set", "privileged")
#: What a check may look at.
Figure = Ratio | float | int | None


@dataclass(frozen=True)
class Entry:
    """One arm on one domain, over the seeds in `seeds`; None where the arm has no such figure or no seed is left.

    `kind` is that of its arm, `of_seeds` the number of the board's seeds. `kept` is the smallest and largest number of rows
    over seeds, `shortfall` the largest. `diagnostics` are the cell's figures from 0 to 1, means over seeds (`auroc`: of the
    trust scores against the correctness of the weak labels). `minus` holds paired differences to controls, in PGR units.
    """

    row: str
    kind: str
    seeds: tuple[int, ...]
    of_seeds: int
    accuracy: Estimate | None
    pgr: Ratio
    recovery: Ratio
    kept: tuple[int, int] | None
    shortfall: int
    purity: float | None
    coverage: float | None
    diagnostics: Mapping[str, float]
    by_stratum: Mapping[str, float]
    kept_by_stratum: Mapping[str, float]
    minus: Mapping[str, Ratio]


@dataclass(frozen=True)
class Row:
    """One arm across the suite's domains. `track`: none, trust_set, privileged, control; `rank` is within a track."""

    arm: str
    track: str
    plugins: tuple[str, ...]
    rank: int | None
    entries: Mapping[str, Entry]
    mean_pgr: Ratio
    mean_minus: Mapping[str, Ratio]
    purity: float | None
    coverage: float | None

    @property
    def is_control(self) -> bool:
        return self.track == "control"


@dataclass(frozen=True)
class Check:
    """A figure that a suite must show, and whether it does (None: it cannot be told)."""

    figure: Figure
    shown: bool | None


@dataclass(frozen=True)
class DomainSummary:
    """One domain: its references, its gap (ceiling − weak) and what it must show to be worth filtering in.

    `checks` maps a check's name to its figure; `resolved` says that the gap's interval lies above 0.
    """

    name: str
    version: str
    fingerprint: str
    teacher: str
    student: str
    items: int
    references: Mapping[str, Entry]
    gap: Estimate | None
    label_accuracy: float | None
    checks: Mapping[str, Check]

    @property
    def resolved(self) -> bool:
        return self.gap is not None and self.gap.low > 0


@dataclass(frozen=True)
class Failure:
    """A seed that failed, with every row it failed in for that reason."""

    rows: tuple[str, ...]
    seed: int
    reason: str


@dataclass(frozen=True)
class Leaderboard:
    """Rows in the order they are shown: by track, ranked by mean PGR, then the controls in their fixed order."""

    suite: SuiteRef
    protocol: str
    seeds: tuple[int, ...]
    domains: tuple[DomainSummary, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    packages: Mapping[str, tuple[str, ...]]

    @property
    def mean_domains(self) -> tuple[str, ...]:
        """The domains that means are over: those whose gap is resolved."""
        return tuple(d.name for d in self.domains if d.resolved)
