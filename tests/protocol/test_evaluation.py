"""An answer is right when lm-eval's own filter and metric say so, and answers meet their gold by id."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from support import run_stage, toy_registry
from w2s_bench.errors import PluginError
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import evaluation, items
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import ANSWERS, ITEMS, PREDICTIONS
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.protocol.prediction import choose
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.store.stage import StageContext
from w2s_bench.types import Answer, Item, Prediction


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with pytest.MonkeyPatch.context() as patch:
        yield toy_registry(patch)


@pytest.fixture(scope="module")
def domains(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each toy domain: its task, parameters, items, and a folder of gold in an order of its own."""
    made = {}
    for name in ("largest", "sums"):
        folder = tmp_path_factory.mktemp(name)
        domain = registry.domain(f"w2s-bench-toy/{name}")
        params = {"domain": PlannedDomain.of(f"w2s-bench-toy/{name}", domain, {}).params}
        run_stage(items.build_items, folder / "items", params, registry=registry)
        run_stage(items.build_answers, folder / "gold", params, registry=registry)
        answers = read_records(folder / "gold" / ANSWERS, Answer)
        write_records(folder / "gold" / ANSWERS, answers[::-1])
        made[name] = SimpleNamespace(
            task=domain.task(),
            params=params,
            items=read_records(folder / "items" / ITEMS, Item),
            gold=folder / "gold",
            documents={a.id: a.document for a in answers},
        )
    return made


def grades(made: Any, predictions: list[Prediction], folder: Path, registry: Registry) -> dict[str, bool]:
    """Grades as the protocol makes them: choices through the marks of their split."""
    (folder / "predictions").mkdir()
    write_records(folder / "predictions" / PREDICTIONS, predictions)
    key = {"gold": made.gold}
    if predictions[0].index is not None:
        key = {"marks": marks(made, folder, registry)}
    out = run_stage(
        evaluation.run_grade,
        folder / "grades",
        made.params,
        registry=registry,
        predictions=folder / "predictions",
        **key,
    )
    return read_grades(out)


def marks(made: Any, folder: Path, registry: Registry) -> Path:
    (folder / "subset").mkdir()
    write_records(folder / "subset" / ITEMS, made.items)
    inputs = {"gold": made.gold, "subset": folder / "subset"}
    return run_stage(evaluation.run_marks, folder / "marks", made.params, registry=registry, **inputs)


def test_choices_are_graded_as_lm_eval_grades_their_scores(
    domains: dict[str, Any], registry: Registry, tmp_path: Path
) -> None:
    made, rng = domains["largest"], np.random.default_rng(0)
    scores = {item.id: rng.normal(size=4) * 5 - 20 for item in made.items}
    graded = grades(made, [choose(item, scores[item.id]) for item in made.items], tmp_path, registry)
    for item in made.items:
        theirs = made.task.process_results(made.documents[item.id], [(float(s), False) for s in scores[item.id]])
        assert graded[item.id] == (theirs["acc"] == 1.0)
    assert 0.15 < np.mean(list(graded.values())) < 0.35  # four options at random
    assert list(graded) == sorted(graded)


def test_of_equal_scores_the_label_that_stands_is_graded(
    domains: dict[str, Any], registry: Registry, tmp_path: Path
) -> None:
    made = domains["largest"]
    predictions = [choose(item, np.zeros(4)) for item in made.items]
    graded = grades(made, predictions, tmp_path, registry)
    for prediction in predictions:
        assert graded[prediction.id] == (prediction.index == made.documents[prediction.id]["gold"])
    # lm-eval would call the first option chosen; here no place is favoured.
    counts = np.bincount([prediction.index for prediction in predictions], minlength=4)
    assert abs(counts - 100).max() < 45


def answer_texts(document: dict[str, Any]) -> list[str]:
    """What models say: right and wrong numbers, in the form asked for and others."""
    total = document["answer"].rpartition("#### ")[2]
    return [
        f" {total} #### {total}",
        f" {total} #### {int(total) + 1}",
        f" 0 #### {total}",
        f" {total}",
        f" 0 #### 1 #### {total}",
        f" #### {total}0",
        f" ####  {total}",
        "",
    ]


