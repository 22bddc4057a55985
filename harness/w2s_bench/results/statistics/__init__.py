"""PGR, Recovery, accuracies and their differences, with intervals that know of seeds and of clusters of test items.

Everything starts from correctness matrices (S, I): S seeds × I test items, True where an item was answered right. The
test items are the same for every seed, so the two factors are crossed, and both are samples: other seeds, other items.
Items that share a fact, a template or a verb are one cluster: clusters, not items, are what is drawn.
"""

from w2s_bench.results.statistics.counts import Counts
from w2s_bench.results.statistics.domains import mean_over_domains, means_over_domains
from w2s_bench.results.statistics.estimate import Estimate, Figures, Ratio, Unresolved
from w2s_bench.results.statistics.multiplicity import cliques, holm, rank_intervals
from w2s_bench.results.statistics.power import Components, components, detectable, pooled
from w2s_bench.results.statistics.ratios import (
    accuracy,
    accuracy_difference,
    accuracy_of,
    difference_of,
    pgr,
    pgr_contrast,
    pgr_difference,
    ratio_of,
    recovery,
)
from w2s_bench.results.statistics.robust import improvement, interquartile_mean, pgr_by_seed
from w2s_bench.results.statistics.scores import auroc, auroc_within, mean_ranks, spearman
from w2s_bench.results.statistics.selective import Selective, selective_figures
from w2s_bench.results.statistics.stability import Answered, split_half
from w2s_bench.results.statistics.table import Table

__all__ = [
    "Answered",
    "Components",
    "Counts",
    "Estimate",
    "Figures",
    "Ratio",
    "Selective",
    "Table",
    "Unresolved",
    "accuracy",
    "accuracy_difference",
    "accuracy_of",
    "auroc",
    "auroc_within",
    "cliques",
    "components",
    "detectable",
    "difference_of",
    "holm",
    "improvement",
    "interquartile_mean",
    "mean_over_domains",
    "mean_ranks",
    "means_over_domains",
    "pgr",
    "pgr_by_seed",
    "pgr_contrast",
    "pgr_difference",
    "pooled",
    "rank_intervals",
    "ratio_of",
    "recovery",
    "selective_figures",
    "spearman",
    "split_half",
]
