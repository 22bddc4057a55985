"""Dynamics: how soon, how surely and how lastingly students that train on the weak labels come to believe this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from w2s_bench import TrustFunction
from w2s_bench_baselines.dynamics.aum import Aum
from w2s_bench_baselines.dynamics.cartography import Cartography
from w2s_bench_baselines.dynamics.el2n import El2n
from w2s_bench_baselines.dynamics.forgetting import Forgetting
from w2s_bench_baselines.dynamics.small_loss import SmallLoss

FUNCTIONS: Mapping[str, Callable[..., TrustFunction]] = {
    "aum": Aum,
    "cartography": Cartography,
    "el2n": El2n,
    "forgetting": Forgetting,
    "small_loss": SmallLoss,
}
