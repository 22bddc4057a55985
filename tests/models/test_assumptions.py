"""The engine gives what plain transformers gives, whatever the architecture; what a model does not allow is found out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import architectures
from w2s_bench.errors import ModelError
from w2s_bench.models import assumptions, greedy
from w2s_bench.models.assumptions import anatomy_of, verdict_of, windows_of
from w2s_bench.models.encoding import encode_pairs
from w2s_bench.models.engine import Engine
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.reuse import LoadedModels
from w2s_bench.models.verdicts import ANY, Verdict, Verdicts
from w2s_bench.types import Item, TrainingRow

#: Prompts on both sides of every window in `architectures`; two are of one length.
LENGTHS = (3, 9, 9, 14, 22, 40)
NEW = 14
FAST = [
    "qwen3",
    "gemma3_text",
    "smollm",
    "phi3",
    "falcon",
    "olmo2",
    "gpt_neox",
    "opt",
    "bloom",
    "gpt2",
    "llama",
    "gpt_neo",
    "longrope",
    "openai-gpt",
    "mamba",
    "rwkv",
    "doge",
    "gemma2",
    "mistral",
]
STREAMS = {"hy_v4"}  # whose layers but the last give several vectors a token
EVERY = sorted(set(architectures.ARCHITECTURES) - {"bert", "xlstm", "qwen2"})


def items() -> list[Item]:
    made = []
    for i, length in enumerate(LENGTHS):
        choices = tuple(" " + architectures.text(1 + (i + 2 * j) % 6, 100 * i + j) for j in range(3))
        made.append(Item(str(i), "g", str(i), "s", architectures.text(length, i), choices))
    return made


def agrees(name: str, folder: Path) -> None:
    """Scores of options, of labels, last states and greedy answers, and the loss of one step, against single rows."""
    from transformers import AutoModelForCausalLM

    source = LocalModel(name, architectures.save(name, folder))
    engine = load_engine(source)
    plain: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = [TrainingRow(i.id, i.prompt, (i.choices or ())[1], False, i.choices, 1) for i in items()]
    pairs = encode_pairs(engine.tokenizer, [(r.prompt, r.completion) for r in rows], max_length=256)
    expected = [architectures.logprobs(plain, pair.prompt, pair.completion) for pair in pairs]
    for found, wanted in zip(engine.label_logprobs(rows), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    for item, scores in zip(items(), engine.choice_scores(items()), strict=True):
        texts = [(item.prompt, choice) for choice in item.choices or ()]
        wanted = [
            sum(architectures.logprobs(plain, pair.prompt, pair.completion))
            for pair in encode_pairs(engine.tokenizer, texts, max_length=256)
        ]
        np.testing.assert_allclose(scores, wanted, atol=1e-4)
    layers = [-1] if name in STREAMS else [1, -1]
    offsets = np.cumsum([0, *(len(row.choices or ()) for row in rows)])[:-1]
    places = [start + (row.index or 0) for start, row in zip(offsets, rows, strict=True)]
    of_options = engine.option_states(rows, layers)[places]
    for pair, one, state in zip(pairs, of_options, engine.hidden_states(rows, layers), strict=True):
        with torch.no_grad():
            ids = torch.tensor([[*pair.prompt, *pair.completion]])
            states = plain(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
        for place, layer in enumerate(layers):
            np.testing.assert_allclose(state[place], states[layer][0, -1], atol=1e-3)
            np.testing.assert_allclose(one[place], states[layer][0, -1], atol=1e-3)
    for item, generated in zip(items(), engine.generate(items(), max_new_tokens=NEW, until=[]), strict=True):
        tokens = architectures.answer(plain, engine.tokenizer([item.prompt])["input_ids"][0], NEW)
        assert generated.text == engine.tokenizer.decode(tokens, skip_special_tokens=True)
    settings: Any = {"steps": 1, "batch_size": len(rows), "learning_rate": 1e-3, "lora_rank": 2, "seed": 0}
    (loss,) = engine.train(rows, recipe="full", **settings)
    assert loss == pytest.approx(-np.mean(np.concatenate(expected)), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_the_engine_is_plain_transformers(name: str, tmp_path: Path) -> None:
    agrees(name, tmp_path / name)


def test_qwen2_is_plain_transformers_too() -> None:
    """By itself: of its type transformers loads another tokenizer than the one saved beside these weights."""
    engine, plain = Engine(architectures.new("qwen2"), architectures.tokenizer()), architectures.new("qwen2")
    for item, scores in zip(items(), engine.choice_scores(items()), strict=True):
        texts = [(item.prompt, choice) for choice in item.choices or ()]
        encoded = encode_pairs(engine.tokenizer, texts, max_length=256)
        wanted = [sum(architectures.logprobs(plain, pair.prompt, pair.completion)) for pair in encoded]
        np.testing.assert_allclose(scores, wanted, atol=1e-4)
    for item, generated in zip(items(), engine.generate(items(), max_new_tokens=NEW, until=[]), strict=True):
        tokens = architectures.answer(plain, engine.tokenizer([item.prompt])["input_ids"][0], NEW)
        assert generated.text == engine.tokenizer.decode(tokens, skip_special_tokens=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(EVERY) - set(FAST)))
def test_the_engine_is_plain_transformers_for_many_architectures(name: str, tmp_path: Path) -> None:
    agrees(name, tmp_path / name)


def test_where_transformers_own_memory_fails_answers_are_made_without(tmp_path: Path) -> None:
    """Its `generate` raises for this one, but for a model that remembers nothing."""
    engine = load_engine(LocalModel("m", architectures.save("xlstm", tmp_path)))
    with pytest.raises((RuntimeError, ValueError)):
        architectures.answer(engine.model, [5, 6, 7], 4)
    for item, generated in zip(items(), engine.generate(items(), max_new_tokens=5, until=[]), strict=True):
        ids = engine.tokenizer([item.prompt])["input_ids"][0]
        expected: list[int] = []
        while len(expected) < 5 and 1 not in expected:
            with torch.no_grad():
                logits = engine.model(input_ids=torch.tensor([ids + expected]), use_cache=False).logits[0, -1]
            expected.append(int(logits.argmax()))
        assert generated.text == engine.tokenizer.decode(expected, skip_special_tokens=True)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("llama", Verdict(True, True, ANY, ANY, ANY, ANY)),
        ("gpt_neo", Verdict(True, True, ANY, 16, ANY, 16)),
        ("mistral", Verdict(True, True, ANY, 16, ANY, 16)),
        ("longrope", Verdict(True, True, 24, 24, 24, 24)),
        ("doge", Verdict(True, True, ANY, ANY, ANY, 0)),
        ("gemma2", Verdict(False, True, ANY, 0, ANY, 0)),
        ("mamba", Verdict(True, True, ANY, 0, 0, 0)),
    ],
)
def test_what_a_model_allows(name: str, verdict: Verdict) -> None:
    model = architectures.new(name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    drawn = torch.get_rng_state()
    assert verdict_of(model) == verdict
    assert torch.equal(torch.get_rng_state(), drawn) and not model.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert verdict_of(copy.deepcopy(model)) == verdict


def test_what_cannot_be_tried_ends_with_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large model is not read to the end of a long window: nothing is taken for granted beyond it."""
    monkeypatch.setattr(assumptions, "_BUDGET", 0)
    assert verdict_of(architectures.new("mistral")) == Verdict(True, True, 16, 16, 16, 16)
    assert verdict_of(architectures.new("llama")) == Verdict(True, True, ANY, ANY, ANY, ANY)


