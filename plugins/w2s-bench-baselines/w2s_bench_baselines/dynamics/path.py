"""What functions of training dynamics have in common: the reading, by column."""

from __future__ import annotations

from typing import Final, Literal, cast

from w2s_bench import Evidence, FloatArray, Need
from w2s_bench_baselines.states import count_of
from w2s_bench_baselines.unfitted import Unfitted

Column = Literal["margin", "log_probability", "agreement", "error"]
_COLUMNS: Final[tuple[Column, ...]] = ("margin", "log_probability", "agreement", "error")


class AlongThePath(Unfitted):
    """Reads `points` students, each trained twice as long as the one before on the weak labels of trust set and pool."""

    def __init__(self, points: int = 6) -> None:
        self.points = count_of("points", points, 2)
        self.needs: tuple[Need, ...] = (Need("student", "dynamics", points=points),)

    def path(self, evidence: Evidence, column: Column) -> FloatArray:
        """(n, points), the last after all steps."""
        (need,) = self.needs
        return cast(FloatArray, evidence.read(need))[:, :, _COLUMNS.index(column)]


def checked_point(point: int, points: int) -> int:
    """A place on the path, from 0, or from the end if negative."""
    if type(point) is not int or not -points <= point < points:
        raise ValueError(f"point must be from {-points} to {points - 1}, got {point!r}")
    return point
