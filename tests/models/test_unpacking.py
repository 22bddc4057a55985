"""GGUF files: what is in the file is in the model, or the file is refused. transformers leaves out what it has no place for."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from models.test_gguf import HEADS, INNER, LAYERS, LETTERS, TOKENS, WIDTH, write
from w2s_bench.errors import ModelError
from w2s_bench.models import gguf as module
from w2s_bench.models.gguf import from_file
from w2s_bench.models.gguf_header import Header
from w2s_bench.models.unpacking import settle

IDS = torch.arange(60)[None]
PER_HEAD = WIDTH // HEADS


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(module.UNPACKED_VARIABLE, str(tmp_path / "unpacked"))


def load(path: Path) -> tuple[Any, Any]:
    return from_file(f"gguf/{path}").load()


@torch.no_grad()
def as_configured(path: Path, rope: dict[str, Any]) -> Any:
    """Logits of the same weights where the configuration says `rope` of positions."""
    model, _ = load(path)
    other = transformers.LlamaForCausalLM(
        transformers.LlamaConfig.from_dict({**model.config.to_dict(), "rope_parameters": rope})
    ).eval()
    other.load_state_dict(model.state_dict())
    return other(IDS).logits


def llama_3(factor: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Llama 3's factors as transformers has them, which llama.cpp's converter writes to files."""
    rope = {"rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    config = transformers.LlamaConfig(
        hidden_size=WIDTH,
        num_attention_heads=HEADS,
        rope_parameters={**rope, "original_max_position_embeddings": 8192, "rope_theta": 10000.0},
    )
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    plain = 10000.0 ** (-np.arange(0, PER_HEAD, 2) / PER_HEAD)
    return (plain / LlamaRotaryEmbedding(config).inv_freq.numpy()).astype(np.float32)


