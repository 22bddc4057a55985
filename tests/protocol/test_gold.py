"""Gold never leaks: over the graph of every arm, and by changing gold and seeing what changes."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import get_args

import pytest

from support import reads_pool_gold, run_inline, toy_registry, toy_suite
from w2s_bench.arm_facts import Facts
from w2s_bench.controls import OWN_ARMS
from w2s_bench.executors import Done
from w2s_bench.names import short
from w2s_bench.protocol.evidence.readings import built_in_readings
from w2s_bench.protocol.files import SPLIT_IDS
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.needs import own_need
from w2s_bench.record import read_json
from w2s_bench.runs.plan import Plan, PlannedCell, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite
from w2s_bench.types import GOLD_READERS, Need, Reader, Split

IN_CONTEXT: tuple[Reader, ...] = ("teacher_icl", "student_icl")

BEHIND_TRACK = {
    "none": {"weak_train"},
    "trust_set": {"weak_train", "trust"},
    "privileged": {"weak_train", "trust", "transfer"},
}


def gold_behind(stage: Stage | None) -> set[str]:
    """Splits whose gold a stage could depend on."""
    return {one.params["split"] for one in walk([stage] if stage else []) if one.name == "gold"}


def behind_student(facts: Facts) -> set[str]:
    """Whose gold lies behind an arm's student, and so behind everything that led to it, by what it trains on."""
    drawn = facts.of_pool is not None and facts.of_pool.share == "coverage"  # by ids, which the file of labels has
    parts = {
        "weak_train": facts.hangs_on_weak_labels or drawn,
        "transfer": reads_pool_gold(facts),
        "trust": facts.with_trust_set,
    }
    return {split for split, lies in parts.items() if lies}


def test_whose_gold_lies_behind_the_arms_that_are_defined_by_it() -> None:
    assert behind_student(OWN_ARMS["base"]) == set()
    assert behind_student(OWN_ARMS["ceiling"]) == {"transfer"}
    assert behind_student(OWN_ARMS["oracle"]) == {"weak_train", "transfer"}
    assert behind_student(OWN_ARMS["gold_trust_set"]) == {"trust"}
    assert behind_student(OWN_ARMS["naive_plus_gold"]) == {"weak_train", "trust"}


def may_see(cell: PlannedCell) -> set[str]:
    """A control that is made of an arm sees what that one does, and where it trains on gold the pool's besides."""
    ref = cell.arm.ref
    if ref.made_of is not None:
        return BEHIND_TRACK[ref.supervision]
    return BEHIND_TRACK[ref.supervision] if ref.role == "trust_function" else behind_student(ref.facts)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def with_chain(suite: Suite) -> Suite:
    """Each domain with a model between teacher and student, so that every arm that may teaches a second generation."""
    content = suite.model_dump(mode="json")
    for spec in content["domains"]:
        spec["chain"] = [{**spec["student"], "steps": 8}]
    return Suite.model_validate(content)


@pytest.fixture(scope="module", params=["test", "dev"])
def planned(request: pytest.FixtureRequest, models: Path) -> Plan:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("W2S_TOY_BROKEN", "surprise")  # a trust function that reads a plugin's own readings
        return plan(toy_suite(models, evaluate_on=request.param, trust_functions=None), toy_registry(patch))


