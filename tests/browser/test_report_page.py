"""The report as a reader has it: in a headless Chromium, by mouse and keyboard, without a request or an error.

Views change as the address does, and the page hears of that later than the click: whatever stands after a link, a changed
address or a step back is awaited (`expect`), never read at once. What a handler does itself is there when the click returns.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cell_builder import change, make_cells, write_cells
from w2s_bench.record import pack_bits
from w2s_bench.results.cells import Cell
from w2s_bench.results.report import scripts
from w2s_bench.results.report.page import render
from w2s_bench.results.report.reading import read_folder
from w2s_bench.results.report.serving import address_of, open_server
from w2s_bench.results.seed_results import KeptRows

pytestmark = [pytest.mark.browser, pytest.mark.slow]

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'w2s-bench[browser]'")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe: pip install 'w2s-bench[browser]'")
CHROMIUM = os.environ.get("W2S_BENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs chromium: apt-get install chromium, or its path in W2S_BENCH_CHROMIUM", allow_module_level=True)

#: Waits until what is expected holds. A busy machine may take its time.
expect = playwright.expect
expect.set_options(timeout=60_000)

EVIL = "</script><img src=x onerror=alert(1)>\u202e\x1b[31m"


def other_suite(cells: dict[str, Cell]) -> dict[str, Cell]:
    return {
        arm: change(cell, suite=cell.body.suite.model_copy(update={"name": "toy-two"})) for arm, cell in cells.items()
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains; one has a failed seed, one lacks an arm; markup in a reason."""
    root = tmp_path_factory.mktemp("report")
    math = make_cells("w2s-bench/math", failed={("w2s-bench/probe", 2): EVIL})
    chess = make_cells("w2s-bench/chess", items=120)
    del chess["acme/engine"]
    for arm, begin in (("w2s-bench/confidence", 0), ("w2s-bench/probe", 100)):
        bits = np.zeros(400, dtype=np.bool_)
        bits[begin : begin + 200] = True
        kept = KeptRows(pool=400, bits=pack_bits(bits))
        told = {"purity_at": {"0.5": 0.9, "1.0": 0.55}, "reliability": [{"rows": 400, "score": 0.6, "right": 0.55}]}
        seeds = [
            seed.model_copy(update={"kept_rows": kept, "diagnostics": {**seed.diagnostics, **told}})
            for seed in chess[arm].body.seeds
        ]
        chess[arm] = change(chess[arm], seeds=tuple(seeds))
    return write_cells(root / "toy", math, chess)


