"""The built-in domains, and the small models trained for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path

from w2s_bench.hookspecs import Domain, LanguageModel, hookimpl

DOMAINS = ("knowledge", "math", "chess")


@hookimpl
def w2s_domains() -> Mapping[str, Callable[..., Domain]]:
    """One factory a domain; its module is imported here, not with the package."""
    from w2s_bench_tasks.chess.domain import domain as chess
    from w2s_bench_tasks.knowledge.domain import domain as knowledge
    from w2s_bench_tasks.math.domain import domain as math

    return {"knowledge": knowledge, "math": math, "chess": chess}


@hookimpl
def w2s_models() -> Mapping[str, Callable[..., LanguageModel]]:
    """Every folder of weights under a domain's `models`: knowledge/models/knowledge-s is `tiny/knowledge-s`."""
    folders = [Path(str(files("w2s_bench_tasks"))) / domain / "models" for domain in DOMAINS]
    found = sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_dir())
    return {path.name: partial(_tiny, path) for path in found if (path / "config.json").is_file()}


def _tiny(path: Path) -> LanguageModel:
    """A small model that comes with the package."""
    from w2s_bench.models.loading import LocalModel

    model: LanguageModel = LocalModel(name=f"tiny/{path.name}", path=path)
    return model
