"""w2s-bench: a benchmark for trust functions in weak-to-strong generalization.

`run` takes a suite through the protocol, as `w2s-bench run` does; `results`, `table` and `items` give its results as pandas frames;
`score` scores weak labels of your own. All that the author of a plugin needs is here, and in `w2s_bench.testing` for tests: the
contract is written out in `w2s_bench.hookspecs`. No other module is meant for others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from w2s_bench.contrasts import contrast
from w2s_bench.errors import (
    EvidenceError,
    LabelsError,
    ModelError,
    ObjectiveError,
    PluginError,
    ReadingError,
    TrustFunctionError,
    W2SBenchError,
)
from w2s_bench.hookspecs import (
    Domain,
    Evidence,
    LanguageModel,
    Objective,
    Reading,
    ReadingModel,
    TrustFunction,
    hookimpl,
)
from w2s_bench.types import (
    JSON,
    BoolArray,
    FloatArray,
    Form,
    IntArray,
    Kind,
    ModelSize,
    Need,
    Over,
    Ragged,
    Reader,
    Scope,
    Step,
    Supervision,
    Synthetic,
    Targets,
    TrainingRow,
    Whose,
)

if TYPE_CHECKING:
    from w2s_bench.api import items, run, score, table
    from w2s_bench.domains.task import TaskDomain
    from w2s_bench.models.gguf import GgufModel
    from w2s_bench.models.origins import HubModel, LocalModel
    from w2s_bench.results.frames import frames as results

__version__ = "0.1.0"
__all__ = [
    "JSON",
    "BoolArray",
    "Domain",
    "Evidence",
    "EvidenceError",
    "FloatArray",
    "Form",
    "GgufModel",
    "HubModel",
    "IntArray",
    "Kind",
    "LabelsError",
    "LanguageModel",
    "LocalModel",
    "ModelError",
    "ModelSize",
    "Need",
    "Objective",
    "ObjectiveError",
    "Over",
    "PluginError",
    "Ragged",
    "Reader",
    "Reading",
    "ReadingError",
    "ReadingModel",
    "Scope",
    "Step",
    "Supervision",
    "Synthetic",
    "Targets",
    "TaskDomain",
    "TrainingRow",
    "TrustFunction",
    "TrustFunctionError",
    "W2SBenchError",
    "Whose",
    "contrast",
    "hookimpl",
    "items",
    "results",
    "run",
    "score",
    "table",
]


def __getattr__(name: str) -> Any:
    # What lies in rooms above, which import more: `run` pulls in the protocol, and plugins import this package in every
    # process.
    if name in ("items", "run", "score", "table"):
        from w2s_bench import api

        return getattr(api, name)
    if name == "results":
        import importlib

        return importlib.import_module("w2s_bench.results")  # a package that can be called
    if name == "TaskDomain":
        from w2s_bench.domains.task import TaskDomain

        return TaskDomain
    if name == "GgufModel":
        from w2s_bench.models.gguf import GgufModel

        return GgufModel
    if name in ("HubModel", "LocalModel"):
        from w2s_bench.models import origins

        return getattr(origins, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