def test_generated_answers_are_graded_by_the_tasks_own_filter_and_metric(
    domains: dict[str, Any], registry: Registry, tmp_path: Path
) -> None:
    from lm_eval.api.instance import Instance

    made = domains["sums"]
    predictions = []
    for place, item in enumerate(made.items[::-1]):
        texts = answer_texts(made.documents[item.id])
        predictions.append(Prediction(item.id, texts[place % len(texts)], "unread", True))
    graded = grades(made, predictions, tmp_path, registry)

    # lm-eval's way: every request gets its response, the task filters them all, then each document is scored.
    task = made.task
    said = {p.id: p.answer for p in predictions}
    task._instances = []
    for place, (item_id, document) in enumerate(made.documents.items()):
        instance = Instance("generate_until", dict(document), ("", {}), place)
        instance.resps = [said[item_id]]
        task._instances.append(instance)
    task.apply_filters()
    for instance in task._instances:
        (response,) = instance.filtered_resps.values()
        theirs = task.process_results(instance.doc, [response])["exact_match"]
        assert graded[instance.doc["id"]] == (theirs == 1.0)
    by_form = [np.mean([graded[p.id] for p in predictions[form::8]]) for form in range(8)]
    assert by_form[0] == by_form[2] == 1.0
    assert by_form[1] == by_form[3] == by_form[7] == 0.0


def test_gold_and_answers_are_joined_by_id_and_not_by_place(
    domains: dict[str, Any], registry: Registry, tmp_path: Path
) -> None:
    made, rng = domains["sums"], np.random.default_rng(0)
    some = [made.items[i] for i in rng.permutation(400)[:90]]
    right = {item.id: bool(n % 3) for n, item in enumerate(some)}
    predictions = [
        Prediction(item.id, made.documents[item.id]["answer"] if right[item.id] else "#### 99", "unread", True)
        for item in some
    ]
    assert grades(made, predictions, tmp_path, registry) == dict(sorted(right.items()))


def fake(kind: str, metrics: dict[str, Any], listed: dict[str, Any]) -> Any:
    """A registry with one domain whose task reports `metrics` for everything."""

    class Filters:
        name = "none"

        def apply(self, instances: list[Any]) -> None:
            for instance in instances:
                instance.filtered_resps["none"] = instance.resps[0]

    task = SimpleNamespace(process_results=lambda doc, results: metrics, _filters=[Filters()], _metric_fn_list=listed)
    return SimpleNamespace(
        domain=lambda name, **parameters: SimpleNamespace(kind=kind, task=lambda: task, fingerprint=lambda: "0")
    )


def one_item(kind: str, folder: Path) -> Any:
    """A domain with one item, its gold on disk."""
    choices = (" a", " b") if kind == "choice" else None
    made = SimpleNamespace(
        params={"domain": {"name": "made", "parameters": {}, "fingerprint": "0"}},
        items=[Item("1", "g", "k", "s", "one", choices)],
        gold=folder / "gold",
        prediction=Prediction("1", " a", " a", False, *((0, (0.0, -1.0)) if choices else ())),
    )
    made.gold.mkdir()
    write_records(made.gold / ANSWERS, [Answer("1", {}, " a", 0 if choices else None, "")])
    return made


