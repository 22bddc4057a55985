"""Parts of a pool for generations: disjoint, of exact size, and no group in two of them unless the last could not be filled."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_bench.protocol.slices import slice_ids

GROUPS = st.lists(st.integers(1, 6), min_size=1, max_size=40)


def items_of(sizes: list[int]) -> list[tuple[str, str]]:
    return [(f"i{group}.{number}", f"g{group}") for group, size in enumerate(sizes) for number in range(size)]


@given(sizes=GROUPS, parts=st.integers(1, 6), seed=st.integers(0, 5))
def test_parts_are_disjoint_and_of_exact_size(sizes: list[int], parts: int, seed: int) -> None:
    items = items_of(sizes)
    sliced = slice_ids(items, parts, seed=seed)
    assert [len(part) for part in sliced] == [len(items) // parts] * parts
    every = [one for part in sliced for one in part]
    assert len(set(every)) == len(every) and set(every) <= {one for one, _ in items}
    assert all(part == sorted(part) for part in sliced)
    assert slice_ids(reversed(items), parts, seed=seed) == sliced, "the order of items means nothing"


@given(singles=st.integers(12, 40), sizes=st.lists(st.integers(2, 4), max_size=6), parts=st.integers(2, 4))
def test_a_group_stands_in_one_part_where_single_items_fill_the_gaps(
    singles: int, sizes: list[int], parts: int
) -> None:
    """Enough single items come after all: whatever a group leaves open, they fill."""
    items = items_of([*sizes, *[1] * singles])
    group = dict(items)
    # A group that is larger than a part cannot be whole in any.
    if max(sizes, default=1) > len(items) // parts:
        return
    counts = Counter(g for part in slice_ids(items, parts, seed=0) for g in {group[one] for one in part})
    straddling = [g for g, count in counts.items() if count > 1]
    assert len(straddling) <= 1, "the last part may need what was left of one"


def test_each_seed_parts_its_own() -> None:
    items = items_of([1] * 40)
    assert slice_ids(items, 2, seed=1) != slice_ids(items, 2, seed=2)


@pytest.mark.parametrize("parts", [3, 10])
def test_a_group_larger_than_a_part_is_cut(parts: int) -> None:
    sliced = slice_ids(items_of([30]), parts, seed=0)
    assert [len(part) for part in sliced] == [30 // parts] * parts
    assert len({one for part in sliced for one in part}) == 30
