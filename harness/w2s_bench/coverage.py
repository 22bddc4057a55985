"""How many rows a share keeps: the one place that rounds."""

from __future__ import annotations


def count_to_keep(coverage: float, count: int) -> int:
    """⌊coverage · count⌋, exact where a product such as 0.29 · 100 falls a rounding error below a whole number."""
    return int(coverage * count + 1e-9)
