"""What a leaderboard holds: plain values, ready for pages. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from w2s_bench.arm_facts import Role
from w2s_bench.errors import NotApplicableError
from w2s_bench.results.budgets import SuiteBudget
from w2s_bench.results.references import SuiteRef
from w2s_bench.results.statistics import Estimate, Ratio

#: The tracks that are ranked, in their order.
TRACKS = ("none", "trust_set", "privileged")
#: What a domain's gap must be for its PGRs to enter means: so large, made of so many items (or clusters) that do not cancel by
#: the tens, as normal theory asks, and known to half of itself on either side, or PGRs in it would be mostly noise.
LEAST_GAP, LEAST_DISCORDANT, WIDEST = 0.02, 20, 1.0
#: Of fewer seeds no ranks are told, nor what the board can tell apart.
FEWEST_SEEDS = 3
#: How often the board would find the difference that it is said to be able to tell.
POWER = 0.8
#: The cross-entropy over an item's options: from it, and not from that over tokens, objectives over options alone differ in
#: nothing but the loss.
OVER_OPTIONS: Final = "xent:over=options"
#: Domains beyond which tables show families, and trust functions beyond which the first table shows the best alone.
MOST_DOMAINS, MOST_FUNCTIONS = 8, 40
#: What a check may look at.
Figure = Ratio | float | int | None


@dataclass(frozen=True)
class Entry:
    """One arm on one domain, over the seeds in `seeds`; None where the arm has no such figure or no seed is left.

    `role` is that of its arm, `of_seeds` the number of the board's seeds. `kept` is the smallest and largest number of rows
    over seeds, `shortfall` the largest. `diagnostics` are the cell's figures from 0 to 1, means over seeds (`auroc`: of the
    trust scores against the correctness of the weak labels). `minus` holds paired differences to controls, in PGR units.
    `pgr_by_seed` has a value for each of `seeds`, each over the gap of all.
    """

    row: str
    role: Role
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
    pgr_by_seed: tuple[float, ...] = ()
    kept_by: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    #: How many seeds a selection with a guarantee kept nothing in: no other figure is about them.
    abstained: int = 0
    #: What all stages of its cell took, those that other arms share included: by the clock, and in seconds of processors where
    #: these alone have made it.
    seconds: float | None = None
    cpu_seconds: float | None = None
    #: How many gold labels lie behind its answers, of a suite with full diagnostics.
    gold_labels: int | None = None


@dataclass(frozen=True)
class Row:
    """One arm across the suite's domains. `track`: none, trust_set, privileged, control; `rank` is within a track.

    `places`: the best and the worst rank that paired tests leave open; None of fewer than FEWEST_SEEDS. `pgr_by_seed`: means over
    the domains, where all have the same seeds. `iqm`: mean of the middle half of all seeds' PGRs in all domains;
    `improvement`: the chance that one of its seeds outdoes one of naive's.
    """

    arm: str
    track: str
    plugins: tuple[str, ...]
    rank: int | None
    entries: Mapping[str, Entry]
    mean_pgr: Ratio
    mean_minus: Mapping[str, Ratio]
    purity: float | None
    coverage: float | None
    places: tuple[int, int] | None = None
    pgr_by_seed: tuple[float, ...] = ()
    iqm: float | None = None
    improvement: float | None = None

    #: Of an arm by another selection than `top`: which, the arm by `top`, and the mean paired difference to it in PGR units.
    selection: str = "top"
    of: str = ""  # of a control that explains an arm: that arm
    minus_top: Ratio | None = None
    #: Of an arm by another objective than its suite's: which, and the mean paired difference to `of`, the same arm by the suite's.
    objective: str = ""
    minus_usual: Ratio | None = None
    #: What its cells were made with that most cells of the board were not: versions, machines.
    made_elsewhere: tuple[str, ...] = ()
    #: Of its cells, how many somebody has computed again with the same outcome (`attestations`).
    verified: int = 0
    #: The same to the same arm by `OVER_OPTIONS`, where there is one.
    minus_over_options: Ratio | None = None
    #: Mean PGR over the domains of each family of the board.
    family_pgr: Mapping[str, Ratio] = field(default_factory=dict)

    @property
    def is_control(self) -> bool:
        return self.track == "control"


@dataclass(frozen=True)
class Pair:
    """Two trust functions of a track, `first` of the higher rank, and their mean difference in PGR units."""

    track: str
    first: str
    second: str
    difference: Ratio

    @property
    def known(self) -> tuple[str, str] | None:
        """The better and the worse of the two, where that holds when all pairs of the track are tested."""
        if isinstance(self.difference, Estimate) and self.difference.holds:
            return (self.first, self.second) if self.difference.value > 0 else (self.second, self.first)
        return None


@dataclass(frozen=True)
class Gain:
    """What an arm's gain over naive is made of: part → difference in PGR units, means over domains and in each domain."""

    arm: str
    mean: Mapping[str, Ratio]
    in_domains: Mapping[str, Mapping[str, Ratio]]


