"""A domain that learns from other gold than it is graded by: who sees which, and what its cells say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support import TOY, run_inline, run_stage, toy_registry, toy_suite
from w2s_bench import TaskDomain
from w2s_bench.controls import OWN_ARMS
from w2s_bench.errors import PluginError
from w2s_bench.executors import Done, Outcome
from w2s_bench.names import short
from w2s_bench.plugins.descriptions import DescribedDomain
from w2s_bench.plugins.entries import Plugin, Registered
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import ANSWERS, ITEMS, PREDICTIONS, ROWS, SPLIT_IDS
from w2s_bench.protocol.items import build_answers, build_training_answers
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.record import read_json, read_records
from w2s_bench.results.belief import read_results
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.runs.beyond_gold import of_the_rows
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, PlannedCell, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite
from w2s_bench.types import Answer, Item, Prediction, TrainingRow

PLANTED = "w2s-bench-toy/planted"
TRUST = ["confidence", "probe:folds=3", "verifier", "w2s-bench-toy/privileged"]


def is_planted(item: str) -> bool:
    """Whether the training gold of an item is wrong."""
    return int(item.rpartition("-")[2]) % 5 == 0


def largest(item: Item) -> int:
    numbers = [int(choice) for choice in item.choices or ()]
    return numbers.index(max(numbers))


def taught(item: Item) -> int:
    """The option that is learned from."""
    numbers = [int(choice) for choice in item.choices or ()]
    return numbers.index(sorted(numbers)[-2]) if is_planted(item.id) else largest(item)


def planted_suite(models: Path, **parameters: Any) -> Suite:
    content = toy_suite(models, seeds=1, trust_functions=None).model_dump(mode="json")
    content["domains"] = [{**content["domains"][0], "name": PLANTED, "parameters": parameters}]
    return Suite.model_validate(content)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training-gold")


class Ran:
    """A run of the planted domain, and its stages' results."""

    def __init__(self, planned: Plan, outcomes: Mapping[str, Outcome], store: Store) -> None:
        self.planned, self.outcomes, self.store = planned, outcomes, store
        self.graph = planned.cells[0].graphs[0]
        self.by_name: dict[str, PlannedCell] = {short(cell.arm.ref.name): cell for cell in planned.cells}

    def folder(self, stage: Stage | None) -> Path:
        assert stage is not None
        outcome = self.outcomes[stage.node]
        assert isinstance(outcome, Done), outcome
        return outcome.result.path

    def content(self, stage: Stage) -> str:
        outcome = self.outcomes[stage.node]
        assert isinstance(outcome, Done), outcome
        return outcome.result.content

    def items(self, split: Any) -> dict[str, Item]:
        return {item.id: item for item in read_records(self.folder(self.graph.subset(split)) / ITEMS, Item)}

    def rows(self, arm: str) -> list[TrainingRow]:
        return read_records(self.folder(self.by_name[arm].stages[0].rows) / ROWS, TrainingRow)


@pytest.fixture(scope="module")
def run(root: Path) -> Callable[..., Ran]:
    def ran(name: str, *, decompose: bool = False) -> Ran:
        with pytest.MonkeyPatch.context() as patch:
            registry, store = toy_registry(patch), Store(root / name)
            planned = plan(planted_suite(root / "models"), registry, trust=TRUST, decompose=decompose)
            return Ran(planned, run_inline(planned.targets(), store, registry), store)

    return ran


@pytest.fixture(scope="module")
def honest(run: Callable[..., Ran]) -> Ran:
    return run("honest", decompose=True)


@pytest.mark.slow
def test_what_is_learned_from_is_training_gold(honest: Ran) -> None:
    teacher = honest.graph.teacher.weights
    assert teacher is not None
    rows = {"teacher": read_records(honest.folder(teacher.inputs["rows"]) / ROWS, TrainingRow)}
    rows |= {arm: honest.rows(arm) for arm in ("ceiling", "gold_trust_set", "gold_random", "easy_gold")}
    rows["gold_kept"] = honest.rows("gold_kept:confidence")
    items = {i: item for split in ("weak_train", "trust", "transfer") for i, item in honest.items(split).items()}
    for whose, learned in rows.items():
        assert [row.index for row in learned] == [taught(items[row.id]) for row in learned], whose
        assert any(is_planted(row.id) for row in learned), f"{whose}: the test must look at wrong labels"


