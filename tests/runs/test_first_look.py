"""What a run says before it trains anything: models that cannot be used, gold that no answer can be, items left out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import bpe_tokenizer, random_model
from support import run_inline, toy_registry, toy_suite
from w2s_bench.executors import Done, Ended, Event, Failed, Noted, Outcome
from w2s_bench.plugins.registry import Registry
from w2s_bench.record import read_json
from w2s_bench.runs import execute as api
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store, open_store
from w2s_bench.store.stage import Stage, walk
from w2s_bench.suite import Suite


class Inline:
    """An executor in this process; tells how stages end, as every executor does."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.ran = registry, set[str]()

    def run(self, targets: Sequence[Stage], store: Store, events: Callable[[Event], None]) -> Mapping[str, Outcome]:
        self.ran |= {stage.name for stage in walk(targets)}
        outcomes = run_inline(targets, store, self.registry)
        for stage in walk(targets):
            events(Ended(stage, outcomes[stage.node]))
        return outcomes


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return toy_registry(monkeypatch)


def planned_with(suite: Suite, registry: Registry, **student: Any) -> Plan:
    """Both toy domains; the student of `sums`, whose answers are generated, is changed."""
    content = suite.model_dump(mode="json")
    content["domains"][1]["student"] |= student
    return plan(Suite.model_validate(content), registry, trust=())


def test_a_model_that_cannot_be_used_costs_its_domain_alone_and_no_training(registry: Registry, tmp_path: Path) -> None:
    from tokenizers import processors

    tokenizer = bpe_tokenizer(bos=True)
    raw = tokenizer.backend_tokenizer
    ends = [(token, raw.token_to_id(token)) for token in ("<s>", "</s>")]
    raw.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    random_model(tokenizer).save_pretrained(tmp_path / "closing")
    tokenizer.save_pretrained(tmp_path / "closing")
    planned = planned_with(toy_suite(tmp_path / "models"), registry, model=str(tmp_path / "closing"))
    planned = Plan(planned.suite, tuple(c for c in planned.cells if c.arm.ref.name in ("weak", "base")), ())
    store, told, executor = open_store(tmp_path / "store"), list[Event](), Inline(registry)
    settings: Any = {"store": store, "executor": executor, "events": told.append}
    first = api.check_first(planned, **settings)
    assert "train" not in executor.ran and "predict" not in executor.ran
    assert list(first.unusable) == ["w2s-bench-toy/sums"] and first.remarks == ()
    (failed,) = {event.outcome for event in told if isinstance(event, Ended) and isinstance(event.outcome, Failed)}
    assert failed.stage == "w2s-bench-toy/sums · model of the student"
    assert "closing': its tokenizer ends every text with '</s>'" in failed.reason
    executor.ran.clear()
    cells = {cell.row: cell for cell in api.compute(planned, **settings, unusable=first.unusable)}
    for arm in ("weak", "base"):
        assert cells[f"w2s-bench-toy.largest/{arm}"].body.failed == ()
        errors = {seed.error for seed in cells[f"w2s-bench-toy.sums/{arm}"].body.failed}
        assert errors == {f"{failed.stage} failed: {failed.reason}"}


HALVES = """task: made
test_split: test
custom_dataset: !function loader.load
output_type: generate_until
num_fewshot: 0
doc_to_text: "{{question}}"
doc_to_target: gold
process_results: !function loader.graded
generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 6}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
LOADER = """from datasets import Dataset
def load(**_):
    names = ("id", "group", "key", "question")
    rows = [{**dict.fromkeys(names, f"{n} + 1 ="), "stratum": "s", "gold": f"{n + 1} #### {n}"} for n in range(300)]
    return {"test": Dataset.from_list(rows)}
def graded(document, results):
    words = document["gold"].split()
    return {"exact_match": sum(word in results[0].split() for word in words) / len(words)}
"""


@pytest.mark.slow
def test_a_metric_between_right_and_wrong_is_told_before_any_training(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "made.yaml").write_text(HALVES)
    (tmp_path / "loader.py").write_text(LOADER)
    content = toy_suite(tmp_path / "models").model_dump(mode="json")
    made = {"name": "w2s-bench-toy/made", "parameters": {"folder": str(tmp_path), "kind": "generate"}}
    content["domains"][1] |= made
    planned = plan(Suite.model_validate(content), registry, trust=())
    executor = Inline(registry)
    settings: Any = {"store": open_store(tmp_path / "store"), "executor": executor, "events": lambda event: None}
    first = api.check_first(planned, **settings)
    assert list(first.unusable) == ["w2s-bench-toy/made"] and not executor.ran & {"train", "predict"}
    assert (
        "domain 'made': item 0 + 1 =, answer ' 1': metric 'exact_match' gave 0.33"
        in first.unusable[made["name"]].reason
    )


TWICE = """
def load(**_):
    rows = [{"id": str(n), **dict.fromkeys(("group", "key", "question"), f"{n // 2} ="), "stratum": "s", "gold": "1"} for n in range(600)]
    for row in rows[:6]:
        row["gold"] = row["id"]
    return {"test": Dataset.from_list(rows)}
def graded(document, results):
    return {"exact_match": results[0].strip() == document["gold"]}