@dataclass(frozen=True)
class Untuned:
    """What the student answers before any training, on the board's scale: its mean PGR, and of each trust function that has a mean
    the paired difference of the student that it made to the untuned one, p corrected for all of them (Holm)."""

    pgr: Estimate
    minus: Mapping[str, Ratio]

    @property
    def matters(self) -> bool:
        """Whether it is not surely below its teacher, so that a filter may do well by leaving it as it is."""
        return self.pgr.high > 0

    @property
    def better(self) -> tuple[str, ...]:
        """The trust functions whose student surely outdoes the untuned one."""
        return tuple(arm for arm, r in self.minus.items() if isinstance(r, Estimate) and r.holds and r.value > 0)

    @property
    def worse(self) -> tuple[str, ...]:
        """Those whose student is surely worse than before it was trained."""
        return tuple(arm for arm, r in self.minus.items() if isinstance(r, Estimate) and r.holds and r.value < 0)


@dataclass(frozen=True)
class Check:
    """A figure that a suite must show, and whether it does (None: it cannot be told)."""

    figure: Figure
    shown: bool | None


@dataclass(frozen=True)
class DomainSummary:
    """One domain: its references, its gap (ceiling − weak) and what it must show to be worth filtering in.

    `checks` maps a check's name to its figure; `resolved` says that the gap's interval lies above 0. `clusters`: how many
    groups of items are independent of each other; `discordant`: in how many of them ceiling and weak teacher differ.
    `suspects`: arm → why it seems to know gold that it should not.
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
    clusters: int
    discordant: int
    suspects: Mapping[str, str] = field(default_factory=dict)
    #: Whose trust set trust functions learn from, where it is not the domain's own.
    trust_from: str = ""
    #: Of the pool's gold that is learned from, the share that is right; None where it is what grades.
    training_gold_accuracy: float | None = None

    @property
    def left_out(self) -> str:
        """Why means leave it out; empty where they do not."""
        if self.gap is None or not self.resolved:
            return "its gap is unresolved"
        if self.gap.value < LEAST_GAP:
            return f"its gap is below {LEAST_GAP}, so that a few items would decide every arm's mean"
        if self.discordant < LEAST_DISCORDANT:
            unit = "items" if self.clusters == self.items else "clusters of items"
            return f"ceiling and weak teacher differ in {self.discordant} {unit} alone, fewer than {LEAST_DISCORDANT}"
        if (width := (self.gap.high - self.gap.low) / self.gap.value) > WIDEST:
            return f"its gap's own interval is {width:.1f} times as wide as the gap; {WIDEST:g} is the most"
        return ""

    @property
    def resolved(self) -> bool:
        return self.gap is not None and self.gap.low > 0


@dataclass(frozen=True)
class Cost:
    """What lies behind a student: optimizer steps of all models trained for it, distinct gold labels, and processor seconds of
    all that was computed for all its seeds, as their cells have it (None where they do not say)."""

    steps: int
    gold_labels: int
    cpu_seconds: float | None


@dataclass(frozen=True)
class ArmChain:
    """One arm's chain in one domain, beside its one hop (None where there is no cell of it), and what each took.

    PGRs are on the first teacher and the last student's ceiling, those of models between too. `minus_one_hop` is the paired
    difference of the last generation to the one hop, `minus_naive` that to the last generation of the chain of naive, in PGR
    units. A generation that has no cell is None.
    """

    arm: str
    track: str
    one_hop: Entry | None
    generations: tuple[Entry | None, ...]
    minus_one_hop: Ratio
    minus_naive: Ratio | None
    spent: Cost
    spent_one_hop: Cost


@dataclass(frozen=True)
class DomainChains:
    """The chains of one domain: who learns in each generation, the suite's student last. `ladder` has teacher and students with
    their fingerprints, as `DomainSummary` writes them."""

    domain: str
    ladder: tuple[str, ...]
    students: tuple[str, ...]
    pool: str
    arms: tuple[ArmChain, ...]


@dataclass(frozen=True)
class MeanChain:
    """An arm's chain and its one hop over the domains that enter means and have a chain."""

    arm: str
    track: str
    one_hop: Ratio
    chain: Ratio
    minus_one_hop: Ratio
    minus_naive: Ratio | None


