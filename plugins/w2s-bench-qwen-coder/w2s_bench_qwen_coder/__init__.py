"""Two models of one family and tokenizer, each known by the SHA-256 of the GGUF file that its maker published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from w2s_bench import LanguageModel, hookimpl
from w2s_bench_qwen_coder.published import MODELS, PublishedModel


@hookimpl
def w2s_models() -> Mapping[str, Callable[..., LanguageModel]]:
    return {name: partial(PublishedModel, published) for name, published in MODELS.items()}
