"""Splits are exact, disjoint, never part a group or a key, and do not depend on the order of items."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import w2s_bench_tasks
from support import run_stage, split_ids, toy_registry
from w2s_bench.domains.task import TaskDomain
from w2s_bench.errors import LeakError, PluginError, SuiteError
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import items as rendered
from w2s_bench.protocol import splits
from w2s_bench.protocol.catalogue import write_groups, write_indexed
from w2s_bench.protocol.files import ANSWERS, FORMAT, ITEMS
from w2s_bench.protocol.items import item_digest
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records
from w2s_bench.suite_files import load_suite
from w2s_bench.types import SPLITS, Answer, Item

SIZES = {"dev": 7, "test": 13, "weak_train": 17, "trust": 5, "transfer": 23}


def make_items(groups: int, *, largest: int = 4, seed: int = 0) -> list[Item]:
    """Items in groups of 1 to `largest`; two items of a group may share a key."""
    rng = np.random.default_rng(seed)
    return [
        Item(f"i{g}-{m}", f"g{g}", f"k{g}-{m // 2}", "s", f"prompt {g} {m}", None)
        for g in range(groups)
        for m in range(int(rng.integers(1, largest + 1)))
    ]


@given(st.integers(60, 120), st.integers(1, 6), st.integers(0, 99), st.integers(0, 9), st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_splits_are_exact_disjoint_and_never_part_a_group_or_a_key(
    groups: int, largest: int, made: int, seed: int, suite_seed: int
) -> None:
    items = make_items(groups, largest=largest, seed=made)
    try:
        ids = split_ids(items, SIZES, "toy", seed=seed, suite_seed=suite_seed)
    except SuiteError:
        # Only what the cut-off ends of groups take can be missing: at most largest − 1 items a split.
        assert len(items) < sum(SIZES.values()) + len(SPLITS) * (largest - 1)
        return
    assert {split: len(members) for split, members in ids.items()} == SIZES
    of = {i: split for split, members in ids.items() for i in members}
    assert len(of) == sum(SIZES.values())
    for by in ("group", "key"):
        places: dict[str, set[str]] = {}
        for item in items:
            if item.id in of:
                places.setdefault(getattr(item, by), set()).add(of[item.id])
        assert all(len(where) == 1 for where in places.values())
    assert all(members == sorted(members) for members in ids.values())


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=20)
def test_the_order_of_items_says_nothing(random: Any) -> None:
    items = make_items(60)
    shuffled = random.sample(items, len(items))
    assert split_ids(shuffled, SIZES, "toy", seed=1) == split_ids(items, SIZES, "toy", seed=1)


def dealt_plainly(
    items: list[Item], sizes: dict[str, int], domain: str, seed: int, suite_seed: int
) -> dict[str, list[str]]:
    """The protocol's words, item by item."""
    groups: dict[str, list[str]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item.id)
    out: dict[str, list[str]] = {}

    def deal(order: list[str], *splits: str) -> list[str]:
        for split in splits:
            ids: list[str] = []
            while len(ids) < sizes[split]:
                members = sorted(groups[order.pop(0)], key=lambda one: hash_rank(domain, one))
                ids += members[: sizes[split] - len(ids)]
            out[split] = sorted(ids)
        return order

    rest = deal(sorted(groups, key=lambda group: hash_rank("held out", domain, group)), "dev")
    rest = deal(rest[::-1], "test")
    deal(
        sorted(rest, key=lambda group: hash_rank("drawn", suite_seed, domain, seed, group)),
        "weak_train",
        "trust",
        "transfer",
    )
    return out