@pytest.fixture
def chained(models: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("W2S_TOY_BROKEN", "surprise")
    planned = plan(with_chain(toy_suite(models, trust_functions=None)), toy_registry(monkeypatch))
    assert {cell.generation for cell in planned.cells} == {None, 1, 2}
    return planned


def test_no_generation_has_a_path_from_gold_that_its_arm_may_not_see(chained: Plan) -> None:
    test_no_arm_has_a_path_from_gold_it_may_not_see(chained)
    test_references_and_controls_see_exactly_the_gold_they_are_defined_by(chained)
    test_nothing_is_trained_or_chosen_on_grades_of_the_evaluated_split(chained)


def test_no_arm_has_a_path_from_gold_it_may_not_see(planned: Plan) -> None:
    assert {cell.arm.ref.supervision for cell in planned.cells} == set(BEHIND_TRACK)
    for cell in planned.cells:
        may = may_see(cell)
        for own in cell.stages:
            for stage in (own.scores, own.kept, own.rows, own.certainty, own.student.weights, own.student.predictions):
                assert gold_behind(stage) <= may, (
                    f"{cell.row}: {stage and stage.label} sees gold of {gold_behind(stage)}"
                )


def test_references_and_controls_see_exactly_the_gold_they_are_defined_by(planned: Plan) -> None:
    for cell in planned.cells:
        if cell.arm.ref.trusts is None:
            for own in cell.stages:
                assert gold_behind(own.student.predictions) == behind_student(cell.arm.ref.facts), cell.row


@pytest.fixture(scope="module")
def decomposed(models: Path) -> Iterator[Plan]:
    with pytest.MonkeyPatch.context() as patch:
        trust = ["confidence", "probe", "w2s-bench-toy/privileged"]
        suite = toy_suite(models, selections=["top", "stratified"], trust_functions=None)
        yield plan(suite, toy_registry(patch), trust=trust, decompose=True)


def test_what_explains_an_arm_sees_its_gold_and_no_more(decomposed: Plan) -> None:
    """`gold_kept` reads the pool's gold as `ceiling` does, for its labels; `matched_random` nothing that its arm does not;
    `kept_plus_gold` the trust set's gold besides, and nothing of the pool's; what has the arm's rows in order
    of trust nothing that the arm does not."""
    by_name = {(cell.domain.name, short(cell.arm.ref.name)): cell for cell in decomposed.cells}
    made = [cell for cell in decomposed.cells if cell.arm.ref.made_of]
    tracks = {
        short(c.arm.ref.name): c.arm.ref.supervision for c in made if short(c.arm.ref.name).startswith("kept_plus_gold")
    }
    assert tracks["kept_plus_gold:confidence"] == tracks["kept_plus_gold:probe"] == "trust_set"
    assert tracks["kept_plus_gold:w2s-bench-toy/privileged"] == "privileged"
    assert len(made) == 5 * 2 * 2 * 3, "five for either selection of three trust functions in two domains"
    for cell in made:
        ref = cell.arm.ref
        arm = by_name[cell.domain.name, ref.made_of or ""]
        for own, others in zip(cell.stages, arm.stages, strict=True):
            behind_arm = gold_behind(others.kept)
            gold = {"transfer"} if ref.facts.all_right else {"trust"} if ref.facts.with_trust_set else set()
            assert gold_behind(own.kept) == behind_arm, cell.row
            assert ref.facts.all_right or "transfer" not in gold_behind(own.rows) or ref.supervision == "privileged"
            assert gold_behind(own.student.predictions) == behind_arm | gold <= may_see(cell), cell.row


def read_in_context(graph: Generation) -> list[Stage]:
    """Readings by those who are shown solved items of the trust set; no trust function that comes with the harness asks them."""
    name = "choice_probs" if graph.task.domain.kind == "choice" else "label_logprobs"
    needs = [own_need(Need(of, name)) for of in IN_CONTEXT]
    splits: tuple[Split, Split] = ("trust", "transfer")
    seen = (graph.evidence(needs, split, with_grades=False, with_gold=False) for split in splits)
    return [stage for evidence in seen for stage in evidence.readings.values()]


def test_nothing_that_reads_weak_labels_sees_gold_beyond_its_models(planned: Plan) -> None:
    """A reading's inputs are items, labels and weights, a plugin's too; verifiers and what says so learn from the trust set."""
    reads = [stage for stage in planned.stages() if stage.name in ("read", "read_head", "reading")]
    assert {stage.name for stage in reads} == {"read", "reading"}
    graphs = {cell.domain.name: cell.graphs[0] for cell in planned.cells}
    reads += [stage for graph in graphs.values() for stage in read_in_context(graph)]
    for stage in reads:
        assert set(stage.inputs) <= {"subset", "labels", "weights"}
        labels, subset = stage.inputs["labels"], stage.inputs["subset"]
        shown = any(f" {of}." in stage.label for of in IN_CONTEXT)
        assert subset.name == ("shots" if shown else "subset") and labels.name in ("predict", "fold_labels")
        assert gold_behind(subset) == ({"trust"} if shown else set()) and gold_behind(labels) == {"weak_train"}
        learned = any(of in stage.label for of in GOLD_READERS)
        assert gold_behind(stage) <= ({"weak_train", "trust"} if learned else {"weak_train"})
    asked = {of for of in get_args(Reader) if any(f" {of}." in stage.label for stage in reads)}
    assert asked | {"verifier"} == set(
        get_args(Reader)
    )  # of the pool `verifier_cv` is the verifier, and shares its stage


def test_no_reading_there_is_sees_gold_beyond_the_teachers_own(planned: Plan) -> None:
    """Every reading of the harness, of teacher and untuned student, also those that no trust function of these runs asks for."""
    looked_at = set()
    for graph in {cell.domain.name: cell.graphs[0] for cell in planned.cells}.values():
        for name, reading in built_in_readings().items():
            layers = [p for p in signature(reading).parameters if p in ("layer", "layers")]
            needs = [
                own_need(Need(of, name, **dict.fromkeys(layers, -1)))
                for of in ("teacher", "student")
                if graph.task.domain.kind in reading.kinds and of in (reading.readers or ("teacher", "student"))
            ]
            for split in ("trust", "transfer"):
                found = graph.evidence(needs, split, with_grades=False, with_gold=False).readings
                for need, stage in found.items():
                    assert gold_behind(stage) <= {"weak_train"}, f"{need} of {split} sees {gold_behind(stage)}"
                    looked_at.add(name)
    assert looked_at == set(built_in_readings())


def test_gold_of_the_evaluated_split_is_read_by_grades_alone(planned: Plan) -> None:
    evaluated = planned.suite.evaluate_on
    other = "dev" if evaluated == "test" else "test"
    for stage in planned.stages():
        for one in stage.inputs.values():
            if one.name == "gold" and one.params["split"] == evaluated:
                assert stage.name in ("grade", "marks")
            assert not (one.name == "gold" and one.params["split"] == other), "the other held-out split is never read"


def test_marks_are_gold_and_read_by_grades_alone(planned: Plan) -> None:
    readers = {stage.name for stage in planned.stages() for one in stage.inputs.values() if one.name == "marks"}
    assert readers == {"grade"}
    marked = [stage for stage in planned.stages() if stage.name == "marks"]
    assert marked and all(gold_behind(stage) == {stage.inputs["subset"].params["split"]} for stage in marked)


def test_all_answers_are_read_by_gold_stages_alone(planned: Plan) -> None:
    readers = {stage.name for stage in planned.stages() for one in stage.inputs.values() if one.name == "answers"}
    assert readers == {"gold"}


def test_nothing_is_trained_or_chosen_on_grades_of_the_evaluated_split(planned: Plan) -> None:
    final = {own.student.grades.node for cell in planned.cells for own in cell.stages}
    for stage in planned.stages():
        assert not final & {one.node for one in stage.inputs.values()}, f"{stage.label} uses final grades"


@pytest.mark.slow
def test_other_gold_gives_the_same_scores_and_students(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong gold on all of transfer and test: only what is defined by that gold may come out otherwise.

    Of both generations of a chain too: what an arm's student teaches is as blind as the arm.
    """
    monkeypatch.setenv("W2S_TOY_BROKEN", "surprise")
    registry = toy_registry(monkeypatch)
    trust = ["w2s-bench-toy/privileged", "w2s-bench-toy/surprise", "confidence", "probe", "verifier"]
    suite = with_chain(toy_suite(models, seeds=1))
    planned = plan(suite, registry, domains=["largest"], trust=trust, decompose=True)
    honest = run_inline(planned.targets(), Store(tmp_path / "honest"), registry)
    graph = planned.cells[0].graphs[0]
    splits = honest[graph.splits.node]
    assert isinstance(splits, Done)
    ids = read_json(splits.result.path / SPLIT_IDS)
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("\n".join(ids["transfer"] + ids["test"]))
    monkeypatch.setenv("W2S_TOY_WRONG_GOLD", str(wrong))
    tainted = run_inline(planned.targets(), Store(tmp_path / "tainted"), registry)

    def same(stage: Stage) -> bool:
        one, other = honest[stage.node], tainted[stage.node]
        assert isinstance(one, Done), one
        assert isinstance(other, Done), other
        return one.result.content == other.result.content

    assert not same(graph.gold("transfer")), "the test must change something"
    for cell in planned.cells:
        own = cell.stages[0]
        assert not same(own.student.grades), f"{cell.row}: grades are by gold"
        sees_pool_gold = "transfer" in gold_behind(own.student.predictions)
        for stage in filter(None, (own.scores, own.rows, own.student.weights, own.student.predictions)):
            if not sees_pool_gold:
                assert same(stage), f"{cell.row}: {stage.label} depends on gold that it must not see"
    by_row = {cell.row.partition("/")[2]: cell.stages[0] for cell in planned.cells}
    defined = ("oracle", "ceiling", "gold_random", "inverted_oracle", "gold_kept@confidence")
    for name in (*defined, "generation2@oracle", "generation2@ceiling"):
        rows = by_row[name].rows
        assert rows is not None
        assert not same(rows), f"{name} is defined by the pool's gold"
    blind = [row for row in by_row if row.startswith("generation2@") and "privileged" not in row]
    assert len(blind) > 5, "the test must look at second generations"
