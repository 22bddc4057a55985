"""PGR, Recovery, accuracies and their differences, with intervals that know of seeds and of clusters of test items.

Everything starts from correctness matrices (S, I): S seeds × I test items, True where an item was answered right. The
test items are the same for every seed, so the two factors are crossed, and both are samples: other seeds, other items.
Items that share a fact, a template or a verb are one cluster: clusters, not items, are what is drawn.
"""

from w2s_bench.results.statistics.domains import mean_over_domains
from w2s_bench.results.statistics.estimate import Estimate, Ratio, Unresolved
from w2s_bench.results.statistics.multiplicity import cliques, holm, rank_intervals
from w2s_bench.results.statistics.power import Components, components, typical
from w2s_bench.results.statistics.ratios import (
    accuracy,
    accuracy_difference,
    pgr,
    pgr_contrast,
    pgr_difference,
    recovery,
)
from w2s_bench.results.statistics.robust import improvement, interquartile_mean, pgr_by_seed
from w2s_bench.results.statistics.scores import auroc, auroc_within, mean_ranks, spearman
from w2s_bench.results.statistics.selective import Selective, selective_figures
from w2s_bench.results.statistics.stability import Answered, split_half
from w2s_bench.results.statistics.variance import of_sum

__all__ = [
    "Answered",
    "Components",
    "Estimate",
    "Ratio",
    "Selective",
    "Unresolved",
    "accuracy",
    "accuracy_difference",
    "auroc",
    "auroc_within",
    "cliques",
    "components",
    "holm",
    "improvement",
    "interquartile_mean",
    "mean_over_domains",
    "mean_ranks",
    "of_sum",
    "pgr",
    "pgr_by_seed",
    "pgr_contrast",
    "pgr_difference",
    "rank_intervals",
    "recovery",
    "selective_figures",
    "spearman",
    "split_half",
    "typical",
]