@given(st.integers(1, 5), st.integers(0, 99), st.integers(0, 9), st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_splits_are_dealt_as_the_protocol_says(largest: int, made: int, seed: int, suite_seed: int) -> None:
    items = make_items(110, largest=largest, seed=made)
    assert split_ids(items, SIZES, "toy", seed=seed, suite_seed=suite_seed) == dealt_plainly(
        items, SIZES, "toy", seed, suite_seed
    )


#: SHA-256 of the splits of suite `tiny` by domain and seed: they never change with the code that cuts them, but with a domain's version.
CUT = {
    ("knowledge", 0): "2ea00b0f21edd842",
    ("knowledge", 1): "0b335c2bdb3dd809",
    ("knowledge", 2): "ed63694f4891df94",
    ("math", 0): "5c94bf6298e9e16f",
    ("math", 1): "d365a68102bc3b49",
    ("math", 2): "9b6ea3e3efc3f8f4",
    ("chess", 0): "30575a3875d0aefd",
    ("chess", 1): "6e9702a81dc5b2cf",
    ("chess", 2): "727c09bcea7a76d3",
}


def test_the_splits_of_the_built_in_suite_are_what_they_were() -> None:
    suite = load_suite("tiny")
    for (name, seed), digest in CUT.items():
        path = Path(w2s_bench_tasks.__file__).parent / name / "data" / "items.jsonl"
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        items = [Item(row["id"], row["group"], row["key"], row["stratum"], "", None) for row in rows]
        sizes = next(d.sizes for d in suite.domains if d.name == f"w2s-bench/{name}").model_dump()
        ids = split_ids(items, sizes, f"w2s-bench/{name}", seed=seed, suite_seed=suite.seed)
        assert hashlib.sha256(json.dumps(ids, sort_keys=True).encode()).hexdigest()[:16] == digest


def test_dev_and_test_are_the_same_for_every_seed_and_the_rest_are_drawn_anew() -> None:
    items = make_items(80)
    cuts = [split_ids(items, SIZES, "toy", seed=s, suite_seed=u) for s in range(4) for u in range(3)]
    for split in ("dev", "test"):
        assert len({tuple(cut[split]) for cut in cuts}) == 1
    for split in ("weak_train", "trust", "transfer"):
        assert len({tuple(cut[split]) for cut in cuts}) == len(cuts)
    assert split_ids(items, SIZES, "other", seed=0)["test"] != cuts[0]["test"]


def test_positions_in_the_domain_say_nothing_about_the_split() -> None:
    items = [Item(f"{i:04d}", f"{i:04d}", f"{i:04d}", "s", "p", None) for i in range(1000)]
    ids = split_ids(items, dict.fromkeys(SPLITS, 190), "toy", seed=0)
    # The mean of 190 of 0…999 has a standard deviation of 19 around 499.5; four of them.
    assert all(abs(np.mean([int(i) for i in ids[split]]) - 499.5) < 76 for split in SPLITS)


def test_a_few_more_items_move_few() -> None:
    items = [Item(f"i{g}", f"g{g}", f"k{g}", "s", "p", None) for g in range(400)]
    more = [Item(f"new{g}", f"new{g}", f"new{g}", "s", "p", None) for g in range(8)]
    sizes = dict.fromkeys(SPLITS, 60)
    before, after = (split_ids(some, sizes, "toy", seed=0) for some in (items, [*items, *more]))
    # A new item moves at most one old one across each boundary behind it.
    for split in SPLITS:
        assert len(set(before[split]) & set(after[split])) >= 60 - 2 * len(more)


def test_a_group_that_overfills_a_split_is_cut_and_what_is_cut_off_is_used_nowhere() -> None:
    big = [Item(f"big{i}", "big", f"b{i}", "s", "p", None) for i in range(50)]
    items = [*big, *make_items(60)]
    for seed in range(5):
        ids = split_ids(items, SIZES, "toy", seed=seed)
        used = {split: sum(i.startswith("big") for i in members) for split, members in ids.items()}
        assert sum(count > 0 for count in used.values()) <= 1
        assert all(used[split] <= SIZES[split] for split in SPLITS)
        assert {split: len(members) for split, members in ids.items()} == SIZES
    one_group_each = [replace(i, group=f"{int(i.id[3:]) % 5}") for i in big]
    ids = split_ids(one_group_each, dict.fromkeys(SPLITS, 4), "toy", seed=0)
    assert {len(members) for members in ids.values()} == {4}


def test_too_small_a_domain_is_refused_with_its_numbers() -> None:
    items = make_items(12, largest=1)
    with pytest.raises(
        SuiteError, match=r"'toy' has 12 items in 12 groups.* dev 7, test 13, .*sum 65.*test was filled to 5"
    ):
        split_ids(items, SIZES, "toy", seed=0)
    with pytest.raises(SuiteError, match=r"weak_train was filled to 0"):
        split_ids(make_items(20, largest=1), SIZES, "toy", seed=0)
    exact = make_items(65, largest=1)
    assert sum(map(len, split_ids(exact, SIZES, "toy", seed=0).values())) == 65


def test_the_same_question_in_two_groups_is_a_leak_where_it_straddles_splits() -> None:
    sizes = dict.fromkeys(SPLITS, 2)
    items = [Item(f"i{n}", f"g{n}", "same" if n in (3, 7) else f"k{n}", "s", "p", None) for n in range(10)]
    ids = split_ids([replace(i, key=i.id) for i in items], sizes, "toy", seed=0)
    split_of = {i: split for split, members in ids.items() for i in members}
    assert split_of["i3"] != split_of["i7"]
    with pytest.raises(
        LeakError, match=r"items i3 \(\w+\) and i7 \(\w+\) are the same question \(key 'same'\)"
    ) as caught:
        split_ids(items, sizes, "toy", seed=0)
    assert f"i3 ({split_of['i3']})" in str(caught.value)
    together = [replace(i, group="g3") if i.id == "i7" else i for i in items]
    assert split_ids([*together, *make_items(5, largest=1)], sizes, "toy", seed=0)


def test_ids_and_options_must_be_distinct() -> None:
    item = Item("1", "g", "k", "s", "p", (" a", " b"))
    rendered.check_items([item, replace(item, id="2")], "toy")
    with pytest.raises(PluginError, match="two items have the id '1'"):
        rendered.check_items([item, item], "toy")
    for options in ((" a", " a"), (" a",), ()):
        with pytest.raises(PluginError, match="item '1' needs two or more distinct options"):
            rendered.check_items([replace(item, choices=options)], "toy")


# --- from an lm-eval task -------------------------------------------------------------------------------------------

YAML = """task: made
custom_dataset: !function loader.made
output_type: multiple_choice
test_split: test
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: GOLD
METRICS
"""
METRICS = "metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n"
LOADER = """import datasets, json, pathlib
def made(**kwargs):
    rows = json.loads((pathlib.Path(__file__).parent / "rows.json").read_text())
    return {"test": datasets.Dataset.from_list(rows)}
"""


def made_domain(
    folder: Path, rows: list[dict[str, Any]], *, gold: str = "gold", more: str = "", kind: Any = "choice"
) -> Any:
    """A registry whose only domain is an lm-eval task over `rows`, written to `folder`."""
    folder.mkdir(exist_ok=True)
    rows = [{"id": str(n), "group": str(n), "key": str(n), "stratum": "all", **row} for n, row in enumerate(rows)]
    (folder / "made.yaml").write_text(YAML.replace("GOLD", gold).replace("METRICS", METRICS + more))
    (folder / "loader.py").write_text(LOADER)
    (folder / "rows.json").write_text(json.dumps(rows))
    domain = TaskDomain("made", "1", kind, folder / "made.yaml", "made", max_new_tokens=5)
    return SimpleNamespace(domain=lambda name, **parameters: domain)


def built(folder: Path, registry: Any) -> tuple[list[Item], list[Answer]]:
    params = {"domain": PlannedDomain.of("made", registry.domain("made"), {}).params}
    run_stage(rendered.build_items, folder / "items", params, registry=registry)
    run_stage(rendered.build_answers, folder / "answers", params, registry=registry)
    return read_records(folder / "items" / ITEMS, Item), read_records(folder / "answers" / ANSWERS, Answer)


@pytest.mark.parametrize(
    ("choices", "gold", "target"),
    [
        (["red", "green", "blue"], 1, "gold"),
        (["red", "green", "blue"], "green", "gold"),
        (["A", "B", "C"], "B", "gold"),
        # A template that renders a whole number is lm-eval's index, though an option reads the same.
        (["3", "1", "2"], "1", '"{{gold}}"'),
        # A field that holds text is an option's text, digits or not.
        (["3", "1", "2"], "1", "gold"),
    ],
    ids=["index", "text", "letter", "number rendered", "number as text"],
)
def test_gold_is_the_option_that_lm_eval_counts_as_right(
    choices: list[str], gold: Any, target: str, tmp_path: Path
) -> None:
    registry = made_domain(tmp_path / "task", [{"question": "Which", "choices": choices, "gold": gold}], gold=target)
    (item,), (answer,) = built(tmp_path, registry)
    assert answer.index == 1
    assert item.choices is not None and answer.completion == item.choices[1] == f" {choices[1]}"
    task = registry.domain("made").task()
    for index in range(len(choices)):
        results = [(0.0 if i == index else -1.0, False) for i in range(len(choices))]
        assert task.process_results(answer.document, results)["acc"] == float(index == answer.index)


@pytest.mark.parametrize(("sound", "gold"), [(0, 3), (0, -1), ("red", "purple"), ("red", "B")])
def test_gold_that_is_no_option_is_refused(sound: Any, gold: Any, tmp_path: Path) -> None:
    rows = [{"question": "Which", "choices": ["red", "green", "blue"], "gold": each} for each in (sound, gold)]
    with pytest.raises(PluginError, match=r"gold .* is none of the options \['red', 'green', 'blue'\] of item 1"):
        built(tmp_path, made_domain(tmp_path / "task", rows))


def test_tasks_that_the_protocol_cannot_take_are_refused(tmp_path: Path) -> None:
    rows = [{"question": "Which", "choices": ["red", "green"], "gold": 0}]
    mutual = "  - metric: acc_mutual_info\n    aggregation: mean\n    higher_is_better: true\n"
    with pytest.raises(PluginError, match="acc_mutual_info"):
        built(tmp_path, made_domain(tmp_path / "a", rows, more=mutual))
    with pytest.raises(PluginError, match="5 shots, the protocol is zero-shot"):
        built(tmp_path, made_domain(tmp_path / "b", rows, more="num_fewshot: 5\n"))
    with pytest.raises(PluginError, match="two or more distinct options"):
        built(tmp_path, made_domain(tmp_path / "c", [{**rows[0], "choices": ["red", "red"]}]))


@pytest.fixture(scope="module")
def registry() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield toy_registry(patch)


@pytest.mark.parametrize("name", ["largest", "sums"])
def test_items_are_the_strings_that_lm_eval_scores_and_hold_no_gold(
    name: str, registry: Registry, tmp_path: Path
) -> None:
    domain = registry.domain(f"w2s-bench-toy/{name}")
    params = {"domain": PlannedDomain.of(f"w2s-bench-toy/{name}", domain, {}).params}
    run_stage(rendered.build_items, tmp_path / "items", params, registry=registry)
    run_stage(rendered.build_answers, tmp_path / "answers", params, registry=registry)
    items = read_records(tmp_path / "items" / ITEMS, Item)
    answers = {a.id: a for a in read_records(tmp_path / "answers" / ANSWERS, Answer)}
    assert len(items) == len(answers) == 400
    task = domain.task()
    task.build_all_requests(limit=None, rank=0, world_size=1, rewrite_requests_cache=False, cache_requests=False)
    pairs: dict[str, list[Any]] = {}
    for request in task.instances:
        pairs.setdefault(request.doc["id"], []).append(request.args)
    for item in items:
        assert {prompt for prompt, _ in pairs[item.id]} == {item.prompt}
        if item.choices is not None:
            assert [option for _, option in pairs[item.id]] == list(item.choices)
            assert answers[item.id].completion == item.choices[answers[item.id].index or 0]
        else:
            assert answers[item.id].index is None
            assert answers[item.id].completion == " " + answers[item.id].document["answer"]
    form = read_json(tmp_path / "items" / FORMAT)
    kind = "choice" if name == "largest" else "generate"
    assert form == {"kind": kind, "until": [] if kind == "choice" else ["\n"], "delimiter": " "}
    if kind == "generate":
        assert "####" not in (tmp_path / "items" / ITEMS).read_text()
    else:
        counts = Counter(answer.index for answer in answers.values())
        assert min(counts.values()) > 60  # the place of gold is no hint


def test_a_subset_and_its_gold_are_joined_by_id_in_the_order_of_ids(tmp_path: Path) -> None:
    items = make_items(70, largest=1)
    for name, order in (("items", items[::-1]), ("answers", items[::2] + items[1::2])):
        (tmp_path / name).mkdir()
        if name == "items":
            write_indexed(tmp_path / name / ITEMS, order)
            write_groups(tmp_path / name, order)
            (tmp_path / name / FORMAT).write_text('{"kind": "generate"}')
        else:
            write_indexed(
                tmp_path / name / ANSWERS,
                [Answer(i.id, {"of": i.id}, f"gold of {i.id}", None, item_digest(i)) for i in order],
            )
    params = {"sizes": SIZES, "domain": "toy", "seed": 1, "suite_seed": 0}
    held = run_stage(splits.hold_out, tmp_path / "held", params, items=tmp_path / "items")
    cut = run_stage(splits.cut, tmp_path / "cut", params, held_out=held)
    wanted = dealt_plainly(items, SIZES, "toy", seed=1, suite_seed=0)["trust"]
    subset = run_stage(
        splits.take_subset, tmp_path / "subset", {"split": "trust"}, items=tmp_path / "items", splits=cut
    )
    gold = run_stage(
        splits.take_gold, tmp_path / "gold", {"split": "trust"}, answers=tmp_path / "answers", subset=subset
    )
    assert [item.id for item in read_records(subset / ITEMS, Item)] == wanted
    answers = read_records(gold / ANSWERS, Answer)
    assert [(a.id, a.completion) for a in answers] == [(i, f"gold of {i}") for i in wanted]
    assert (subset / FORMAT).is_file()
    shuffled = [*items[1:], items[0]]
    (tmp_path / "again").mkdir()
    write_indexed(tmp_path / "again" / ANSWERS, [Answer(i.id, {}, "gold", None, "another") for i in shuffled])
    for folder in (tmp_path / "again", tmp_path / "none"):
        if not folder.is_dir():
            folder.mkdir()
            write_indexed(folder / ANSWERS, [])
        with pytest.raises(PluginError, match=f"item {wanted[0]} came out otherwise when its task was loaded again"):
            run_stage(splits.take_gold, tmp_path / "odd", {"split": "trust"}, answers=folder, subset=subset)


def test_another_seed_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    """All seeds draw from one pool; what a seed gets hangs on no other, and on no other split's size behind it."""
    items = make_items(90, largest=2)
    (tmp_path / "items").mkdir()
    write_indexed(tmp_path / "items" / ITEMS, items)
    write_groups(tmp_path / "items", items)
    held = run_stage(splits.hold_out, tmp_path / "held", {"sizes": SIZES, "domain": "toy"}, items=tmp_path / "items")
    for seed in range(3):
        params = {"sizes": SIZES, "domain": "toy", "seed": seed, "suite_seed": 5}
        out = run_stage(splits.cut, tmp_path / f"cut {seed}", params, held_out=held)
        assert read_json(out / splits.SPLIT_IDS) == dealt_plainly(items, SIZES, "toy", seed=seed, suite_seed=5)
