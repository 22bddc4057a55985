"""Objectives beside the cross-entropy, one file each: what a student is trained towards where labels may be wrong."""

from w2s_bench.models.losses.bootstrap import Bootstrap
from w2s_bench.models.losses.early import Early
from w2s_bench.models.losses.gce import Generalised
from w2s_bench.models.losses.logconf import logconf
from w2s_bench.models.losses.product import product
from w2s_bench.models.losses.sce import Symmetric
from w2s_bench.models.losses.soft import Soft

__all__ = ["Bootstrap", "Early", "Generalised", "Soft", "Symmetric", "logconf", "product"]
