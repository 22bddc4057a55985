"""What an arm's gain over naive is made of, as one sum: budget, items, labels.

    arm − naive = (random − naive) + (gold_kept − gold_random) + [(gold_random − random) − (gold_kept − arm)]

is an identity. The first part is what fewer rows do; the second what the arm's items are worth by themselves, all with gold
labels; the third how much less the wrong labels among the arm's rows cost than those among random ones do: its purity.
The board's own table (`results.gains`) parts the same gain by the mix of labels and strata; that part stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from w2s_bench.controls import GOLD_KEPT, GOLD_RANDOM, MATCHED_RANDOM, NAIVE, RANDOM
from w2s_bench.names import of_arm
from w2s_bench.results import statistics
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.gains import ARM
from w2s_bench.results.mechanisms.facts import Attributed
from w2s_bench.results.statistics import Ratio


@dataclass(frozen=True)
class Share:
    """Σ plus − Σ minus, of arms by name; ARM and the words of controls made of an arm stand for those of the arm in question.

    `adds_up`: whether it is one of those whose sum is the whole gain.
    """

    name: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    words: str
    adds_up: bool = True

    def arms(self, arm: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        own = {ARM: arm, **{word: of_arm(word, arm) for word in (GOLD_KEPT, MATCHED_RANDOM)}}
        plus, minus = (tuple(own.get(name, name) for name in side) for side in (self.plus, self.minus))
        return plus, minus


SHARES: Final = (
    Share("gain", (ARM,), (NAIVE,), "the whole gain over naive", adds_up=False),
    Share("budget", (RANDOM,), (NAIVE,), "fewer rows, drawn blindly, against all"),
    Share("items", (GOLD_KEPT,), (GOLD_RANDOM,), "the arm's items against random ones, all with gold labels"),
    Share(
        "purity",
        (ARM, GOLD_RANDOM),
        (RANDOM, GOLD_KEPT),
        "how much less its wrong labels cost than those of random rows",
    ),
    Share(
        "mix",
        (MATCHED_RANDOM,),
        (RANDOM,),
        "of items and purity together, what the mix of labels and strata gives",
        False,
    ),
)


def attribution(board: Leaderboard, domains: Mapping[str, Comparison]) -> tuple[Attributed, ...]:
    """Of every arm of the board that has `gold_kept`, in the board's order; means over the domains that the board's are over.

    An arm that lacks one of these `domains` has no mean, as on the board: one over fewer could not be held against another arm's.
    """
    rows = [*board.rows, *board.other_selections]
    shown = [row for row in rows if any(of_arm(GOLD_KEPT, row.arm) in domain.cells for domain in domains.values())]

    entering = [name for name in board.mean_domains if name in domains]

    def of(arm: str, domain: Comparison) -> dict[str, Ratio]:
        return {share.name: domain.contrast(*share.arms(arm)) for share in SHARES}

    out = []
    for row in shown:
        told = {name: of(row.arm, domain) for name, domain in domains.items()}
        mean = {
            share.name: statistics.mean_over_domains({name: told[name][share.name] for name in entering})
            for share in SHARES
        }
        here = {name: parts for name, parts in told.items() if row.arm in domains[name].cells}
        out.append(Attributed(row.arm, row.track, mean, here))
    return tuple(out)
