"""Recipes through an engine: what is saved loads back to the same scores, and misuse is named."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from w2s_bench.errors import ModelError
from w2s_bench.models import finetuning
from w2s_bench.models.encoding import encode_pairs
from w2s_bench.models.engine import Engine
from w2s_bench.models.loading import load_engine
from w2s_bench.models.onednn import fast_products
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.weights import WEIGHTS
from w2s_bench.protocol.prediction import choose
from w2s_bench.types import Item, RecipeName, TrainingRow

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
SETTINGS: dict[str, Any] = {"steps": 12, "batch_size": 4, "learning_rate": 5e-3, "lora_rank": 2, "seed": 1}


def item(number: int, choices: tuple[str, ...] | None = (" Paris", " Lima", " Santiago of Chile")) -> Item:
    return Item(f"i{number}", str(number), str(number), "all", f"The capital of {WORDS[number]} is", choices)


def row(number: int, index: int = 1, *, ended: bool = False) -> TrainingRow:
    asked = item(number)
    assert asked.choices is not None
    return TrainingRow(asked.id, asked.prompt, asked.choices[index], ended, asked.choices, index)


ITEMS = [item(i) for i in range(8)]
ROWS = [row(i) for i in range(8)]


def scores_of(engine: Engine) -> Any:
    return np.stack(engine.choice_scores(ITEMS))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["full", "lora"])
@pytest.mark.parametrize("name", ["words", "untied", "gpt2"])
def test_saved_weights_load_back_to_the_same_scores(
    sources: Any, name: str, recipe: RecipeName, tmp_path: Path
) -> None:
    engine = load_engine(sources[name])
    before = scores_of(engine)
    losses = engine.train(ROWS, recipe=recipe, **SETTINGS)
    assert len(losses) == SETTINGS["steps"] and losses[-1] < losses[0]
    engine.save_weights(tmp_path, recipe=recipe)
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS]
    again = load_engine(sources[name], tmp_path, recipe=recipe, lora_rank=SETTINGS["lora_rank"])
    assert np.array_equal(scores_of(again), scores_of(engine))
    assert not np.array_equal(scores_of(engine), before)
    assert np.array_equal(scores_of(load_engine(sources[name])), before), "the base model is as it was"
    assert np.array_equal(again.hidden_states(ROWS, "all"), engine.hidden_states(ROWS, "all"))


def test_an_adapter_is_small_and_tied_weights_are_stored_once(sources: Any, tmp_path: Path) -> None:
    size = {}
    made: list[tuple[str, RecipeName]] = [("words", "full"), ("untied", "full"), ("words", "lora")]
    for name, recipe in made:
        engine = load_engine(sources[name])
        folder = tmp_path / f"{name}-{recipe}"
        folder.mkdir()
        engine.train(ROWS, recipe=recipe, **SETTINGS)
        engine.save_weights(folder, recipe=recipe)
        size[name, recipe] = (folder / WEIGHTS).stat().st_size
    model = load_engine(sources["untied"]).model
    assert size["untied", "full"] - size["words", "full"] >= model.lm_head.weight.numel() * 4
    assert size["words", "lora"] < size["words", "full"] / 3


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_the_same_seed_gives_the_same_scores(sources: Any, recipe: RecipeName) -> None:
    import torch

    tuned = []
    for seed in (1, 1, 2):
        torch.rand(seed)
        engine = load_engine(sources["words"])
        engine.train(ROWS, recipe=recipe, **{**SETTINGS, "seed": seed})
        tuned.append(scores_of(engine))
    assert np.array_equal(tuned[0], tuned[1])
    assert not np.array_equal(tuned[0], tuned[2])


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_rows_that_no_step_draws_are_not_tokenized(sources: Any, recipe: RecipeName) -> None:
    """Few steps over many rows: the same losses and weights as with all of them in hand."""
    rng, settings = np.random.default_rng(0), {"steps": 3, "batch_size": 2, "learning_rate": 1e-3, "seed": 5}
    rows = [
        TrainingRow(str(i), " ".join(rng.choice(list("abcdefgh"), 1 + i % 9)), f" {'xyz'[i % 3]}", False, None, None)
        for i in range(90)
    ]
    engine, other = load_engine(sources["words"]), load_engine(sources["words"])
    if recipe == "lora":
        other.model = finetuning.add_lora(other.model, rank=2, seed=5)
    read: list[str] = []
    plain = engine.tokenizer
    engine.tokenizer = Watched(plain, read)
    losses = engine.train(rows, recipe=recipe, lora_rank=2, **settings)
    pairs = encode_pairs(plain, [(row.prompt, row.completion) for row in rows], max_length=64)
    with fast_products(other.model):
        assert losses == finetuning.finetune(other.model, pairs, **settings)
    assert 6 <= len(read) < 2 * 90
    for one, another in zip(engine.model.parameters(), other.model.parameters(), strict=True):
        assert one.equal(another)


class Watched:
    """A tokenizer that notes the texts it is given."""

    def __init__(self, tokenizer: Any, read: list[str]) -> None:
        self.tokenizer, self.read = tokenizer, read

    def __call__(self, texts: list[str], **settings: Any) -> Any:
        self.read += texts
        return self.tokenizer(texts, **settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_a_tuned_model_generates_what_it_was_taught(sources: Any, recipe: RecipeName, tmp_path: Path) -> None:
    for name in ("words", "gpt2"):
        engine = load_engine(sources[name])
        rows = [row(i, ended=True) for i in range(6)]
        engine.train(rows, recipe=recipe, **{**SETTINGS, "steps": 60, "lora_rank": 8, "learning_rate": 1e-2})
        folder = tmp_path / name
        folder.mkdir()
        engine.save_weights(folder, recipe=recipe)
        for r in (engine, load_engine(sources[name], folder, recipe=recipe, lora_rank=8)):
            answers = r.generate([item(i, None) for i in range(6)], max_new_tokens=6, until=[])
            assert {(answer.text.strip(), answer.ended) for answer in answers} == {("Lima", True)}


def test_weights_of_another_model_or_recipe_are_refused(sources: Any, tmp_path: Path, tokenizers: Any) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(sources["words"].path, hidden_size=48, head_dim=24)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "wide")
    tokenizers["words"].save_pretrained(tmp_path / "wide")
    saved: dict[RecipeName, Path] = {}
    recipes: tuple[RecipeName, ...] = ("full", "lora")
    for recipe in recipes:
        engine = load_engine(sources["words"])
        engine.train(ROWS, recipe=recipe, **SETTINGS)
        saved[recipe] = tmp_path / recipe
        saved[recipe].mkdir()
        engine.save_weights(saved[recipe], recipe=recipe)
    others = [LocalModel("wide", tmp_path / "wide"), sources["gpt2"]]
    wrong: list[tuple[Any, RecipeName, RecipeName, int]] = [
        *((other, recipe, recipe, 2) for other in others for recipe in saved),
        (sources["untied"], "full", "full", 2),
        (sources["words"], "lora", "lora", 3),
        *((sources["words"], a, b, 2) for a in saved for b in saved if a != b),
    ]
    for source, made_by, recipe, rank in wrong:
        with pytest.raises(ModelError, match="are not those of model"):
            load_engine(source, saved[made_by], recipe=recipe, lora_rank=rank)


@pytest.mark.parametrize("name", ["words", "bpe", "gpt2"])
def test_log_probabilities_of_a_label_sum_to_its_score(sources: Any, name: str) -> None:
    engine = load_engine(sources[name])
    scores = scores_of(engine)
    rows = [row(i, i % 3) for i in range(8)]
    ended = [row(i, i % 3, ended=True) for i in range(8)]
    for i, (logprobs, longer) in enumerate(zip(engine.label_logprobs(rows), engine.label_logprobs(ended), strict=True)):
        assert logprobs.sum() == pytest.approx(scores[i, i % 3], abs=1e-4)
        assert len(longer) == len(logprobs) + 1
        np.testing.assert_allclose(longer[:-1], logprobs, atol=1e-5)


def test_hidden_states_leave_the_end_out_and_know_the_layers(sources: Any) -> None:
    engine = load_engine(sources["words"])
    cut, ended = ([row(i, ended=e) for i in range(8)] for e in (False, True))
    np.testing.assert_array_equal(engine.hidden_states(cut, -1), engine.hidden_states(ended, -1))
    assert engine.hidden_states(cut, "all").shape == (8, 3, 32)
    for layer in (3, -4):
        with pytest.raises(ModelError, match=r"layers 0 \(embedding\) to 2"):
            engine.hidden_states(cut, layer)


@pytest.mark.parametrize("text", ["", " "])
def test_a_label_without_tokens_is_read_and_trained_on(sources: Any, text: str) -> None:
    """A teacher may end at once; that label is the end alone, its state the prompt's last."""
    engine = load_engine(sources["words"])
    empty = TrainingRow("a", "one two three", text, True, None, None)
    (logprobs,) = engine.label_logprobs([empty])
    assert len(logprobs) == 1
    whole = TrainingRow("b", "one two", " three", True, None, None)
    np.testing.assert_allclose(engine.hidden_states([empty], -1), engine.hidden_states([whole], -1), atol=1e-6)
    losses = engine.train([empty], recipe="full", **{**SETTINGS, "steps": 30})
    assert losses[-1] < 0.1


