"""Classes of weak labels, and how many rows of each group a selection takes. Gold is no input of anything here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from w2s_bench.types import Item, Prediction


def label_classes(items: Sequence[Item], labels: Sequence[Prediction]) -> dict[str, str] | None:
    """Id → class of its weak label: the option's text where all items offer the same options, in whatever order.

    None where items differ in their options or in how often they offer one, or answers are generated: there a label says
    nothing of another one.
    """
    offered = {tuple(sorted(item.choices or ())) for item in items}
    if len(offered) != 1 or not next(iter(offered)):
        return None
    options = {item.id: item.choices or () for item in items}
    return {label.id: options[label.id][label.index] for label in labels if label.index is not None}


def strata_and_classes(items: Sequence[Item], labels: Sequence[Prediction]) -> dict[str, tuple[str, str]]:
    """Id → stratum, and class of its weak label among the stratum's; "" in a stratum where labels are no classes."""
    of_stratum: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        of_stratum[item.stratum].append(item)
    by_id = {label.id: label for label in labels}
    told: dict[str, tuple[str, str]] = {}
    for stratum, here in of_stratum.items():
        classes = label_classes(here, [by_id[item.id] for item in here]) or {}
        told |= {item.id: (stratum, classes.get(item.id, "")) for item in here}
    return told


def equal_shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """Group → how many of `count` rows it gives: as many as any other, or all that it has.

    `count` is at most what all have. What does not part evenly goes to the larger groups, one row each.
    """
    shares, left = {}, count
    for done, name in enumerate(sorted(sizes, key=lambda name: (sizes[name], name))):
        shares[name] = min(sizes[name], left // (len(sizes) - done))
        left -= shares[name]
    return shares


def proportional_shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """Group → how many of `count` rows it gives, in proportion to its size; the rest goes to the largest remainders."""
    total = sum(sizes.values())
    parted = {name: divmod(count * size, total) for name, size in sizes.items()}  # whole numbers: nothing is rounded
    spare = count - sum(share for share, _ in parted.values())
    first = sorted(parted, key=lambda name: (-parted[name][1], name))[:spare]
    return {name: share + (name in first) for name, (share, _) in parted.items()}