@pytest.mark.slow
def test_a_trust_set_calls_right_what_training_gold_says(honest: Ran) -> None:
    items = honest.items("trust")
    for arm in ("probe:folds=3", "verifier"):
        scores = honest.by_name[arm].stages[0].scores
        assert scores is not None
        labels = read_records(honest.folder(scores.inputs["trust:labels"]) / PREDICTIONS, Prediction)
        grades = read_grades(honest.folder(scores.inputs["trust:grades"]))
        assert grades == {label.id: label.index == taught(items[label.id]) for label in labels}, arm


@pytest.mark.slow
def test_oracles_the_privileged_and_accuracies_are_by_what_grades(honest: Ran) -> None:
    pool, test = honest.items("transfer"), honest.items("test")
    assert all(row.index == largest(pool[row.id]) for row in honest.rows("oracle"))
    assert all(row.index != largest(pool[row.id]) for row in honest.rows("inverted_oracle"))
    scores = honest.by_name["w2s-bench-toy/privileged"].stages[0].scores
    assert scores is not None
    golds = read_records(honest.folder(scores.inputs["pool:gold"]) / ANSWERS, Answer)
    assert all(gold.index == largest(pool[gold.id]) for gold in golds)
    own = honest.by_name["ceiling"].stages[0].student
    answers = read_records(honest.folder(own.predictions) / PREDICTIONS, Prediction)
    assert read_grades(honest.folder(own.grades)) == {a.id: a.index == largest(test[a.id]) for a in answers}


@pytest.mark.slow
def test_a_cell_says_which_labels_are_better_than_training_gold(honest: Ran) -> None:
    pool = honest.items("transfer")
    labels = read_records(honest.folder(honest.graph.weak_labels("transfer")) / PREDICTIONS, Prediction)
    right = {label.id: label.index == largest(pool[label.id]) for label in labels}
    other = {label.id: label.index != taught(pool[label.id]) for label in labels}
    better = {i for i in right if right[i] and other[i]}
    assert better, "the test must have labels that are better than training gold"
    results = Results(honest.outcomes, honest.store)
    for arm in ("confidence", "verifier", "random", "matched_random:confidence", "oracle"):
        kept = set(Kept.read(honest.folder(honest.by_name[arm].stages[0].kept)).weights)
        dropped = set(pool) - kept
        told = cell_of(honest.by_name[arm], results).body.seeds[0]
        assert told.diagnostics["training_purity"] == pytest.approx(sum(not other[i] for i in kept) / len(kept))
        for name, rows in (("kept", kept), ("dropped", dropped), ("pool", set(pool))):
            assert told.diagnostics[f"better_{name}"] == pytest.approx(len(better & rows) / len(rows)), (arm, name)
            differing = [i for i in rows if other[i]]
            share = sum(right[i] for i in differing) / len(differing)
            assert told.diagnostics[f"right_where_different_{name}"] == pytest.approx(share), (arm, name)
        assert told.purity == pytest.approx(sum(right[i] for i in kept) / len(kept)), "purity is by what grades"
    naive = cell_of(honest.by_name["naive"], results).body.seeds[0].diagnostics
    assert "better_dropped" not in naive and naive["better_kept"] == naive["better_pool"]
    weak = cell_of(honest.by_name["weak"], results).body
    share = sum(not is_planted(i) for i in pool) / len(pool)
    assert weak.own_training_gold and weak.seeds[0].diagnostics["training_gold_accuracy"] == pytest.approx(share)
    ceiling = cell_of(honest.by_name["ceiling"], results).body.seeds[0]
    assert ceiling.purity == pytest.approx(share) and "better_kept" not in ceiling.diagnostics
    beside = [i for i in honest.items("trust") if not is_planted(i)]
    together = cell_of(honest.by_name["naive_plus_gold"], results).body.seeds[0]
    assert together.purity == pytest.approx((sum(right.values()) + len(beside)) / (together.kept or 0))