"""


@pytest.mark.slow
def test_contrary_golds_are_told_of_stored_items_too_and_refuse_nothing(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "made.yaml").write_text(HALVES)
    (tmp_path / "loader.py").write_text("from datasets import Dataset" + TWICE)
    content = toy_suite(tmp_path / "models").model_dump(mode="json")
    made = {"name": "w2s-bench-toy/made", "parameters": {"folder": str(tmp_path), "kind": "generate"}}
    content["domains"][1] |= made
    planned = plan(Suite.model_validate(content), registry, trust=())
    assert "contradictions" not in {stage.name for stage in planned.stages()}, "no cell hangs on it"
    store, told = open_store(tmp_path / "store"), list[Event]()
    golds = {c.domain.name: c.graphs[0].answers for c in planned.cells}
    Inline(registry).run([*golds.values(), *(c.graphs[0].items for c in planned.cells)], store, lambda event: None)
    first = api.check_first(planned, store=store, executor=Inline(registry), events=told.append, models=False)
    (said,) = first.remarks
    assert first.unusable == {} and [event.text for event in told if isinstance(event, Noted)] == [said]
    assert said.startswith(
        "w2s-bench-toy/made: 3 questions (6 items) have contrary golds, such as '0 =': '0' (item '0') and '1' (item '1'); "
    )


def test_gold_longer_than_an_answer_may_be_is_told_by_the_models_own_tokens(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2s_bench.models.engine import Engine

    planned = planned_with(toy_suite(tmp_path / "models"), registry)
    store, told = open_store(tmp_path / "store"), list[Event]()
    settings: Any = {"store": store, "executor": Inline(registry), "events": told.append}
    monkeypatch.setattr(Engine, "lengths", lambda engine, texts: [99, *(1 for _ in texts[1:])])
    first = api.check_first(planned, **settings)
    assert first.unusable == {}
    assert [event.text for event in told if isinstance(event, Noted)] == list(first.remarks)
    assert len(first.remarks) == 2, "one a model of the domain that generates"
    assert all(
        "the gold of 1 of " in text and "takes more tokens than an answer may have" in text for text in first.remarks
    )
    settings["store"] = open_store(tmp_path / "again")
    monkeypatch.setattr(Engine, "lengths", lambda engine, texts: [99 for _ in texts])
    first = api.check_first(planned, **settings)
    assert "raise max_gen_toks and max_new_tokens" in first.unusable["w2s-bench-toy/sums"].reason


def test_a_recipe_that_a_model_has_no_place_for_is_told_first(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2s_bench.errors import ModelError
    from w2s_bench.models import finetuning

    def no_place(*_: Any, **__: Any) -> None:
        raise ModelError("recipe 'lora' has no place")

    monkeypatch.setattr(finetuning, "add_lora", no_place)
    planned = planned_with(toy_suite(tmp_path / "models"), registry, recipe="lora")
    first = api.check_first(
        planned, store=open_store(tmp_path / "store"), executor=Inline(registry), events=lambda event: None
    )
    assert first.unusable["w2s-bench-toy/sums"].reason == "recipe 'lora' has no place"


def test_items_longer_than_the_models_positions_are_told_before_any_training_or_cut(
    registry: Registry, tmp_path: Path
) -> None:
    """The toy question "3 + 4 =" is of 4 tokens, an answer of 6 more, its gold of 3 with its end."""
    from support import toy_model

    short = toy_model(tmp_path / "short", width=16, layers=1)
    config = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 9}))
    planned = planned_with(toy_suite(tmp_path / "models"), registry, model=str(short))
    executor = Inline(registry)
    settings: Any = {"store": open_store(tmp_path / "store"), "executor": executor, "events": lambda event: None}
    first = api.check_first(planned, **settings)
    assert list(first.unusable) == ["w2s-bench-toy/sums"] and "train" not in executor.ran
    failed = first.unusable["w2s-bench-toy/sums"]
    assert failed.stage == "w2s-bench-toy/sums · model of the student"
    told = re.search(
        r"short': (\d+) of (\d+) items of domain 'w2s-bench-toy/sums' take more than its 9 tokens; the longest is '(.*)' with "
        r"10 \(prompt and 6 new tokens, or the gold answer\); lower max_new_tokens, .* overflow: truncate_left",
        failed.reason,
    )
    assert told is not None, failed.reason
    # Of trust set, pool and test, as two seeds cut the first two each in its own way.
    (cell,) = [cell for cell in planned.cells if cell.row == "w2s-bench-toy.sums/base"]
    cuts = [graph.splits for graph in cell.graphs]
    done = executor.run(cuts, settings["store"], lambda event: None)
    held = [read_json(done[cut.node].result.path / "splits.json") for cut in cuts]  # type: ignore[union-attr]
    asked = {item for cut in held for split in ("trust", "transfer", "test") for item in cut[split]}
    assert int(told[1]) == int(told[2]) == len(asked) and told[3] in asked
    content = planned.suite.model_dump(mode="json")
    content["domains"][1]["overflow"] = "truncate_left"
    cutting = plan(Suite.model_validate(content), registry, trust=())
    first = api.check_first(cutting, **settings)
    assert first.unusable == {}
    cut = [note for note in first.remarks if "prompts are cut on the left" in note]
    assert len(cut) == 1 and "/short: " in cut[0], "the teacher has room"
    base = next(cell for cell in cutting.cells if cell.row == "w2s-bench-toy.sums/base")
    outcomes = executor.run([base.stages[0].student.predictions], settings["store"], lambda event: None)
    assert isinstance(outcomes[base.stages[0].student.predictions.node], Done), "and the run goes on with what is left"