@torch.no_grad()
def test_scaling_of_positions_is_in_the_model(tmp_path: Path) -> None:
    """Linear, by the settings, and Llama 3's, by the factors that the file holds as a tensor."""
    plain = write(tmp_path / "plain.gguf")
    before = load(plain)[0](IDS).logits
    scaled = write(tmp_path / "linear.gguf", settings={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0})
    expected = as_configured(plain, {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0})
    assert (before - expected).abs().max() > 1e-3
    torch.testing.assert_close(load(scaled)[0](IDS).logits, expected)

    factors = llama_3(32.0)
    assert factors[0] == 1 and factors[-1] == pytest.approx(32) and len(set(factors)) > 2
    model, _ = load(write(tmp_path / "llama3.gguf", tensors={"rope_freqs.weight": factors}))
    frequencies = 10000.0 ** (-np.arange(0, PER_HEAD, 2) / PER_HEAD) / factors
    np.testing.assert_allclose(model.model.rotary_emb.inv_freq.numpy(), frequencies, rtol=1e-5)
    same, _ = load(write(tmp_path / "ones.gguf", tensors={"rope_freqs.weight": np.ones(PER_HEAD // 2, np.float32)}))
    torch.testing.assert_close(same(IDS).logits, before)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "biases": (
        {"tensors": {f"blk.{i}.attn_q.bias": np.ones(WIDTH, np.float32) for i in range(LAYERS)}},
        r"no place for 2 tensors of .*, blk.0.attn_q.bias among them",
    ),
    "factors of another scaling": (
        {"tensors": {"rope_freqs.weight": np.linspace(1, 3, PER_HEAD // 2, dtype=np.float32)}},
        r"rope_freqs.weight among them",
    ),
    "long factors": (
        {"tensors": {"rope_factors_long.weight": np.ones(PER_HEAD // 2, np.float32)}},
        r"rope_factors_long.weight among them",
    ),
    "a layer too many": ({"tensors": {"blk.2.attn_norm.weight": np.ones(WIDTH, np.float32)}}, "blk.2.attn_norm.weight"),
    "yarn": (
        {"settings": {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}},
        r"has rope.scaling \(yarn\) of factor 4, which transformers leaves out",
    ),
    "soft caps": ({"settings": {"final_logit_softcapping": 30.0}}, r"has final_logit_softcapping 30, which .*has None"),
    "half a head turned": (
        {"settings": {"rope.dimension_count": PER_HEAD / 2}},
        r"cannot be read from|has rope.dimension_count 8",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_transformers_leaves_out_is_refused(what: str, tmp_path: Path) -> None:
    made, said = REFUSED[what]
    with pytest.raises(ModelError, match=said):
        load(write(tmp_path / "file.gguf", **made))


def header(architecture: str, shapes: dict[str, tuple[int, ...]], **settings: Any) -> Header:
    return Header(
        {"general.architecture": architecture, **{f"{architecture}.{k}": v for k, v in settings.items()}}, shapes, {}
    )


SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "head_dim": PER_HEAD,
}


@pytest.mark.parametrize(
    ("kind", "config", "settings", "said"),
    [
        ("starcoder2", {}, {"rope.freq_base": 1e6}, r"rope.freq_base 1e\+06, which .* \(it has 10000"),
        ("gemma2", {}, {"attn_logit_softcapping": 30.0}, r"attn_logit_softcapping 30, .* \(it has 50"),
        ("gemma2", {}, {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}, None),
        ("gemma3_text", {}, {"rope.freq_base": 1e6, "rope.freq_base_swa": 1e4}, None),
        ("gemma3_text", {}, {"rope.freq_base": 1e6, "rope.freq_base_swa": 2e4}, r"rope.freq_base_swa 20000"),
        ("gemma3_text", {}, {"rope.freq_base": 1e6, "rope.scaling.factor": 8.0}, None),
        (
            "phi3",
            {"pad_token_id": 0},
            {"attention.sliding_window": 2047, "context_length": 4096},
            r"sliding_window 2047",
        ),
        ("phi3", {"pad_token_id": 0}, {"attention.sliding_window": 4096, "context_length": 4096}, None),
        ("phi3", {"pad_token_id": 0}, {"rope.dimension_count": PER_HEAD // 2}, r"rope.dimension_count 8"),
        ("qwen2", {}, {"attention.layer_norm_rms_epsilon": 1e-5}, r"layer_norm_rms_epsilon 1e-05"),
    ],
)
def test_settings_that_change_what_a_model_says_are_compared(
    kind: str, config: dict[str, Any], settings: dict[str, Any], said: str | None
) -> None:
    """A file that says the same as the configuration is taken; `kind` without what transformers adds is the file's word for it."""
    made = transformers.AutoConfig.for_model(kind, **SIZES, **config)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(made)
    of = header(kind.removesuffix("_text"), {"token_embd.weight": (64, WIDTH)}, **settings)
    if said is None:
        settle(model, of, Path("x.gguf"), "m", set())
        if "rope.scaling.factor" in settings:
            rope = model.config.rope_parameters
            assert rope["full_attention"]["rope_type"] == "linear" and rope["full_attention"]["factor"] == 8
            assert rope["sliding_attention"]["rope_type"] == "default"
    else:
        with pytest.raises(ModelError, match=said):
            settle(model, of, Path("x.gguf"), "m", set())


@pytest.mark.parametrize(("kind", "layers", "divisor"), [("gemma2", 46, 144), ("gemma2", 42, 128), ("gemma3", 62, 144)])
def test_the_largest_gemmas_attend_as_they_were_trained(kind: str, layers: int, divisor: int) -> None:
    """Their files do not say that they divide by another number than the others, whose default transformers takes."""
    sizes = {**SIZES, "hidden_size": 4608, "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128}
    model_type = "gemma3_text" if kind == "gemma3" else kind
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(model_type, **sizes))
    theta = {"rope.freq_base": 1e6} if kind == "gemma3" else {}
    settle(
        model, header(kind, {"token_embd.weight": (64, 4608)}, block_count=layers, **theta), Path("x.gguf"), "m", set()
    )
    assert model.config.query_pre_attn_scalar == divisor


@pytest.mark.parametrize("pre", ["deepseek-llm", "made-up", "default", None])
def test_text_that_would_be_cut_as_another_models_is_refused(pre: str | None, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer.ggml.pre.*cut text as GPT-2 does, and not as this model learnt"):
        load(write(tmp_path / "file.gguf", pre=pre))


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "qwen2", "llama-bpe"])
def test_text_that_is_cut_as_the_file_says_is_taken(pre: str, tmp_path: Path) -> None:
    _, tokenizer = load(write(tmp_path / "file.gguf", pre=pre))
    assert tokenizer.tokenize("a 12th") == ["a", "Ġ", "1", "2", "th"]


def test_a_vocabulary_that_joins_digits_is_not_cut_between_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cuts between digits, transformers does not, and its vocabulary has '12'"):
        load(write(tmp_path / "file.gguf", pre="smollm", tokens=[*TOKENS[:-2], "12", "th"]))


def test_a_vocabulary_without_gpt_2s_token_gets_none(tmp_path: Path) -> None:
    tokens = ["<|eot_id|>" if token == "<|endoftext|>" else token for token in TOKENS]
    _, tokenizer = load(write(tmp_path / "file.gguf", tokens=tokens))
    assert len(tokenizer) == len(tokens) and tokenizer.eos_token == "<|eot_id|>"
    assert max(tokenizer("<|endoftext|>a")["input_ids"]) < len(LETTERS)
    assert tokenizer("a<|eot_id|>")["input_ids"][-1] == tokens.index("<|eot_id|>")


PIECES = [
    "<unk>",
    "<s>",
    "</s>",
    *(f"<0x{i:02X}>" for i in range(256)),
    "▁",
    *map(chr, range(33, 127)),
    "▁a",
    "th",
    "▁th",
]


@pytest.mark.parametrize("space", [None, True, False])
def test_a_space_is_put_before_a_text_where_the_file_does_not_say_otherwise(space: bool | None, tmp_path: Path) -> None:
    import gguf

    from models.test_gguf import weights

    path = tmp_path / "pieces.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(PIECES))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(PIECES)
    writer.add_token_scores([-float(i) for i in range(len(PIECES))])
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (len(PIECES) - 259)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if space is not None:
        writer.add_add_space_prefix(space)
    rows = np.zeros((len(PIECES), WIDTH), np.float32)
    for name, tensor in weights().items():
        writer.add_tensor(name, rows if name in ("token_embd.weight", "output.weight") else tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    _, tokenizer = load(path)
    assert tokenizer.tokenize("a th") == ["a" if space is False else "▁a", "▁th"]
    assert tokenizer.decode(tokenizer("a th", add_special_tokens=False)["input_ids"]) == "a th"
    assert math.isclose(len(tokenizer), len(PIECES))
