"""Attestations: what `verify` found lies beside the results, counts for the body it names, and shows on the page."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from cell_builder import change, make_cells, write_cells
from w2s_bench.errors import CellError
from w2s_bench.record import digest_of
from w2s_bench.results.attestations import FOLDER, Attestation, Attested, Tier, read_attestations, tier_of, tiers
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.rules import check
from w2s_bench.results.compared import Verified
from w2s_bench.results.leaderboard import attested, build, write_leaderboard, written_pages
from w2s_bench.results.republished import compare_pages
from w2s_bench.runs.verify import attest

ROW = "math/confidence"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_cells(tmp_path_factory.mktemp("made") / "toy", make_cells())
    write_leaderboard(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "toy"))


def cells_in(folder: Path) -> list[Cell]:
    return read_results(folder)[1]


def attestation(folder: Path, made: str = "2026-01-02T03:04:05Z", **rows: Tier) -> Attestation:
    digests = {cell.row: cell.digest for cell in cells_in(folder)}
    told = tuple(Attested(row=f"math/{arm}", digest=digests[f"math/{arm}"], tier=tier) for arm, tier in rows.items())
    return Attestation(made=made, suite="0" * 64, platform="p", rows=told)


def test_what_is_written_is_read_again(folder: Path) -> None:
    later = attestation(folder, "2026-02-01T00:00:00Z", oracle="identical")
    first = attestation(folder, confidence="identical elsewhere")
    for one in (later, first):
        one.write(folder)
    assert read_attestations(folder) == [first, later]


def test_the_best_verdict_counts_unless_the_newest_differs_and_only_of_the_body_that_is_there(folder: Path) -> None:
    cells = cells_in(folder)
    same, better = attestation(folder, confidence="identical"), attestation(folder, confidence="identical elsewhere")
    assert tiers(cells, [better, same]) == {ROW: "identical elsewhere"}
    assert tiers(cells, [better, attestation(folder, confidence="DIFFERS")]) == {ROW: "DIFFERS"}
    other = [change(cell, items_digest=digest_of("other")) if cell.row == ROW else cell for cell in cells]
    assert not tiers(other, [better])
    assert tier_of("identical", elsewhere=True) == "identical elsewhere"
    assert [tier_of(verdict, elsewhere=True) for verdict in ("within tolerance", "DIFFERS")] == [
        "within tolerance",
        "DIFFERS",
    ]


def test_the_page_shows_what_was_attested_and_a_badge(folder: Path) -> None:
    cells = cells_in(folder)
    board = attested(
        build(cells, folder), cells, [attestation(folder, confidence="identical elsewhere", oracle="DIFFERS")]
    )
    pages = written_pages(board)
    assert (
        f"Computed again: 2 of {len(cells)} cells (1 identical elsewhere, 1 DIFFERS), last on 2026-01-02."
        in pages["README.md"]
    )
    assert "These did not come again: math/oracle" in pages["README.md"]
    assert "✓ 1 of 1" in pages["README.md"]
    text = "".join(ElementTree.fromstring(pages["verified.svg"]).itertext())
    assert f"1 of {len(cells)} cells, 1 differ" in text
    stale = attestation(folder, "2027-01-01T00:00:00Z", oracle="identical")
    stale = stale.model_copy(update={"rows": (stale.rows[0].model_copy(update={"digest": "0" * 64}),)})
    assert (
        attested(board, cells, [attestation(folder, confidence="identical"), stale]).attested_last[:10] == "2026-01-02"
    )
    plain = written_pages(build(cells, folder))
    assert "verified" not in plain["README.md"].lower() and set(plain) == {"README.md"}


def test_pages_older_than_an_attestation_are_still_what_the_cells_give(folder: Path) -> None:
    cells = cells_in(folder)

    def verdicts() -> dict[str, tuple[str, str]]:
        return {page.row: (page.verdict, page.why) for page in compare_pages(folder, cells)}

    attestation(folder, confidence="identical").write(folder)
    told = verdicts()
    assert {verdict for verdict, _ in told.values()} == {"identical"}
    assert told["README.md"][1].startswith("1 attestation is newer") and told["verified.svg"][1]
    write_leaderboard(folder)
    assert set(verdicts().values()) == {("identical", "")}
    attestation(folder, "2027-01-01T00:00:00Z", oracle="identical").write(folder)
    assert verdicts()["README.md"][1].startswith("1 attestation is newer")
    (folder / "verified.svg").write_text("<svg/>")
    assert verdicts()["verified.svg"][0] == "DIFFERS"


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"schema": "w2s-bench/attestation/2"}', "[" * 10_000, '{"made": "today"}', "\x1b[2J", '{"rows": []}'],
)
def test_a_file_that_is_no_attestation_is_named(folder: Path, content: str) -> None:
    (folder / FOLDER).mkdir()
    (folder / FOLDER / "a.json").write_text(content)
    with pytest.raises(CellError, match=r"attestations/a\.json is no attestation") as caught:
        read_attestations(folder)
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)
    findings = [f for f in check(folder).findings if f.level == "error"]
    assert [f.rule for f in findings] == ["attestations"]


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CellError, match="is a link"):
        read_attestations(folder)


def test_what_was_computed_is_attested_and_nothing_else(folder: Path) -> None:
    told: dict[str, Any] = {"computed": True}
    verdicts = [
        Verified(ROW, "identical", elsewhere="torch 2, here 3", **told),
        Verified("math/oracle", "DIFFERS", "seed 0: \x1b[2J", **told),
        Verified("math/naive", "DIFFERS", "cannot be run: x"),
        Verified("README.md", "identical"),
    ]
    path = attest(folder, verdicts)
    assert path is not None and path.parent == folder / FOLDER and "\x1b" not in path.read_text()
    (made,) = read_attestations(folder)
    assert [(one.row, one.tier) for one in made.rows] == [(ROW, "identical elsewhere"), ("math/oracle", "DIFFERS")]
    assert attest(folder, verdicts[2:]) is None


def test_a_row_that_other_versions_made_says_so(folder: Path) -> None:
    cells = [
        Cell.of(cell.body, {"packages": {"torch": "1|<b>" if cell.row == ROW else "2"}, "machines": ["m"]})
        for cell in cells_in(folder)
    ]
    board = build(cells, folder)
    assert {row.arm: row.made_elsewhere for row in board.rows if row.made_elsewhere} == {
        "confidence": ("torch 1|<b>, most cells 2",)
    }
    page = written_pages(board)["README.md"]
    assert r"**Made elsewhere: confidence** (torch 1\|&lt;b&gt;, most cells 2)" in page
    line = next(line for line in page.splitlines() if line.startswith("| confidence"))
    assert "elsewhere" in line
