"""What `check-plugin` says of a distribution: every rule of every entry, and which is broken by what."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from w2s_bench._cli import check_plugin as verb
from w2s_bench._cli.app import app
from w2s_bench.errors import UnknownNameError
from w2s_bench.plugins.entries import Plugin, Problem, Registered
from w2s_bench.plugins.registry import Registry
from w2s_bench.testing import distributions, trust_function_checks
from w2s_bench.testing.distributions import Verdict, distribution_verdicts
from w2s_bench.types import Need


class Likely:
    """Mean log-probability of the label."""

    supervision: Any = "none"
    needs: Any = (Need("teacher", "label_logprobs"),)
    scope: Any = "row"

    def fit(self, evidence: Any, correct: Any, *, rng: Any) -> None:
        raise AssertionError("never called")

    def score(self, evidence: Any, *, rng: Any) -> Any:
        return np.array([row.mean() for row in evidence.label_logprobs()])


class Drawing(Likely):
    """It draws from a generator that is not its own."""

    def score(self, evidence: Any, *, rng: Any) -> Any:
        return super().score(evidence, rng=rng) + random.random()


class Quitting(Likely):
    """It leaves."""

    def score(self, evidence: Any, *, rng: Any) -> Any:
        raise SystemExit(3)


class Marked:
    """A reading whose twin has a row too few."""

    form = "array"

    def read(self, model: Any, rows: Any, *, rng: Any) -> Any:
        return np.zeros(len(rows))

    def synthetic(self, made_up: Any, *, rng: Any) -> Any:
        return np.zeros(len(made_up.rows) - 1)


def registered(name: str, kind: Any, factory: Callable[..., Any]) -> Registered:
    return Registered(f"acme/{name}", kind, factory, "acme", "2.0", "acme", __name__)


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    entries = [
        registered("likely", "trust_function", Likely),
        registered("drawing", "trust_function", Drawing),
        registered("quitting", "trust_function", Quitting),
        registered("marked", "reading", Marked),
    ]
    problem = Problem("acme", "acme", "2.0", "w2s_domains raised ValueError: no data")
    plugin = Plugin("acme", "acme", "2.0", "broken", tuple(entries), problem)
    return list(distribution_verdicts("Acme", registry=Registry.of([plugin])))


def test_every_rule_is_tried_on_every_entry(verdicts: list[Verdict]) -> None:
    rules = [*(str(check) for check in trust_function_checks()), "cost"]
    of_functions = [(v.name, v.rule) for v in verdicts if v.entry_kind == "trust function"]
    assert of_functions == [(f"acme/{name}", rule) for name in ("likely", "drawing", "quitting") for rule in rules]
    assert [(v.name, v.rule) for v in verdicts if v.entry_kind == "reading"] == [("acme/marked", "reading")]


def test_a_broken_rule_is_named_with_what_broke_it(verdicts: list[Verdict]) -> None:
    broken = {(v.name, v.rule): v.fault for v in verdicts if v.fault}
    assert broken["acme", "loads"] == "w2s_domains raised ValueError: no data"
    assert "take all randomness from `rng`" in broken["acme/drawing", "same_every_time-choice"]
    assert broken["acme/quitting", "scores_are_finite-generate"] == "raised SystemExit: 3"
    assert "shape (29," in broken["acme/marked", "reading"]
    assert not [name for name, _ in broken if name == "acme/likely"]


def test_the_verb(verdicts: list[Verdict], monkeypatch: pytest.MonkeyPatch) -> None:
    assert verb
    monkeypatch.setattr(
        distributions, "distribution_verdicts", lambda name, names, tell, awaits: (tell(v.rule) or v for v in verdicts)
    )
    told = CliRunner().invoke(app, ["check-plugin", "acme"])
    assert told.exit_code == 1
    assert "checking scores_are_finite-choice" in told.stderr and "checking" not in told.stdout, "what is checked now"
    assert "BROKEN  entry point acme: loads: w2s_domains raised ValueError: no data" in told.stdout
    assert "kept    trust function acme/likely: contract, scores_are_finite" in told.stdout
    rows = json.loads(CliRunner().invoke(app, ["check-plugin", "acme", "--json"]).stdout)
    assert [row["fault"] for row in rows] == [v.fault for v in verdicts]


def test_a_score_that_tells_no_rows_apart_is_a_note() -> None:
    class Constant(Likely):
        def score(self, evidence: Any, *, rng: Any) -> Any:
            return np.full(len(evidence), 0.5)

    entries = [registered("constant", "trust_function", Constant), registered("likely", "trust_function", Likely)]
    plugin = Plugin("acme", "acme", "2.0", "", tuple(entries), None)
    found = list(distribution_verdicts("acme", registry=Registry.of([plugin])))
    assert not [verdict for verdict in found if verdict.fault]
    said = {(v.name, remark) for v in found for remark in v.remarks if "one score" in remark}
    same = "all 400 made-up rows have one score; rows of equal score are kept by lot, as `random` does"
    assert said == {("acme/constant", f"{kind}: {same}") for kind in ("choice", "generate")}


def test_an_entry_is_checked_with_the_parameters_that_it_is_named_with() -> None:
    class Scaled(Likely):
        def __init__(self, by: float = 1.0) -> None:
            if by < 0:
                raise ValueError(f"by must be 0 or more, got {by!r}")
            self.by = by

        def score(self, evidence: Any, *, rng: Any) -> Any:
            return self.by * super().score(evidence, rng=rng) / (self.by != 2)

    registry = Registry.of([Plugin("acme", "acme", "2.0", "ok", (registered("scaled", "trust_function", Scaled),))])
    said: list[str] = []
    names = ["scaled", "acme/scaled:by=0.5", "scaled:by=2"]
    with np.errstate(divide="ignore"):
        found = list(distribution_verdicts("acme", names=names, registry=registry, tell=said.append))
    faults = {
        name: [v.rule for v in found if v.name == name and v.fault] for name in dict.fromkeys(v.name for v in found)
    }
    assert (
        faults["acme/scaled"] == faults["acme/scaled:by=0.5"] == []
        and "scores_are_finite-choice" in faults["acme/scaled:by=2"]
    )
    assert said[0] == "trust function acme/scaled: contract-choice" and len(said) == len(found) - 1


def test_names_that_nobody_has() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown plugin 'acme'.*install it first"):
        list(distribution_verdicts("acme"))
    with pytest.raises(UnknownNameError, match="did you mean w2s-bench/confidence"):
        list(distribution_verdicts("w2s-bench", names=["confidense"]))


def test_some_of_our_own_keep_every_rule() -> None:
    found = list(distribution_verdicts("w2s-bench", names=["confidence", "w2s-bench/mass_mean"]))
    assert {v.name for v in found if v.entry_kind == "trust function"} == {
        "w2s-bench/confidence",
        "w2s-bench/mass_mean",
    }
    assert [v for v in found if v.fault] == []
