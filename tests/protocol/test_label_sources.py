"""Labels that no model answered: which are wrong, and how; what evidence there is of them; where their gold may be read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_gold import gold_behind

from support import reads_pool_gold, run_inline, toy_registry, toy_suite
from w2s_bench.errors import SuiteError
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import label_sources, slices
from w2s_bench.protocol.evidence.readings.samples import final_answer
from w2s_bench.protocol.files import ANSWERS, FORMAT, ITEMS, MARKS, PREDICTIONS
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.prediction import as_completion
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.results.against_others import refuse_among
from w2s_bench.results.against_suite import against_suite
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, PlannedCell, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import StageContext, walk
from w2s_bench.suite import Suite
from w2s_bench.types import Answer, Item, Prediction, TrainingRow

UNIFORM: dict[str, Any] = {"source": "noisy", "rate": 0.3}
SYSTEMATIC: dict[str, Any] = {**UNIFORM, "noise": "systematic", "samples": 2}
SCARCE: dict[str, Any] = {"source": "scarce", "labels": 40}
TRUST = ["w2s-bench-toy/prompt_hash", "confidence", "verifier"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def suite_of(models: Path, domain: str, teacher: dict[str, Any], **changes: Any) -> Suite:
    content = toy_suite(models, seeds=1, **changes).model_dump(mode="json")
    content["domains"] = [one for one in content["domains"] if one["name"].endswith(f"/{domain}")]
    content["domains"][0]["teacher"] = teacher
    if teacher.get("source") in ("noisy", "scarce"):
        content["domains"][0]["sizes"]["weak_train"] = 0
    return Suite.model_validate(content)


def planned_of(models: Path, registry: Registry, domain: str, teacher: dict[str, Any], **changes: Any) -> Plan:
    return plan(suite_of(models, domain, teacher, **changes), registry, trust=TRUST)


def cells_of(planned: Plan, store: Store, registry: Registry, names: set[str]) -> tuple[dict[str, Any], Results]:
    chosen = [cell for cell in planned.cells if cell.arm.ref.name in names]
    results = Results(run_inline([s for cell in chosen for s in cell.targets()], store, registry), store)
    return {cell.arm.ref.name: cell_of(cell, results) for cell in chosen}, results


ITEMS_OF_FOUR = [Item(f"i{n:02}", f"g{n}", f"k{n}", "all", "q", (" a", " b", " c", " d")) for n in range(40)]
ITEMS_OF_NONE = [Item(f"i{n:02}", f"g{n}", f"k{n}", "all", "q", None) for n in range(40)]


def labelled(
    folder: Path, items: list[Item], right: tuple[int, ...] = (), **params: Any
) -> tuple[list[Prediction], dict[str, Answer]]:
    """Labels that the stage makes of gold option n % 4, or of gold ` #### n % 5`; the options `right` are right of each, too."""
    for name in ("subset", "gold", "wrong", "out"):
        (folder / name).mkdir(parents=True)
    write_records(folder / "subset" / ITEMS, items)
    write_json(folder / "subset" / FORMAT, {"kind": "choice" if items[0].choices else "generate", "delimiter": " "})
    texts = [i.choices[n % 4] if i.choices else f" #### {n % 5}" for n, i in enumerate(items)]
    answers = [
        Answer(i.id, {}, text, n % 4 if i.choices else None, "x")
        for n, (i, text) in enumerate(zip(items, texts, strict=True))
    ]
    write_records(folder / "gold" / ANSWERS, answers)
    if items[0].choices:
        scores = (-1.0, -2.0, -3.0, -4.0)
        write_records(folder / "wrong" / PREDICTIONS, [Prediction(i.id, " a", " a", False, 0, scores) for i in items])
    else:
        write_records(
            folder / "wrong" / "drawn.jsonl",
            [label_sources.Drawn(i.id, ("#### 0", "so #### 3", "#### 3", "#### 1")) for i in items],
        )
    inputs = {name: folder / name for name in ("subset", "gold", "wrong")}
    if right:
        marks = {answer.id: [n == answer.index or n in right for n in range(4)] for answer in answers}
        write_json(folder / MARKS, marks)
        inputs["marks"] = folder
    context = StageContext({"seed": 1, "kind": "uniform", **params}, inputs, folder / "out", None)  # type: ignore[arg-type]
    label_sources.label_by_gold.resolve()(context)
    return read_records(folder / "out" / PREDICTIONS, Prediction), {answer.id: answer for answer in answers}


@pytest.mark.parametrize("kind", ["uniform", "systematic"])
def test_a_share_of_gold_options_is_replaced(tmp_path: Path, kind: str) -> None:
    """Exactly the share; which items does not hang on how, and a higher rate adds to them."""
    by_rate = {}
    for rate in (0.0, 0.25, 0.5):
        labels, gold = labelled(tmp_path / str(rate), ITEMS_OF_FOUR, rate=rate, kind=kind)
        wrong = {label.id: label for label in labels if label.index != gold[label.id].index}
        assert len(wrong) == rate * 40 and [label.id for label in labels] == sorted(gold)
        assert all(label.choice_scores == () and label.index is not None for label in labels), "options, and no scores"
        assert all(label.answer == label.completion == (" a", " b", " c", " d")[label.index or 0] for label in labels)
        by_rate[rate] = {*wrong}
        if kind == "systematic":
            expected = {name: 1 if gold[name].index == 0 else 0 for name in wrong}
            assert {name: label.index for name, label in wrong.items()} == expected, "the likeliest of the wrong ones"
    assert by_rate[0.25] < by_rate[0.5]
    other, gold = labelled(tmp_path / "other", ITEMS_OF_FOUR, rate=0.5, kind="uniform")
    assert {label.id for label in other if label.index != gold[label.id].index} == by_rate[0.5]


def test_uniform_noise_takes_all_wrong_options_alike(tmp_path: Path) -> None:
    items = [Item(f"i{n:04}", f"g{n}", f"k{n}", "all", "q", (" a", " b", " c", " d")) for n in range(1200)]
    labels, gold = labelled(tmp_path, items, rate=0.75)
    shift = Counter(((label.index or 0) - (gold[label.id].index or 0)) % 4 for label in labels)
    assert shift[0] == 300 and all(abs(shift[k] - 300) < 70 for k in (1, 2, 3))  # four deviations are 57


@pytest.mark.parametrize("kind", ["uniform", "systematic"])
def test_no_option_that_the_task_grades_right_is_a_wrong_label(tmp_path: Path, kind: str) -> None:
    labels, gold = labelled(tmp_path, ITEMS_OF_FOUR, right=(0, 2), rate=0.5, kind=kind)
    wrong = [label.index for label in labels if label.index != gold[label.id].index]
    assert len(wrong) == 20 and set(wrong) == {1, 3}
    all_right, gold = labelled(tmp_path / "all", ITEMS_OF_FOUR, right=(0, 1, 2, 3), rate=0.5, kind=kind)
    assert all(label.index == gold[label.id].index for label in all_right), "there is no wrong one"


@pytest.mark.parametrize(("kind", "finals"), [("uniform", set("01234")), ("systematic", {"3", "0", "1"})])
def test_wrong_answers_that_are_generated(tmp_path: Path, kind: str, finals: set[str]) -> None:
    """Those of other items, or the commonest of what was drawn that is not the gold."""
    labels, gold = labelled(tmp_path, ITEMS_OF_NONE, rate=0.5, kind=kind)
    wrong = [label for label in labels if final_answer(label.answer) != final_answer(gold[label.id].completion)]
    assert len(wrong) == 20 and all(label.ended and label.choice_scores is None for label in labels)
    assert {final_answer(label.answer) for label in wrong} <= finals
    if kind == "systematic":
        usual = [label for label in wrong if final_answer(gold[label.id].completion) != "3"]
        assert usual and {label.completion for label in usual} == {" so #### 3"}, "the first text of that answer"


def test_the_commonest_answer() -> None:
    texts = ["#### 1", "is 2", "#### 2", "#### 1 ", "#### 2.", "3"]
    assert label_sources.commonest(["5", *texts, "2"], "i") == "is 2"
    assert label_sources.commonest(texts, "i", but="2") == "#### 1"
    assert label_sources.commonest(["#### 4", "4"], "i", but="4") is None
    assert {label_sources.commonest(["1", "2"], f"i{n}") for n in range(20)} == {"1", "2"}, "a hash says which"


def test_the_first_items_are_those_of_more(tmp_path: Path) -> None:
    (tmp_path / "subset").mkdir()
    write_records(tmp_path / "subset" / ITEMS, ITEMS_OF_FOUR)
    write_json(tmp_path / "subset" / FORMAT, {})
    taken = {}
    for count in (5, 20):
        out = tmp_path / str(count)
        out.mkdir()
        context = StageContext({"count": count, "seed": 3}, {"subset": tmp_path / "subset"}, out, None)  # type: ignore[arg-type]
        slices.take_few.resolve()(context)
        taken[count] = {item.id for item in read_records(out / ITEMS, Item)}
    assert len(taken[5]) == 5 and len(taken[20]) == 20 and taken[5] < taken[20]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("domain", "teacher"), [("largest", UNIFORM), ("largest", SYSTEMATIC), ("sums", SYSTEMATIC), ("sums", UNIFORM)]
)
def test_noisy_labels_through_the_protocol(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domain: str, teacher: dict[str, Any]
) -> None:
    registry, store = toy_registry(monkeypatch), Store(tmp_path)
    planned = planned_of(models, registry, domain, teacher)
    names = {"weak", "naive", "oracle", *(n for n in ("w2s-bench-toy/prompt_hash", "w2s-bench/confidence"))}
    cells, results = cells_of(planned, store, registry, names)
    graph = planned.cells[0].graphs[0]
    for split, right in (("transfer", 0.7), ("test", 0.7), ("trust", 17 / 24)):
        if split == "trust":
            continue
        labels = graph.label_grades(split)  # type: ignore[arg-type]
        assert np.mean([*results.grades(labels).values()]) == pytest.approx(right), "graded by the task itself"
    for name in ("weak", "naive", "oracle", "w2s-bench-toy/prompt_hash"):
        assert not cells[name].body.failed, cells[name].body.failed
        assert not list(against_suite(cells[name], planned.suite))
    weak = cells["weak"].body
    assert weak.teacher.name == planned.suite.domains[0].teacher.model and weak.teacher.name.startswith("noisy:")
    assert weak.seeds[0].diagnostics == {"label_accuracy": pytest.approx(0.7)}, "no model, no probability of its labels"
    (failed,) = cells["w2s-bench/confidence"].body.failed
    assert "not applicable: there is no " in failed.error and "labels come from label source 'noisy:" in failed.error


def test_a_trust_function_that_asks_other_models_scores_noise(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees the options, and of the teacher nothing."""
    registry, store = toy_registry(monkeypatch), Store(tmp_path)
    planned = plan(suite_of(models, "largest", SYSTEMATIC), registry, trust=["verifier", "student_probability"])
    names = {cell.arm.ref.name for cell in planned.cells if cell.arm.ref.role == "trust_function"}
    cells, _ = cells_of(planned, store, registry, names)
    assert len(cells) == 2
    for cell in cells.values():
        assert not cell.body.failed and cell.body.seeds[0].kept == 50


