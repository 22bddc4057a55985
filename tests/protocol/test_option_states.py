"""States of every option and of the prompt: from the model to the trust function, and the contrast between options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage_functions import named
from support import run_stage
from w2s_bench import EvidenceError, Need, Ragged, contrast
from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.files import views
from w2s_bench.protocol.evidence.layers import checked, chosen
from w2s_bench.protocol.evidence.readings import built_in_reading
from w2s_bench.protocol.evidence.readings.base import part_of, to_arrays
from w2s_bench.protocol.files import ITEMS, PREDICTIONS
from w2s_bench.protocol.recipes import tuned
from w2s_bench.record import write_records
from w2s_bench.testing import synthetic_evidence
from w2s_bench.types import Item, Prediction, TrainingRow

STATES, PROMPTS = Need("teacher", "option_states", layers="all"), Need("teacher", "prompt_states", layers=[-1])


@pytest.mark.parametrize(
    ("layers", "count", "expected"),
    [
        ("middle", 25, [8, 12, 16]),
        ("middle", 7, [2, 3, 4]),
        ("middle", 3, [1]),
        ("middle", 2, [1]),
        ("all", 4, [1, 2, 3]),
        (-1, 4, [3]),
        (0, 4, [0]),
        ([1, -1], 4, [1, 3]),
    ],
)
def test_layers_are_counted_with_the_embedding_which_is_never_in_the_middle(
    layers: Any, count: int, expected: list[int]
) -> None:
    assert chosen(checked(layers, "x"), count) == expected


@pytest.mark.parametrize("layers", ["last", 1.0, True, [], [1, 1], [True], None, [1, "middle"]])
def test_wrong_layers_are_refused(layers: Any) -> None:
    with pytest.raises(ValueError, match="the layers of x must"):
        checked(layers, "x")


@pytest.mark.parametrize("layers", [4, -5, [1, 4]])
def test_layers_that_a_model_has_not_are_an_error(layers: Any) -> None:
    with pytest.raises(EvidenceError, match=r"of 4; 0 is the embedding, -1 the last"):
        chosen(checked(layers, "x"), 4)


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(0, 2**32 - 1))
def test_the_contrast_is_the_labels_state_minus_the_mean_of_the_others(counts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=(count, 2, 3)) for count in counts]
    index = np.array([rng.integers(count) for count in counts], dtype=np.int64)
    ragged = Ragged.from_rows(rows) if rows else Ragged(np.zeros((0, 2, 3)), np.zeros(1, dtype=np.int64))
    found = contrast(ragged, index)
    assert found.shape == (len(rows), 2, 3)
    for one, row, at in zip(found, rows, index, strict=True):
        others = np.delete(row, at, axis=0)
        expected = row[at] - others.mean(axis=0) if len(others) else np.zeros((2, 3))
        np.testing.assert_allclose(one, expected, atol=1e-12)


def test_the_contrast_of_one_number_an_option_and_its_errors() -> None:
    two = Ragged.from_rows([[1.0, 4.0], [2.0, 2.0, 8.0]])
    np.testing.assert_allclose(contrast(two, np.array([1, 2])), [3.0, 6.0])
    with pytest.raises(EvidenceError, match="answers are generated; read hidden_states"):
        contrast(two, None)
    with pytest.raises(EvidenceError, match="of 2 rows of states and 1 labels"):
        contrast(two, np.array([1]))
    with pytest.raises(EvidenceError, match="label 2 of row 0, which has 2 options"):
        contrast(two, np.array([2, 0]))


def test_a_part_of_the_file_is_that_part_of_the_rows(tmp_path: Path) -> None:
    from safetensors import safe_open

    from w2s_bench.record import write_arrays

    rows = [np.full((count, 2, 3), count, dtype=np.float32) for count in (2, 3, 4)]
    write_arrays(tmp_path / "reading.safetensors", to_arrays("option_array", rows))
    with safe_open(tmp_path / "reading.safetensors", framework="np") as file:
        assert part_of("option_array", file, 0, 3)["values"].dtype == np.float32
        part = part_of("option_array", file, 1, 2)
        np.testing.assert_array_equal(part["values"], rows[1])
        assert part["offsets"].tolist() == [0, 3]
        assert part_of("option_array", file, 1, 1)["values"].shape == (0, 2, 3)
    assert to_arrays("option_array", [])["offsets"].tolist() == [0]


def test_they_reach_the_view_as_the_model_gives_them(
    sources: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option's state against `hidden_states` of that option alone, in the order in which options are shown."""
    from w2s_bench.models.loading import load_engine

    engine = load_engine(sources["words"])
    items = [
        Item(
            f"i{n}",
            "g",
            "k",
            "s",
            f"the {word} is",
            tuple(f" {other}" for other in ("red", "blue", "old")[: 2 + n % 2]),
        )
        for n, word in enumerate(("cat", "dog", "house", "tree", "car"))
    ]
    labels = [
        Prediction(item.id, "x", (item.choices or ())[n % 2], False, n % 2, (0.0,) * len(item.choices or ()))
        for n, item in enumerate(items)
    ]
    split: dict[str, Path] = {"pool:items": tmp_path / "subset", "pool:labels": tmp_path / "labels"}
    for folder in split.values():
        folder.mkdir()
    write_records(split["pool:items"] / ITEMS, items)
    write_records(split["pool:labels"] / PREDICTIONS, labels)
    monkeypatch.setattr(tuned, "load_planned", lambda context: engine)
    for place, need in enumerate((STATES, PROMPTS)):
        params = {"model": {}, **tuned.as_params(need, None)}
        inputs = {"subset": split["pool:items"], "labels": split["pool:labels"]}
        split[f"pool:{need}"] = run_stage(tuned.read, tmp_path / f"read{place}", params, **inputs)
    seen = 0
    for shown in views(split, "pool", [STATES, PROMPTS], salt="s", fitting=False, rows=2):
        states, prompts = shown.option_states(layers="all"), shown.prompt_states(layers=[-1])
        assert shown.choices is not None and states.values.dtype == np.float64 and not states.values.flags.writeable
        for row, (prompt, options) in enumerate(zip(shown.prompts, shown.choices, strict=True)):
            alone = [TrainingRow("x", prompt, option, False, None, None) for option in options]
            expected = engine.hidden_states(alone, "all")[:, 1:]
            np.testing.assert_allclose(states[row], expected, atol=1e-5)
            bare = engine.hidden_states([TrainingRow("x", prompt, "", False, None, None)], -1)
            np.testing.assert_allclose(prompts[row], bare, atol=1e-5)
            seen += 1
    assert seen == len(items)


