"""Tiny random models of transformers' architectures, made of configurations, and what plain transformers says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 96
_ALL: dict[str, Any] = {
    "vocab_size": SIZE,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
_KV: dict[str, Any] = {**_ALL, "num_key_value_heads": 2, "head_dim": 8}
_GPT: dict[str, Any] = {
    **{name: _ALL[name] for name in ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")},
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 256,
    "attn_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
}
_NEO = {name: value for name, value in _ALL.items() if name not in ("num_hidden_layers", "num_attention_heads")}
_MIXED = {"layer_types": ["linear_attention", "full_attention"]}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
}

#: Name → (type of model, its configuration).
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", _KV),
    "gpt2": ("gpt2", _GPT),
    "openai-gpt": ("openai-gpt", _GPT),
    "gpt_neo": (
        "gpt_neo",
        {**_NEO, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 16},
    ),
    "gpt_neox": ("gpt_neox", _ALL),
    "gptj": ("gptj", {**_GPT, "rotary_dim": 8}),
    "gpt_bigcode": ("gpt_bigcode", _GPT),
    "opt": ("opt", {**_ALL, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    "bloom": ("bloom", {**_ALL, "n_layer": 2, "n_head": 4}),
    "mpt": ("mpt", {**_ALL, "d_model": 32, "n_heads": 4, "n_layers": 2}),
    "falcon_alibi": ("falcon", {**_ALL, "alibi": True}),
    "falcon": ("falcon", {**_ALL, "alibi": False}),
    "mistral": ("mistral", {**_KV, "sliding_window": 16}),
    "qwen2": ("qwen2", _KV),
    "qwen3": ("qwen3", _KV),
    "phi3": ("phi3", {**_KV, "sliding_window": None}),
    "smollm": ("llama", {**_KV, "tie_word_embeddings": True}),
    "qwen3_moe": ("qwen3_moe", {**_KV, **_EXPERTS}),
    "gemma": ("gemma", _KV),
    "gemma2": ("gemma2", {**_KV, "sliding_window": 16, "query_pre_attn_scalar": 8}),
    "gemma3_text": ("gemma3_text", {**_KV, "sliding_window": 16, "query_pre_attn_scalar": 8}),
    "longrope": (
        "phi3",
        {
            **_KV,
            "sliding_window": None,
            "original_max_position_embeddings": 24,
            "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 4, "long_factor": [3.0] * 4},
        },
    ),
    "phi": ("phi", _ALL),
    "stablelm": ("stablelm", _KV),
    "starcoder2": ("starcoder2", {**_KV, "sliding_window": None}),
    "olmo2": ("olmo2", _KV),
    "olmo3": ("olmo3", {**_KV, "sliding_window": 16}),
    "cohere": ("cohere", _KV),
    "granite": ("granite", {**_KV, "logits_scaling": 3.0}),
    "nemotron": ("nemotron", _KV),
    "glm": ("glm", _KV),
    "smollm3": ("smollm3", {**_KV, "no_rope_layer_interval": 2}),
    "llama4_text": (
        "llama4_text",
        {**_KV, "intermediate_size_mlp": 64, "num_local_experts": 2, "attention_chunk_size": 16},
    ),
    "gpt_oss": ("gpt_oss", {**_KV, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 16}),
    "doge": ("doge", _KV),
    "lfm2": ("lfm2", {**_KV, "layer_types": ["conv", "full_attention"], "block_multiple_of": 8}),
    "mamba": ("mamba", {**_ALL, "state_size": 8}),
    "rwkv": ("rwkv", {**_ALL, "attention_hidden_size": 32}),
    "recurrent_gemma": (
        "recurrent_gemma",
        {**_ALL, "num_hidden_layers": 3, "attention_window_size": 16, "lru_width": 32, "num_key_value_heads": 1},
    ),
    "minimax": ("minimax", {**_KV, **_MIXED, "num_local_experts": 2, "block_size": 8}),
    "bamba": (
        "bamba",
        {**_KV, "attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8},
    ),
    # Of its tokens each attends to few, which it chooses; the choice may hang on the row's length.
    "hy_v4": ("hy_v4", {**_ALL, **_LATENT, "index_n_heads": 2, "index_head_dim": 16, "index_topk": 8}),
    "xlstm": ("xlstm", {**_ALL, "num_heads": 4}),
    "xglm": ("xglm", {**_ALL, "d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 64}),
    "modernbert-decoder": ("modernbert-decoder", {**_ALL, "local_attention": 16, "global_attn_every_n_layers": 2}),
    "bert_decoder": ("bert", {**_ALL, "is_decoder": True}),
    "bert": ("bert", {**_ALL, "is_decoder": False}),
}


def new(name: str) -> Any:
    """A model whose logits depend on every token: weights large enough to spread them."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    kind, settings = ARCHITECTURES[name]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.25)
    return model.eval()


def tokenizer() -> Any:
    """One token a word: `w3`, `w4`, …"""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<pad>", "<eos>", "<unk>", *(f"w{i}" for i in range(3, SIZE))]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrap: Any = transformers.PreTrainedTokenizerFast
    return wrap(tokenizer_object=made, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")


def save(name: str, folder: Path) -> Path:
    new(name).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def text(length: int, seed: int) -> str:
    return " ".join(f"w{i}" for i in np.random.default_rng(seed).integers(3, SIZE, length))


def logprobs(model: Any, prompt: Sequence[int], completion: Sequence[int]) -> list[float]:
    """One natural log-probability a token of the completion, of one row that nothing stands beside (its last token unread)."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *completion][:-1]]), use_cache=False).logits[0]
    table = logits.log_softmax(-1)
    return [float(table[len(prompt) - 1 + i, token]) for i, token in enumerate(completion)]


def answer(model: Any, prompt: Sequence[int], limit: int) -> list[int]:
    """New token ids by transformers' `generate`, of one prompt."""
    import torch

    ids = torch.tensor([list(prompt)])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=limit, pad_token_id=0
    )
    return [int(token) for token in out[0, ids.shape[1] :]]
