"""What `math` and `verbs` have in common: their files, and how lm-eval gives and grades them."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from w2s_bench import TaskDomain

NAMES = ("math", "verbs")
FIELDS = ("id", "group", "key", "stratum", "question", "solution", "answer")


def items_file(name: str) -> Path:
    return Path(str(files("w2s_bench_tasks"))) / name / "data" / "items.jsonl"


def items_of(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in items_file(name).read_text(encoding="utf-8").splitlines()]


def made(name: str) -> Any:
    return import_module(f"w2s_bench_tasks.{name}.making.make")


def domain_of(name: str) -> TaskDomain:
    domain: TaskDomain = import_module(f"w2s_bench_tasks.{name}.domain").domain()
    return domain


@pytest.mark.parametrize("name", NAMES)
def test_make_rebuilds_the_shipped_file_byte_for_byte(name: str) -> None:
    assert made(name).as_text(made(name).make_items()).encode() == items_file(name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_keys_are_unique_and_sorted(name: str) -> None:
    items = items_of(name)
    ids = [item["id"] for item in items]
    assert ids == sorted(set(ids))
    assert len({item["key"] for item in items}) == len({item["question"] for item in items}) == len(items)
    assert len(items) == made(name).ITEMS


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_a_string_with_something_in_it(name: str) -> None:
    items = items_of(name)
    assert all(isinstance(value, str) and value for item in items for value in item.values())
    assert {tuple(item) for item in items} == {FIELDS}


@pytest.mark.parametrize("name", NAMES)
def test_lm_eval_gives_the_items_as_shipped(name: str) -> None:
    task, items = domain_of(name).task(), items_of(name)
    documents = list(task.test_docs())
    assert documents == items
    assert task.doc_to_text(documents[0]) == items[0]["question"]
    assert task.doc_to_target(documents[0]) == items[0]["solution"]
    assert task.config.target_delimiter == " "
    own = {field: items[0][field] for field in ("id", "group", "key", "stratum")}
    assert domain_of(name).fields(documents[0]).items() >= own.items()


@pytest.mark.parametrize("name", NAMES)
def test_lm_eval_grades_the_number_after_the_mark(name: str) -> None:
    task: Any = domain_of(name).task()
    document = next(iter(task.test_docs()))
    wrong = str(int(document["answer"]) + 1)
    graded = {}
    for text in (document["solution"], f"what do I know #### {document['answer']}", f"+ 1 1 = 2 #### {wrong}", "no"):
        request = task.construct_requests(doc=document, ctx=task.doc_to_text(document))
        request.resps = [text]
        task._instances = [request]
        task.apply_filters()
        graded[text] = float(task.process_results(document, [request.filtered_resps["strict-match"]])["exact_match"])
    assert list(graded.values()) == [1.0, 1.0, 0.0, 0.0]


def tokenizer(name: str, size: str = "l") -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(items_file(name).parents[1] / "models" / f"{name}-{size}")


@pytest.mark.parametrize("name", NAMES)
def test_the_tokenizer_round_trips_and_keeps_the_prompt_a_prefix(name: str) -> None:
    tok, items = tokenizer(name), items_of(name)
    prompts = tok([item["question"] for item in items])["input_ids"]
    wholes = tok([f"{item['question']} {item['solution']}" for item in items])["input_ids"]
    special = {tok.unk_token_id, tok.pad_token_id, tok.eos_token_id}
    for prompt, whole in zip(prompts, wholes, strict=True):
        assert whole[: len(prompt)] == prompt
        assert not special & set(whole)
    completions = [whole[len(prompt) :] for prompt, whole in zip(prompts, wholes, strict=True)]
    assert [tok.decode(ids) for ids in completions[::10]] == [item["solution"] for item in items[::10]]
    longest = domain_of(name).max_new_tokens
    assert longest is not None and max(map(len, completions)) + 1 <= longest  # and <eos>


@pytest.mark.parametrize("name", NAMES)
def test_all_models_share_one_tokenizer(name: str) -> None:
    vocabulary = import_module(f"w2s_bench_tasks.{name}.making.pretrain").make_tokenizer().get_vocab()
    assert all(tokenizer(name, size).get_vocab() == vocabulary for size in "sml")


@pytest.mark.parametrize("size", "sml")
@pytest.mark.parametrize("name", NAMES)
def test_models_load_with_the_stated_sizes(name: str, size: str) -> None:
    from transformers import AutoModelForCausalLM

    folder = items_file(name).parents[1] / "models" / f"{name}-{size}"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert sum(p.numel() for p in model.parameters()) == facts["parameters"]
    assert model.config.num_hidden_layers == facts["recipe"]["layers"]
