"""The harness's own arms, one row of facts a reference or control.

One more arm is one more row here. `protocol/arms.py` builds it from that row; only a new way to draw rows, or a new answerer,
needs code beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from w2s_bench.arm_facts import FLIPPED, Facts, MadeOfArm, OwnArm, OwnRole, Rows
from w2s_bench.errors import UnknownNameError
from w2s_bench.names import parted

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
KEPT_PLUS_GOLD: Final = "kept_plus_gold"
#: Those in which the rows of an arm have an order.
TRUST_FIRST: Final = "trust_first"
TRUST_LAST: Final = "trust_last"
#: Those that keep the easiest items, which a finished run is analysed by.
EASY: Final = "easy"
EASY_GOLD: Final = "easy_gold"

_TABLE: Final = (
    OwnArm(
        name=WEAK,
        role="reference",
        supervision="none",
        answers="teacher",
        words="the teacher itself",
    ),
    OwnArm(
        name=BASE,
        role="reference",
        supervision="none",
        words="the untuned student",
    ),
    OwnArm(
        name=CEILING,
        role="reference",
        supervision="privileged",
        rows=(Rows("transfer", "gold"),),
        chains=True,
        words="the student trained on the gold labels of the pool",
    ),
    OwnArm(
        name=NAIVE,
        role="control",
        supervision="none",
        rows=(Rows("transfer", "weak"),),
        chains=True,
        words="all weak labels",
        rival=True,
    ),
    OwnArm(
        name=RANDOM,
        role="control",
        supervision="none",
        rows=(Rows("transfer", "weak", "coverage"),),
        chains=True,
        words="as many weak labels as the suite's coverage allows, drawn blindly",
        rival=True,
    ),
    OwnArm(
        name=ORACLE,
        role="control",
        supervision="privileged",
        rows=(Rows("transfer", "weak", "coverage", drawn="right"),),
        chains=True,
        words="as many, drawn from the weak labels that are right",
    ),
    OwnArm(
        name=GOLD_TRUST_SET,
        role="control",
        supervision="trust_set",
        rows=(Rows("trust", "gold"),),
        words="the gold labels of the trust set alone: what the supervision is worth by itself",
        rival=True,
    ),
    OwnArm(
        name=NAIVE_PLUS_GOLD,
        role="control",
        supervision="trust_set",
        rows=(Rows("transfer", "weak"), Rows("trust", "gold")),
        words="all weak labels and, repeated until they are about as many, the gold labels of the trust set: the same supervision, "
        "and no trust",
        rival=True,
    ),
    OwnArm(
        name=GOLD_RANDOM,
        role="control",
        supervision="privileged",
        rows=(Rows("transfer", "gold", "coverage"),),
        words="gold labels on the rows of `random`",
    ),
    OwnArm(
        name="label_length",
        role="control",
        supervision="none",
        rows=(Rows("transfer", "weak", "coverage", drawn="shortest"),),
        words="as many, the shortest weak labels: what a score that reads nothing but their length is worth",
    ),
    OwnArm(
        name="majority",
        role="control",
        supervision="none",
        answers="commonest label",
        words="nothing: the answer to each item is its option that is the commonest weak label of the pool (choice domains)",
    ),
    OwnArm(
        name="option_position",
        role="control",
        supervision="none",
        rows=(Rows("transfer", "weak", "coverage", drawn="first"),),
        words="as many, those weak labels that stand first among the options of their items: what a score that reads nothing but "
        "the place of an option is worth (choice domains)",
        explains=True,
    ),
    OwnArm(
        name="inverted_oracle",
        role="control",
        supervision="privileged",
        rows=(Rows("transfer", "weak", "coverage", drawn="wrong"),),
        words="as many, drawn from the weak labels that are wrong: what the worst trust function does",
        explains=True,
    ),
    OwnArm(
        name="noisy_oracle",
        role="control",
        supervision="privileged",
        rows=(Rows("transfer", "weak", "coverage", drawn="noisily"),),
        words=f"as many, drawn from the weak labels that an oracle takes for right which is mistaken about {100 * FLIPPED:g} % of all, "
        f"drawn blindly: of a weak accuracy a it keeps a purity of {1 - FLIPPED:g}a / ({1 - FLIPPED:g}a + {FLIPPED:g}(1 − a))",
        explains=True,
    ),
    OwnArm(
        name=EASY,
        role="control",
        supervision="privileged",
        rows=(Rows("transfer", "weak", "coverage", drawn="easiest"),),
        words="as many, those weak labels whose items are the easiest by their gold, whether the labels are right or wrong: what an "
        "easy-first choice is worth by itself",
        explains=True,
    ),
    OwnArm(
        name=EASY_GOLD,
        role="control",
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
    MadeOfArm(
        word=KEPT_PLUS_GOLD,
        supervision="trust_set",
        rows=(Rows("transfer", "weak", "coverage", drawn="same"), Rows("trust", "gold")),
        words="the weak labels that the arm keeps and the gold labels of the trust set, the fewer repeated until they are about as many: "
        "trust and supervision together, beside `naive_plus_gold`",
    ),
    MadeOfArm(
        word=TRUST_FIRST,
        supervision=None,
        rows=(Rows("transfer", "weak", "coverage", drawn="same", seen="most trusted first"),),
        words="the rows that the arm keeps, in every pass the most trusted first instead of shuffled: what an order is worth (not "
        "where a head is fitted to convergence)",
    ),
    MadeOfArm(
        word=TRUST_LAST,
        supervision=None,
        rows=(Rows("transfer", "weak", "coverage", drawn="same", seen="least trusted first"),),
        words="the rows that the arm keeps, in every pass the least trusted first: the same order from its other end",
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


def of_role(role: OwnRole) -> tuple[OwnArm, ...]:
    """The harness's arms of one role, in their order."""
    return tuple(arm for arm in OWN_ARMS.values() if arm.role == role)


def explaining() -> tuple[str, ...]:
    """The controls that a run has only where it is asked for them: the words of those made of every arm, then the names of others."""
    return (*MADE_OF_ARM, *(arm.name for arm in OWN_ARMS.values() if arm.explains))


def chosen_to_explain(asked: bool | Collection[str]) -> frozenset[str]:
    """Those of `explaining` that are asked for: all, none, or those named. Raises UnknownNameError for any other name."""
    known = explaining()
    if isinstance(asked, bool):
        return frozenset(known if asked else ())
    for name in asked:
        if name not in known:
            hint = "Every run has it." if name in OWN_ARMS else "--decompose takes them all."
            raise UnknownNameError("control to explain others", name, known, hint)
    return frozenset(asked)


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
