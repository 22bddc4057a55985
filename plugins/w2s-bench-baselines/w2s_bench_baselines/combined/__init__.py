"""Combined: scores of other functions as one; `of` names them, joined by +, each with its default parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.combined.product import Product
from w2s_bench_baselines.combined.rank_average import RankAverage
from w2s_bench_baselines.combined.stacked import Stacked
from w2s_bench_baselines.combined.veto import Veto

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "product": Product,
    "rank_average": RankAverage,
    "stacked": Stacked,
    "veto": Veto,
}