def test_misuse_is_named(sources: Any) -> None:
    engine = load_engine(sources["words"])
    with pytest.raises(ModelError, match="item i0 has no options to score"):
        engine.choice_scores([item(0, None)])
    with pytest.raises(ModelError, match="no rows to train on"):
        engine.train([], recipe="full", **SETTINGS)
    long = Item("a", "a", "a", "all", " ".join(["one"] * 64), (" a", " b"))
    with pytest.raises(ModelError, match="take 65 tokens, the model reads 64"):
        engine.choice_scores([long])
    with pytest.raises(ModelError, match="not all finite; the model's training diverged"):
        choose(ITEMS[0], np.array([0.0, np.nan, 1.0]))


def test_readings_that_are_no_numbers_are_refused(sources: Any) -> None:
    """Evidence of them would rank nothing, and say nothing of it."""
    import torch

    engine = load_engine(sources["words"])
    items = [Item("a", "g", "a", "s", "one two", (" three", " four"))]
    rows = [TrainingRow("a", "one two", " three", False, (" three", " four"), 0)]
    with torch.no_grad():
        engine.model.model.norm.weight[0] = torch.nan
    asked: list[Any] = [
        lambda: engine.choice_scores(items),
        lambda: engine.option_states(items),
        lambda: engine.label_logprobs(rows),
        lambda: engine.hidden_states(rows, "all"),
    ]
    for ask in asked:
        with pytest.raises(ModelError, match=r"no numbers \(NaN\): its training diverged \(lower its learning rate\)"):
            ask()


