"""`list trust` and docs/trust-functions.md: every function with its family, track, needs and cost, and the page is current."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from support import ROOT, toy_registry
from w2s_bench import Need
from w2s_bench._cli.app import app
from w2s_bench.errors import PluginError
from w2s_bench.plugins.registry import Registry
from w2s_bench.runs import functions
from w2s_bench.runs.functions import cost_of, family_of, function_rows
from w2s_bench.runs.functions_page import _escaped, page
from w2s_bench_baselines import FAMILIES, w2s_trust_functions


def test_the_page_is_made_from_the_code() -> None:
    written = (ROOT / "docs" / "trust-functions.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m w2s_bench.runs.functions_page > docs/trust-functions.md"


def test_every_function_has_a_row_and_a_whole_docstring() -> None:
    text = page()
    for name, factory in w2s_trust_functions().items():
        assert text.count(f"\n### {name}\n") == 1
        assert text.count(f"| [`{name}`](#{name})") == 1
        said = " ".join((factory.__doc__ or "").split()).lower()
        assert "cost" in said or name in ("confidence", "probe", "student_probe", "verifier"), (
            f"{name}: what does it cost?"
        )


def test_families_are_the_packages_of_the_baselines() -> None:
    rows = function_rows(Registry.load([]))
    assert {row.family for row in rows} == {family.__name__.rpartition(".")[2] for family in FAMILIES}
    by_name = {row.name: row for row in rows}
    assert by_name["option_margin"].family == "confidence" and by_name["option_margin"].cost == "none"
    assert by_name["probe"].track == "trust_set"
    assert by_name["verifier"].cost == "tuning the verifier, a pass of the verifier"
    assert by_name["confidence"].cost == "a pass of the teacher (generate)"
    assert by_name["arithmetic_steps"].kinds == "generate" and by_name["arithmetic_steps"].needs == ()
    places = [(row.family, functions.TRACKS.index(row.track)) for row in rows]  # type: ignore[arg-type]
    assert places == sorted(places)
    assert not [row.fault for row in rows if row.fault]


@pytest.mark.parametrize(
    ("needs", "cost"),
    [
        ([], "none"),
        ([Need("teacher", "choice_probs")], "none"),
        ([Need("student", "hidden_states", -1), Need("student", "choice_probs")], "a pass of the untuned student"),
        ([Need("student", "choice_probs", when="choice")], "a pass of the untuned student (choice)"),
        (
            [Need("student", "choice_probs", when="choice"), Need("student", "label_logprobs", when="generate")],
            "a pass of the untuned student",
        ),
        ([Need("teacher", "acme/samples", k=8)], "acme/samples of the teacher"),
    ],
)
def test_the_cost_is_what_is_read_of_models(needs: list[Need], cost: str) -> None:
    assert cost_of(needs) == cost


@pytest.mark.parametrize(
    ("module", "family"),
    [
        ("acme", "other"),
        ("acme.lid", "other"),
        ("acme.geometry.lid", "geometry"),
        ("org.acme.trust.geometry.lid", "geometry"),
    ],
)
def test_a_family_is_the_package_of_the_module(module: str, family: str) -> None:
    def factory() -> None: ...

    factory.__module__ = module
    registered: Any = type("Registered", (), {"factory": staticmethod(factory)})
    assert family_of(registered) == family


def test_a_plugins_functions_stand_beside_and_a_broken_one_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    theirs = [row for row in function_rows(registry) if "/" in row.name]
    assert theirs and all(row.track != "?" for row in theirs)
    monkeypatch.setattr(functions, "declarations", lambda registry, specs: [PluginError("no scope")] * len(specs))
    broken = function_rows(registry)[0]
    assert (
        broken.fault == "no scope" and broken.shown()["summary"] == "no scope" and broken.shown()["needs"] == "nothing"
    )


def test_the_command_groups_by_family_and_track() -> None:
    told = CliRunner().invoke(app, ["list", "trust", "--json"])
    assert told.exit_code == 0, told.output
    rows = json.loads(told.stdout)
    assert {"family", "track", "name", "domains", "needs", "cost", "from", "summary"} == set(rows[0])
    shown = CliRunner().invoke(app, ["list", "trust"], env={"COLUMNS": "200"}).stdout
    assert "trust · geometry · track none" in shown and "trust · learned · track trust_set" in shown


def test_prose_is_no_markdown() -> None:
    assert _escaped("a*b [0, 1] < `x*y`") == r"a\*b \[0, 1\] \< `x*y`"