def test_few_labels_and_a_ceiling_on_all_gold(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, store = toy_registry(monkeypatch), Store(tmp_path)
    planned = planned_of(models, registry, "largest", SCARCE)
    names = {"ceiling", "naive", "random", "gold_random", "w2s-bench-toy/prompt_hash"}
    cells, _ = cells_of(planned, store, registry, names)
    kept = {name: (cell.body.seeds[0].kept, cell.body.seeds[0].coverage) for name, cell in cells.items()}
    half = (20, 0.5)
    assert kept == {
        "ceiling": (100, 1.0),
        "naive": (40, 1.0),
        "random": half,
        "gold_random": half,
        "w2s-bench-toy/prompt_hash": half,
    }
    for cell in cells.values():
        assert cell.body.seeds[0].purity == 1.0 and not list(against_suite(cell, planned.suite))
    refuse_among(
        list(cells.values()), planned.suite.domains[0], tmp_path
    )  # shares are of the items that each arm may keep


def test_a_majority_is_of_the_teachers_own_answers(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a model, and so all evidence of it; gold is read as ever."""
    registry, store = toy_registry(monkeypatch), Store(tmp_path)
    usual = toy_suite(models).domains[1].teacher.model_dump(mode="json")
    planned = planned_of(models, registry, "sums", {**usual, "source": "majority", "samples": 3})
    cells, results = cells_of(planned, store, registry, {"weak", "w2s-bench/confidence"})
    assert not any(cell.body.failed for cell in cells.values())
    graph = planned.cells[0].graphs[0]
    labels = graph.weak_labels("transfer")
    assert labels.name == "majority_labels" and gold_behind(labels) == {"weak_train"}
    texts = {
        one.id: one.texts
        for one in read_records(results.folder(labels.inputs["answers"]) / "drawn.jsonl", label_sources.Drawn)
    }
    assert {len(each) for each in texts.values()} == {3}
    for label in results.labels(labels):
        assert label.answer == label_sources.commonest(texts[label.id], label.id)
    with pytest.raises(
        SuiteError, match="label source 'majority' draws answers; domain 'w2s-bench-toy/largest' offers options"
    ):
        planned_of(models, registry, "largest", {**usual, "source": "majority"})


def test_the_answer_that_its_author_is_the_most_certain_of(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the answers that a majority would count; what each is worth is asked of the model that drew it."""
    from w2s_bench.models.loading import load_engine

    registry, store = toy_registry(monkeypatch), Store(tmp_path)
    usual = toy_suite(models).domains[1].teacher.model_dump(mode="json")
    planned = planned_of(models, registry, "sums", {**usual, "source": "self_certainty", "samples": 3})
    counted = planned_of(models, registry, "sums", {**usual, "source": "majority", "samples": 3})
    cells, results = cells_of(planned, store, registry, {"weak", "w2s-bench/confidence"})
    assert not any(cell.body.failed for cell in cells.values())
    graph = planned.cells[0].graphs[0]
    labels = graph.weak_labels("transfer")
    assert labels.name == "self_certain_labels" and gold_behind(labels) == {"weak_train"}
    assert labels.inputs["answers"].node == counted.cells[0].graphs[0].weak_labels("transfer").inputs["answers"].node
    delimiter = read_json(results.folder(labels.inputs["subset"]) / FORMAT)["delimiter"]
    drawn = read_records(results.folder(labels.inputs["answers"]) / "drawn.jsonl", label_sources.Drawn)
    prompts = {item.id: item.prompt for item in read_records(results.folder(labels.inputs["subset"]) / ITEMS, Item)}
    engine = load_engine(registry.model(usual["model"]), results.folder(labels.inputs["weights"]))
    chosen = {label.id: label.answer for label in results.labels(labels)}
    others = 0
    for answer in drawn[:12]:
        texts = sorted(set(answer.texts))
        prompt = prompts[answer.id]
        rows = [TrainingRow(answer.id, prompt, as_completion(t, delimiter), True, None, None) for t in texts]
        worth = {text: float(engine.label_certainties([row])[0].mean()) for text, row in zip(texts, rows, strict=True)}
        assert worth[chosen[answer.id]] == pytest.approx(max(worth.values()), abs=1e-5)
        others += len(worth) > 1 and chosen[answer.id] != answer.texts[0]
    assert others, "not the first that was drawn"
    with pytest.raises(SuiteError, match="label source 'self_certainty' draws answers; domain"):
        planned_of(models, registry, "largest", {**usual, "source": "self_certainty"})


def of_gold_alone(graph: Generation) -> dict[str, str]:
    """Node → split of the stages that make labels of gold, and so may read it: the exception, by name."""
    made = [graph.weak_labels(split) for split in ("trust", "transfer", "test")]
    assert {stage.name for stage in made} == {"source_labels"}
    return {stage.node: stage.inputs["gold"].params["split"] for stage in made}


@pytest.mark.parametrize("teacher", [UNIFORM, SYSTEMATIC, SCARCE], ids=["uniform", "systematic", "scarce"])
@pytest.mark.parametrize("domain", ["largest", "sums"])
def test_gold_is_read_by_the_stage_that_makes_the_labels_and_goes_no_further(
    models: Path, monkeypatch: pytest.MonkeyPatch, domain: str, teacher: dict[str, Any]
) -> None:
    """Beside that stage, of each split its own, every arm sees what it sees of any teacher's labels, and nothing else reads gold."""
    planned = planned_of(models, toy_registry(monkeypatch), domain, teacher)
    graph = planned.cells[0].graphs[0]
    exception = of_gold_alone(graph)

    def behind(stage: Any) -> set[str]:
        """As `gold_behind`, but that labels made of gold count as labels."""
        found, waiting = set(), [stage] if stage else []
        while waiting:
            one = waiting.pop()
            if one.node in exception:
                waiting += [needed for name, needed in one.inputs.items() if name not in ("gold", "marks")]
                continue
            found |= {one.params["split"]} if one.name == "gold" else set()
            waiting += one.inputs.values()
        return found

    def may_see(cell: PlannedCell) -> set[str]:
        ref = cell.arm.ref
        if ref.role == "trust_function":
            return {"none": set(), "trust_set": {"trust"}, "privileged": {"trust", "transfer"}}[ref.supervision]
        facts = ref.facts
        return ({"trust"} if facts.with_trust_set else set()) | ({"transfer"} if reads_pool_gold(facts) else set())

    for cell in planned.cells:
        (own,) = cell.stages
        for stage in (own.scores, own.kept, own.rows, own.certainty, own.student.weights):
            assert behind(stage) <= may_see(cell), f"{cell.row}: {stage and stage.label}"
    readers = {one.name for one in planned.stages() for needed in one.inputs.values() if needed.name == "gold"}
    assert readers == {"source_labels", "gold_rows", "marks" if domain == "largest" else "grade"}
    readers_of_marks = {
        one.name for one in planned.stages() for needed in one.inputs.values() if needed.name == "marks"
    }
    noisy = domain == "largest" and teacher["source"] == "noisy"
    assert readers_of_marks == ({"grade", *(["source_labels"] if noisy else [])} if domain == "largest" else set())
    for one in planned.stages():
        if one.name == "source_labels":
            assert set(one.inputs) <= {"subset", "gold", "wrong", "marks"} and one.node in exception
            assert not [s for name, s in one.inputs.items() if name not in ("gold", "marks") and gold_behind(s)], (
                "no other gold behind it"
            )
            if "marks" in one.inputs:
                assert one.inputs["marks"].inputs["gold"].node == one.inputs["gold"].node, "marks of the same gold"
        for needed in one.inputs.values():
            if needed.name == "gold" and needed.params["split"] == "test":
                assert one.name in ("grade", "marks") or exception.get(one.node) == "test"
    assert not any(stage.name in ("train", "read") and "of the teacher" in stage.label for stage in planned.stages())


def test_a_generation_after_the_first_has_a_teacher(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = suite_of(models, "largest", UNIFORM).model_dump(mode="json")
    content["domains"][0]["chain"] = [{**content["domains"][0]["student"], "steps": 4}]
    planned = plan(Suite.model_validate(content), toy_registry(monkeypatch), trust=["confidence"])
    by_row = {cell.row.partition("/")[2]: cell for cell in planned.cells}
    first, second = (by_row[f"generation{number}@naive"].graphs[0] for number in (1, 2))
    assert first.weak_labels("transfer").name == "source_labels" and second.weak_labels("transfer").name == "predict"
    scores = {n: by_row[f"generation{n}@confidence"].stages[0].scores for n in (1, 2)}
    assert scores[1] is not None and scores[2] is not None
    assert (scores[1].name, scores[2].name) == ("no_score", "score")
    assert {one.name for one in walk([scores[2]])} >= {"no_score"}, (
        "whoever teaches it was made of what there is none of"
    )


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"source": "noisy"}, "label source 'noisy' needs rate; give it"),
        ({"source": "scarce"}, "label source 'scarce' needs labels; give it"),
        ({"source": "noisy", "rate": 1.0}, "less than 1"),
        ({"source": "noisy", "rate": 0.3, "noise": "odd"}, "'uniform' or 'systematic'"),
        ({"source": "noisy", "rate": 0.3, "labels": 3}, "label source 'noisy' has no labels; leave it out"),
        (
            {"source": "noisy", "rate": 0.3, "model": "tiny/math-s"},
            "'noisy' has no model and trains none; leave out model",
        ),
        ({"source": "noisy", "rate": 0.3, "steps": 4}, "leave out steps"),
        (
            {"source": "scarce", "labels": 100},
            "labels 100 of label source 'scarce' is no part of the pool, of 100 items",
        ),
        ({"source": "loud", "rate": 0.3}, "'noisy', 'scarce', 'majority' or 'self_certainty'"),
        (
            {"model": "tiny/math-s", "steps": 1, "learning_rate": 0.1, "rate": 0.3},
            "what is no label source has no rate",
        ),
        ({"source": "majority", "rate": 0.1, "model": "m", "recipe": "none"}, "label source 'majority' has no rate"),
    ],
)
def test_what_is_no_source_is_refused(models: Path, teacher: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        suite_of(models, "largest", teacher)


def test_a_student_is_no_source_and_its_objective_asks_no_source(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = suite_of(models, "largest", UNIFORM).model_dump(mode="json")
    content["domains"][0]["student"] = UNIFORM
    with pytest.raises(ValueError, match="a label source is for a teacher alone"):
        Suite.model_validate(content)
    with pytest.raises(
        SuiteError,
        match=r"objective 'soft' needs the teacher's distribution, and the labels of domain",
    ):
        planned_of(models, toy_registry(monkeypatch), "largest", UNIFORM, objectives=["soft"])


def test_a_suite_without_sources_is_what_it_was_and_one_with_them_is_read_back(models: Path) -> None:
    usual = toy_suite(models).model_dump(mode="json")["domains"][0]["teacher"]
    assert set(usual) == {"model", "recipe", "steps", "batch_size", "learning_rate", "lora_rank"}
    for teacher in (UNIFORM, SYSTEMATIC, SCARCE):
        suite = suite_of(models, "largest", teacher)
        written = suite.model_dump(mode="json")["domains"][0]["teacher"]
        assert written == teacher
        assert Suite.model_validate(suite.model_dump(mode="json")).digest == suite.digest
