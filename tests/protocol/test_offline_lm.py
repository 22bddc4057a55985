"""The shipped suites of models that pip installs find room in their domains."""

from __future__ import annotations

from support import split_ids
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


def test_the_ladder_of_one_family_finds_room_in_its_domains() -> None:
    suite = load_suite("qwen-coder")
    assert {(spec.teacher.model, spec.student.model) for spec in suite.domains} == {
        ("w2s-bench-qwen-coder/0.5b", "w2s-bench-qwen-coder/1.5b")
    }
    arc = suite.domain("lm-eval/arc_easy").sizes
    assert arc.dev + arc.trust + arc.transfer < 0.95 * 2251 and arc.test < 0.95 * 2376
    words, facts = suite.domain("w2s-bench-offline-lms/language").sizes, suite.domain("w2s-bench/knowledge").sizes
    roomy = load_suite("offline-lm")
    for sizes, domain in ((words, "w2s-bench-offline-lms/language"), (facts, "w2s-bench/knowledge")):
        larger = roomy.domain(domain).sizes.model_dump()
        assert all(size <= larger[split] for split, size in sizes.model_dump().items())
