"""The shipped suites of models that pip installs find room in their domains."""

from __future__ import annotations

from w2s_bench.protocol.splits import split_ids
from w2s_bench.suite_files import load_suite
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


def test_the_suite_of_real_tasks_finds_room_in_the_published_questions() -> None:
    published = {"lm-eval/arc_easy": (2251, 2376), "lm-eval/arc_challenge": (1119, 1172)}  # training and test questions
    suite = load_suite("offline-lm-tasks")
    for name, (training, test) in published.items():
        sizes = suite.domain(name).sizes
        # A few questions are not taken: equal to one of `test`, or tied to one by their text.
        assert sizes.dev + (sizes.weak_train or 0) + sizes.trust + sizes.transfer < 0.95 * training
        assert sizes.test < 0.95 * test
    puzzles = suite.domain("w2s-bench-lichess/puzzles")
    assert sum(puzzles.sizes.model_dump().values()) < 0.9 * int(str(puzzles.parameters["most"]))
    assert {spec.teacher.model for spec in suite.domains} == {"w2s-bench-offline-lms/smollm2-135m"}
