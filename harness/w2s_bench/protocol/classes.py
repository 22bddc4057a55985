"""Classes of weak labels, and how many rows of each group a selection takes. Gold is no input of anything here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from w2s_bench.types import Item, Prediction


def label_classes(items: Sequence[Item], labels: Sequence[Prediction]) -> dict[str, str] | None:
    """Id → class of its weak label; None where a label says nothing of another one.

    Where all items offer the same options, in whatever order, a class is an option's text. Else, where the items of each
    stratum do, it is stratum and option, as in `strike: free`: of two strata with other options even one text may mean two
    things. None where a stratum's items differ in their options or in how often they offer one, or answers are generated.
    """
    if (of_pool := _chosen_options(items, labels)) is not None:
        return of_pool
    of_stratum = dict(_by_stratum(items, labels))
    classes = {(item.stratum, option) for item in items for option in item.choices or ()}
    # Where there are about as many of them as items, as with a stratum an item, no class holds labels to compare.
    if any(chosen is None for chosen in of_stratum.values()) or 2 * len(classes) > len(items):
        return None
    names = {one: f"{one[0]}: {one[1].strip()}" for one in classes}  # options are scored as " free"
    if len(set(names.values())) < len(names):
        names = {one: f"{one[0]!r}: {one[1]!r}" for one in classes}
    return {
        name: names[stratum, option]
        for stratum, chosen in of_stratum.items()
        for name, option in (chosen or {}).items()
    }


def strata_and_classes(items: Sequence[Item], labels: Sequence[Prediction]) -> dict[str, tuple[str, str]]:
    """Id → stratum, and class of its weak label among the stratum's; "" in a stratum where labels are no classes."""
    chosen = {name: option for _, there in _by_stratum(items, labels) for name, option in (there or {}).items()}
    return {item.id: (item.stratum, chosen.get(item.id, "")) for item in items}


def _by_stratum(items: Sequence[Item], labels: Sequence[Prediction]) -> Iterator[tuple[str, dict[str, str] | None]]:
    """Each stratum with what `_chosen_options` says of its items."""
    of_stratum: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        of_stratum[item.stratum].append(item)
    by_id = {label.id: label for label in labels}
    for stratum, here in of_stratum.items():
        yield stratum, _chosen_options(here, [by_id[item.id] for item in here])


def _chosen_options(items: Sequence[Item], labels: Sequence[Prediction]) -> dict[str, str] | None:
    """Id → text of the option that is its label; None where these items do not all offer the same options, equally often."""
    offered = {tuple(sorted(item.choices or ())) for item in items}
    if len(offered) != 1 or not next(iter(offered)):
        return None
    options = {item.id: item.choices or () for item in items}
    return {label.id: options[label.id][label.index] for label in labels if label.index is not None}


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
