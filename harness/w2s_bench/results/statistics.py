"""PGR, Recovery, accuracies and their differences, with intervals that know of seeds and of test items.

Everything starts from correctness matrices (S, I): S seeds × I test items, True where an item was answered right. The
test items are the same for every seed, so the two factors are crossed, and both are samples: other seeds, other items.

The mean of any contrast z (S, I) that is linear in correctness is modelled by two-way random effects,
z_si = μ + a_s + b_i + e_si. With the mean squares of the two-way table its variance is

    V = max(MS_seed + MS_item − MS_rest, MS_seed, MS_item, MS_rest) / (S · I)

The first term is the unbiased one; the others keep V from falling below what any mean square gives alone when a
variance component comes out negative. Degrees of freedom are Satterthwaite's, ν = (V · S · I)² / Σ(MS_k² / ν_k). A
ratio's interval is Fieller's: all r for which "numerator − r · denominator has mean 0" is not rejected. It keeps the
covariance that numerator and denominator have through the weak accuracy they share. With S = 1 items alone count.

Sources: Burns et al. 2023, arXiv 2312.09390 (PGR); the trust-functions paper, arXiv 2606.01000 (Recovery);
Fieller 1954, J. R. Stat. Soc. B 16, 175; Satterthwaite 1946, Biometrics Bulletin 2, 110; Zou & Donner 2008,
Stat. Med. 27, 1693.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from w2s_bench.types import BoolArray, FloatArray

LEVEL = 0.95
_GRID = np.tan(np.linspace(0.0, math.pi / 2, 802)[:-1])  # 0 … about 500
_QUANTILES = 32  # looked up at once


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `df` its degrees of freedom; `p` two-sided, of "it is 0", for differences alone.

    `seeds` = 1 says that the interval is over test items alone and knows nothing of other seeds.
    """

    value: float
    low: float
    high: float
    df: float
    seeds: int
    items: int
    p: float | None = None

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Unresolved:
    """No figure: the denominator's own 95 % interval reaches 0 or lies below it, so the ratio would mean nothing.

    `brief` is what a table shows in its place; the leaderboard also uses this where cells are missing.
    """

    reason: str
    brief: str = "gap unresolved"


Ratio = Estimate | Unresolved


def accuracy(correct: BoolArray) -> Estimate:
    """Mean of correct (S, I) over seeds and items; the interval is cut to [0, 1], where accuracies live."""
    zero = np.zeros(np.shape(correct), dtype=np.bool_)
    table = _Table.of(correct, zero, zero, zero)
    half, df = table.half_width(1.0, 0.0)
    value = float(table.mean[0])
    return Estimate(value, max(value - half, 0.0), min(value + half, 1.0), df, table.seeds, table.items)


def accuracy_difference(a: BoolArray, b: BoolArray) -> Estimate:
    """Mean of a − b, both (S, I) on the same seeds and items, with the p-value of "no difference"."""
    return _Table.of(a, b, a, b).numerator()


def pgr(student: BoolArray, weak: BoolArray, ceiling: BoolArray) -> Ratio:
    """Performance gap recovered, (student − weak) / (ceiling − weak), of means over seeds; all (S, I)."""
    return _ratio(_Table.of(student, weak, ceiling, weak), "ceiling − weak")


def recovery(student: BoolArray, base: BoolArray, ceiling: BoolArray) -> Ratio:
    """(student − base) / (ceiling − base) of means over seeds; all (S, I). arXiv 2606.01000."""
    return _ratio(_Table.of(student, base, ceiling, base), "ceiling − base")


def pgr_difference(a: BoolArray, b: BoolArray, weak: BoolArray, ceiling: BoolArray) -> Ratio:
    """Paired difference of two arms in PGR units, (a − b) / (ceiling − weak); all (S, I). `p` tests a = b."""
    return _ratio(_Table.of(a, b, ceiling, weak), "ceiling − weak", with_p=True)


def mean_over_domains(ratios: Mapping[str, Ratio]) -> Ratio:
    """Mean of one ratio over D domains; domains are fixed (not a sample of domains) and independent of each other.

    Each side of each interval gives a variance back, v_d = ((r_d − low_d) / t(ν_d))² (MOVER, Zou & Donner 2008), which
    keeps Fieller's asymmetry; then low = mean − t(ν) √(Σ v_d) / D with ν = (Σ v_d)² / Σ(v_d² / ν_d), and likewise high.
    """
    unresolved = [name for name, ratio in ratios.items() if isinstance(ratio, Unresolved)]
    estimates = [ratio for ratio in ratios.values() if isinstance(ratio, Estimate)]
    if unresolved or not estimates:
        return Unresolved(f"no figure in {', '.join(unresolved)}" if unresolved else "no domain", "–")
    count = len(estimates)
    value = math.fsum(e.value for e in estimates) / count
    error_low, df_low = _combine([(e.value - e.low, e.df) for e in estimates])
    error_high, df_high = _combine([(e.high - e.value, e.df) for e in estimates])
    p = None
    if all(e.p is not None for e in estimates):
        error, df = (error_low, df_low) if value > 0 else (error_high, df_high)
        p = _p_value(value * count, error, df)
    return Estimate(
        value=value,
        low=value - _t(df_low) * error_low / count,
        high=value + _t(df_high) * error_high / count,
        df=min(df_low, df_high),
        seeds=min(e.seeds for e in estimates),
        items=sum(e.items for e in estimates),
        p=p,
    )


