"""Parts of a split: one for each generation of a chain, so that none labels or learns from what another has had; or a few items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from w2s_bench.protocol.files import FORMAT, ITEMS
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import Item


def sliced(subset: Stage, *, part: int, parts: int, seed: int, label: str = "") -> Stage:
    """Stage: the items of one of `parts` equal parts of a subset, `part` counted from 1.

    The same for every arm. `seed` is that of the role, so that each seed of a suite parts its own split.
    """
    params = {"part": part, "parts": parts, "seed": seed}
    return Stage(take_slice, params, {"subset": subset}, label=label, amount=subset.amount // parts)


@stage("slice", version=1)
def take_slice(context: StageContext) -> None:
    p = context.params
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    own = set(slice_ids(((item.id, item.group) for item in items), p["parts"], seed=p["seed"])[p["part"] - 1])
    write_records(context.out / ITEMS, [item for item in items if item.id in own])
    write_json(context.out / FORMAT, read_json(context.inputs["subset"] / FORMAT))


def few(subset: Stage, *, count: int, seed: int, label: str = "") -> Stage:
    """Stage: `count` items of a subset, by groups in the order of a hash; the same for every arm, more of them with a larger count."""
    return Stage(take_few, {"count": count, "seed": seed}, {"subset": subset}, label=label, amount=count)


@stage("few", version=1)
def take_few(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    groups = grouped(sorted((item.id, item.group) for item in items))
    ranked = sorted(groups, key=lambda group: hash_rank("few", context.params["seed"], group))
    own = set([name for group in ranked for name in groups[group]][: context.params["count"]])
    write_records(context.out / ITEMS, [item for item in items if item.id in own])
    write_json(context.out / FORMAT, read_json(context.inputs["subset"] / FORMAT))


def grouped(items: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Group → the ids of its `items` (id, group), in the order in which they come."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, group in items:
        groups[group].append(name)
    return groups


def slice_ids(items: Iterable[tuple[str, str]], parts: int, *, seed: int) -> list[list[str]]:
    """Ids of `parts` disjoint parts, each sorted and each of ⌊n / parts⌋ of the n `items` (id, group).

    Groups are dealt by a hash of (seed, group). Part after part takes those that still fit into it, and what is missing then
    from one that does not. What is left of that one comes last of all, so that a group stands in two parts only where the
    last parts could not be filled otherwise.
    """
    groups = grouped(sorted(items))
    left = [groups[group] for group in sorted(groups, key=lambda group: hash_rank("slice", seed, group))]
    size = sum(map(len, left)) // parts
    out = []
    for _ in range(parts):
        taken, left = _filled(left, size)
        out.append(sorted(taken))
    return out


def _filled(groups: Sequence[list[str]], size: int) -> tuple[list[str], list[list[str]]]:
    """`size` items of the groups in their order, whole groups as far as they go; and the groups that are left."""
    taken: list[str] = []
    left: list[list[str]] = []
    for group in groups:
        if len(taken) + len(group) <= size:
            taken += group
        else:
            left.append(group)
    if (missing := size - len(taken)) and left:
        cut, *left = left
        taken += cut[:missing]
        left.append(cut[missing:])
    return taken, left