@pytest.mark.parametrize("asked_beyond", [True, False])
def test_beyond_a_window_prompts_of_equal_length_are_answered_side_by_side_where_that_is_known_to_be_right(
    asked_beyond: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one at a time, by transformers' own `generate`, where the model is too large to be asked."""
    if not asked_beyond:
        monkeypatch.setattr(assumptions, "_BUDGET", 0)
    model, tokenizer = architectures.new("gemma3_text"), architectures.tokenizer()
    prompts = [architectures.text(length, seed) for seed, length in enumerate([25, 21, 2, 21, 25, 21, 21, 30])]
    batches: list[tuple[str, int]] = []
    planned = greedy._batches

    def spy(*given: Any) -> Any:
        for how, rows in planned(*given):
            batches.append((how, len(rows)))
            yield how, rows

    monkeypatch.setattr(greedy, "_batches", spy)
    found = greedy.generate(model, tokenizer, prompts, max_new_tokens=NEW, until=[])
    assert batches == (
        [("padded", 1), ("alike", 4), ("alike", 2), ("alike", 1)]
        if asked_beyond
        else [("padded", 1)] + 7 * [("plain", 1)]
    )
    for prompt, generated in zip(prompts, found, strict=True):
        tokens = architectures.answer(model, tokenizer([prompt])["input_ids"][0], NEW)
        assert generated.text == tokenizer.decode(tokens, skip_special_tokens=True)


def test_a_bidirectional_model_is_refused(tmp_path: Path) -> None:
    source = LocalModel("b", architectures.save("bert", tmp_path))
    with pytest.raises(ModelError, match=r"model 'b' is bidirectional.*take a causal language model"):
        load_engine(source)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    model = architectures.new("llama")
    with torch.no_grad():
        model.model.norm.weight[3] = torch.nan
    model.save_pretrained(tmp_path)
    architectures.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match=r"model 'm' gives logits that are no numbers \(NaN\): its weights are damaged"
    ):
        load_engine(LocalModel("m", tmp_path))


def test_a_model_that_draws_while_it_reads_is_refused() -> None:
    model = architectures.new("llama")
    norm = model.model.norm.forward
    model.model.norm.forward = lambda states: norm(states + torch.randn_like(states))
    with pytest.raises(ModelError, match="other logits for the same tokens each time"):
        verdict_of(model)


