"""The mean of a figure over a suite's domains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from w2s_bench.results.statistics.estimate import Estimate, Figures, Ratio, Unresolved
from w2s_bench.results.statistics.numbers import Numbers, divided, either, total
from w2s_bench.results.statistics.variance import Variance, of_sum


def mean_over_domains(ratios: Mapping[str, Ratio]) -> Ratio:
    """Mean of one ratio over D domains; domains are fixed (not a sample of domains) and independent of each other.

    Each side of each interval has its own variance, in proportion to the square of its width (MOVER, Zou & Donner 2008,
    Stat. Med. 27, 1693), which keeps Fieller's asymmetry. Parts add up: seeds' with seeds', items' with items'.
    """
    tested = all(isinstance(r, Estimate) and (r.p is not None or r.nothing_varies) for r in ratios.values())
    mean = means_over_domains(ratios, with_p=tested)
    return mean if isinstance(mean, Unresolved) else mean.one()


def means_over_domains(ratios: Mapping[str, Ratio | Figures], *, with_p: bool) -> Figures | Unresolved:
    """The same of many ratios at once, each domain's in one order; `p` tests that the mean is 0."""
    unresolved = [name for name, ratio in ratios.items() if isinstance(ratio, Unresolved)]
    domains = [ratio for ratio in ratios.values() if not isinstance(ratio, Unresolved)]
    if unresolved or not domains:
        return Unresolved(f"no figure in {', '.join(unresolved)}" if unresolved else "no domain", "–")
    value = total([d.value for d in domains]) / len(domains)
    variances = [_variance(d) for d in domains]
    below = _side(variances, [d.value - d.low for d in domains])
    above = _side(variances, [d.high - d.value for d in domains])
    return Figures(
        value=value,
        low=value - below.half_width(),
        high=value + above.half_width(),
        variance=of_sum(variances).times(len(domains) ** -2),
        seeds=min(d.seeds for d in domains),
        items=sum(d.items for d in domains),
        p=below.where(value > 0, above).p_value(value) if with_p else None,
    )


def _side(variances: Sequence[Variance], widths: Sequence[Numbers]) -> Variance:
    """Of the mean, as far as its interval reaches to one side."""
    sides = []
    for variance, width in zip(variances, widths, strict=True):
        half = variance.half_width()
        sides.append(variance.times(either(half > 0, divided(width, half) ** 2, 0.0)))
    return of_sum(sides).times(len(sides) ** -2)


def _variance(figure: Estimate | Figures) -> Variance:
    if figure.variance is None:
        raise ValueError("expected figures that know their variance, as `pgr` and its like give them")
    return figure.variance
