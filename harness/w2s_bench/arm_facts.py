"""What an arm trains on, as facts.

Whoever plans, builds, collects, believes or shows an arm asks its facts and never its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from w2s_bench.coverage import count_to_keep
from w2s_bench.types import KINDS, Kind, Supervision

OwnRole = Literal["reference", "control"]
Role = Literal["reference", "control", "trust_function"]
Seen = Literal["shuffled", "most trusted first", "least trusted first"]

#: Of the pool's weak labels, the share of which `noisy_oracle` has it the wrong way round whether they are right.
FLIPPED: Final = 0.2


@dataclass(frozen=True)
class Rows:
    """Rows that a student trains on: of which split, with whose labels, and how many of the split.

    `share`: `all`, or as many as the suite's `coverage` keeps, or as many as are `certified`, a number that no suite knows.
    `drawn` is how they are then chosen: `blindly`, from the weak labels that are `right`, or `wrong`, or said to be right by who
    errs (`noisily`), of which there may be too few; or those whose weak label is the `shortest` text, or stands `first` among its
    item's options; or those whose gold is the `easiest` for a student trained on other items' gold. An arm that is made of another
    has the `same` rows, or `alike` ones. `protocol/draws.py` has a stage for each word.
    `seen`: in which order a student sees them in every pass, `shuffled` or by their trust scores.
    """

    split: Literal["transfer", "trust"]
    labels: Literal["weak", "gold"]
    share: Literal["all", "coverage", "certified"] = "all"
    drawn: Literal["blindly", "right", "wrong", "noisily", "shortest", "first", "easiest", "same", "alike"] = "blindly"
    seen: Seen = "shuffled"

    @property
    def whole_pool(self) -> bool:
        """Whether it is all gold of the pool, also of items that have no weak label (label source `scarce`)."""
        return self.split == "transfer" and self.labels == "gold" and self.share == "all"

    @property
    def by_gold(self) -> bool:
        """Whether it hangs on gold which rows are drawn."""
        return self.drawn in ("right", "wrong", "noisily", "easiest")

    def candidates(self, right: int, wrong: int) -> tuple[int, int]:
        """The fewest and the most rows that it may be drawn from, where so many weak labels of the pool are right and wrong."""
        if self.drawn == "noisily":
            flipped = count_to_keep(FLIPPED, right + wrong)
            # Of the flipped labels, as many as can be are right, or else wrong.
            ends = [right + flipped - 2 * of_right for of_right in (min(flipped, right), max(0, flipped - wrong))]
            return ends[0], ends[1]
        size = {"right": right, "wrong": wrong}.get(self.drawn, right + wrong)
        return size, size


@dataclass(frozen=True)
class Facts:
    """What an arm's figures are made of. `rows` is empty where nothing is trained; `answers`: who answers the test items.

    `chains`: where a suite has a chain, this arm's student teaches its own next generation.
    """

    rows: tuple[Rows, ...] = ()
    answers: Literal["teacher", "student", "commonest label"] = "student"
    chains: bool = False

    @property
    def of_pool(self) -> Rows | None:
        """Its rows of the transfer pool, which coverage and strata tell of; None where it keeps none."""
        return next((rows for rows in self.rows if rows.split == "transfer"), None)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of domains that it is for: a label is common, or stands first, only among options."""
        among_options = self.answers == "commonest label" or any(rows.drawn == "first" for rows in self.rows)
        return ("choice",) if among_options else KINDS

    @property
    def in_order(self) -> bool:
        """Whether its student sees its rows in an order of their own."""
        return any(rows.seen != "shuffled" for rows in self.rows)

    @property
    def with_trust_set(self) -> bool:
        """Whether the trust set's gold is among its rows."""
        return any(rows.split == "trust" for rows in self.rows)

    @property
    def hangs_on_weak_labels(self) -> bool:
        """Whether other weak labels of the pool would make other figures. What an arm keeps by them is that arm's affair."""
        return self.answers != "student" or any(rows.labels == "weak" for rows in self.rows)

    @property
    def keeps_weak_labels(self) -> bool:
        """Whether weak labels of the pool are among its rows."""
        return self.of_pool is not None and self.of_pool.labels == "weak"

    @property
    def keeps_all_weak_labels(self) -> bool:
        """Whether it trains on every weak label and nothing else, so that its purity is the labels' accuracy."""
        return self.rows == (Rows("transfer", "weak"),)

    @property
    def all_right(self) -> bool:
        """Whether every row that it trains on is right."""
        return bool(self.rows) and all(rows.labels == "gold" or rows.drawn == "right" for rows in self.rows)

    @property
    def all_wrong(self) -> bool:
        """Whether every row that it trains on is wrong."""
        return bool(self.rows) and all(rows.labels == "weak" and rows.drawn == "wrong" for rows in self.rows)

    @property
    def may_fall_short(self) -> bool:
        """Whether it may find fewer rows than it asks for: there are always enough that are the easiest of all."""
        return any(rows.by_gold and rows.drawn != "easiest" for rows in self.rows)

    def coverage(self, of_suite: float) -> float | None:
        """The share of the pool that it asks for, where a suite's coverage is `of_suite`; None where it asks for none."""
        if self.of_pool is None or self.of_pool.share == "certified":
            return None
        return 1.0 if self.of_pool.share == "all" else of_suite


@dataclass(frozen=True, kw_only=True)
class OwnArm(Facts):
    """A reference or a control.

    `words` end the sentence "it trains on …" for a control; for a reference they say what it is. A `rival` is a control
    that every trust function is compared with. One that `explains` others is there only where a run is asked for such.
    """

    name: str
    role: OwnRole
    supervision: Supervision
    words: str
    rival: bool = False
    explains: bool = False


@dataclass(frozen=True, kw_only=True)
class MadeOfArm(Facts):
    """A control that is made of another arm, `WORD:ARM`, and explains it: what is changed of that arm, and nothing else.

    `supervision` is what it reads itself, and None where that is nothing but what the other one does. `words` end the sentence
    "it trains on …".
    """

    word: str
    supervision: Supervision | None
    words: str

    def track(self, of_arm: Supervision) -> Supervision:
        """Its own track, where that of the arm is `of_arm`: of the two the one that sees more gold."""
        order = get_args(Supervision)
        return of_arm if self.supervision is None else max(self.supervision, of_arm, key=order.index)
