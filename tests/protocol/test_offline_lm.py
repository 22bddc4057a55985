"""The shipped suite `offline-lm` finds room in the domain that its plugin brings."""

from __future__ import annotations

from w2s_bench.protocol.splits import split_ids
from w2s_bench.suite import load_suite
from w2s_bench.types import Item
from w2s_bench_offline_lms.language.loader import documents


def test_the_shipped_suite_finds_room_for_its_splits_at_every_seed() -> None:
    items = documents()
    suite = load_suite("offline-lm")
    rows = [Item(id=i["id"], prompt="", choices=None, **{k: i[k] for k in ("group", "key", "stratum")}) for i in items]
    spec = suite.domain("w2s-bench-offline-lms/language")
    held = set()
    for seed in range(suite.seeds):
        cut = split_ids(rows, spec.sizes.model_dump(), spec.name, seed=seed, suite_seed=suite.seed)
        assert {split: len(ids) for split, ids in cut.items()} == spec.sizes.model_dump()
        held.add((tuple(cut["dev"]), tuple(cut["test"])))
    assert len(held) == 1
