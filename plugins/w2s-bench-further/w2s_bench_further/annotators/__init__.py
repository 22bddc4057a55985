"""Annotators: the teacher and students as so many annotators of an item, none of whom is taken for right."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_further.annotators.dawid_skene import DawidSkene
from w2s_bench_further.annotators.vote import Vote

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {"dawid_skene": DawidSkene, "vote": Vote}

__all__ = ["FUNCTIONS", "DawidSkene", "Vote"]
