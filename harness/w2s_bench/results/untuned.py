"""Whether training on trusted labels made a student better than it was: PGR has its 0 at the teacher, not at the student."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from w2s_bench.controls import BASE
from w2s_bench.results.board import Row, Untuned
from w2s_bench.results.comparison import Comparison, mean_differences
from w2s_bench.results.places import holm_corrected
from w2s_bench.results.statistics import Estimate, mean_over_domains


def untuned(rows: Iterable[Row], entering: Mapping[str, Comparison]) -> Untuned | None:
    """The untuned student over the domains that enter means."""
    pgr = mean_over_domains({name: domain.pgr(BASE) for name, domain in entering.items()})
    if not isinstance(pgr, Estimate):
        return None
    functions = [row.arm for row in rows if row.rank is not None]
    minus = holm_corrected(mean_differences(entering, [(arm, BASE) for arm in functions]))
    return Untuned(pgr, {arm: ratio for (arm, _), ratio in minus.items()})