def test_the_middle_of_hidden_states_is_that_of_all(sources: Any) -> None:
    from w2s_bench.models.loading import load_engine

    engine = load_engine(sources["words"])
    rows = [TrainingRow("x", "the cat is", f" {word}", False, None, None) for word in ("red", "blue")]
    middle, every = (built_in_reading("hidden_states", {"layer": layer}) for layer in ("middle", "all"))
    assert middle is not None and every is not None
    states = np.asarray(every.read(engine, rows))
    np.testing.assert_array_equal(np.asarray(middle.read(engine, rows)), states[:, chosen("middle", states.shape[1])])


@pytest.mark.parametrize("layers", ["middle", "all", -2, [1, 2]])
def test_the_twins_lean_is_in_the_contrast_at_the_middle_depth(layers: Any) -> None:
    evidence, correct = synthetic_evidence("choice", 2000, 3, layers=5, width=8)
    states = evidence.option_states(layers=layers)
    found, at = contrast(states, evidence.label_index), chosen(checked(layers, "x"), 5)
    direction = np.random.default_rng(8).normal(size=8)
    direction /= np.linalg.norm(direction)
    assert found.shape == (2000, len(at), 8)
    own = np.stack([row[index] for row, index in zip(states, evidence.label_index, strict=True)])  # type: ignore[arg-type]
    for place, layer in enumerate(at):
        apart = [float(values[correct].mean() - values[~correct].mean()) for values in ((found @ direction)[:, place],)]
        assert (apart[0] > 1.5) == (layer == 2) and (abs(apart[0]) < 0.3) == (layer != 2)
        spread = [float((values[:, place] @ direction).std()) for values in (found, own)]
        assert spread[1] > 1.5 * spread[0], "one state by itself says little"


def test_of_a_generate_domain_there_are_none() -> None:
    evidence, _ = synthetic_evidence("generate", 5, 0)
    with pytest.raises(EvidenceError, match="there are no options"):
        evidence.option_states()
    assert evidence.prompt_states().shape == (5, 1, 6)


def test_a_head_leaves_the_states_of_the_model_below(sources: Any) -> None:
    from w2s_bench.protocol.planned import PlannedModel
    from w2s_bench.protocol.recipes import recipe_of

    model = PlannedModel("m", "f", "head")
    subset, labels, weights = named("subset"), named("predict"), named("train")
    for need in (STATES, PROMPTS):
        stage = recipe_of(model).read(Ask(need, recipe_of(model), model, weights, labels, subset))
        assert stage.params["model"]["recipe"] == "full" and "weights" not in stage.inputs


def test_scores_are_read_with_the_probabilities_that_they_make() -> None:
    """One stage serves both; what is shown differs by the softmax."""
    from w2s_bench.protocol.planned import PlannedModel
    from w2s_bench.protocol.recipes import recipe_of
    from w2s_bench.store.stage import Stage

    scores, probs = Need("student", "choice_scores"), Need("student", "choice_probs")
    model, subset, labels = PlannedModel("m", "f"), named("subset"), named("predict")

    def stage(need: Need) -> Stage:
        reading = built_in_reading(need.read, {})
        assert reading is not None and reading.comes_with_labels("teacher") and not reading.comes_with_labels("student")
        return reading.stage(Ask(need, recipe_of(model), model, None, labels, subset, 0, "x"))

    assert stage(scores).node == stage(probs).node
    raw = np.array([-4.0, -2.0])
    shown = [
        reading.shown(raw) for name in ("choice_scores", "choice_probs") if (reading := built_in_reading(name, {}))
    ]
    np.testing.assert_array_equal(shown[0], raw)
    np.testing.assert_allclose(shown[1], np.exp(raw) / np.exp(raw).sum())
