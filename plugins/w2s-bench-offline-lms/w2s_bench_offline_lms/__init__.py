"""Pretrained language models that the Python package index carries, and a domain made of its word lists.

Nothing is fetched until a model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from w2s_bench import Domain, LanguageModel, hookimpl
from w2s_bench_offline_lms import language
from w2s_bench_offline_lms.packaged import MODELS, PackagedModel


@hookimpl
def w2s_models() -> Mapping[str, Callable[..., LanguageModel]]:
    return {name: partial(PackagedModel, packed) for name, packed in MODELS.items()}


@hookimpl
def w2s_domains() -> Mapping[str, Callable[..., Domain]]:
    return {"language": language.domain}
