"""A reading is one file, or a plugin's: planned, read, shown and made up for tests by what it says of itself alone."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pytest

from stage_functions import named
from support import ROOT, ended, run_inline, run_stage, toy_environment, toy_registry, toy_suite
from w2s_bench.errors import PluginError, UnknownNameError, W2SBenchError
from w2s_bench.executors import Done, Event, Failed
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.executors.local.hosts import Host, host_of
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import needs
from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence import readings
from w2s_bench.protocol.evidence.files import view
from w2s_bench.protocol.evidence.readings import built_in_reading, built_in_readings, documentation
from w2s_bench.protocol.evidence.readings.base import BuiltInReading
from w2s_bench.protocol.evidence.registered import disguise, run_reading, validated
from w2s_bench.protocol.files import ITEMS, PREDICTIONS, READING
from w2s_bench.protocol.needs import PlannedNeed, Readers, lacks, planned_needs
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.protocol.recipes import RECIPES, recipe_of, tuned
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import read_arrays, read_records, write_records
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Code, Stage
from w2s_bench.suite import Suite
from w2s_bench.testing import check_reading, check_trust_function, synthetic_evidence
from w2s_bench.types import KINDS, OPTION_FORMS, Item, Kind, Need, Prediction, Ragged, Reader, TrainingRow

#: Each of the harness's own readings with parameters that it takes, in whole.
OWN: dict[str, dict[str, Any]] = {
    "choice_probs": {},
    "choice_scores": {},
    "ensemble": {"k": 2},
    "gradients": {"size": 16},
    "label_states": {"layers": "middle"},
    "mc_dropout": {"k": 2},
    "label_entropies": {},
    "label_logprobs": {},
    "label_prior": {},
    "hidden_states": {"layer": -1},
    "option_states": {"layers": "middle"},
    "prompt_states": {"layers": [1, -1]},
    "dynamics": {"points": 3},
    "p_true": {},
    "sample_covariance": {"k": 2},
    "samples": {"k": 2},
}
SURPRISE, TOY = "w2s-bench-toy/surprise", "w2s-bench-toy"


# --- the harness's own -----------------------------------------------------------------------------------------------


def test_every_reading_has_its_row_in_the_documentation() -> None:
    assert set(built_in_readings()) == set(OWN)
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert f"\n{documentation()}\n" in text, "write into docs/plugins.md what `readings.documentation()` gives"


@pytest.mark.parametrize("of", get_args(Reader))
@pytest.mark.parametrize("name", OWN)
def test_every_reading_has_a_twin_of_its_form(name: str, of: Reader) -> None:
    need = Need(of, name, **OWN[name])
    reading = built_in_reading(name, OWN[name])
    assert reading is not None
    for kind in reading.kinds:
        evidence, correct = synthetic_evidence(kind, 300, 5, signal=3, layers=5)
        values = evidence.read(need)
        assert isinstance(values, Ragged) == (reading.form != "array") and len(values) == 300
        if reading.form in OPTION_FORMS:
            assert evidence.choices is not None
            assert [len(row) for row in values] == [len(options) for options in evidence.choices]
        again = synthetic_evidence(kind, 300, 5, signal=3, layers=5)[0]
        again.read(Need("student", "label_logprobs"))  # what else is read changes nothing
        np.testing.assert_array_equal(flat(values), flat(again.read(need)))
        assert correct.any() and not correct.all()


def flat(values: Any) -> Any:
    return values.values if isinstance(values, Ragged) else values


@pytest.mark.parametrize("recipe", sorted(RECIPES))
@pytest.mark.parametrize("name", OWN)
def test_a_recipe_reads_what_it_says_it_gives(name: str, recipe: Any) -> None:
    model, need = PlannedModel("m", "f", recipe), Need("teacher", name, **OWN[name])
    labels, subset, weights = (named(one, {"split": "test"}) for one in ("predict", "subset", "train"))
    reading = built_in_reading(name, OWN[name])
    assert reading is not None
    if recipe_of(model).gives(reading, tuned=True):
        stage = recipe_of(model).read(Ask(need, recipe_of(model), model, weights, labels, subset))
        assert (stage.params["read"], stage.params["layer"]) == (name, need.layer)
        others = {"parameters"} if set(OWN[name]) - {"layer"} else set()
        assert set(stage.params) - {"model"} == {"read", "layer"} | others, (
            "a need without other parameters leaves keys as they are"
        )
    else:
        with pytest.raises(W2SBenchError, match=f"model 'm' tuned by recipe '{recipe}' gives no {name}"):
            recipe_of(model).read(Ask(need, recipe_of(model), model, weights, labels, subset))


ONE_FILE = """
import numpy as np
from w2s_bench.protocol.evidence.readings.base import BuiltInReading

