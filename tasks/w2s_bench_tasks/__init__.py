"""The built-in domains, and the small models trained for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path

from w2s_bench import Domain, LanguageModel, hookimpl

#: Those with models of their own.
DOMAINS = ("knowledge", "math", "chess", "places", "verbs")


@hookimpl
def w2s_domains() -> Mapping[str, Callable[..., Domain]]:
    """One factory a domain; its module is imported here, not with the package."""
    from w2s_bench_tasks.chess.domain import domain as chess
    from w2s_bench_tasks.chess_depth.domain import domain as chess_depth
    from w2s_bench_tasks.knowledge.domain import domain as knowledge
    from w2s_bench_tasks.math.domain import domain as math
    from w2s_bench_tasks.places.domain import domain as places
    from w2s_bench_tasks.verbs.domain import domain as verbs

    return {
        "knowledge": knowledge,
        "math": math,
        "chess": chess,
        "chess-depth": chess_depth,
        "places": places,
        "verbs": verbs,
    }


@hookimpl
def w2s_models() -> Mapping[str, Callable[..., LanguageModel]]:
    """Every folder of weights in a domain's `models`: `knowledge/models/s` (or `knowledge-s`) is `tiny/knowledge-s`."""
    models: dict[str, Callable[..., LanguageModel]] = {}
    for domain in DOMAINS:
        folder = Path(str(files("w2s_bench_tasks"))) / domain / "models"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if (path / "config.json").is_file():
                name = f"{domain}-{path.name.removeprefix(f'{domain}-')}"
                models[name] = partial(_tiny, name, path)
    return models


def _tiny(name: str, path: Path) -> LanguageModel:
    """A small model that comes with the package."""
    from w2s_bench import LocalModel

    return LocalModel(name=f"tiny/{name}", path=path)
