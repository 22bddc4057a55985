"""Objectives: what students minimise, where a method is a way of training and no score."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import Objective
from w2s_bench_further.objectives.mdl_curriculum import MdlCurriculum

OBJECTIVES: Mapping[str, Callable[..., Objective]] = {"mdl_curriculum": MdlCurriculum}

__all__ = ["OBJECTIVES", "MdlCurriculum"]