def test_nothing_is_assumed_of_a_model_whose_tokens_do_not_look_back() -> None:
    """Layers that begin at zero hide what they will do once they are trained: even that it would be bidirectional."""
    for name in ("llama", "bert"):
        model = architectures.new(name)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if key.endswith(("o_proj.weight", "attention.output.dense.weight", "attention.output.dense.bias")):
                    parameter.zero_()
        verdict = verdict_of(model)
        assert (verdict.neighbours, verdict.padding, verdict.trees) == (False, 0, 0)
        assert (verdict.cache, verdict.padded_cache) == (0, 0)


def test_small_numbers_on_a_large_one_are_compared_too() -> None:
    """What all logits share says nothing; in relation to it every difference would be small."""
    model = architectures.new("bert")
    head = model.get_output_embeddings()
    with torch.no_grad():
        head.bias.fill_(1e4)
        head.weight.mul_(0.1)
    with pytest.raises(ModelError, match="is bidirectional"):
        verdict_of(model)


def test_a_memory_that_keeps_the_wrong_row_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a row leaves its batch, the others must go on with what is theirs."""
    from transformers.cache_utils import DynamicLayer

    def first(layer: Any, indices: torch.Tensor) -> None:
        layer.keys, layer.values = layer.keys[: len(indices)], layer.values[: len(indices)]

    monkeypatch.setattr(DynamicLayer, "batch_select_indices", first)
    assert verdict_of(architectures.new("llama")).cache == 0


def test_a_model_is_asked_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is loaded anew for every stage; other weights are another model."""
    asked: list[Any] = []
    found_out = assumptions._found_out

    def spy(plain: Any, name: str) -> Verdict:
        asked.append(plain)
        return found_out(plain, name)

    monkeypatch.setattr(assumptions, "_found_out", spy)
    models = LoadedModels(Verdicts())
    for name in ("mistral", "mistral", "llama"):
        source = LocalModel("m", architectures.save(name, tmp_path / name))
        engine = load_engine(source, models=models)
        assert len(engine.notes()) == (2 if name == "mistral" else 0)
        assert verdict_of(engine.model) == verdict_of(architectures.new(name))
    assert len([plain for plain in asked if plain.config.name_or_path]) == 2


@pytest.mark.slow
def test_the_bundled_models_are_read_by_the_fast_ways() -> None:
    from w2s_bench.plugins.registry import Registry

    registry = Registry.load()
    notes = {name: load_engine(registry.model(name)).notes() for name in registry.models if name.startswith("tiny/")}
    assert len(notes) >= 6 and set(map(tuple, notes.values())) == {()}


def test_a_model_whose_rows_see_their_neighbours_reads_them_alone() -> None:
    model, tokenizer = architectures.new("llama"), architectures.tokenizer()
    norm = model.model.norm.forward
    model.model.norm.forward = lambda states: norm(states + 0.3 * (len(states) - 1))
    verdict = verdict_of(model)
    assert not verdict.neighbours and "rows are read one at a time" in verdict.notes()
    pairs = encode_pairs(tokenizer, [(i.prompt, " w5 w6") for i in items()], max_length=256)
    engine = Engine(model, tokenizer)
    rows = [TrainingRow(i.id, i.prompt, " w5 w6", False, None, None) for i in items()]
    for pair, found in zip(pairs, engine.label_logprobs(rows), strict=True):
        np.testing.assert_allclose(found, architectures.logprobs(model, pair.prompt, pair.completion), atol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_what_follows_the_output_layer_is_seen_however_small_logits_are(scale: float) -> None:
    """A cap on logits leaves small ones as they are; training makes them large."""
    model = architectures.new("gemma2")
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(scale)
    assert anatomy_of(model) is None


def test_windows_are_read_off_a_configuration() -> None:
    from transformers import LlamaConfig

    config = LlamaConfig(
        sliding_window=7,
        sliding_window_pattern=6,
        max_window_layers=28,
        attention=[{"window_size": [5, 0]}, {"chunk_size": None}],
        use_sliding_window=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "original_max_position_embeddings": 9},
    )
    assert windows_of(config) == [5, 7, 9]


def test_parts_hold_rows_that_may_stand_side_by_side() -> None:
    lengths = [3, 30, 8, 30, 20, 3]
    assert Verdict(True, True, ANY, 0, 0, 0).parts(lengths) == [[0, 1, 2, 3, 4, 5]]
    assert Verdict(True, True, 8, 0, 0, 0).parts(lengths) == [[0, 2, 5], [1, 3], [4]]
    assert Verdict(True, True, 0, 0, 0, 0).parts(lengths) == [[0, 5], [1, 3], [2], [4]]
    assert Verdict(True, False, ANY, 0, 0, 0).parts(lengths) == [[0], [1], [2], [3], [4], [5]]


def test_what_is_done_without_is_said() -> None:
    assert verdict_of(architectures.new("llama")).notes() == []
    notes = verdict_of(architectures.new("longrope")).notes()
    assert "rows of unequal length are not read side by side beyond 24 tokens" in notes
    assert "answers are generated by transformers' own generate" in verdict_of(architectures.new("mamba")).notes()
