"""Items → the splits dev / test / weak_train / trust / transfer, and the gold of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from w2s_bench.errors import LeakError, PluginError, SuiteError
from w2s_bench.protocol.catalogue import (
    Texts,
    hashes,
    lines_of,
    order,
    read_array,
    read_array_if_any,
    read_groups,
    read_in_test,
    read_texts,
    write_texts,
)
from w2s_bench.protocol.files import ANSWERS, FORMAT, HELD, ITEMS, POOL, SPLIT_IDS
from w2s_bench.protocol.items import item_digest
from w2s_bench.record import iter_records, read_json, write_json
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import SPLITS, BoolArray, IntArray, Item, Split

if TYPE_CHECKING:
    from pathlib import Path

    from w2s_bench.suite_domain import Sizes

#: Cut once for all seeds.
HELD_OUT: Final[tuple[Split, ...]] = ("dev", "test")


def held_out(items: Stage, sizes: Sizes, *, domain: str, label: str = "") -> Stage:
    """Stage: ids of `dev` and `test`, which are the same for every seed, and the items that seeds draw from."""
    params = {"sizes": {split: sizes.of(split) for split in HELD_OUT}, "domain": domain}
    return Stage(hold_out, params, {"items": items}, label=label, domain=domain)


def splits(held_out: Stage, sizes: Sizes, *, domain: str, seed: int, suite_seed: int, label: str = "") -> Stage:
    """Stage: ids of each split of one seed."""
    params = {"sizes": sizes.model_dump(), "domain": domain, "seed": seed, "suite_seed": suite_seed}
    return Stage(cut, params, {"held_out": held_out}, label=label, domain=domain)


def subset(items: Stage, splits: Stage, split: Split, label: str = "") -> Stage:
    """Stage: the items of one split."""
    rows = splits.params["sizes"][split]
    return Stage(take_subset, {"split": split}, {"items": items, "splits": splits}, label=label, amount=rows)


def gold(answers: Stage, subset: Stage, split: Split, label: str = "") -> Stage:
    """Stage: the answers of one split. Whoever may read gold has this stage among its inputs, and nobody else has."""
    return Stage(take_gold, {"split": split}, {"answers": answers, "subset": subset}, label=label)


@stage("held_out", version=1)
def hold_out(context: StageContext) -> None:
    """Groups are ranked by a hash of (domain, group); `dev` is dealt from the front of that order and `test` from its back, so that
    each depends on its own size alone and what one suite calls dev is no other suite's test. A group that overfills a split
    is cut; what is cut off is used nowhere.

    Where the items say which of them their task itself has in `test`, those alone are dealt to it; the other splits are dealt
    from groups that have no such item, and what shares a group with one is used nowhere.
    """
    p = context.params
    pool = _Pool.of(*read_groups(context.inputs["items"]), p["domain"])
    out: dict[str, IntArray] = {}
    pool = pool.without_held_out(p["sizes"], out, read_in_test(context.inputs["items"]))
    held = {split: sorted((pool.ids[int(row)], pool.keys[int(row)]) for row in out[split]) for split in HELD_OUT}
    write_json(context.out / HELD, held)
    pool.write(context.out)


@stage("splits", version=2)
def cut(context: StageContext) -> None:
    """Ids of each split, sorted; exact sizes; no group and no key in two splits. What a seed draws is dealt from the groups that are
    left, by a hash of (suite seed, domain, seed, group)."""
    p = context.params
    pool = _Pool.read(context.inputs["held_out"], p["domain"])
    held = read_json(context.inputs["held_out"] / HELD)
    drawn = pool.drawn(p["sizes"], p["seed"], p["suite_seed"])
    of = {**held, **{split: [(pool.ids[int(r)], pool.keys[int(r)]) for r in rows] for split, rows in drawn.items()}}
    _refuse_shared_keys(of, p["domain"])
    write_json(context.out / SPLIT_IDS, {split: sorted(i for i, _ in of[split]) for split in SPLITS})


@stage("subset", version=1)
def take_subset(context: StageContext) -> None:
    ids = read_json(context.inputs["splits"] / SPLIT_IDS)[context.params["split"]]  # sorted
    with (context.out / ITEMS).open("wb") as out:
        for item, line in zip(ids, lines_of(context.inputs["items"] / ITEMS, ids), strict=True):
            assert line is not None, f"item {item} was cut from these items"
            out.write(line)
    write_json(context.out / FORMAT, read_json(context.inputs["items"] / FORMAT))


@stage("gold", version=1)
def take_gold(context: StageContext) -> None:
    # Items and answers come from two loads of the task. One that shuffles at random would pair them wrongly.
    digests = {item.id: item_digest(item) for item in iter_records(context.inputs["subset"] / ITEMS, Item)}
    with (context.out / ANSWERS).open("wb") as out:
        lines = lines_of(context.inputs["answers"] / ANSWERS, list(digests))
        for (item, digest), line in zip(digests.items(), lines, strict=True):
            if line is None or json.loads(line)["item"] != digest:
                raise PluginError(
                    f"item {item} came out otherwise when its task was loaded again; fix the loader: no randomness without a "
                    "seed of its own"
                )
            out.write(line)


@dataclass(frozen=True)
class _Pool:
    """Items that splits are dealt from, group by group: `members[starts[g]:starts[g + 1]]` are the rows of group g.

    Members of a group are in the order in which they are dealt, by a hash of (domain, id). `left` are the groups that no
    split has had; what was there at first is told where a split cannot be filled. `reserved` counts the items that their
    task has in `test` (None: no task says so).
    """

    domain: str
    ids: Texts
    keys: Texts
    groups: Texts
    members: IntArray
    starts: IntArray
    left: IntArray
    reserved: int | None = None

    @classmethod
    def of(cls, ids: Texts, groups: Texts, keys: Texts, domain: str) -> _Pool:
        numbers: dict[bytes, int] = {}
        of = np.fromiter((numbers.setdefault(raw, len(numbers)) for raw in groups.raw()), np.int64, len(groups))
        members = np.argsort(of, kind="stable").astype(np.int64)
        sizes = np.bincount(of, minlength=len(numbers))
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        shared = members[(sizes > 1)[of[members]]]  # of groups with more than one; they lie in runs
        if len(shared):
            ranks = hashes(_before(domain), ids.take(shared).raw())
            by_group = np.lexsort((*ranks.T[::-1], of[shared]))
            members[(sizes > 1)[of[members]]] = shared[by_group]
        # Groups go by name, so that nothing hangs on the order in which a task gives its documents.
        names = Texts(b"".join(numbers), np.cumsum([0, *map(len, numbers)], dtype=np.int64))
        return cls(domain, ids, keys, names, members, starts, np.arange(len(numbers)))

    def without_held_out(
        self, sizes: Mapping[str, int], out: dict[str, IntArray], in_test: BoolArray | None = None
    ) -> _Pool:
        """What is left when `dev` and `test` are dealt, whose rows go to `out`.

        `in_test` (n,) says which items their task has in `test`; None: it does not say.
        """
        ranked = order(hashes(_before("held out", self.domain), self.groups.raw()))
        if in_test is not None:
            tested = np.maximum.reduceat(in_test[self.members], self.starts[:-1])  # one verdict a group
            own = replace(self, members=self.members[in_test[self.members]], starts=self._starts(in_test))
            own = replace(own, reserved=int(in_test.sum()))
            own._deal(ranked[tested[ranked]][::-1], ("test",), sizes, out)
            rest = replace(self, reserved=own.reserved)
            return replace(rest, left=rest._deal(ranked[~tested[ranked]], ("dev",), sizes, out))
        ranked = self._deal(ranked, ("dev",), sizes, out)
        return replace(self, left=self._deal(ranked[::-1], ("test",), sizes, out))

    def _starts(self, kept: BoolArray) -> IntArray:
        """Where each group begins among its members that are `kept` (n,)."""
        before = np.concatenate([[0], np.cumsum(kept[self.members])])
        return before[self.starts].astype(np.int64)

    def drawn(self, sizes: Mapping[str, int], seed: int, suite_seed: int) -> dict[str, IntArray]:
        """Rows of the three splits that a seed draws."""
        left = np.sort(self.left)
        ranks = hashes(_before("drawn", suite_seed, self.domain, seed), self.groups.take(left).raw())
        out: dict[str, IntArray] = {}
        self._deal(left[order(ranks)], ("weak_train", "trust", "transfer"), sizes, out)
        return out

    def _deal(
        self, groups: IntArray, splits: Sequence[Split], sizes: Mapping[str, int], out: dict[str, IntArray]
    ) -> IntArray:
        """Fill `splits` in turn from the groups in their order; returns the groups left over."""
        taken = 0
        for split in splits:
            rows: list[int] = []
            while len(rows) < sizes[split]:
                if taken == len(groups):
                    there = f"{len(self.ids)} items in {len(self.groups)} groups"
                    raise too_few(
                        self.domain, there, sizes, f"; {split} was filled to {len(rows)}", own_test(self.reserved)
                    )
                group = int(groups[taken])
                members = self.members[self.starts[group] : self.starts[group + 1]]
                rows += members[: sizes[split] - len(rows)].tolist()
                taken += 1
            out[split] = np.array(rows, dtype=np.int64)
        return groups[taken:]

    def write(self, folder: Path) -> None:
        columns = {"ids": self.ids, "keys": self.keys, "groups": self.groups}
        told = {} if self.reserved is None else {"reserved": np.array([self.reserved])}
        write_texts(folder / POOL, columns, members=self.members, starts=self.starts, left=self.left, **told)

    @classmethod
    def read(cls, folder: Path, domain: str) -> _Pool:
        ids, keys, groups = (read_texts(folder / POOL, name) for name in ("ids", "keys", "groups"))
        members, starts, left = (
            cast(IntArray, read_array(folder / POOL, name)) for name in ("members", "starts", "left")
        )
        reserved = read_array_if_any(folder / POOL, "reserved")
        return cls(domain, ids, keys, groups, members, starts, left, None if reserved is None else int(reserved[0]))


def own_test(reserved: int | None) -> str:
    """What a refusal adds where a task has so many documents in `test` itself; None: it does not say."""
    if reserved is None:
        return ""
    return f" {reserved} of the items are its task's own test documents: `test` takes those, and no other split does."


def too_few(domain: str, there: str, sizes: Mapping[str, int], filled: str = "", reserved: str = "") -> SuiteError:
    """The refusal of sizes that the items that are `there` cannot fill."""
    asked = {name: sizes[name] for name in SPLITS if name in sizes}
    return SuiteError(
        f"domain {domain!r} has {there}, too few for sizes {', '.join(f'{name} {size}' for name, size in asked.items())} "
        f"(sum {sum(asked.values())}){filled}. Make the splits smaller; a group that straddles two splits is cut, so leave some "
        f"room.{reserved}"
    )


def _before(*parts: object) -> str:
    """What `randomness.hash_rank(*parts, text)` hashes before the text."""
    return "".join(f"{part}\0" for part in parts)


def _refuse_shared_keys(of: Mapping[str, Iterable[tuple[str, str]]], domain: str) -> None:
    """`of`: split → (id, key) of its items."""
    seen: dict[str, tuple[str, str]] = {}
    for split, members in of.items():
        for item, key in members:
            other, where = seen.setdefault(key, (item, split))
            if where != split:
                raise LeakError(
                    f"domain {domain!r}: items {other} ({where}) and {item} ({split}) are the same question "
                    f"(key {key!r}); give them one group, or remove one"
                )
