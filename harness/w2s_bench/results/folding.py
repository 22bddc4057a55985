"""What a large board shows first: the best trust functions, and families of domains in place of each.

All of it hangs on names and ranks alone, so that the cells say it all. A family is the first word of domains' names without
their distribution: `lm-eval/mmlu_law` and `lm-eval/mmlu_virology` are of `mmlu`, `knowledge` and `acme/knowledge:kind=rivers` of
`knowledge`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from w2s_bench.names import bare
from w2s_bench.results.board import MOST_FUNCTIONS, Row

#: Trust functions of each track that the first table of a larger board shows.
BEST: Final = 5
#: Families with a column of their own; domains of the smaller ones, and of none, stand together.
_MOST_FAMILIES: Final = 6
OTHERS: Final = "others"


def families(domains: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Family → its domains, the largest first, those that have no family together at the end; empty where all have none."""
    of_family: dict[str, list[str]] = {}
    for domain in domains:
        of_family.setdefault(family(domain), []).append(domain)
    several = sorted(
        (name for name, own in of_family.items() if len(own) > 1), key=lambda name: (-len(of_family[name]), name)
    )
    named = {name: tuple(of_family[name]) for name in several[:_MOST_FAMILIES]}
    rest = tuple(domain for domain in domains if not any(domain in own for own in named.values()))
    return named | ({OTHERS: rest} if named and rest else {})


def family(domain: str) -> str:
    """The first word of a domain's name."""
    return re.split(r"[/_:.-]", bare(domain), maxsplit=1)[0]


def first_rows(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows that a first table shows: all, or of many trust functions the best of each track, and every control.

    Of one trust function with several parameters the best stands for all.
    """
    if not folds(rows):
        return tuple(rows)
    shown: dict[str, set[str]] = {}
    first = []
    for row in rows:
        named = shown.setdefault(row.track, set())
        function = row.arm.partition(":")[0]
        if row.is_control or (row.rank and function not in named and len(named) < BEST):
            named.add(function)
            first.append(row)
    return tuple(first)


def folds(rows: Sequence[Row]) -> bool:
    """Whether these are too many to be read at a glance."""
    return sum(not row.is_control for row in rows) > MOST_FUNCTIONS