class Samples(BuiltInReading):
    form, draws, kinds = "tokens", True, ("generate",)
    call, says = "read(Need(of, 'lengths', k=…))", "lengths of k labels drawn beside the label"

    def __init__(self, k, temperature=1.0):
        self.k = k

    def read(self, model, rows, *, rng=None):
        return [len(row.completion) + rng.integers(0, 9, self.k) for row in rows]

    def synthetic(self, made_up, *, rng):
        return self.read(None, made_up.rows, rng=rng)

READING = Samples
"""


def test_a_file_is_a_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planned, run, stored, shown, made up and documented: nothing but its file knows of it."""
    (tmp_path / "lengths.py").write_text(ONE_FILE)
    monkeypatch.setattr(readings, "__path__", [*readings.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, f"{readings.__name__}.lengths", raising=False)
    built_in_readings.cache_clear()
    try:
        need = Need("teacher", "lengths", k=3)
        assert "\n| `read(Need(of, 'lengths', k=…))` | lengths of k labels" in documentation()
        assert [len(row) for row in cast(Ragged, synthetic_evidence("generate", 5, 0)[0].read(need))] == [3] * 5
        (planned,) = planned_needs(Registry.of(()), [need], "who")
        one = (PlannedModel("m", "f"), None)
        asked = Readers(one, one, one)
        stages = needs.readings(
            [planned],
            asked,
            kind="generate",
            labels=named("predict"),
            subset=named("subset"),
            fitting=True,
            label="x",
            seed=lambda need: 7,
        ).stages
        params = {"read": "lengths", "layer": None, "parameters": {"k": 3}, "seed": 7}
        assert stages[need].params == {"model": one[0].params, **params} and str(need) == "teacher.lengths[k=3]"
        items = [Item(f"i{n}", "g", "k", "s", "p", None) for n in range(9)]
        labels = [Prediction(item.id, "a", "a" * 10 * n, True) for n, item in enumerate(items)]
        inputs = {name: tmp_path / name for name in ("subset", "labels")}
        for folder, file, records in (("subset", ITEMS, items), ("labels", PREDICTIONS, labels)):
            inputs[folder].mkdir()
            write_records(inputs[folder] / file, records)
        monkeypatch.setattr(tuned, "load_planned", lambda context: None)
        read = run_stage(tuned.read, tmp_path / "read", stages[need].params, **inputs)
        split = {"pool:items": inputs["subset"], "pool:labels": inputs["labels"], f"pool:{need}": read}
        shown = view(split, "pool", [need], salt="s", fitting=False)
        found = [[int(x) // 10 for x in row] for row in cast(Ragged, shown.read(need))]
        assert found == [[len(label) // 10] * 3 for label in shown.labels]
        with pytest.raises(W2SBenchError, match="needs a value for k"):
            planned_needs(Registry.of(()), [Need("teacher", "lengths")], "who")
    finally:
        built_in_readings.cache_clear()


# --- a plugin's ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2S_TOY_BROKEN", "surprise,untold,reads_faulty")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Any:
    return toy_registry(monkeypatch)


def planned(models: Path, registry: Any, *, trust: str = SURPRISE, recipe: str = "full", **chosen: Any) -> Plan:
    suite = toy_suite(models, seeds=1)
    domains = []
    for domain in suite.model_dump()["domains"]:
        chosen_recipe = recipe if domain["name"].endswith("largest") else "full"
        tuned = {role: {**domain[role], "recipe": chosen_recipe} for role in ("teacher", "student")}
        domains.append({**domain, **tuned})
    return plan(Suite.model_validate({**suite.model_dump(), "domains": domains}), registry, trust=[trust], **chosen)


def scores_of(made: Plan, domain: str, name: str = "surprise") -> Stage:
    (cell,) = (cell for cell in made.cells if cell.row.endswith(name) and cell.task.domain.name.endswith(domain))
    scores = cell.stages[0].scores
    assert scores is not None
    return scores


@pytest.mark.slow
def test_a_plugins_reading_reaches_its_trust_function(models: Path, tmp_path: Path, registry: Any) -> None:
    """End to end: planned, run by the engine, stored row by row, shown in the view's own order, and scored."""
    made = planned(models, registry)
    scores = {domain: scores_of(made, domain) for domain in ("largest", "sums")}
    store = Store(tmp_path)
    outcomes = run_inline([*scores.values()], store, registry)
    for domain, stage in scores.items():
        outcome = outcomes[stage.node]
        assert isinstance(outcome, Done), outcome.reason
        assert np.isfinite(Scores.read(outcome.result.path).values).all()
        reads = {name.partition(":")[2]: one for name, one in stage.inputs.items() if one.name == "reading"}
        expected = {"teacher.w2s-bench-toy/prompt_logprob[skip=2]", "student.w2s-bench-toy/noise[k=3]"}
        assert set(reads) == expected | ({"teacher.w2s-bench-toy/option_lengths"} if domain == "largest" else set())
        for need, one in reads.items():
            assert one.code == Code("reading", one.params["reading"]["name"])
            assert one.params["reading"]["plugin"] == {
                "distribution": TOY,
                "version": "1.0",
                "source": registry.source_digest(registry.resolve("reading", one.params["reading"]["name"])),
            }
            asks = "prompt_logprob" in need
            assert "torch" in one.libraries, "the module of the reading imports it"
            assert ("model" in one.params, "weights" in one.inputs, "transformers" in one.libraries) == (asks,) * 3
    stage = next(one for name, one in scores["largest"].inputs.items() if "option_lengths" in name)
    folder = result(outcomes, stage)
    labels = read_records(result(outcomes, stage.inputs["labels"]) / PREDICTIONS, Prediction)
    stored = read_arrays(folder / READING)
    chosen = [stored["values"][start + label.index] for start, label in zip(stored["offsets"], labels, strict=False)]
    assert chosen == [len(label.completion) for label in labels], "rows of labels, options as their documents have them"


def result(outcomes: Any, stage: Stage) -> Path:
    outcome = outcomes[stage.node]
    assert isinstance(outcome, Done), outcome.reason
    return Path(outcome.result.path)


@pytest.mark.slow
def test_it_runs_in_processes_of_its_own_with_the_harness_own_models(
    tmp_path: Path, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run does it: the model is the harness's, the code a plugin's, and the two meet in no engine."""
    for name, value in toy_environment().items():
        monkeypatch.setenv(name, value)
    sizes = {"dev": 10, "test": 10, "weak_train": 10, "trust": 10, "transfer": 20}
    training = {"model": "tiny/knowledge-s", "steps": 1, "batch_size": 2, "learning_rate": 1e-3}
    version = registry.domain("w2s-bench/knowledge").version
    domain = {
        "name": "w2s-bench/knowledge",
        "version": version,
        "sizes": sizes,
        "teacher": training,
        "student": training,
    }
    suite = Suite.model_validate({"name": "small", "version": "1", "seeds": 1, "domains": [domain]})
    stage = scores_of(plan(suite, registry, trust=[SURPRISE]), "knowledge")
    reads = [one for one in stage.inputs.values() if one.name == "reading"]
    assert {host_of(one, lambda: frozenset({TOY})) for one in reads} == {Host("reading", TOY)}
    inline = run_inline([stage], Store(tmp_path / "inline"), registry)
    # What comes before the plugin's own stages is there already: no engine starts for it.
    store = Store(shutil.copytree(tmp_path / "inline", tmp_path / "processes"))
    for one in (*reads, stage):
        shutil.rmtree(store.root / result(inline, one).relative_to(tmp_path / "inline"))
    told: list[Event] = []
    outcomes = LocalExecutor(workers=1).run([stage], store, told.append)
    assert {one.node for one in ended(told, "new")} == {one.node for one in (*reads, stage)}
    assert len(Scores.read(result(outcomes, stage)).values) == 20
    for one in (*reads, stage):
        done, same = outcomes[one.node], inline[one.node]
        assert isinstance(done, Done) and isinstance(same, Done) and done.result.content == same.result.content


def test_what_a_domain_does_not_give_is_said_where_it_is_read(models: Path, tmp_path: Path, registry: Any) -> None:
    made = planned(models, registry, trust=f"{TOY}/untold")
    stage = scores_of(made, "sums", "untold")
    outcome = run_inline([stage], Store(tmp_path), registry)[stage.node]
    assert isinstance(outcome, Failed)
    assert (
        "read teacher.w2s-bench-toy/option_lengths, of which there is none: reading 'w2s-bench-toy/option_lengths' is for "
        "choice domains alone, and this is a generate domain"
    ) in outcome.reason


def test_of_a_head_it_is_read_from_the_untuned_model_or_not_at_all(models: Path, registry: Any) -> None:
    stage = scores_of(planned(models, registry, recipe="head"), "largest")
    reads = {name: one for name, one in stage.inputs.items() if one.name == "reading" and "model" in one.params}
    assert reads and all(one.params["model"]["recipe"] == "full" for one in reads.values())
    assert not any("weights" in one.inputs for one in reads.values())


def test_the_verifier_is_not_asked_of_the_rows_that_it_was_trained_on(registry: Any) -> None:
    planned = planned_needs(
        registry, [Need("verifier", f"{TOY}/prompt_logprob"), Need("verifier", f"{TOY}/noise", k=1)], "x"
    )
    one = (PlannedModel("m", "f"), named("train"))
    settings: dict[str, Any] = {"kind": "choice", "labels": named("predict"), "subset": named("subset"), "label": ""}
    for fitting in (False, True):
        read = needs.readings(planned, Readers(one, one, one), fitting=fitting, seed=lambda need: 0, **settings)
        assert len(read.stages) == (0 if fitting else 2) and len(read.shown_as) == 2


@pytest.mark.parametrize(
    ("changes", "model", "said"),
    [
        ({"of_head": None}, PlannedModel("m", "f", "head"), "the teacher, model 'm' tuned by recipe 'head'"),
        ({}, PlannedModel("beta/large", "f"), "and model 'beta/large', the teacher, are code of two plugins"),
        ({}, PlannedModel("w2s-bench-toy/large", "f"), None),
        ({}, PlannedModel("tiny/large", "f"), None),
        ({}, PlannedModel("local//somewhere", "f"), None),
        ({"asks_model": False}, PlannedModel("beta/large", "f", "head"), None),
        (
            {"kinds": ("generate",)},
            PlannedModel("m", "f"),
            "is for generate domains alone, and this is a choice domain",
        ),
    ],
)
def test_what_a_model_or_domain_cannot_give_names_both(
    changes: dict[str, Any], model: PlannedModel, said: str | None, registry: Any
) -> None:
    (need,) = planned_needs(registry, [Need("teacher", f"{TOY}/prompt_logprob")], "who")
    need = replace(need, reading=replace(need.reading, **changes))  # type: ignore[type-var]
    weights = named("train")
    found = lacks(need, Readers((model, weights), (model, None), (model, weights)), "choice")
    assert found is None if said is None else found and said in found and f"{TOY}/prompt_logprob" in found
    if changes.get("of_head", "") is None:  # of the student there is what was before any head
        student = replace(need, need=replace(need.need, of="student"))
        assert lacks(student, Readers((model, weights), (model, None), (model, weights)), "choice") is None


WRONG_NEEDS = {
    "unknown": (Need("teacher", "choice_prob"), "unknown reading 'choice_prob'; did you mean choice_probs?"),
    "bare": (Need("teacher", "noise"), r"did you mean w2s-bench-toy/noise\?.* A plugin's is written in full"),
    "not installed": (Need("teacher", "acme/noise"), "unknown reading 'acme/noise'"),
    "no such parameter": (Need("teacher", "choice_probs", k=3), "unknown parameter of reading 'choice_probs' 'k'"),
    "a layer": (Need("teacher", "choice_probs", -1), "unknown parameter of reading 'choice_probs' 'layer'"),
    "no layer": (Need("teacher", "hidden_states"), "needs a value for layer"),
    "parameter lacks": (Need("teacher", f"{TOY}/noise"), "needs a value for k"),
    "refused": (Need("teacher", f"{TOY}/noise", k=0), "k must be at least 1, got 0"),
    "no options": (Need("teacher", "choice_probs", when="generate"), "write when='choice'"),
    "a plugin's too": (Need("teacher", f"{TOY}/option_lengths", when="generate"), "write when='choice'"),
}


@pytest.mark.parametrize("case", WRONG_NEEDS)
def test_a_need_that_nothing_reads_is_refused_while_planning(case: str, registry: Any) -> None:
    need, said = WRONG_NEEDS[case]
    with pytest.raises(W2SBenchError, match=f"trust function 'acme/x': need .*{said}"):
        planned_needs(registry, [need], "trust function 'acme/x'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "np.zeros(n + 1)",
            "gave an array of float64 of shape (101,); expected a numpy array of numbers of shape (100, …)",
        ),
        ("__import__('sys').exit(3)", "raised SystemExit: 3"),
    ],
)
def test_a_faulty_reading_costs_its_own_arms_and_says_why(
    models: Path, tmp_path: Path, registry: Any, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    monkeypatch.setenv("W2S_TOY_READING", code)
    made = planned(models, registry, trust=f"{TOY}/reads_faulty", domains=["w2s-bench-toy/largest"])
    stage = scores_of(made, "largest", "reads_faulty")
    outcome = run_inline([stage], Store(tmp_path), registry)[stage.node]
    assert isinstance(outcome, Failed)
    assert f"reading 'w2s-bench-toy/faulty' {said}" in outcome.reason


@pytest.mark.parametrize(
    ("form", "given", "said"),
    [
        ("options", [[1.0], [1.0, 2.0]], "shape \\(1,\\) for row 0"),
        ("tokens", [[[1.0]], [2.0]], "shape \\(1, 1\\) for row 0"),
        ("tokens", [[1.0], [np.inf]], "the first in row 1"),
        ("tokens", "ab", "gave a str"),
        ("tokens", None, "gave a NoneType"),
        ("array", np.zeros((2, 2), dtype=np.complex128), "complex128"),
        (
            "option_array",
            [np.zeros((2, 3)), np.zeros((2, 4))],
            r"shape \(2, 4\) for row 1; .*\(k, …\), of one … for all",
        ),
        ("option_array", [np.zeros((2, 3)), np.zeros((3, 3))], r"shape \(3, 3\) for row 1"),
        ("option_array", [np.zeros((2, 3)), np.full((2, 3), np.nan)], "the first in row 1"),
        ("option_array", [1.0, 2.0], r"shape \(\) for row 0"),
    ],
)
def test_numbers_are_held_to_their_form(form: Any, given: Any, said: str) -> None:
    rows = [TrainingRow(name, "p", "c", False, ("a", "b"), 0) for name in "xy"]
    with pytest.raises(W2SBenchError, match=said):
        validated("acme/x", form, given, rows)
    for fine in ([np.ones(2), [1, 2]] if form != "array" else np.ones((2, 0, 3)),):
        assert len(validated("acme/x", form, fine, rows)) == 2


def test_a_reading_cannot_tell_gold_by_any_order() -> None:
    """Ids say nothing, rows are in another order, and the place of the label among the options is no hint."""
    rows = [TrainingRow(f"item-{i:04d}", f"p{i}", "a", False, ("a", "b", "c", "d"), 0) for i in range(2000)]
    disguised, order, permutations = disguise(rows)
    assert not any("item" in row.id for row in disguised)
    assert [rows[place].prompt for place in order] == [row.prompt for row in disguised]
    assert abs(np.corrcoef(order, np.arange(2000))[0, 1]) < 0.1
    counts = np.bincount([row.index for row in disguised if row.index is not None], minlength=4)
    assert abs(counts - 500).max() < 97  # standard deviation 19.4; five of them
    for row, permutation in zip(disguised, permutations, strict=True):
        assert row.choices == tuple("abcd"[i] for i in permutation) and row.choices[row.index or 0] == "a"


def test_a_changed_plugin_reads_nothing_more(models: Path, registry: Any, tmp_path: Path) -> None:
    stage = next(
        one for one in scores_of(planned(models, registry), "largest").inputs.values() if one.name == "reading"
    )
    params = {**stage.params, "reading": {**stage.params["reading"], "plugin": {"source": "another"}}}
    changed = Stage(run_reading, params, stage.inputs, label="changed")
    outcome = run_inline([changed], Store(tmp_path), registry)[changed.node]
    assert isinstance(outcome, Failed) and "changed on disk since the run began; run again" in outcome.reason


@pytest.mark.parametrize("kind", KINDS)
def test_twins_of_plugins_serve_the_checks_of_trust_functions(kind: Kind, registry: Any) -> None:
    from w2s_bench_toy.readings import Noise, OptionLengths, PromptLogprob, Surprise

    check_trust_function(Surprise, (kind,))
    for reading in (PromptLogprob(), OptionLengths(), Noise(2)):
        check_reading(reading)
    with pytest.raises(W2SBenchError, match=r"read student\.w2s-bench-toy/noise\[k=2\], which it did not declare"):
        synthetic_evidence(kind, 5, 0)[0].declaring(Surprise.needs).read(Need("student", f"{TOY}/noise", k=2))


def test_checks_say_what_is_wrong_with_a_twin_or_a_need(registry: Any) -> None:
    from w2s_bench_toy.readings import Noise, Surprise

    class Unseeded(Noise):  # type: ignore[misc]
        def synthetic(self, made_up: Any, *, rng: Any) -> Any:
            return [np.random.default_rng().random(2) for _ in made_up.rows]

    class Short(Noise):  # type: ignore[misc]
        def synthetic(self, made_up: Any, *, rng: Any) -> Any:
            return []

    class Misspelt(Surprise):  # type: ignore[misc]
        needs = (Need("teacher", "choice_prob"),)

    evidence = synthetic_evidence("generate", 5, 0)[0]
    with pytest.raises(W2SBenchError, match="option_lengths' is for choice domains alone"):
        evidence.read(Need("teacher", f"{TOY}/option_lengths"))
    with pytest.raises(PluginError, match=r"faulty': synthetic raised KeyError: 'none' \(readings.py:"):
        evidence.read(Need("teacher", f"{TOY}/faulty"))
    with pytest.raises(AssertionError, match="take all randomness from `rng`"):
        check_reading(Unseeded(1))
    with pytest.raises(AssertionError, match="synthetic: reading 'Short' gave a list of length 0; expected 30 arrays"):
        check_reading(Short(1))
    with pytest.raises(AssertionError, match=r"did you mean choice_probs or choice_scores\?"):
        check_trust_function(Misspelt)


def test_a_reading_keeps_its_contract(registry: Any) -> None:
    from w2s_bench.plugins.checks import check_reading

    class Sound:
        form = "array"

        def read(self, model: Any, rows: Any, *, rng: Any) -> Any: ...

        def synthetic(self, made_up: Any, *, rng: Any) -> Any: ...

    check_reading("x", Sound())
    for name, value, said in (
        ("form", "matrix", "form must be one of 'array', 'tokens', 'options', 'option_array', got 'matrix'"),
        ("kinds", ("essay",), "kinds must be a tuple of"),
        ("of_head", "states", "of_head must be 'untuned' or None, got 'states'"),
        ("asks_model", 1, "asks_model must be True or False, got 1"),
        ("read", None, "read must be a method"),
        ("read", lambda model, rows: None, r"cannot be called as read\(model, rows, \*, rng\)"),
        ("synthetic", lambda: None, "cannot be called as synthetic"),
    ):
        built = Sound()
        setattr(built, name, value)
        with pytest.raises(PluginError, match=said):
            check_reading("x", built)
    assert isinstance(registry.table("reading")[f"{TOY}/noise"].summary, str)
    with pytest.raises(UnknownNameError):
        registry.reading(f"{TOY}/nois")
    assert isinstance(planned_needs(registry, [Need("teacher", f"{TOY}/noise", k=2)], "x")[0], PlannedNeed)


def test_what_comes_with_labels_is_made_of_them() -> None:
    """A reading that needs no stage of a reader says how a label gives it; any other, that it does not."""
    label = Prediction("i", "a", "a", False, 0, (0.5, -1.0))
    for name in built_in_readings():
        reading = built_in_reading(name, OWN[name])
        assert reading is not None
        if any(reading.comes_with_labels(of) for of in ("teacher", "student", "verifier")):
            assert reading.from_label(label).tolist() == [0.5, -1.0]
        else:
            with pytest.raises(NotImplementedError, match="write its from_label"):
                reading.from_label(label)


def test_a_reading_with_neither_call_nor_stage_of_its_own_says_what_to_write() -> None:
    reading: Any = built_in_reading("choice_probs", {})
    with pytest.raises(
        NotImplementedError, match=f"{type(reading).__name__} asks no model itself; write its read, or its stage"
    ):
        BuiltInReading.read(reading, cast(Any, None), [])