@dataclass(frozen=True)
class Failure:
    """A seed that failed, with every row it failed in for that reason."""

    rows: tuple[str, ...]
    seed: int
    reason: str

    @property
    def not_applicable(self) -> bool:
        """Whether nothing is broken: the arm asks for what this domain or its models cannot give."""
        return NotApplicableError.is_behind(self.reason)


@dataclass(frozen=True)
class Leaderboard:
    """Rows in the order they are shown: by track, ranked by mean PGR, then the controls in their fixed order.

    `pairs` has every two trust functions of a track; `detectable` is the true difference of two arms' mean PGRs that the
    board would find with chance POWER, None where it can show none or has fewer than FEWEST_SEEDS. `stability`: Kendall's τ
    between the orders of trust functions within a track on two halves of the test items, None where no track has two.

    `other_selections`: arms that keep other rows than those of highest score, by name; nothing else of the board is about
    them, nor about `other_objectives`: arms whose students are trained otherwise than the suite says. `gains`: of the arms
    that controls are made of, to explain them; `explaining` are those controls, which have no other place. Nor is anything but
    `chains` and `mean_chains` about the generations of chains.
    """

    suite: SuiteRef
    protocol: str
    seeds: tuple[int, ...]
    domains: tuple[DomainSummary, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    packages: Mapping[str, tuple[str, ...]]
    pairs: tuple[Pair, ...] = ()
    detectable: float | None = None
    stability: float | None = None
    #: None where there is no mean PGR of it: no domain enters means, or one that does has no seed of it.
    untuned: Untuned | None = None
    other_selections: tuple[Row, ...] = ()
    other_objectives: tuple[Row, ...] = ()
    gains: tuple[Gain, ...] = ()
    explaining: tuple[Row, ...] = ()
    #: Row of a cell → how it came out when somebody computed it again; and when the last of them was.
    attested: Mapping[str, str] = field(default_factory=dict)
    attested_last: str = ""
    #: Row of a cell → who says to have signed it.
    signed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: How many cells there are.
    cells: int = 0
    chains: tuple[DomainChains, ...] = ()
    mean_chains: tuple[MeanChain, ...] = ()
    #: Whether the folder has a page with the suite's curves.
    curves: bool = False
    #: What the suite says of itself to readers; no part of its digest, nor of any figure.
    description: str = ""
    #: What other numbers of steps do to ceiling and naive on `dev`, where the folder keeps that.
    budget: SuiteBudget | None = None
    #: Family → its domains that enter means, where there are so many domains that tables show families first.
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def tables(self) -> Mapping[str, tuple[Row, ...]]:
        """Field → its rows. Together every arm that has a cell of one hop and is no reference, each in one of them."""
        return {
            "rows": self.rows,
            "other_selections": self.other_selections,
            "other_objectives": self.other_objectives,
            "explaining": self.explaining,
        }

    @property
    def ranks(self) -> bool:
        """Whether there are seeds enough to rank arms by."""
        return len(self.seeds) >= FEWEST_SEEDS

    @property
    def wide(self) -> bool:
        """Whether there are too many domains for a column and a section each."""
        return len(self.domains) > MOST_DOMAINS

    @property
    def large(self) -> bool:
        """Whether a first table cannot show all of it."""
        return self.wide or sum(not row.is_control for row in self.rows) > MOST_FUNCTIONS

    @property
    def mean_domains(self) -> tuple[str, ...]:
        """The domains that means are over."""
        return tuple(d.name for d in self.domains if not d.left_out)
