"""What an arm's gain over naive is made of, wherever a board has the controls that are made of that arm.

    arm − naive = (random − naive) + (matched_random − random) + (arm − matched_random)

is an identity: budget, mix of labels and strata, choice of items. What the wrong labels among the kept ones still cost is
gold_kept − arm, and what the items alone are worth, were all labels right, is gold_kept − gold_random. What the trust set's gold is
worth beside the arm's rows is kept_plus_gold − arm, what trust is worth beside that gold kept_plus_gold − naive_plus_gold, and what the
trusted labels are worth to whoever has that gold, as whoever learns trust from it does, kept_plus_gold − gold_trust_set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from w2s_bench.controls import (
    GOLD_KEPT,
    GOLD_RANDOM,
    GOLD_TRUST_SET,
    KEPT_PLUS_GOLD,
    MADE_OF_ARM,
    MATCHED_RANDOM,
    NAIVE,
    NAIVE_PLUS_GOLD,
    RANDOM,
    made_of,
)
from w2s_bench.names import of_arm
from w2s_bench.results import statistics
from w2s_bench.results.board import Gain
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.places import holm_corrected
from w2s_bench.results.statistics import Ratio

#: What stands for the arm itself in a part.
ARM: Final = "ARM"


@dataclass(frozen=True)
class Part:
    """A contrast `plus` − `minus` of two arms: `name` in JSON, `header` of a column, `words` for people.

    `adds_up`: whether it is one of those whose sum is the whole gain. The word of a control that is made of an arm stands for
    that of this arm.
    """

    name: str
    header: str
    plus: str
    minus: str
    words: str
    adds_up: bool = False

    def arms(self, arm: str) -> tuple[str, str]:
        """The short names of its two arms, of this arm's gain."""
        own = {ARM: arm, **{word: of_arm(word, arm) for word in MADE_OF_ARM}}
        return own.get(self.plus, self.plus), own.get(self.minus, self.minus)


PARTS: Final = (
    Part("gain", f"gain over {NAIVE}", ARM, NAIVE, "the whole"),
    Part("budget", "budget", RANDOM, NAIVE, "fewer rows, drawn blindly, against all", True),
    Part("mix", "label mix", MATCHED_RANDOM, RANDOM, "the arm's shares of labels and strata against the pool's", True),
    Part("choice", "item choice", ARM, MATCHED_RANDOM, "the arm's rows against random ones of the same shares", True),
    Part("noise", "label noise left", GOLD_KEPT, ARM, "gold labels on the arm's rows against the weak ones"),
    Part("items", "items alone", GOLD_KEPT, GOLD_RANDOM, "the arm's rows against random ones, all with gold labels"),
    Part(
        "gold",
        "gold beside",
        KEPT_PLUS_GOLD,
        ARM,
        "the trust set's gold beside the arm's rows against those rows alone",
    ),
    Part(
        "trust",
        "trust beside gold",
        KEPT_PLUS_GOLD,
        NAIVE_PLUS_GOLD,
        "the arm's rows against all weak labels, the trust set's gold beside either",
    ),
    Part(
        "labels",
        "labels beside gold",
        KEPT_PLUS_GOLD,
        GOLD_TRUST_SET,
        "the arm's rows and the trust set's gold against that gold alone",
    ),
)


def gains(
    arms: Sequence[str], domains: Mapping[str, Comparison], entering: Mapping[str, Comparison]
) -> tuple[Gain, ...]:
    """Of every one of `arms` that controls are made of, in their order; means over the domains `entering`.

    p-values are corrected within the means, and within each domain. A contrast that many arms share is tested once.
    """
    shown = [arm for arm in arms if any(_is_parted(arm, domain) for domain in domains.values())]
    told = [part for part in PARTS if any(_has_own(part, arm, domain) for arm in shown for domain in domains.values())]
    parts = told if whole_sum(told) else [part for part in told if not part.adds_up]
    contrasts = list(dict.fromkeys(part.arms(arm) for arm in shown for part in parts))
    means = holm_corrected(
        {
            (plus, minus): statistics.mean_over_domains(
                {name: domain.difference(plus, minus) for name, domain in entering.items()}
            )
            for plus, minus in contrasts
        }
    )
    here = {
        name: holm_corrected({(plus, minus): domain.difference(plus, minus) for plus, minus in contrasts})
        for name, domain in domains.items()
    }

    def of(arm: str, differences: Mapping[tuple[str, str], Ratio]) -> dict[str, Ratio]:
        return {part.name: differences[part.arms(arm)] for part in parts}

    return tuple(
        Gain(
            arm,
            of(arm, means),
            {name: of(arm, here[name]) for name, domain in domains.items() if _is_parted(arm, domain)},
        )
        for arm in shown
    )


def parts_told(gains: Sequence[Gain]) -> tuple[Part, ...]:
    """Those parts that a board with these gains tells: all, but for controls that were not there when its run was planned."""
    return tuple(part for part in PARTS if any(part.name in gain.mean for gain in gains))


def whole_sum(parts: Sequence[Part]) -> bool:
    """Whether those are there that add up to the whole gain; a run that was asked for some controls alone has not all."""
    return all(part in parts for part in PARTS if part.adds_up)


def _has_own(part: Part, arm: str, domain: Comparison) -> bool:
    """Whether a domain has the controls made of this arm that a part is about."""
    return all(name in domain.cells for name in part.arms(arm) if made_of(name) is not None)


def _is_parted(arm: str, domain: Comparison) -> bool:
    """Whether a domain has a control that is made of this arm."""
    return any(of_arm(word, arm) in domain.cells for word in MADE_OF_ARM)