@pytest.mark.parametrize(
    ("kind", "metrics", "listed", "said"),
    [
        ("choice", {"acc": 0.5}, {}, r"item 1: metric 'acc' gave 0\.5; the protocol needs right \(1\) or wrong \(0\)"),
        ("choice", {"acc": float("nan")}, {}, "metric 'acc' gave nan"),
        ("choice", {"acc_norm": 1.0}, {}, "the task reports acc_norm, not 'acc'; name that metric in its metric_list"),
        ("generate", {"f1": (0, 1)}, {"f1": None}, r"metric 'f1' gave \(0, 1\)"),
        ("generate", {"bleu": 0.31}, {"bleu": None, "exact_match": None}, "metric 'bleu' gave 0.31"),
        ("generate", {}, {"exact_match": None}, "the task reports nothing, not 'exact_match'"),
    ],
)
def test_a_metric_that_is_not_right_or_wrong_is_refused(
    kind: str, metrics: dict[str, Any], listed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    made = one_item(kind, tmp_path)
    with pytest.raises(PluginError, match=said):
        grades(made, [made.prediction], tmp_path, fake(kind, metrics, listed))


@pytest.mark.parametrize("value", [1, 1.0, True, np.float64(1.0), np.bool_(True)])
def test_one_is_right_in_every_type_that_tasks_give(value: Any, tmp_path: Path) -> None:
    made = one_item("choice", tmp_path)
    assert grades(made, [made.prediction], tmp_path, fake("choice", {"acc": value}, {})) == {"1": True}


def test_marks_say_of_every_option_what_the_task_says_of_it(
    domains: dict[str, Any], registry: Registry, tmp_path: Path
) -> None:
    made = domains["largest"]
    right = read_json(marks(made, tmp_path, registry) / evaluation.MARKS)
    assert list(right) == sorted(item.id for item in made.items)
    for item in made.items:
        gold = made.documents[item.id]["gold"]
        assert right[item.id] == [option == gold for option in range(4)]


def test_several_options_may_be_right(tmp_path: Path) -> None:
    """What lm-eval's process_results says goes, not the index of the gold answer: some tasks count two options right."""
    made = one_item("choice", tmp_path)
    made.items = [Item("1", "g", "k", "s", "one", (" a", " b", " c"))]
    registry = fake("choice", {}, {})
    registry.domain("made").task().process_results = lambda doc, results: {
        "acc": float(results.index(max(results)) != 1)
    }
    assert read_json(marks(made, tmp_path, registry) / evaluation.MARKS) == {"1": [True, False, True]}


def test_choices_are_graded_without_task_or_lm_eval(tmp_path: Path) -> None:
    """In a process of its own; whatever the model, a grade is a look-up."""
    for name in ("predictions", "marks", "out"):
        (tmp_path / name).mkdir()
    write_records(tmp_path / "predictions" / PREDICTIONS, [Prediction("1", " b", " b", False, 1, (-1.0, 0.0))])
    write_json(tmp_path / "marks" / evaluation.MARKS, {"1": [True, False]})
    code = """
import sys
from pathlib import Path
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.protocol.evaluation import read_grades, run_grade
from w2s_bench.store.stage import StageContext
folder = Path(sys.argv[1])
run_grade(StageContext({}, {name: folder / name for name in ("predictions", "marks")}, folder / "out", None))
print(read_grades(folder / "out"), sorted({"torch", "transformers", "lm_eval", "datasets"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'1': False} []"


def loading(fingerprint: str = "0") -> Any:
    """A registry whose domains count how often their task was loaded."""
    registry = SimpleNamespace(loads=0)

    def task() -> object:
        registry.loads += 1
        return object()

    registry.domain = lambda name, **parameters: SimpleNamespace(task=task, fingerprint=lambda: fingerprint)
    return registry


def asked(registry: Any, name: str = "made", fingerprint: str = "0", **parameters: int) -> Any:
    domain = {"name": name, "parameters": parameters, "fingerprint": fingerprint}
    return items.loaded_task(StageContext({"domain": domain}, {}, Path(), registry))


def test_a_task_is_loaded_once_for_what_it_was_asked_for() -> None:
    registry = loading()
    first = asked(registry)
    assert asked(registry) is first and registry.loads == 1
    assert asked(registry, n=1) is not first and asked(registry, name="other") is not first
    assert registry.loads == 3
    assert asked(registry) is first
    assert asked(loading()) is not first, "other plugins may mean another domain by that name"
    with pytest.raises(PluginError, match="changed on disk since the run began"):
        asked(registry, fingerprint="1")
    assert asked(loading("1"), fingerprint="1") is not first


def test_few_tasks_are_kept_loaded_those_used_last() -> None:
    registry = loading()
    first = asked(registry, n=0)
    for number in range(1, 10):
        asked(registry, n=number)
        assert asked(registry, n=0) is first
    assert len(items._TASKS) <= 4
    assert registry.loads == 10
    asked(registry, n=1)
    assert registry.loads == 11, "it was long unused"


def test_a_template_is_compiled_once_and_renders_what_lm_eval_renders(
    domains: dict[str, Any], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jinja2 import Environment
    from lm_eval import utils

    compiled: list[str] = []
    compile_one = Environment.compile

    def spy(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        compiled.append(str(source))
        return compile_one(self, source, *args, **kwargs)

    monkeypatch.setattr(Environment, "compile", spy)
    monkeypatch.setattr(utils.env, "from_string", Environment.from_string.__get__(utils.env))
    made = domains["largest"]
    expected = [made.task.fewshot_context(made.documents[item.id], 0) for item in made.items]
    assert len(compiled) >= len(made.items), "lm-eval's own way, which this test compares with"
    compiled.clear()
    run_stage(items.build_items, tmp_path, made.params, registry=registry)
    assert [item.prompt for item in read_records(tmp_path / ITEMS, Item)] == expected
    assert 1 <= len(compiled) < 10 and len(set(compiled)) < 10
