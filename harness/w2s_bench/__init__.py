"""w2s-bench: a benchmark for trust functions in weak-to-strong generalization.

`run` takes a suite through the protocol, as `w2s-bench run` does; the plugin contract is in `w2s_bench.hookspecs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from w2s_bench.hookspecs import Domain, Evidence, LanguageModel, Reading, TrustFunction, hookimpl
from w2s_bench.types import Need, Ragged, Synthetic, TrainingRow

if TYPE_CHECKING:
    from w2s_bench.api import run

__version__ = "0.1.0"
__all__ = [
    "Domain",
    "Evidence",
    "LanguageModel",
    "Need",
    "Ragged",
    "Reading",
    "Synthetic",
    "TrainingRow",
    "TrustFunction",
    "hookimpl",
    "run",
]


def __getattr__(name: str) -> Any:
    # `run` pulls in the protocol; plugins import this package for the contract alone.
    if name == "run":
        from w2s_bench.api import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