@pytest.fixture(scope="module")
def one(results: Path) -> str:
    path = results.parent / "one.html"
    path.write_text(render([read_folder(results)]), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def two(results: Path) -> str:
    second = write_cells(results.parent / "two", other_suite(make_cells("w2s-bench/math", items=100)))
    path = results.parent / "two.html"
    path.write_text(render([read_folder(results), read_folder(second)]), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Told:
    """What the page said and asked for beyond itself."""

    def __init__(self, page: Any) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page; whatever a test does with it, it writes nothing to the console and asks for no address but its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    told = Told(opened)
    yield opened
    own = opened.url.partition("#")[0]
    context.close()
    assert told.errors == []
    assert [url for url in told.requests if url.partition("#")[0] != own and not url.startswith("data:")] == []


def arms(page: Any) -> list[str]:
    """The arms that the table shows, from the top."""
    shown: list[str] = page.locator("table.main tbody tr:visible th").all_inner_texts()
    return shown


def test_sorting_goes_down_up_and_back_and_says_so(page: Any, one: str) -> None:
    page.goto(one)
    before = arms(page)
    head = page.locator("table.main thead th", has_text="mean PGR")
    column = head.evaluate("e => e.cellIndex + 1")
    figures = f"table.main tbody tr:visible > :nth-child({column})"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    down = [float(v) for v in page.locator(figures).evaluate_all("e => e.map(c => c.dataset.sort).filter(v => v)")]
    assert down == sorted(down, reverse=True)
    assert "acme/engine" in arms(page)[-1]  # without a mean, last whichever way
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    up = [float(v) for v in page.locator(figures).evaluate_all("e => e.map(c => c.dataset.sort).filter(v => v)")]
    assert up == sorted(up)
    assert "acme/engine" in arms(page)[-1]
    assert "sorted by mean PGR, ascending" in page.locator("[data-status]").first.inner_text()
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "none"
    assert arms(page) == before


def test_filters_leave_what_was_asked_for(page: Any, one: str) -> None:
    page.goto(one)
    total = len(arms(page))
    page.get_by_label("Find an arm").fill("prob")
    assert arms(page) == ["probe"]
    page.get_by_label("Find an arm").fill("")
    page.get_by_role("checkbox", name="control").uncheck()
    page.get_by_role("checkbox", name="reference").uncheck()
    assert {"naive", "weak"}.isdisjoint(arms(page))
    assert f"5 of {total} arms shown" in page.locator("[data-status]").first.inner_text()
    page.get_by_label("Show of each domain").select_option("accuracy")
    heads = page.locator("table.main thead th:visible").all_inner_texts()
    assert not any("PGR" in head for head in heads)
    assert sum("accuracy" in head for head in heads) == 2
    page.locator("summary", has_text="Domains").first.click()
    page.get_by_role("checkbox", name="chess").uncheck()
    assert not any("chess" in head for head in page.locator("table.main thead th:visible").all_inner_texts())
    page.reload()  # what was chosen stays for as long as the tab is open
    expect(page.locator("table.main tbody tr:visible")).to_have_count(5)


def test_what_is_missing_or_failed_is_said_in_words(page: Any, one: str) -> None:
    page.goto(one)
    engine = page.locator("table.main tbody tr", has=page.get_by_text("acme/engine", exact=True))
    assert "no cell" in engine.inner_text()
    probe = page.locator("table.main tbody tr", has=page.get_by_text("probe", exact=True))
    assert "(2 of 3 seeds)" in probe.inner_text()
    page.goto(one + "#row=math/probe")
    row = page.locator("[data-row='math/probe']")
    expect(row).to_be_visible()
    expect(row).to_contain_text("failed: </script><img src=x onerror=alert(1)>\\u202e\\x1b[31m")


@pytest.mark.parametrize(
    ("hash", "heading"),
    [
        ("#row=probe", "probe"),
        ("#row=math/probe", "probe"),
        ("#row=acme.verifier%40layer%3D-1", "acme/verifier:layer=-1"),
        ("#row=acme.verifier@layer=-1", "acme/verifier:layer=-1"),
        ("#compare=probe,naive", "Compare two arms"),
        ("", "toy: how much trust recovers"),
        ("#row=nothing", "toy: how much trust recovers"),
        ("#%", "toy: how much trust recovers"),
    ],
)
def test_an_address_leads_to_its_view(page: Any, one: str, hash: str, heading: str) -> None:
    page.goto(one + hash)
    expect(page.locator("h1:visible")).to_have_text(heading)
    if "/" in hash:
        expect(page.locator("[data-row='math/probe'] > h2")).to_be_in_viewport()


def test_views_are_reached_by_links_and_back(page: Any, one: str) -> None:
    page.goto(one)
    page.locator("table.main a", has_text="confidence").click()
    heading = page.locator("h1:visible")
    expect(heading).to_have_text("confidence")
    expect(heading).to_be_focused()
    expect(page).to_have_title(re.compile("^confidence"))
    page.get_by_role("link", name="random", exact=True).click()
    expect(page.locator("select[name='B']:visible")).to_have_value("random")
    page.go_back()
    expect(heading).to_have_text("confidence")
    page.go_back()
    expect(page.locator("table.main")).to_be_visible()


def test_two_arms_are_counted_item_by_item(page: Any, one: str, results: Path) -> None:
    cells = {c.row: c for c in read_folder(results).cells}
    a, b = (cells[f"math/{arm}"].body.correctness()[0] for arm in ("confidence", "naive"))
    page.goto(one + "#compare=confidence,naive")
    math = page.locator("[data-compared] section", has=page.locator("h2", has_text="math"))
    line = math.locator("table").first.locator("tbody tr").first
    expect(line).to_be_visible()
    counts = [int(t) for t in line.locator("td").all_inner_texts()[:4]]
    assert counts == [int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum())]
    there = math.locator("p strong").all_inner_texts()
    page.get_by_role("button", name="Swap").click()
    expect(page.locator("select[name='A']:visible")).to_have_value("naive")  # set as the rest is, in one go
    turned = math.locator("p strong").all_inner_texts()
    assert [t.split(" ")[0].translate(str.maketrans("+−", "−+")) for t in there] == [t.split(" ")[0] for t in turned]
    assert [t.split("p ")[1] for t in there] == [t.split("p ")[1] for t in turned]
    math.locator("summary", has_text="Item by item").click()
    math.locator("select").select_option("of all")
    expect(math).to_contain_text("300 items, page 1 of 6")
    math.get_by_role("button", name="Next").click()
    expect(math.locator("table").last.locator("tbody tr th").first).to_have_text("50")


def test_a_pair_without_computed_figures_still_has_its_difference(
    page: Any, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "MOST_PAIRS", 1)
    large = tmp_path / "large.html"
    large.write_text(render([read_folder(results)]), encoding="utf-8")
    page.goto(large.as_uri() + "#compare=confidence,probe")
    cells = {c.row: c for c in read_folder(results).cells}
    a, b = (cells[f"math/{arm}"].body.correctness() for arm in ("confidence", "probe"))
    shared = sorted({*a} & {*b})
    difference = sum(int(a[s].sum()) - int(b[s].sum()) for s in shared) / sum(len(a[s]) for s in shared)
    math = page.locator("[data-compared] section", has=page.locator("h2", has_text="math"))
    expect(math.locator("p strong").first).to_have_text(f"{difference:+.3f}, without an interval".replace("-", "−"))


def test_two_arms_are_compared_by_the_rows_that_they_keep(page: Any, one: str) -> None:
    page.goto(one + "#compare=confidence,probe")
    chess = page.locator("[data-compared] section", has=page.locator("h2", has_text="chess"))
    line = chess.locator("table", has=page.locator("caption", has_text="rows of the pool")).locator("tbody tr").first
    expect(line).to_be_visible()
    assert line.locator("td").all_inner_texts() == ["100", "100", "100", "100", "0.333"]
    math = page.locator("[data-compared] section", has=page.locator("h2", has_text="math"))
    expect(math.locator("caption", has_text="rows of the pool")).to_have_count(0)


def test_the_keyboard_reaches_everything(page: Any, one: str) -> None:
    page.goto(one)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("table.main a", has_text="probe").click()
    expect(page.locator("h1:visible")).to_have_text("probe")
    expect(
        page.locator("h1:visible")
    ).to_be_focused()  # the last that a change of view does: focus is ours from here on
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    expect(page.locator("h1:visible")).to_have_text("probe")  # the view stays
    page.locator("nav a", has_text="Board").click()
    expect(page.locator("h1:visible")).to_be_focused()
    expect(page.locator("table.main")).to_be_visible()
    marks, tip = page.locator(".panel a.mark"), page.locator("#tip")
    marks.first.focus()
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("PGR")
    page.keyboard.press("ArrowDown")
    expect(marks.nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator("[data-view='row']:visible")).to_have_count(1)


def test_boards_stand_beside_each_other(page: Any, two: str) -> None:
    page.goto(two)
    expect(page.locator("h1:visible")).to_have_text("toy: how much trust recovers")
    page.locator("nav a", has_text="toy-two").click()
    expect(page.locator("h1:visible")).to_have_text("toy-two: how much trust recovers")
    page.locator(".board:visible table.main a", has_text="confidence").click()
    expect(page).to_have_url(re.compile("board=toy-two"))
    expect(page.locator("[data-row]:visible")).to_have_count(1)
    page.locator("nav a", has_text="Compare").click()
    expect(page.locator("[data-compared]:visible section")).to_have_count(1)


@pytest.mark.parametrize(
    ("scheme", "hash"),
    [
        ("light", ""),
        ("dark", ""),
        ("light", "#row=probe"),
        ("dark", "#row=probe"),
        ("dark", "#compare=confidence,probe"),
    ],
)
def test_axe_finds_no_violation(browser: Any, one: str, scheme: str, hash: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1000, "height": 900})
    opened = context.new_page()
    opened.goto(one + hash)
    expect(opened.locator("h1:visible")).to_have_count(1)
    # The page's own policy lets no script in; the checker comes in beside it.
    found = axe.Axe().run(opened)
    told = found.generate_report() if found.violations_count else ""
    context.close()
    assert found.violations_count == 0, told


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(browser: Any, one: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    opened = context.new_page()
    for hash in ("", "#row=acme.verifier@layer=-1", "#compare=confidence,naive"):
        opened.goto("about:blank")
        opened.goto(one + hash)
        expect(opened.locator("h1:visible")).to_have_count(1)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width, hash
    context.close()


def test_colours_follow_the_system_and_the_button(browser: Any, one: str) -> None:
    context = browser.new_context(color_scheme="dark")
    opened = context.new_page()
    opened.goto(one)
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = opened.evaluate(paper)
    opened.locator("#theme").click()
    light = opened.evaluate(paper)
    assert light == "rgb(255, 255, 255)" != dark
    opened.reload()
    assert opened.evaluate(paper) == light
    opened.locator("#theme").click()
    assert opened.evaluate(paper) == dark
    context.close()


def test_without_scripts_everything_can_be_read(browser: Any, one: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(one)
    expect(opened.locator("table.main")).to_be_visible()
    expect(opened.get_by_role("heading", name="acme/engine").first).to_be_visible()
    expect(opened.get_by_label("Find an arm")).to_be_hidden()
    context.close()


def test_a_served_page_shows_what_comes(browser: Any, tmp_path: Path) -> None:
    results = tmp_path / "toy"
    cells = make_cells("w2s-bench/math", items=60)
    with open_server(results, None) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        context = browser.new_context()
        opened = context.new_page()
        told = Told(opened)
        opened.goto(address_of(server))
        expect(opened.locator("h1")).to_have_text("No results yet")
        write_cells(results, cells)
        expect(opened.locator("table.main")).to_be_visible()
        server.shutdown()
        server.server_close()
        expect(opened.locator("#live")).to_contain_text("The server has ended")
        context.close()
        thread.join(10)
    assert [e for e in told.errors if "ERR_CONNECTION_REFUSED" not in e] == []
    assert {url.split("/", 3)[2] for url in told.requests if not url.startswith("data:")} == {
        address_of(server).split("/")[2]
    }
