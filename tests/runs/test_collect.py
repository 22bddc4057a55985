"""Cells tell what their stages' files hold; a failed seed is shown with its reason beside the seeds that did not fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from support import run_inline, toy_registry, toy_suite
from w2s_bench.executors import Done, Failed
from w2s_bench.protocol.arms import ArmStages
from w2s_bench.protocol.files import ANSWERS, GRADES, ITEMS
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import digest_of, read_json, read_records, read_rows, unpack_bits, write_json, write_records
from w2s_bench.results.cells import Cell
from w2s_bench.runs.collect import cell_of, scrubbed
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.runs.provenance import environment
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.types import Answer, Item, Prediction

ROWS = [
    *(
        f"w2s-bench-toy.largest/{arm}"
        for arm in ("weak", "base", "ceiling", "naive", "oracle", "gold_trust_set", "gold_random", "majority")
    ),
    "w2s-bench-toy.largest/w2s-bench-toy.prompt_hash",
    "w2s-bench-toy.largest/w2s-bench-toy.privileged",
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Most arms on one toy domain, two seeds, run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        registry = toy_registry(patch)
        # Shared with other files of this test run: whoever comes first makes models, items and labels.
        shared = tmp_path_factory.getbasetemp()
        suite = toy_suite(shared / "toy-models", coverage=0.4)
        trust = ["w2s-bench-toy/prompt_hash", "w2s-bench-toy/privileged"]
        planned = plan(suite, registry, domains=["largest"], trust=trust, rows=ROWS)
        store = Store(shared / "toy-store")
        outcomes = run_inline(planned.targets(), store, registry)
        assert not [o for o in outcomes.values() if isinstance(o, Failed)]
        yield SimpleNamespace(suite=suite, registry=registry, plan=planned, store=store, outcomes=outcomes)


@pytest.fixture(scope="module")
def cells(ran: Any) -> dict[str, Cell]:
    results = Results(ran.outcomes, ran.store)
    return {cell.arm.ref.name.rpartition("/")[2]: cell_of(cell, results) for cell in ran.plan.cells}


def stages_of(planned: Plan, arm: str, seed: int) -> tuple[Generation, ArmStages]:
    cell = next(c for c in planned.cells if c.arm.ref.name.rpartition("/")[2] == arm)
    return cell.graphs[seed], cell.stages[seed]


def folder(ran: Any, stage: Stage) -> Path:
    path: Path = ran.outcomes[stage.node].result.path
    return path


def right_labels(ran: Any, seed: int) -> dict[str, bool]:
    """Whether each weak label of the pool is right, from the labels and the gold themselves."""
    graph, _ = stages_of(ran.plan, "weak", seed)
    gold = {a.id: a.index for a in read_records(folder(ran, graph.gold("transfer")) / ANSWERS, Answer)}
    labels = read_records(folder(ran, graph.weak_labels("transfer")) / "predictions.jsonl", Prediction)
    return {label.id: label.index == gold[label.id] for label in labels}


def kept_ids(ran: Any, arm: str, seed: int) -> list[str]:
    _, own = stages_of(ran.plan, arm, seed)
    assert own.rows is not None
    return [row["id"] for row in read_rows(folder(ran, own.rows) / "rows.jsonl")]


def test_every_cell_says_which_suite_domain_models_and_items_it_is_of(ran: Any, cells: dict[str, Cell]) -> None:
    graph, _ = stages_of(ran.plan, "weak", 0)
    ids = [item.id for item in read_records(folder(ran, graph.subset("test")) / ITEMS, Item)]
    assert ids == sorted(ids) and len(ids) == 40
    for cell in cells.values():
        body = cell.body
        assert (body.suite.name, body.suite.digest, body.suite.evaluate_on) == ("toy", ran.suite.digest, "test")
        assert (body.domain.name, body.domain.version, body.protocol) == ("w2s-bench-toy/largest", "1", "w2s-1")
        assert body.teacher.fingerprint != body.student.fingerprint
        assert (body.items, body.items_digest) == (40, digest_of(ids))
        assert [seed.seed for seed in body.seeds] == [0, 1]
        assert not body.failed
    assert cells["prompt_hash"].body.plugin is not None
    assert cells["prompt_hash"].body.plugin.distribution == "w2s-bench-toy"
    assert cells["naive"].body.plugin is None


class InClusters(Results):
    """Results whose items say which cluster they are of."""

    def __init__(self, ran: Any, named: Callable[[int], str]) -> None:
        super().__init__(ran.outcomes, ran.store)
        self.named = named

    def items(self, subset: Stage) -> list[Item]:
        return [replace(item, cluster=self.named(n)) for n, item in enumerate(super().items(subset))]


def test_a_cell_has_the_clusters_that_its_domain_names_and_without_those_its_groups(ran: Any) -> None:
    (weak,) = [cell for cell in ran.plan.cells if cell.arm.ref.name == "weak"]
    body = cell_of(weak, InClusters(ran, lambda n: f"verb {n % 7}")).body
    assert body.clusters is not None and body.cluster_codes is not None
    assert body.clusters.count == 7 and body.cluster_codes.tolist() == [n % 7 for n in range(40)]
    assert cell_of(weak, InClusters(ran, str)).body.clusters is None, "each item is its own"
    assert cell_of(weak, InClusters(ran, lambda n: "one")).body.clusters is None
    plain, graph = cell_of(weak, InClusters(ran, lambda n: "")).body, weak.graphs[0]
    groups = [item.group for item in read_records(folder(ran, graph.subset("test")) / ITEMS, Item)]
    found = plain.cluster_codes.tolist() if plain.cluster_codes is not None else list(range(40))
    assert [found.index(code) for code in found] == [groups.index(group) for group in groups]


def test_accuracy_bits_and_strata_come_from_the_answers_themselves(ran: Any, cells: dict[str, Cell]) -> None:
    for arm, cell in cells.items():
        for seed, result in enumerate(cell.body.seeds):
            graph, own = stages_of(ran.plan, arm, seed)
            items = read_records(folder(ran, graph.subset("test")) / ITEMS, Item)
            gold = {a.id: a.index for a in read_records(folder(ran, graph.gold("test")) / ANSWERS, Answer)}
            said = read_records(folder(ran, own.student.predictions) / "predictions.jsonl", Prediction)
            chosen = {p.id: p.index for p in said}
            right = np.array([chosen[item.id] == gold[item.id] for item in items])
            assert unpack_bits(result.correct or "", 40).tolist() == right.tolist()
            assert result.accuracy == right.mean()
            strata = np.array([item.stratum for item in items])
            assert result.by_stratum == {s: right[strata == s].mean() for s in ("high", "low")}


@pytest.mark.parametrize("seed", [0, 1])
def test_what_was_kept_is_described_as_it_is(ran: Any, cells: dict[str, Cell], seed: int) -> None:
    right = right_labels(ran, seed)
    correct = sum(right.values())
    assert len(right) == 100 and 0 < correct < 100
    for arm in ("naive", "oracle", "prompt_hash", "privileged"):
        result, kept = cells[arm].body.seeds[seed], kept_ids(ran, arm, seed)
        assert (result.kept, result.coverage) == (len(kept), len(kept) / 100)
        assert result.purity == np.mean([right[i] for i in kept])
        assert result.digests["kept"] == digest_of(kept)
    assert cells["naive"].body.seeds[seed].purity == correct / 100
    oracle = cells["oracle"].body.seeds[seed]
    assert (oracle.kept, oracle.shortfall, oracle.purity) == (min(40, correct), max(0, 40 - correct), 1.0)
    privileged = cells["privileged"].body.seeds[seed]
    assert privileged.purity == min(40, correct) / 40
    for arm, kept_rows, coverage in (("ceiling", 100, 1.0), ("gold_random", 40, 0.4), ("gold_trust_set", 24, None)):
        result = cells[arm].body.seeds[seed]
        assert (result.kept, result.coverage, result.purity, result.shortfall) == (kept_rows, coverage, 1.0, 0)
    for arm in ("weak", "base"):
        result = cells[arm].body.seeds[seed]
        assert (result.kept, result.coverage, result.purity) == (None, None, None)


def test_kept_by_stratum_is_the_share_of_each_stratum_that_was_kept(ran: Any, cells: dict[str, Cell]) -> None:
    graph, _ = stages_of(ran.plan, "prompt_hash", 1)
    pool = read_records(folder(ran, graph.subset("transfer")) / ITEMS, Item)
    kept = set(kept_ids(ran, "prompt_hash", 1))
    expected = {s: np.mean([item.id in kept for item in pool if item.stratum == s]) for s in ("high", "low")}
    assert cells["prompt_hash"].body.seeds[1].diagnostics["kept_by_stratum"] == expected
    assert cells["naive"].body.seeds[1].diagnostics["kept_by_stratum"] == {"high": 1.0, "low": 1.0}
    assert "kept_by_stratum" not in cells["gold_trust_set"].body.seeds[1].diagnostics


def test_auroc_is_the_share_of_pairs_that_the_scores_order_right(ran: Any, cells: dict[str, Cell]) -> None:
    for seed in (0, 1):
        right = right_labels(ran, seed)
        _, own = stages_of(ran.plan, "prompt_hash", seed)
        assert own.scores is not None
        scores = dict(Scores.read(folder(ran, own.scores)).items())
        pairs = [
            (scores[a] > scores[b]) + 0.5 * (scores[a] == scores[b])
            for a in right for b in right if right[a] and not right[b]
        ]  # fmt: skip
        said = cells["prompt_hash"].body.seeds[seed].diagnostics["auroc"]
        assert said == pytest.approx(np.mean(pairs), abs=1e-12)
        assert cells["privileged"].body.seeds[seed].diagnostics["auroc"] == 1.0
        assert "auroc" not in cells["naive"].body.seeds[seed].diagnostics
        assert cells["weak"].body.seeds[seed].diagnostics["label_accuracy"] == sum(right.values()) / 100


def test_majority_answers_with_the_commonest_weak_label(ran: Any, cells: dict[str, Cell]) -> None:
    for seed in (0, 1):
        graph, own = stages_of(ran.plan, "majority", seed)
        labels = read_records(folder(ran, graph.weak_labels("transfer")) / "predictions.jsonl", Prediction)
        times = Counter(label.answer for label in labels)
        assert times and own.student.weights is None
        said = {p.id: p for p in read_records(folder(ran, own.student.predictions) / "predictions.jsonl", Prediction)}
        items = read_records(folder(ran, graph.subset("test")) / ITEMS, Item)
        assert set(said) == {item.id for item in items}
        for item in items:
            assert item.choices is not None
            assert times[said[item.id].answer] == max(times[option] for option in item.choices)
            assert item.choices[said[item.id].index or 0] == said[item.id].answer
        result = cells["majority"].body.seeds[seed]
        assert (result.kept, result.purity, set(result.digests)) == (None, None, {"weak_labels"})


def pairs_won(ran: Any, seed: int, group: dict[str, str]) -> float:
    """Of the pairs of a right and a wrong label of one group, the share that `prompt_hash` orders right."""
    right = right_labels(ran, seed)
    _, own = stages_of(ran.plan, "prompt_hash", seed)
    assert own.scores is not None
    scores = dict(Scores.read(folder(ran, own.scores)).items())
    pairs = [
        (scores[a] > scores[b]) + 0.5 * (scores[a] == scores[b])
        for a in right for b in right if right[a] and not right[b] and group[a] == group[b]
    ]  # fmt: skip
    return float(np.mean(pairs))


def test_auroc_within_strata_is_over_pairs_of_one_stratum(ran: Any, cells: dict[str, Cell]) -> None:
    for seed in (0, 1):
        graph, _ = stages_of(ran.plan, "prompt_hash", seed)
        strata = {i.id: i.stratum for i in read_records(folder(ran, graph.subset("transfer")) / ITEMS, Item)}
        told = cells["prompt_hash"].body.seeds[seed].diagnostics
        assert told["auroc_within_stratum"] == pytest.approx(pairs_won(ran, seed, strata), abs=1e-12)
        assert told["auroc_within_stratum"] != told["auroc"]
        assert "auroc_within_label" not in told and "kept_by_label" not in told, "items offer other options each"
        assert "auroc_within_stratum" not in cells["naive"].body.seeds[seed].diagnostics


#: Options of each stratum → its classes by the place of the option: the same everywhere, and others in each stratum.
SAME = dict.fromkeys(("high", "low"), ((" a", " b", " c", " d"), (" a", " b", " c", " d")))
OTHER = {
    "high": ((" a", " b", " c", " d"), ("high: a", "high: b", "high: c", "high: d")),
    "low": (
        (" a", " b", " e", " f"),
        ("low: a", "low: b", "low: e", "low: f"),
    ),  # two texts in common, of another meaning
}


@pytest.mark.parametrize("options", [SAME, OTHER])
def test_where_labels_are_classes_each_has_its_share_and_its_pairs(ran: Any, tmp_path: Path, options: Any) -> None:
    outcomes, classes = dict(ran.outcomes), {}
    for seed in (0, 1):  # as if every item of a stratum offered the same four options
        graph, _ = stages_of(ran.plan, "prompt_hash", seed)
        subset = graph.subset("transfer")
        items = read_records(folder(ran, subset) / ITEMS, Item)
        path = tmp_path / str(seed)
        path.mkdir()
        write_records(path / ITEMS, [replace(item, choices=options[item.stratum][0]) for item in items])
        outcomes[subset.node] = Done(replace(outcomes[subset.node].result, path=path))
        labels = read_records(folder(ran, graph.weak_labels("transfer")) / "predictions.jsonl", Prediction)
        stratum = {item.id: item.stratum for item in items}
        classes[seed] = {label.id: options[stratum[label.id]][1][label.index or 0] for label in labels}
    made = collect(ran, outcomes)["prompt_hash"]
    for seed, of in classes.items():
        told, kept = made.body.seeds[seed].diagnostics, set(kept_ids(ran, "prompt_hash", seed))
        shares = {c: np.mean([i in kept for i in of if of[i] == c]) for c in sorted(set(of.values()))}
        assert told["kept_by_label"] == pytest.approx(shares) and len(shares) > 1
        assert told["auroc_within_label"] == pytest.approx(pairs_won(ran, seed, of), abs=1e-12)


@pytest.mark.parametrize("domain", ["largest", "sums"])
def test_how_well_the_teacher_knows_is_what_its_confidence_scores_whichever_arms_run(
    ran: Any, domain: str, tmp_path: Path
) -> None:
    """Of a generated label too, for which the cell of weak reads the labels itself, and in a run of nothing else."""
    rows = [f"w2s-bench-toy.{domain}/{arm}" for arm in ("weak", "confidence")]
    both = plan(ran.suite, ran.registry, domains=[domain], trust=["confidence"], rows=rows)
    alone = plan(ran.suite, ran.registry, domains=[domain], trust=[], rows=rows[:1])
    outcomes = run_inline([*both.targets(), *alone.targets()], ran.store, ran.registry)
    for graph in both.cells[0].graphs:  # the toy teacher gets no sum right: call every third label so
        done, path = outcomes[graph.label_grades("transfer").node], tmp_path / str(graph.seed)
        assert isinstance(done, Done)
        path.mkdir()
        ids = read_json(done.result.path / GRADES)
        write_json(path / GRADES, {one: place % 3 == 0 for place, one in enumerate(ids)})
        outcomes[graph.label_grades("transfer").node] = Done(replace(done.result, path=path))
    weak, confidence = (cell_of(cell, Results(outcomes, ran.store)) for cell in both.cells)
    needed = {stage.node: outcomes[stage.node] for stage in alone.stages()}
    (again,) = (cell_of(cell, Results(needed, ran.store)) for cell in alone.cells)
    assert again.digest == weak.digest
    told = [seed.diagnostics["label_probability_auroc"] for seed in weak.body.seeds]
    assert told == [seed.diagnostics["auroc"] for seed in confidence.body.seeds]
    assert all(0.2 < auroc < 0.8 for auroc in told), "of labels called right for no reason"
    assert "label_probability_auroc" not in confidence.body.seeds[0].diagnostics


def test_digests_name_labels_rows_and_weights(ran: Any, cells: dict[str, Cell]) -> None:
    for arm, cell in cells.items():
        for seed, result in enumerate(cell.body.seeds):
            graph, own = stages_of(ran.plan, arm, seed)
            gold_alone = arm in {"ceiling", "gold_trust_set", "gold_random"}
            names = {"weights"} if arm not in {"base", "majority"} else set()
            names |= {"labels"} if arm != "base" and not gold_alone else set()
            names |= {"kept"} if arm not in {"weak", "base", "majority"} else set()
            renamed = {"student": "weights", "teacher": "weights", "weak_labels": "labels"}
            assert {renamed.get(name, name) for name in result.digests} == names
            if own.student.weights is not None:
                name = "teacher" if arm == "weak" else "student"
                assert result.digests[name] == ran.outcomes[own.student.weights.node].result.content
            if "weak_labels" in result.digests:
                labels = graph.weak_labels("transfer")
                assert result.digests["weak_labels"] == ran.outcomes[labels.node].result.content


@pytest.mark.parametrize("row", ROWS)
def test_each_row_can_be_collected_from_a_run_of_nothing_else(ran: Any, cells: dict[str, Cell], row: str) -> None:
    trust = ["w2s-bench-toy/prompt_hash", "w2s-bench-toy/privileged"]
    alone = plan(ran.suite, ran.registry, domains=["largest"], trust=trust, rows=[row])
    needed = {stage.node: ran.outcomes[stage.node] for stage in alone.stages()}
    assert len(needed) < len(ran.outcomes)
    (cell,) = (cell_of(planned, Results(needed, ran.store)) for planned in alone.cells)
    assert cell.digest == cells[cell.body.arm.name.rpartition("/")[2]].digest


def with_failure(ran: Any, broken: Stage, reason: str) -> dict[str, Any]:
    """The outcomes of the run, had one stage failed: it and all that depends on it."""
    failed = Failed(broken.label, reason, broken.node)
    outcomes: dict[str, Any] = {}
    for stage in walk(ran.plan.targets()):
        upstream = any(isinstance(outcomes[one.node], Failed) for one in stage.inputs.values())
        outcomes[stage.node] = failed if upstream or stage.node == broken.node else ran.outcomes[stage.node]
    return outcomes


def collect(ran: Any, outcomes: dict[str, Any]) -> dict[str, Cell]:
    results = Results(outcomes, ran.store)
    return {cell.arm.ref.name.rpartition("/")[2]: cell_of(cell, results) for cell in ran.plan.cells}


def test_a_failed_seed_is_shown_and_the_others_stay(ran: Any, cells: dict[str, Cell]) -> None:
    _, own = stages_of(ran.plan, "prompt_hash", 1)
    assert own.scores is not None
    after = collect(ran, with_failure(ran, own.scores, "no scores today"))
    ok, failed = after["prompt_hash"].body.seeds
    assert ok == cells["prompt_hash"].body.seeds[0]
    assert (
        failed.error == "w2s-bench-toy/largest · seed 1 · scores of w2s-bench-toy/prompt_hash failed: no scores today"
    )
    assert (failed.accuracy, failed.correct, failed.kept, failed.digests) == (None, None, None, {})
    assert after["prompt_hash"].body.items == 40
    assert after["prompt_hash"].body.failed == (failed,)
    for arm in cells.keys() - {"prompt_hash"}:
        assert after[arm].digest == cells[arm].digest


def test_a_failed_teacher_leaves_what_does_not_need_it(ran: Any, cells: dict[str, Cell]) -> None:
    graph, _ = stages_of(ran.plan, "weak", 0)
    after = collect(ran, with_failure(ran, graph.teacher.weights, "training diverged"))
    for arm in ("base", "ceiling", "gold_trust_set"):
        assert after[arm].digest == cells[arm].digest
    for arm in ("weak", "naive", "oracle", "prompt_hash", "privileged", "gold_random"):
        failed, ok = after[arm].body.seeds
        assert failed.error == "w2s-bench-toy/largest · seed 0 · teacher failed: training diverged"
        assert ok == cells[arm].body.seeds[1]


def test_a_cell_whose_seeds_all_failed_is_still_a_cell(ran: Any, tmp_path: Path) -> None:
    graph, _ = stages_of(ran.plan, "weak", 0)
    after = collect(ran, with_failure(ran, graph.items, "no items"))
    for cell in after.values():
        assert len(cell.body.failed) == 2
        assert cell.body.items == 0
        assert cell.write(tmp_path).is_file()


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        ("RuntimeError: <toy.Probe object at 0x7f3a2b1c>", "RuntimeError: <toy.Probe object at 0x…>"),
        ("No such file or directory: '/tmp/run 1/w/labels.json'", "No such file or directory: '…/labels.json'"),
        ("cannot open /var/tmp/tmpq1w2e3/ for writing", "cannot open … for writing"),
        ("(/home/me/my_trust.py:12) bad", "(…/my_trust.py:12) bad"),
        ("see https://example.org/a/b of w2s-bench/math, 1/2/3 and/or /x", None),
    ],
)
def test_a_reason_holds_nothing_that_a_rerun_would_not_repeat(reason: str, left: str | None) -> None:
    assert scrubbed(reason) == (left or reason)


def test_failures_in_cells_are_scrubbed(ran: Any) -> None:
    graph, _ = stages_of(ran.plan, "weak", 0)
    bodies = [
        collect(ran, with_failure(ran, graph.teacher.weights, f"<Model at {address}> in '/tmp/{address}/w.bin'"))
        for address in ("0x7f01", "0x7f02")
    ]
    assert {arm: cell.digest for arm, cell in bodies[0].items()} == {arm: c.digest for arm, c in bodies[1].items()}


def test_cost_and_environment_stand_outside_the_digest(ran: Any, cells: dict[str, Cell]) -> None:
    for cell in cells.values():
        cost = cell.provenance["cost"]
        assert cost["seconds"] > 0 and cost["cpu_seconds"] > 0
        assert cell.provenance["packages"].keys() >= {"torch", "transformers", "lm_eval", "w2s-bench"}
        assert Cell.of(cell.body, {}).digest == cell.digest
    # An arm's cost counts each stage once, and what it shares with others too.
    naive = next(c for c in ran.plan.cells if c.arm.ref.name == "naive")
    assert cells["naive"].provenance["cost"]["stages"] == len(list(walk(naive.targets())))
    assert "w2s-bench" in environment()["packages"]