@pytest.mark.slow
def test_its_cells_are_believed_and_its_page_says_so(honest: Ran, tmp_path: Path) -> None:
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "suite.yaml").write_text(honest.planned.suite.to_yaml())
    results = Results(honest.outcomes, honest.store)
    for cell in honest.planned.cells:
        cell_of(cell, results).write(folder)
    read_results(folder)
    write_leaderboard(folder)
    page = (folder / "README.md").read_text()
    assert "### Beyond the training gold of" in page, [line for line in page.splitlines() if line.startswith("#")]
    assert "better than training gold: of rows kept" in page
    pool = honest.items("transfer")
    assert f"of the pool's training gold {sum(not is_planted(i) for i in pool) / len(pool):.3f} is right" in page


@pytest.mark.slow
def test_other_grading_answers_train_the_same_students(
    honest: Ran, run: Callable[..., Ran], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another grading answer for every item that something is trained on: only oracles and the privileged may differ."""
    ids = read_json(honest.folder(honest.graph.splits) / SPLIT_IDS)
    wrong = root / "wrong.txt"
    wrong.write_text("\n".join(ids["weak_train"] + ids["trust"] + ids["transfer"]))
    monkeypatch.setenv("W2S_TOY_WRONG_GOLD", str(wrong))
    tainted = run("tainted", decompose=True)
    assert honest.content(honest.graph.gold("transfer")) != tainted.content(tainted.graph.gold("transfer"))
    same = 0
    for name, cell in honest.by_name.items():
        own, others = cell.stages[0], tainted.by_name[name].stages[0]
        if sees_what_grades(cell):
            continue
        for one, other in zip(stages_of(own), stages_of(others), strict=True):
            assert honest.content(one) == tainted.content(other), f"{name}: {one.label} hangs on a grading answer"
            same += 1
    assert same > 40, "the test must look at scores, rows and students"
    oracle = honest.by_name["oracle"].stages[0].rows, tainted.by_name["oracle"].stages[0].rows
    assert honest.folder(oracle[0]) != tainted.folder(oracle[1])
    assert honest.content(oracle[0]) != tainted.content(oracle[1]), "the oracle is drawn by what grades"  # type: ignore[arg-type]


def sees_what_grades(cell: PlannedCell) -> bool:
    """Whether an arm's rows hang on what grades: those of oracles, and of a privileged trust function."""
    drawn = {rows.drawn for rows in cell.arm.ref.facts.rows}
    return bool(drawn & {"right", "wrong", "noisily"}) or "privileged" in short(cell.arm.ref.name)


def stages_of(own: Any) -> list[Stage]:
    return [s for s in (own.scores, own.kept, own.rows, own.student.weights, own.student.predictions) if s is not None]


@pytest.mark.slow
def test_no_path_leads_from_what_grades_to_who_may_not_see_it(honest: Ran) -> None:
    for name, cell in honest.by_name.items():
        behind = {stage.name for stage in walk(stages_of(cell.stages[0]))}
        assert sees_what_grades(cell) == ("answers" in behind), name
    readers = {
        s.name for s in walk(honest.planned.targets()) for one in s.inputs.values() if one.name == "training_answers"
    }
    assert readers == {"gold"}, "the answers that are learned from are read by gold stages alone, as the others are"


def test_a_domain_without_training_gold_of_its_own_has_today_s_stages(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(
        planted_suite(root / "models", wrong=False), toy_registry(monkeypatch), trust=["confidence", "probe"]
    )
    graph = planned.cells[0].graphs[0]
    assert "training_answers" not in {stage.name for stage in planned.stages()}
    assert graph.training_answers is graph.answers
    for split in ("weak_train", "trust", "transfer"):
        assert graph.training_gold(split).node == graph.gold(split).node  # type: ignore[arg-type]
    assert graph.training_grades("trust").node == graph.label_grades("trust").node


def test_of_twenty_items_with_five_known_errors_of_training_gold() -> None:
    ids = [f"{i:02d}" for i in range(20)]
    errs = set(ids[:5])
    # Labels are right in 12 items, among them 3 of those whose training gold errs; in one both make the same mistake.
    right = {i: i in {*ids[:3], *ids[5:14]} for i in ids}
    as_gold = {i: (right[i] and i not in errs) or i == "03" for i in ids}
    kept = [*ids[:2], *ids[5:13]]
    told = of_the_rows(right, as_gold, kept)
    assert told == {
        "training_purity": 8 / 10,
        "better_kept": 2 / 10,
        "better_dropped": 1 / 10,
        "better_pool": 3 / 20,
        "right_where_different_kept": 2 / 2,
        "right_where_different_dropped": 1 / 8,
        "right_where_different_pool": 3 / 10,
    }
    assert "better_dropped" not in of_the_rows(right, as_gold, ids), "of no rows there is no share"
    assert set(of_the_rows(right, as_gold, [])) == {
        *("better_dropped", "better_pool", "right_where_different_dropped", "right_where_different_pool"),
    }


def other_question(document: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, "question": "smallest of 1 2"}


def one_more(document: Mapping[str, Any], *, by: int) -> dict[str, Any]:
    return {**document, "gold": (document["gold"] + by) % 4}


def toy_domain(taught: Any) -> TaskDomain:
    tasks = TOY / "w2s_bench_toy" / "tasks"
    return TaskDomain(
        "d", "1", "choice", tasks / "largest.yaml", "w2s_toy_largest", files=("loader.py",), training_document=taught
    )


def built(domain: TaskDomain, out: Path, function: Any) -> list[Answer]:
    entry = Registered("aa/d", "domain", lambda: domain, "aa", "0", "aa", "")
    registry = Registry.of([Plugin("aa", "aa", "0", "ok", (entry,))])
    params = {"domain": PlannedDomain.of("aa/d", domain, {}).params}
    return read_records(run_stage(function, out, params, registry=registry) / ANSWERS, Answer)


def test_training_documents_give_another_answer_and_the_same_question(tmp_path: Path) -> None:
    domain = toy_domain(partial(one_more, by=1))
    both = {"exact": build_answers, "learned": build_training_answers}
    exact, learned = (built(domain, tmp_path / name, function) for name, function in both.items())
    assert [a.id for a in exact] == [a.id for a in learned] and [a.item for a in exact] == [a.item for a in learned]
    assert all(((a.index or 0) + 1) % 4 == b.index for a, b in zip(exact, learned, strict=True))
    assert all(b.document["gold"] == b.index for b in learned), "nothing of the answer that grades goes along"
    with pytest.raises(PluginError, match="training_document gave another question than that of item"):
        built(toy_domain(other_question), tmp_path / "other", build_training_answers)


def test_training_gold_is_part_of_what_a_domain_is(tmp_path: Path) -> None:
    prints = [
        toy_domain(t).fingerprint() for t in (None, other_question, partial(one_more, by=1), partial(one_more, by=2))
    ]
    assert len(set(prints)) == 4 and toy_domain(partial(one_more, by=2)).fingerprint() == prints[-1]
    told = [DescribedDomain.of(toy_domain(taught), "f") for taught in (None, other_question)]
    assert [PlannedDomain.of("aa/d", one, {}).own_training_gold for one in told] == [False, True]
    entry = Registered("aa/d", "domain", lambda: toy_domain("gold"), "aa", "0", "aa", "")
    with pytest.raises(PluginError, match="training_document must be a function of a document"):
        Registry.of([Plugin("aa", "aa", "0", "ok", (entry,))]).domain("aa/d")


@pytest.mark.slow
def test_every_control_is_looked_at(honest: Ran) -> None:
    assert set(OWN_ARMS) <= set(honest.by_name)
