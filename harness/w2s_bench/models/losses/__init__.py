"""Objectives beside the cross-entropy, one file each: what a student is trained towards where labels may be wrong."""

from w2s_bench.models.losses.bootstrap import Bootstrap
from w2s_bench.models.losses.co_teaching import CoTeaching
from w2s_bench.models.losses.early import Early
from w2s_bench.models.losses.gce import Generalised
from w2s_bench.models.losses.logconf import logconf
from w2s_bench.models.losses.opd import ReverseKL
from w2s_bench.models.losses.product import product
from w2s_bench.models.losses.sce import Symmetric
from w2s_bench.models.losses.soft import Soft
from w2s_bench.models.losses.trb import Blended
from w2s_bench.models.losses.tropd import Accepted
from w2s_bench.models.losses.w2s_opd import Contrast

__all__ = [
    "Accepted",
    "Blended",
    "Bootstrap",
    "CoTeaching",
    "Contrast",
    "Early",
    "Generalised",
    "ReverseKL",
    "Soft",
    "Symmetric",
    "logconf",
    "product",
]