def auroc(scores: FloatArray, correct: BoolArray) -> float | None:
    """Chance that a correct row outscores an incorrect one, ties counting half; scores and correct (n,).

    None where all rows are correct or none is: there is no pair to compare.
    """
    scores, correct = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if scores.ndim != 1 or scores.shape != correct.shape or not np.isfinite(scores).all():
        got = f"{scores.shape} and {correct.shape}"
        raise ValueError(f"expected finite scores and correctness, one value a row each; got {got}")
    right = int(correct.sum())
    wrong = len(correct) - right
    if right == 0 or wrong == 0:
        return None
    _, value, times = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(times)
    ranks = (last - (times - 1) / 2)[value]  # ties get the mean of their ranks
    return float((ranks[correct].sum() - right * (right + 1) / 2) / (right * wrong))


@dataclass(frozen=True)
class _Table:
    """Means (2,) and mean squares and products (2, 2) of a numerator and a denominator contrast, each (S, I)."""

    mean: FloatArray
    seed: FloatArray
    item: FloatArray
    rest: FloatArray
    seeds: int
    items: int

    @classmethod
    def of(cls, a: BoolArray, b: BoolArray, c: BoolArray, d: BoolArray) -> _Table:
        """Numerator a − b over denominator c − d."""
        shapes = {np.shape(m) for m in (a, b, c, d)}
        shape = next(iter(shapes))
        if len(shapes) > 1 or len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
            got = ", ".join(sorted(map(str, shapes)))
            raise ValueError(f"expected correctness of one shape (seeds ≥ 1, items ≥ 2); got {got}")
        first, second, third, fourth = (np.asarray(m, dtype=np.float64) for m in (a, b, c, d))
        z = np.stack([first - second, third - fourth])  # (2, S, I)
        seeds, items = shape
        mean = z.mean(axis=(1, 2))
        by_seed = z.mean(axis=2) - mean[:, None]  # (2, S)
        by_item = z.mean(axis=1) - mean[:, None]  # (2, I)
        rest = (z - mean[:, None, None] - by_seed[:, :, None] - by_item[:, None, :]).reshape(2, -1)
        return cls(
            mean=mean,
            seed=items * by_seed @ by_seed.T / max(seeds - 1, 1),
            item=seeds * by_item @ by_item.T / (items - 1),
            rest=rest @ rest.T / max((seeds - 1) * (items - 1), 1),
            seeds=seeds,
            items=items,
        )

    def spread(self, numerator: float, denominator: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Standard error and degrees of freedom of the mean of numerator · x + denominator · y; (m,) each."""
        first, cross, second = numerator * numerator, 2 * numerator * denominator, denominator * denominator

        def mean_square(m: FloatArray) -> FloatArray:
            own, others = first * m[0, 0], second * m[1, 1]
            square = own + cross * m[0, 1] + others
            # What is left of equal terms that cancel is rounding, not variance.
            return np.where(square > 1e-12 * (own + others), square, 0.0)

        item = mean_square(self.item)
        if self.seeds == 1:
            return np.sqrt(item / self.items), np.full(len(item), self.items - 1.0)
        seed, rest = mean_square(self.seed), mean_square(self.rest)
        total = np.maximum(np.maximum(np.maximum(seed + item - rest, seed), item), rest)
        between_seeds, between_items = self.seeds - 1, self.items - 1
        squares = seed**2 / between_seeds + item**2 / between_items + rest**2 / (between_seeds * between_items)
        df = np.full(len(total), float(between_seeds * between_items))
        np.divide(total**2, squares, out=df, where=squares > 0)
        df = np.maximum(df, between_seeds)  # what the scarcest mean square alone would have
        return np.sqrt(total / (self.seeds * self.items)), df

    def spread_at(self, numerator: float, denominator: float) -> tuple[float, float]:
        """`spread` of one contrast, to the last bit: numbers take a tenth of the time that arrays of one number take."""
        first, cross, second = numerator * numerator, 2 * numerator * denominator, denominator * denominator

        def mean_square(m: tuple[float, float, float]) -> float:
            own, others = first * m[0], second * m[2]
            square = own + cross * m[1] + others
            return square if square > 1e-12 * (own + others) else 0.0

        seed, item, rest = (mean_square(m) for m in self._numbers)
        if self.seeds == 1:
            return math.sqrt(item / self.items), self.items - 1.0
        total = max(seed + item - rest, seed, item, rest)
        between_seeds, between_items = self.seeds - 1, self.items - 1
        squares = (
            seed * seed / between_seeds + item * item / between_items + rest * rest / (between_seeds * between_items)
        )
        df = total * total / squares if squares > 0 else float(between_seeds * between_items)
        return math.sqrt(total / (self.seeds * self.items)), max(df, float(between_seeds))

    @cached_property
    def _numbers(self) -> tuple[tuple[float, float, float], ...]:
        return tuple((float(m[0, 0]), float(m[0, 1]), float(m[1, 1])) for m in (self.seed, self.item, self.rest))

    def half_width(self, numerator: float, denominator: float) -> tuple[float, float]:
        """Half of the 95 % interval of one contrast's mean, and its degrees of freedom."""
        error, df = self.spread_at(numerator, denominator)
        return _t(df) * error, df

    def numerator(self) -> Estimate:
        """The numerator's mean as a figure of its own."""
        value = float(self.mean[0])
        error, df = self.spread_at(1.0, 0.0)
        half = _t(df) * error
        return Estimate(value, value - half, value + half, df, self.seeds, self.items, _p_value(value, error, df))

    def excess(self, r: float) -> float:
        """How far the mean of x − r · y lies outside its interval around 0; Fieller keeps r where it is ≤ 0."""
        error, df = self.spread_at(1.0, -r)
        return abs(float(self.mean[0]) - r * float(self.mean[1])) - _t(df) * error

    def last_kept(self, r: FloatArray) -> int:
        """The last of r (m,) whose `excess` is ≤ 0. The first is always kept."""
        error, df = self.spread(1.0, -r)
        distance = np.abs(self.mean[0] - r * self.mean[1])
        # A quantile falls as its degrees of freedom grow, so the fewest bound it: most r need none of their own.
        near = np.flatnonzero(distance <= _t(float(df.min())) * (1 + 1e-9) * error)
        for start in range(len(near), 0, -_QUANTILES):  # from the far end
            some = near[max(start - _QUANTILES, 0) : start]
            kept = np.flatnonzero(distance[some] - _quantiles(df[some]) * error[some] <= 0)
            if len(kept):
                return int(some[kept[-1]])
        return 0


def _ratio(table: _Table, denominator: str, with_p: bool = False) -> Ratio:
    """The ratio of the table's means with Fieller's interval, or the reason why there is none."""
    gap = float(table.mean[1])
    half_gap, _ = table.half_width(0.0, 1.0)
    if gap - half_gap <= 0:
        return Unresolved(f"{denominator} is {gap:.3f}, 95 % interval [{gap - half_gap:.3f}, {gap + half_gap:.3f}]")
    value = float(table.mean[0]) / gap
    half, df = table.half_width(1.0, -value)
    p = table.numerator().p if with_p else None
    low, high = (value, value) if half == 0 else _fieller(table, value, half / gap)
    if not (math.isfinite(low) and math.isfinite(high)):
        return Unresolved(f"{denominator} is {gap:.3f}, so near 0 that the ratio's interval has no end")
    return Estimate(value, low, high, df, table.seeds, table.items, p)


def _fieller(table: _Table, value: float, scale: float) -> tuple[float, float]:
    """The outermost r on either side that the test does not reject.

    V and its degrees of freedom change with r, so there is no quadratic to solve: a grid that is dense near the value
    and reaches far (tangents) finds the last r that is kept, and a root-finder the place where it is lost.
    """
    from scipy.optimize import brentq

    grid = scale * _GRID

    def reach(sign: float) -> float:
        last = table.last_kept(value + sign * grid)  # grid[0] is the value itself
        if last == len(grid) - 1:
            return math.inf

        def excess(distance: float) -> float:
            return table.excess(value + sign * distance)

        return float(brentq(excess, grid[last], grid[last + 1], xtol=1e-12))

    return value - reach(-1.0), value + reach(1.0)


def _combine(sides: list[tuple[float, float]]) -> tuple[float, float]:
    """(half width, df) of independent terms → standard error of their sum, and its degrees of freedom."""
    variances = [((half / _t(df)) ** 2, df) for half, df in sides]
    total = math.fsum(v for v, _ in variances)
    squares = math.fsum(v**2 / df for v, df in variances)
    return math.sqrt(total), total**2 / squares if squares > 0 else min(df for _, df in sides)


def _t(df: float) -> float:
    """The two-sided 95 % quantile of Student's t."""
    return float(_quantiles(df))


def _quantiles(df: FloatArray | float) -> FloatArray:
    """`_t` of each. This is what `scipy.stats.t.ppf` calls after a hundred times as long, and takes longer still to import."""
    from scipy.special import stdtrit

    quantiles: FloatArray = stdtrit(df, (1 + LEVEL) / 2)
    return quantiles


def _p_value(value: float, error: float, df: float) -> float:
    """Two-sided p of "the mean is 0"; 1 where both it and its error are 0 (equal arms)."""
    if error == 0:
        return 1.0 if value == 0 else 0.0
    from scipy.special import stdtr

    return float(2 * stdtr(df, -abs(value) / error))
