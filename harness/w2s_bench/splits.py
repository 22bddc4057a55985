"""Items → the splits dev / test / weak_train / trust / transfer, and the gold of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from w2s_bench.errors import LeakError, PluginError, SuiteError
from w2s_bench.items import ANSWERS, FORMAT, ITEMS, item_digest
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.stages import Stage, StageContext
from w2s_bench.types import SPLITS, Answer, Item, Split

if TYPE_CHECKING:
    from w2s_bench.suite import Sizes

SPLIT_IDS = "splits.json"


def splits(items: Stage, sizes: Sizes, *, domain: str, seed: int, suite_seed: int, label: str = "") -> Stage:
    """Stage: ids of each split of one seed."""
    params = {"sizes": sizes.model_dump(), "domain": domain, "seed": seed, "suite_seed": suite_seed}
    return Stage("splits", 1, "w2s_bench.splits:cut", params, {"items": items}, label=label)


def subset(items: Stage, splits: Stage, split: Split, label: str = "") -> Stage:
    """Stage: the items of one split."""
    return Stage(
        "subset", 1, "w2s_bench.splits:take_subset", {"split": split}, {"items": items, "splits": splits}, label=label
    )


def gold(answers: Stage, subset: Stage, split: Split, label: str = "") -> Stage:
    """Stage: the answers of one split. Whoever may read gold has this stage among its inputs, and nobody else has."""
    return Stage(
        "gold", 1, "w2s_bench.splits:take_gold", {"split": split}, {"answers": answers, "subset": subset}, label=label
    )


def cut(context: StageContext) -> None:
    everything = read_records(context.inputs["items"] / ITEMS, Item)
    p = context.params
    write_json(
        context.out / SPLIT_IDS,
        split_ids(everything, p["sizes"], p["domain"], seed=p["seed"], suite_seed=p["suite_seed"]),
    )


def take_subset(context: StageContext) -> None:
    ids = set(read_json(context.inputs["splits"] / SPLIT_IDS)[context.params["split"]])
    chosen = [item for item in read_records(context.inputs["items"] / ITEMS, Item) if item.id in ids]
    write_records(context.out / ITEMS, sorted(chosen, key=lambda item: item.id))
    write_json(context.out / FORMAT, read_json(context.inputs["items"] / FORMAT))


def take_gold(context: StageContext) -> None:
    by_id = {answer.id: answer for answer in read_records(context.inputs["answers"] / ANSWERS, Answer)}
    subset = read_records(context.inputs["subset"] / ITEMS, Item)
    # Items and answers come from two loads of the task. One that shuffles at random would pair them wrongly.
    for item in subset:
        if item.id not in by_id or by_id[item.id].item != item_digest(item):
            raise PluginError(
                f"item {item.id} came out otherwise when its task was loaded again; fix the loader: no randomness without a seed of its own"
            )
    write_records(context.out / ANSWERS, [by_id[item.id] for item in subset])


def split_ids(
    items: Sequence[Item], sizes: Mapping[str, int], domain: str, *, seed: int, suite_seed: int = 0
) -> dict[str, list[str]]:
    """Ids of each split, sorted; exact sizes; no group and no key in two splits.

    Groups are ranked by a hash of (domain, group); `dev` is dealt from the front of that order and `test` from its back,
    so that each depends on its own size alone and what one suite calls dev is no other suite's test. The other three are
    dealt from the rest by a hash of (suite seed, seed, group). A group that overfills a split is cut; what is cut off is
    used nowhere.
    """
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    for members in groups.values():
        members.sort(key=lambda item: hash_rank(domain, item.id))
    out: dict[str, list[str]] = {}
    rest = sorted(groups, key=lambda group: hash_rank("held out", domain, group))
    rest = _deal(rest, groups, sizes, ("dev",), out, domain)
    rest = _deal(rest[::-1], groups, sizes, ("test",), out, domain)
    rest = sorted(rest, key=lambda group: hash_rank("drawn", suite_seed, domain, seed, group))
    _deal(rest, groups, sizes, ("weak_train", "trust", "transfer"), out, domain)
    _refuse_shared_keys(items, out, domain)
    return {split: sorted(out[split]) for split in SPLITS}


def _deal(
    order: list[str],
    groups: Mapping[str, list[Item]],
    sizes: Mapping[str, int],
    splits: Sequence[Split],
    out: dict[str, list[str]],
    domain: str,
) -> list[str]:
    """Fill `splits` in turn from the groups in `order`; returns the groups left over."""
    place = 0
    for split in splits:
        ids: list[str] = []
        while len(ids) < sizes[split]:
            if place == len(order):
                asked = ", ".join(f"{name} {sizes[name]}" for name in SPLITS)
                raise SuiteError(
                    f"domain {domain!r} has {sum(map(len, groups.values()))} items in {len(groups)} groups, too few for sizes {asked} "
                    f"(sum {sum(sizes[name] for name in SPLITS)}); {split} was filled to {len(ids)}. Make the splits smaller; a group "
                    "that straddles two splits is cut, so leave some room."
                )
            ids += [item.id for item in groups[order[place]]][: sizes[split] - len(ids)]
            place += 1
        out[split] = ids
    return order[place:]


def _refuse_shared_keys(items: Iterable[Item], ids: Mapping[str, list[str]], domain: str) -> None:
    split_of = {i: split for split, members in ids.items() for i in members}
    seen: dict[str, Item] = {}
    for item in items:
        if item.id not in split_of:
            continue
        other = seen.setdefault(item.key, item)
        if split_of[other.id] != split_of[item.id]:
            raise LeakError(
                f"domain {domain!r}: items {other.id} ({split_of[other.id]}) and {item.id} ({split_of[item.id]}) are the same question "
                f"(key {item.key!r}); give them one group, or remove one"
            )
