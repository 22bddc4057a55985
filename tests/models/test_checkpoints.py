"""Checkpoints and tokenizers as people save them: what the engine says of their models is what plain transformers says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import TEXT, bpe_tokenizer, random_model, word_tokenizer
from w2s_bench.errors import ModelError
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.types import Item

PROMPTS = [TEXT[0], TEXT[1][:29], "one two", TEXT[3]]
OPTIONS = (" Lima", " Paris of Peru", " 42", " three four")


def padless(tokenizer: Any) -> Any:
    tokenizer.pad_token = None
    return tokenizer


def sharded(folder: Path, model: Any) -> None:
    model.save_pretrained(folder, max_shard_size="20KB")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1 and not (folder / "model.safetensors").exists()


def whole(folder: Path, model: Any) -> None:
    model.save_pretrained(folder)


def without_head(folder: Path, model: Any) -> None:
    """The output layer is the embedding, and the file says nothing of it."""
    from safetensors import safe_open

    model.save_pretrained(folder)
    assert model.config.tie_word_embeddings
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118 - no mapping


def wider(tokenizer: Any, **settings: Any) -> Any:
    """A model whose embedding was padded to a round number of rows, all of them large."""
    model = random_model(tokenizer, **settings)
    model.resize_token_embeddings(len(tokenizer) + 61)
    with torch.no_grad():
        model.get_input_embeddings().weight[len(tokenizer) :].normal_(0, 0.2)
        if not model.config.tie_word_embeddings:
            model.get_output_embeddings().weight[len(tokenizer) :].normal_(0, 0.2)
    return model


Save = Callable[[Path, Any], None]
CASES: dict[str, tuple[Callable[[], Any], Callable[..., Any], Save, dict[str, Any]]] = {
    "sharded": (bpe_tokenizer, random_model, sharded, {"tied": False}),
    "sharded and tied": (bpe_tokenizer, random_model, sharded, {}),
    "tied, no head in the file": (word_tokenizer, random_model, without_head, {}),
    "tied GPT-2, no head in the file": (bpe_tokenizer, random_model, without_head, {"kind": "gpt2"}),
    "untied": (word_tokenizer, random_model, whole, {"tied": False}),
    "adds BOS": (lambda: bpe_tokenizer(bos=True), random_model, whole, {}),
    "no pad token": (lambda: padless(bpe_tokenizer()), random_model, whole, {}),
    "no pad token, adds BOS": (lambda: padless(bpe_tokenizer(bos=True)), random_model, sharded, {"kind": "gpt2"}),
    "smaller vocabulary": (bpe_tokenizer, wider, whole, {}),
    "smaller vocabulary, untied": (lambda: bpe_tokenizer(bos=True), wider, sharded, {"tied": False}),
}


@pytest.fixture(params=CASES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make_tokenizer, make_model, save, settings = CASES[request.param]
    tokenizer = make_tokenizer()
    save(tmp_path, make_model(tokenizer, **settings))
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.slow
@torch.no_grad()
def test_the_engine_says_what_transformers_says(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    engine = load_engine(LocalModel("m", folder))
    plain: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    items = [Item(f"{n}", f"{n}", f"{n}", "all", prompt, OPTIONS) for n, prompt in enumerate(PROMPTS)]
    for item, scores in zip(items, engine.choice_scores(items), strict=True):
        expected = []
        for option in OPTIONS:
            before = len(tokenizer(item.prompt)["input_ids"])
            ids = torch.tensor([tokenizer(item.prompt + option)["input_ids"]])
            logprobs = plain(input_ids=ids).logits[0].log_softmax(-1)
            expected.append(sum(float(logprobs[i - 1, ids[0, i]]) for i in range(before, ids.shape[1])))
        np.testing.assert_allclose(scores, expected, atol=1e-4)
    answers = engine.generate(items, max_new_tokens=9, until=())
    for item, answer in zip(items, answers, strict=True):
        ids = torch.tensor([tokenizer(item.prompt)["input_ids"]])
        settings: dict[str, Any] = {"max_new_tokens": 9, "do_sample": False, "pad_token_id": 0}
        new = plain.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0, ids.shape[1] :]
        assert answer.text == tokenizer.decode(new, skip_special_tokens=True)


def test_a_tokenizer_that_adds_eos_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Nothing can be scored after a prompt that is closed: plain transformers would answer after its end."""
    from tokenizers import processors

    tokenizer = bpe_tokenizer()
    raw = tokenizer.backend_tokenizer
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", raw.token_to_id("</s>"))]
    )
    random_model(tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match=r"model 'm': its tokenizer ends every text with '</s>'.*set add_eos_token to false"
    ):
        load_engine(LocalModel("m", tmp_path))


@pytest.mark.parametrize("says_tied", [True, False])
def test_an_output_layer_of_its_own_comes_back_whatever_the_configuration_says(
    tmp_path: Path, *, says_tied: bool
) -> None:
    """transformers ties nothing where the file holds two matrices that differ. What training made of both is stored."""
    from w2s_bench.types import TrainingRow

    tokenizer = bpe_tokenizer()
    model = random_model(tokenizer, tied=False)
    model.save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": says_tied}))
    source = LocalModel("m", tmp_path / "m")
    engine = load_engine(source)
    assert torch.equal(engine.model.lm_head.weight, model.lm_head.weight)
    assert not engine.model.config.tie_word_embeddings, "who saves this model for others to load says what it is"
    rows = [TrainingRow(f"{n}", prompt, OPTIONS[n], True, None, None) for n, prompt in enumerate(PROMPTS)]
    settings: dict[str, Any] = {"recipe": "full", "steps": 4, "batch_size": 2, "learning_rate": 1e-2, "lora_rank": 2}
    engine.train(rows, seed=0, **settings)
    (tmp_path / "saved").mkdir()
    engine.save_weights(tmp_path / "saved", recipe="full")
    again = load_engine(source, tmp_path / "saved", recipe="full")
    assert not torch.equal(again.model.lm_head.weight, model.lm_head.weight)
    assert torch.equal(again.model.lm_head.weight, engine.model.lm_head.weight)
    for one, other in zip(engine.label_logprobs(rows), again.label_logprobs(rows), strict=True):
        assert np.array_equal(one, other)


def test_rows_beyond_the_tokenizer_train_and_come_back(tmp_path: Path) -> None:
    """A padded embedding is trained, saved and loaded as it is."""
    from w2s_bench.types import TrainingRow

    tokenizer = bpe_tokenizer()
    wider(tokenizer).save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    source = LocalModel("m", tmp_path / "m")
    engine = load_engine(source)
    rows = [TrainingRow(f"{n}", prompt, OPTIONS[n], True, None, None) for n, prompt in enumerate(PROMPTS)]
    settings: dict[str, Any] = {"recipe": "full", "steps": 2, "batch_size": 2, "learning_rate": 1e-3, "lora_rank": 2}
    engine.train(rows, seed=0, **settings)
    (tmp_path / "saved").mkdir()
    engine.save_weights(tmp_path / "saved", recipe="full")
    again = load_engine(source, tmp_path / "saved", recipe="full")
    for one, other in zip(engine.label_logprobs(rows), again.label_logprobs(rows), strict=True):
        assert np.array_equal(one, other)