def test_equal_scores_are_not_decided_by_position() -> None:
    tied = [item(i, options) for i in range(10) for options in ((" a", " b"), (" b", " a"))]
    chosen = [choose(i, np.zeros(2)) for i in tied]
    assert [one.answer for one in chosen[::2]] == [other.answer for other in chosen[1::2]]
    assert {one.index for one in chosen[::2]} == {0, 1}


def test_bfloat16_learns_as_float32_does_and_keeps_weights_in_float32(sources: Any) -> None:
    losses, scores = {}, {}
    for precision in ("float32", "bfloat16"):
        engine = load_engine(sources["words"], precision=precision)
        settings: dict[str, Any] = {"steps": 30, "batch_size": 4, "learning_rate": 3e-3, "lora_rank": 4, "seed": 0}
        losses[precision] = engine.train(ROWS, recipe="full", **settings)
        scores[precision] = np.concatenate(engine.label_logprobs(ROWS))
        assert {str(one.dtype) for one in engine.model.parameters()} == {"torch.float32"}
    assert losses["bfloat16"][-1] < losses["bfloat16"][0] / 2
    assert losses["bfloat16"] != losses["float32"], "it is another precision"
    np.testing.assert_allclose(losses["bfloat16"][-1], losses["float32"][-1], atol=0.05)
    np.testing.assert_allclose(scores["bfloat16"], scores["float32"], atol=0.1)


def test_bfloat16_answers_and_reads_too(sources: Any) -> None:
    items = [Item(str(i), str(i), str(i), "all", "The capital of", (" Peru", " Chile is")) for i in range(3)]
    full, half = (load_engine(sources["words"], precision=p) for p in ("float32", "bfloat16"))
    np.testing.assert_allclose(np.stack(half.choice_scores(items)), np.stack(full.choice_scores(items)), rtol=0.05)
    np.testing.assert_allclose(half.option_states(items), full.option_states(items), atol=0.1)
    assert len(half.generate(items, max_new_tokens=3, until=[])) == 3


@pytest.mark.parametrize("recipe", ["full", "lora"])
def test_a_model_is_freed_without_a_search_for_garbage(sources: Any, recipe: RecipeName) -> None:
    """Workers search seldom; a large model that waited for it would stand in memory beside the next."""
    gc.collect()
    gc.disable()
    try:
        engine = load_engine(sources["words"])
        engine.train(ROWS, recipe=recipe, **SETTINGS)
        engine.choice_scores(ITEMS)
        left = weakref.ref(next(engine.model.parameters()))
        del engine
        assert left() is None
    finally:
        gc.enable()
