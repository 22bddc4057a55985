"""What an analysis knows, in plain figures: whoever computes fills these, whoever shows reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from w2s_bench.results.statistics import Ratio

#: What an analysis consists of, in the order of its page.
SECTIONS: Final = ("curriculum", "order", "attribution", "gradients", "fit", "faithfulness")
#: Coverages at which the difficulty of the rows of highest trust is told.
COVERAGES: Final = tuple(round(0.1 * tenth, 1) for tenth in range(1, 11))


@dataclass(frozen=True)
class BySeed:
    """One figure a seed, None where a seed has none."""

    values: tuple[float | None, ...]

    @property
    def there(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> float | None:
        """Over the seeds that have one; None where none has."""
        return float(np.mean(self.there)) if self.there else None

    @property
    def agrees(self) -> int:
        """1 where every seed's is above 0, −1 where every seed's is below, 0 where they differ or there is none."""
        signs = {int(np.sign(value)) for value in self.values if value is not None}
        return signs.pop() if len(signs) == 1 and None not in self.values else 0


@dataclass(frozen=True)
class ArmCurriculum:
    """How easy the rows are that an arm trusts; difficulty is as `protocol.difficulty` has it.

    `spearman`: rank correlation of trust with easiness (−difficulty) over the pool, in [−1, 1], 1: the easiest is the most
    trusted; `among_right`: over right weak labels alone. Both without values where an arm has no scores. `kept_place`: mean
    place of the kept rows in the pool's order of difficulty, 0 the easiest, 1 the hardest, .5 for a blind draw. `kept_loss`:
    their mean difficulty in nats; both None of a seed in which the arm kept nothing. `by_coverage`: the place of the rows of
    highest trust at each of `COVERAGES`, mean over seeds.
    """

    arm: str
    track: str
    spearman: BySeed
    among_right: BySeed
    kept_place: BySeed
    kept_loss: BySeed
    by_coverage: tuple[float, ...] = ()


@dataclass(frozen=True)
class Curriculum:
    """One domain. `pool_loss`: mean difficulty of the pool; `of_right`: rank correlation of a weak label's being right (1 or 0)
    with easiness, which is what perfect trust would have."""

    pool_loss: BySeed
    of_right: BySeed
    arms: tuple[ArmCurriculum, ...]


@dataclass(frozen=True)
class ArmOrder:
    """One arm in one domain, by the order in which its student sees the rows that it keeps: PGR where they are `shuffled`, where the
    most trusted come `first` in every pass, and where they come `last`; and the paired differences of these, in PGR units."""

    arm: str
    track: str
    shuffled: Ratio
    first: Ratio
    last: Ratio
    first_against_shuffled: Ratio
    last_against_shuffled: Ratio
    first_against_last: Ratio


@dataclass(frozen=True)
class ArmGradients:
    """Of equally many rows an arm: see `spectra` for each figure. `labels`: whose the student of the arm learns from."""

    arm: str
    track: str
    labels: str
    cosine: BySeed
    alignment: BySeed
    effective_rank: BySeed
    stable_rank: BySeed
    noise_scale: BySeed


@dataclass(frozen=True)
class Gradients:
    """One domain, at one student. `rows`: how many each arm has, a seed; `width`: of how many numbers a gradient is; `left_out`: arm → why;
    `steps`: how many the student has taken on all weak labels, 0 for the untuned one."""

    rows: tuple[int, ...]
    width: int
    held_out: int
    arms: tuple[ArmGradients, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    steps: int = 0


@dataclass(frozen=True)
class Fit:
    """One domain: how well students that are trained on all weak labels for so many `steps` fit those that are right and those that are
    wrong (mean agreement, in [0, 1]), a figure a point; `…_saturates`: the steps from which it does not rise."""

    steps: tuple[int, ...]
    right: tuple[BySeed, ...]
    wrong: tuple[BySeed, ...]
    right_saturates: BySeed
    wrong_saturates: BySeed


@dataclass(frozen=True)
class ArmSolutions:
    """Of the worked solutions that an arm trains on: shares that are right (`purity`), that are faithful (`solutions.is_faithful`), and
    that are faithful among the right ones and among the wrong ones."""

    arm: str
    track: str
    purity: BySeed
    faithful: BySeed
    among_right: BySeed
    among_wrong: BySeed


@dataclass(frozen=True)
class Attributed:
    """One arm's gain over naive, in parts (`attribution.SHARES`): means over domains, and in each domain."""

    arm: str
    track: str
    mean: Mapping[str, Ratio]
    in_domains: Mapping[str, Mapping[str, Ratio]]


@dataclass(frozen=True)
class DomainAnalysis:
    """One domain; None for what was not asked for, or could not be had (the analysis's `problems` say why)."""

    name: str
    curriculum: Curriculum | None = None
    gradients: Gradients | None = None
    #: The same at a student that has begun to learn.
    warmed: Gradients | None = None
    fit: Fit | None = None
    #: Of a domain that generates: of each arm with weak labels, `naive` (the whole pool) among them.
    solutions: tuple[ArmSolutions, ...] = ()
    #: Of each arm with controls whose rows have an order; and why there is no order of rows, where that is so.
    orders: tuple[ArmOrder, ...] = ()
    no_order: str = ""
    #: Control → its PGR, of those that tell what easy rows are worth.
    easy: Mapping[str, Ratio] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """A finished run, looked at. `sections` are those asked for; `decompose` is a command where the run lacks their controls."""

    suite: str
    seeds: tuple[int, ...]
    sections: tuple[str, ...]
    domains: tuple[DomainAnalysis, ...]
    attribution: tuple[Attributed, ...]
    decompose: str = ""
    problems: tuple[str, ...] = ()
