"""The harness's own arms: what each trains on, one row of facts a reference or control.

Whoever plans, builds, collects, believes or shows an arm asks its facts and never its name. One more arm is one more row
here. `protocol/arms.py` builds it from that row; only a new way to draw rows, or a new answerer, needs code beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from w2s_bench.names import parted
from w2s_bench.types import KINDS, Kind, Supervision

OwnKind = Literal["reference", "control"]

#: A PGR lies between the teacher and the student trained on the pool's gold, Recovery between the untuned student and it.
WEAK: Final = "weak"
BASE: Final = "base"
CEILING: Final = "ceiling"
#: The controls that a check of a suite is about.
NAIVE: Final = "naive"
ORACLE: Final = "oracle"
GOLD_TRUST_SET: Final = "gold_trust_set"
NAIVE_PLUS_GOLD: Final = "naive_plus_gold"
#: Those by which an arm's gain is parted, and the arms that are made of it for that.
RANDOM: Final = "random"
GOLD_RANDOM: Final = "gold_random"
GOLD_KEPT: Final = "gold_kept"
MATCHED_RANDOM: Final = "matched_random"
#: Those that keep the easiest items, which a finished run is analysed by.
EASY: Final = "easy"
EASY_GOLD: Final = "easy_gold"
#: Of the pool's weak labels, the share of which `noisy_oracle` has it the wrong way round whether they are right.
FLIPPED: Final = 0.2


@dataclass(frozen=True)
class Rows:
    """Rows that a student trains on: of which split, with whose labels, and how many of the split.

    `share`: `all`, or as many as the suite's `coverage` keeps, or as many as are `certified`, a number that no suite knows.
    `drawn` is how they are then chosen: `blindly`, from the weak labels that are `right`, or `wrong`, or said to be right by who
    errs (`noisily`), of which there may be too few; or those whose weak label is the `shortest` text, or stands `first` among its
    item's options; or those whose gold is the `easiest` for a student trained on other items' gold. An arm that is made of another
    has the `same` rows, or `alike` ones. `protocol/selection.py` has a stage for each word.
    """

    split: Literal["transfer", "trust"]
    labels: Literal["weak", "gold"]
    share: Literal["all", "coverage", "certified"] = "all"
    drawn: Literal["blindly", "right", "wrong", "noisily", "shortest", "first", "easiest", "same", "alike"] = "blindly"

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
            flipped = int(FLIPPED * (right + wrong))
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

    @property
    def reads_pool_gold(self) -> bool:
        """Whether what it trains on hangs on gold of the transfer pool, which no trust function below `privileged` sees."""
        return any(rows.split == "transfer" and (rows.labels == "gold" or rows.by_gold) for rows in self.rows)

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
    kind: OwnKind
    supervision: Supervision
    words: str
    rival: bool = False
    explains: bool = False


@dataclass(frozen=True, kw_only=True)
class MadeOfArm(Facts):
    """A control that is made of another arm, `WORD:ARM`, and explains it: what is changed of that arm, and nothing else.

    `supervision` is None where it has the other's, since it reads nothing but what that one does. `words` end the sentence
    "it trains on …".
    """

    word: str
    supervision: Supervision | None
    words: str


_TABLE: Final = (
    OwnArm(
        name=WEAK,
        kind="reference",
        supervision="none",
        answers="teacher",
        words="the teacher itself",
    ),
    OwnArm(
        name=BASE,
        kind="reference",
        supervision="none",
        words="the untuned student",
    ),
    OwnArm(
        name=CEILING,
        kind="reference",
        supervision="privileged",
        rows=(Rows("transfer", "gold"),),
        chains=True,
        words="the student trained on the gold labels of the pool",
    ),
    OwnArm(
        name=NAIVE,
        kind="control",
        supervision="none",
        rows=(Rows("transfer", "weak"),),
        chains=True,
        words="all weak labels",
        rival=True,
    ),
    OwnArm(
        name=RANDOM,
        kind="control",
        supervision="none",
        rows=(Rows("transfer", "weak", "coverage"),),
        chains=True,
        words="as many weak labels as the suite's coverage allows, drawn blindly",
        rival=True,
    ),
    OwnArm(
        name=ORACLE,
        kind="control",
        supervision="privileged",
        rows=(Rows("transfer", "weak", "coverage", drawn="right"),),
        chains=True,
        words="as many, drawn from the weak labels that are right",
    ),
    OwnArm(
        name=GOLD_TRUST_SET,
        kind="control",
        supervision="trust_set",
        rows=(Rows("trust", "gold"),),
        words="the gold labels of the trust set alone: what the supervision is worth by itself",
        rival=True,
    ),
    OwnArm(
        name=NAIVE_PLUS_GOLD,
        kind="control",
        supervision="trust_set",
        rows=(Rows("transfer", "weak"), Rows("trust", "gold")),
        words="all weak labels and, repeated until they are as many, the gold labels of the trust set: the same supervision, "
        "and no trust",
        rival=True,
    ),
    OwnArm(
        name=GOLD_RANDOM,
        kind="control",
        supervision="privileged",
        rows=(Rows("transfer", "gold", "coverage"),),
        words="gold labels on the rows of `random`",
    ),
    OwnArm(
        name="label_length",
        kind="control",
        supervision="none",
        rows=(Rows("transfer", "weak", "coverage", drawn="shortest"),),
        words="as many, the shortest weak labels: what a score that reads nothing but their length is worth",
    ),
    OwnArm(
        name="majority",
        kind="control",
        supervision="none",
        answers="commonest label",
        words="nothing: the answer to each item is its option that is the commonest weak label of the pool (choice domains)",
    ),
    OwnArm(
        name="option_position",
        kind="control",
        supervision="none",
        rows=(Rows("transfer", "weak", "coverage", drawn="first"),),
        words="as many, those weak labels that stand first among the options of their items: what a score that reads nothing but "
        "the place of an option is worth (choice domains)",
        explains=True,
    ),
    OwnArm(
        name="inverted_oracle",
        kind="control",
        supervision="privileged",
        rows=(Rows("transfer", "weak", "coverage", drawn="wrong"),),
        words="as many, drawn from the weak labels that are wrong: what the worst trust function does",
        explains=True,
    ),
    OwnArm(
        name="noisy_oracle",
        kind="control",
        supervision="privileged",
        rows=(Rows("transfer", "weak", "coverage", drawn="noisily"),),
        words=f"as many, drawn from the weak labels that an oracle takes for right which is mistaken about {100 * FLIPPED:g} % of all, "
        f"drawn blindly: of a weak accuracy a it keeps a purity of {1 - FLIPPED:g}a / ({1 - FLIPPED:g}a + {FLIPPED:g}(1 − a))",
        explains=True,
    ),
    OwnArm(
        name=EASY,
        kind="control",
        supervision="privileged",
        rows=(Rows("transfer", "weak", "coverage", drawn="easiest"),),
        words="as many, those weak labels whose items are the easiest by their gold, whether the labels are right or wrong: what an "
        "easy-first choice is worth by itself",
        explains=True,
    ),
    OwnArm(
        name=EASY_GOLD,
        kind="control",
        supervision="privileged",
        rows=(Rows("transfer", "gold", "coverage", drawn="easiest"),),
        words="gold labels on the rows of `easy`",
        explains=True,
    ),
)
_MADE: Final = (
    MadeOfArm(
        word=GOLD_KEPT,
        supervision="privileged",
        rows=(Rows("transfer", "gold", "coverage", drawn="same"),),
        words="gold labels on the rows that the arm keeps: what its wrong labels cost it",
    ),
    MadeOfArm(
        word=MATCHED_RANDOM,
        supervision=None,
        rows=(Rows("transfer", "weak", "coverage", drawn="alike"),),
        words="random rows, as many of each weak label in each stratum as the arm keeps (of each stratum, where its labels are no "
        "classes): what its mix alone is worth",
    ),
)
#: Word → facts of the arms that are made of another one.
MADE_OF_ARM: Final[Mapping[str, MadeOfArm]] = MappingProxyType({arm.word: arm for arm in _MADE})
_BY_NAME = {arm.name: arm for arm in _TABLE}
#: Name → facts, in the order in which tables show them.
OWN_ARMS: Final[Mapping[str, OwnArm]] = MappingProxyType(_BY_NAME)
#: What every trust function's arm trains on.
TRUST_FUNCTION: Final = Facts(rows=(Rows("transfer", "weak", "coverage"),), chains=True)

#: What an arm trains on that keeps every weak label, whatever weight each has.
EVERY_ROW: Final = Facts(rows=(Rows("transfer", "weak"),))

#: What an arm trains on that keeps what a purity can be guaranteed of: it may be nothing.
CERTIFIED: Final = Facts(rows=(Rows("transfer", "weak", "certified"),))


def of_kind(kind: OwnKind) -> tuple[OwnArm, ...]:
    """The harness's arms of one kind, in their order."""
    return tuple(arm for arm in OWN_ARMS.values() if arm.kind == kind)


def rivals() -> tuple[str, ...]:
    """The controls that every trust function is compared with, in their order."""
    return tuple(arm.name for arm in OWN_ARMS.values() if arm.rival)


def facts_of(name: str) -> Facts:
    """What the arm of this short name trains on; whatever is not the harness's own is a trust function.

    An arm made of another by a word that no row is drawn anew for trains on what that one does.
    """
    while (made := parted(name)) is not None:  # a stranger's name may have any number of words
        word, name = made
        if word in MADE_OF_ARM:
            return MADE_OF_ARM[word]
    return OWN_ARMS.get(name, TRUST_FUNCTION)


def made_of(name: str) -> tuple[MadeOfArm, str] | None:
    """The facts of a control that is made of another arm, and that arm's short name; None for any other name."""
    made = parted(name)
    return (MADE_OF_ARM[made[0]], made[1]) if made is not None and made[0] in MADE_OF_ARM else None
