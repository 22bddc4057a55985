"""Clusters of items in cells: compact, one text a clustering, believed only where they can be, and used by boards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell_builder import change, make_cells, write_cells
from w2s_bench.errors import CellError
from w2s_bench.record import pack_codes, unpack_codes
from w2s_bench.results import leaderboard
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.clusters import Clusters
from w2s_bench.results.compared import compare
from w2s_bench.results.files import read_cell
from w2s_bench.results.statistics import Estimate


def clustered(cells: dict[str, Cell], clusters: Clusters) -> dict[str, Cell]:
    return {arm: change(cell, clusters=clusters) for arm, cell in cells.items()}


@given(st.lists(st.integers(0, 300), min_size=2, max_size=600).filter(lambda names: len(set(names)) > 1))
def test_equal_clusterings_are_equal_texts(names: list[int]) -> None:
    clusters = Clusters.of(names)
    assert clusters == Clusters.of([f"verb {name}" for name in names])
    codes = clusters.array()
    assert (clusters.count, len(codes)) == (len(set(names)), len(names))
    assert all((codes[i] == codes[0]) == (name == names[0]) for i, name in enumerate(names))


@pytest.mark.parametrize(("count", "width"), [(2, 1), (256, 1), (257, 2), (65_536, 2), (65_537, 4)])
def test_codes_take_as_few_bytes_as_their_number_needs(count: int, width: int) -> None:
    codes = np.array([0, count - 1, 1])
    assert len(pack_codes(codes, count)) == 2 * 3 * width
    assert unpack_codes(pack_codes(codes, count), count).tolist() == codes.tolist()


@pytest.mark.parametrize(
    ("count", "codes", "told"),
    [
        (3, "0001", "3 clusters are numbered 0 to 2; codes names 2"),
        (2, "0003", "2 clusters are numbered 0 to 1"),
        (2, "0100", "in the order in which the items first name them"),
        (2, "0x01", "codes of 2 clusters"),
        (300, "000001", "no numbers of 2 bytes"),
        (1, "0000", "greater than or equal to 2"),
    ],
)
def test_codes_that_are_no_clusters_are_refused(count: int, codes: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Clusters(count=count, codes=codes)


def test_a_cell_keeps_its_clusters_and_without_any_says_nothing_of_them(tmp_path: Path) -> None:
    cell = make_cells(items=40)["oracle"]
    assert "clusters" not in cell.body.model_dump(mode="json")
    clusters = Clusters.of([i // 4 for i in range(40)])
    kept = read_cell(change(cell, clusters=clusters).write(tmp_path))
    assert kept.body.clusters == clusters
    assert kept.body.cluster_codes is not None
    assert kept.body.cluster_codes.tolist() == [i // 4 for i in range(40)]
    content = cell.body.model_dump(mode="json") | {"clusters": Clusters.of([0, 1, 1]).model_dump()}
    with pytest.raises(ValueError, match="clusters has 3 codes, of 40 items"):
        CellBody.model_validate(content)


def test_boards_take_items_of_one_cluster_as_one() -> None:
    cells = make_cells(items=300, accuracies={})
    plain = leaderboard.build(cells.values(), Path("somewhere"))
    own = leaderboard.build(clustered(cells, Clusters.of(range(300))).values(), Path("somewhere"))
    assert own.rows == plain.rows
    right = cells["weak"].body.correctness()
    alike = np.lexsort(np.stack([*right.values()]))  # items that fare alike together: the worst that can be
    names = np.empty(300, dtype=int)
    names[alike] = np.arange(300) // 10
    wide = leaderboard.build(clustered(cells, Clusters.of(names.tolist())).values(), Path("somewhere"))
    for before, after in zip(plain.domains, wide.domains, strict=True):
        assert isinstance(before.gap, Estimate) and isinstance(after.gap, Estimate)
        assert after.gap.value == before.gap.value
        assert after.gap.high - after.gap.low > 1.5 * (before.gap.high - before.gap.low)


def test_cells_of_one_domain_have_one_clustering(tmp_path: Path) -> None:
    cells = make_cells(items=40)
    cells["oracle"] = change(cells["oracle"], clusters=Clusters.of([i // 4 for i in range(40)]))
    with pytest.raises(CellError, match=r"differ in clusters of items"):
        leaderboard.write_leaderboard(write_cells(tmp_path, cells))


def test_other_clusters_are_another_result() -> None:
    cell = make_cells(items=40)["oracle"]
    one, other = (change(cell, clusters=Clusters.of([i // size for i in range(40)])) for size in (2, 4))
    assert compare(one, one, 0.02).verdict == "identical"
    for committed, computed in ((one, other), (cell, one), (one, cell)):
        verified = compare(committed, computed, 0.02)
        assert verified.verdict == "DIFFERS" and "clusters of items" in verified.why
