"""Evidence is a read-only view without gold, under ids and an order of options that say nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage_functions import named
from w2s_bench.errors import EvidenceError, W2SBenchError
from w2s_bench.protocol.evidence.readings import built_in_reading
from w2s_bench.protocol.evidence.view import EvidenceView, item_ids
from w2s_bench.protocol.needs import Readers, needs_stage, own_need, readings
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.store.stage import Stage
from w2s_bench.types import Item, Need, Prediction, Ragged

PROBS, STUDENT_PROBS = Need("teacher", "choice_probs"), Need("student", "choice_probs")
LOGPROBS, VERIFIED = Need("teacher", "label_logprobs"), Need("verifier", "label_logprobs")
LAST, EVERY = Need("teacher", "hidden_states", -1), Need("teacher", "hidden_states", "all")
STATES = Need("student", "acme/states", 0, pool="mean", spans=[1, 2])
NEEDS = (PROBS, STUDENT_PROBS, LOGPROBS, VERIFIED, LAST, EVERY)


def made(
    n: int, *, options: int = 4, seed: int = 0
) -> tuple[list[Item], list[Prediction], dict[str, np.ndarray[Any, Any]]]:
    """n items with weak labels, and by item id a number that every reading below is made from."""
    rng = np.random.default_rng(seed)
    items, labels, scores = [], [], {}
    for i in range(n):
        item_id = f"item-{i:03d}"
        choices = tuple(f" option {i} {c}" for c in range(options))
        items.append(Item(item_id, f"g{i}", f"k{i}", "s", f"prompt {i}", choices))
        scores[item_id] = rng.normal(size=options) * 3
        best = int(scores[item_id].argmax())
        labels.append(
            Prediction(item_id, choices[best], choices[best], False, best, tuple(float(s) for s in scores[item_id]))
        )
    return items, labels, scores


def arrays_for(labels: list[Prediction], scores: dict[str, np.ndarray[Any, Any]]) -> dict[Need, dict[str, Any]]:
    """Readings as stages store them: one row a label, in the order of the labels."""

    def ragged(rows: list[Any]) -> dict[str, Any]:
        made = Ragged.from_rows(rows)
        return {"values": made.values, "offsets": made.offsets}

    number = [float(label.id[-3:]) for label in labels]
    return {
        STUDENT_PROBS: ragged([scores[label.id] / 2 for label in labels]),
        LOGPROBS: ragged([[-x - 1] * (1 + int(x) % 3) for x in number]),
        VERIFIED: ragged([[-x - 2] for x in number]),
        LAST: {"states": np.array([[x, x + 0.5] for x in number], dtype=np.float32)},
        EVERY: {"states": np.array([[[x, 0], [x, 1], [x, 2]] for x in number], dtype=np.float32)},
    }


def view(n: int = 30, *, salt: str = "toy 0 transfer", order: list[int] | None = None, **changes: Any) -> EvidenceView:
    items, labels, scores = made(n)
    if order is not None:
        labels = [labels[i] for i in order]
    settings = {"declared": NEEDS, "arrays": arrays_for(labels, scores), "fitting": False, **changes}
    return EvidenceView(items, labels, salt=salt, **settings)


def numbers(evidence: EvidenceView) -> list[int]:
    return [int(i[-3:]) for i in item_ids(evidence)]


def test_ids_are_unique_sorted_and_say_nothing() -> None:
    evidence = view(400)
    assert len(set(evidence.ids)) == len(evidence) == 400
    assert list(evidence.ids) == sorted(evidence.ids)
    assert not any("item" in i for i in evidence.ids)
    # The rank of an item's id against its place in the domain: standard deviation .05; four of them.
    assert abs(np.corrcoef(numbers(evidence), np.arange(400))[0, 1]) < 0.2
    others = [view(400, salt=salt) for salt in ("toy 1 transfer", "other 0 transfer", "toy 0 trust")]
    for other in others:
        assert not set(evidence.ids) & set(other.ids)
        assert item_ids(other) != item_ids(evidence)


@given(st.permutations(range(12)))
@settings(deadline=None, max_examples=30)
def test_everything_is_joined_by_id_whatever_the_order_of_the_labels(order: list[int]) -> None:
    straight, shuffled = view(12), view(12, order=order)
    for name in ("ids", "prompts", "labels", "choices"):
        assert getattr(straight, name) == getattr(shuffled, name)
    np.testing.assert_array_equal(straight.label_index, shuffled.label_index)
    for of in ("teacher", "student"):
        assert list(map(list, straight.choice_probs(of))) == list(map(list, shuffled.choice_probs(of)))
    for of in ("teacher", "verifier"):
        assert list(map(list, straight.label_logprobs(of))) == list(map(list, shuffled.label_logprobs(of)))
    for layer in (-1, "all"):
        np.testing.assert_array_equal(straight.hidden_states(layer=layer), shuffled.hidden_states(layer=layer))


def test_every_row_tells_of_its_own_item() -> None:
    evidence = view(30)
    items, labels, _ = made(30)
    assert evidence.choices is not None and evidence.label_index is not None
    states, every = evidence.hidden_states(), evidence.hidden_states(layer="all")
    assert states.shape == (30, 2) and every.shape == (30, 3, 2) and states.dtype == every.dtype == np.float64
    for row, n in enumerate(numbers(evidence)):
        assert evidence.prompts[row] == items[n].prompt
        assert evidence.labels[row] == labels[n].completion
        assert sorted(evidence.choices[row]) == sorted(items[n].choices or ())
        assert evidence.choices[row][evidence.label_index[row]] == evidence.labels[row]
        assert evidence.label_logprobs()[row].tolist() == [-n - 1.0] * (1 + n % 3)
        assert evidence.label_logprobs("verifier")[row].tolist() == [-n - 2.0]
        assert states[row].tolist() == [n, n + 0.5]
        assert every[row].tolist() == [[n, 0], [n, 1], [n, 2]]


@pytest.mark.parametrize(("of", "scale"), [("teacher", 1.0), ("student", 0.5)])
def test_option_probabilities_are_the_softmax_of_the_scores_in_the_order_shown(of: Any, scale: float) -> None:
    evidence = view(30)
    items, _, scores = made(30)
    assert evidence.choices is not None and evidence.label_index is not None
    for row, n in enumerate(numbers(evidence)):
        probs = evidence.choice_probs(of)[row]
        raw = scores[f"item-{n:03d}"] * scale
        softmax = np.exp(raw) / np.exp(raw).sum()
        by_text = dict(zip(items[n].choices or (), softmax, strict=True))
        np.testing.assert_allclose(probs, [by_text[text] for text in evidence.choices[row]], rtol=1e-12)
        assert abs(probs.sum() - 1) < 1e-12
        assert probs.argmax() == evidence.label_index[row]


def test_scores_far_from_zero_still_give_probabilities() -> None:
    items, labels, _ = made(2)
    labels = [replace(labels[0], choice_scores=(-4000.0, -4001.0, -9e9, -4000.0)), labels[1]]
    evidence = EvidenceView(items, labels, salt="s", declared=[PROBS], arrays={}, fitting=False)
    assert np.isfinite(evidence.choice_probs().values).all()


def test_the_place_of_the_label_says_nothing() -> None:
    items, labels, _ = made(2000)
    # Every label stands first in its document, as gold stands last in SciQ's.
    labels = [
        replace(label, index=0, completion=(item.choices or ())[0]) for item, label in zip(items, labels, strict=True)
    ]
    evidence = EvidenceView(items, labels, salt="s", declared=(), arrays={}, fitting=False)
    counts = np.bincount(np.asarray(evidence.label_index), minlength=4)
    # 500 each expected, standard deviation 19.4; five of them.
    assert abs(counts - 500).max() < 97
    assert evidence.choices is not None and evidence.label_index is not None
    shown = [options[place] for options, place in zip(evidence.choices, evidence.label_index, strict=True)]
    assert tuple(shown) == evidence.labels


def test_arrays_cannot_be_written_to_and_reading_again_gives_the_same() -> None:
    evidence = view()
    assert evidence.label_index is not None
    first = evidence.choice_probs()
    arrays = [evidence.label_index, evidence.hidden_states(), evidence.hidden_states(layer="all")]
    for ragged in (first, evidence.choice_probs("student"), evidence.label_logprobs()):
        arrays += [ragged.values, ragged.offsets]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7
    np.testing.assert_array_equal(first.values, evidence.choice_probs().values)


@pytest.mark.parametrize(
    ("read", "named"),
    [
        (lambda e: e.choice_probs("student"), "student.choice_probs"),
        (lambda e: e.label_logprobs(), "teacher.label_logprobs"),
        (lambda e: e.hidden_states(layer=0), r"teacher.hidden_states\[0\]"),
        (lambda e: e.hidden_states("student"), r"student.hidden_states\[-1\]"),
        (lambda e: e.hidden_states(layer="last"), r"teacher.hidden_states\[last\]"),
    ],
)
def test_what_was_not_declared_cannot_be_read(read: Any, named: str) -> None:
    evidence = view(declared=(PROBS, LAST))
    declared = r"\(declared: teacher.choice_probs, teacher.hidden_states\[-1\]\); add it to `needs`"
    with pytest.raises(EvidenceError, match=f"read {named}, which it did not declare {declared}"):
        read(evidence)
    with pytest.raises(EvidenceError, match=r"\(declared: nothing\)"):
        read(view(declared=()))


def test_the_verifier_may_be_read_in_score_and_not_in_fit() -> None:
    assert len(view().label_logprobs("verifier")) == 30
    with pytest.raises(EvidenceError, match="in fit: the verifier was trained on the trust set"):
        view(fitting=True).label_logprobs("verifier")
    assert len(view(fitting=True).label_logprobs()) == 30


def test_gold_is_absent_unless_it_was_given() -> None:
    evidence = view()
    assert "gold" not in vars(evidence)
    assert not any("gold" in str(value) for value in vars(evidence).values())
    for look in (lambda: evidence.gold, lambda: getattr(evidence, "gold", None), lambda: hasattr(evidence, "gold")):
        with pytest.raises(EvidenceError, match="declare supervision = 'privileged'"):
            look()
    with pytest.raises(AttributeError, match="golden"):
        _ = evidence.golden
    _, labels, _ = made(30)
    privileged = view(gold={label.id: f"gold of {label.id}" for label in labels[::-1]})
    assert privileged.gold == tuple(f"gold of {i}" for i in item_ids(privileged))


def test_a_domain_that_generates_has_no_options() -> None:
    items, labels, scores = made(30)
    items = [replace(item, choices=None) for item in items]
    labels = [replace(label, index=None, choice_scores=None) for label in labels]
    evidence = EvidenceView(items, labels, salt="s", declared=NEEDS, arrays=arrays_for(labels, scores), fitting=False)
    assert evidence.choices is None and evidence.label_index is None
    with pytest.raises(EvidenceError, match="there are no options"):
        evidence.choice_probs()
    assert len(evidence.label_logprobs()) == 30


def test_a_need_of_one_kind_of_domain_is_read_there_alone() -> None:
    needs = (replace(PROBS, when="choice"), replace(LOGPROBS, when="generate"))
    evidence = view(declared=needs)
    assert len(evidence.choice_probs()) == 30
    said = r"read teacher.label_logprobs in a choice domain, but declared it for generate domains alone \(when='generate'\)"
    with pytest.raises(EvidenceError, match=said):
        evidence.label_logprobs()
    with pytest.raises(EvidenceError, match=r"\(declared: teacher.choice_probs\)"):
        evidence.hidden_states()
    # The same reading, declared for each kind, is declared for both.
    assert len(view(declared=(*needs, replace(LOGPROBS, when="choice"))).label_logprobs()) == 30


def test_when_is_no_part_of_what_is_read() -> None:
    assert replace(PROBS, when="choice") == PROBS and hash(replace(PROBS, when="choice")) == hash(PROBS)
    assert str(replace(LOGPROBS, when="generate")) == "teacher.label_logprobs"


@pytest.mark.parametrize("need", NEEDS, ids=str)
def test_a_need_of_another_kind_takes_no_stage(need: Need) -> None:
    assert not needs_stage(own_need(replace(need, when="generate")), "choice")
    if need.read != "choice_probs":
        assert needs_stage(own_need(replace(need, when="generate")), "generate")


@pytest.mark.parametrize("need", NEEDS, ids=str)
@pytest.mark.parametrize("kind", ["choice", "generate"])
def test_a_need_takes_a_stage_unless_it_comes_with_the_labels(need: Need, kind: Any) -> None:
    free = need == PROBS or (kind == "generate" and need.read == "choice_probs")
    assert needs_stage(own_need(need), kind) == (not free)


def test_needs_become_stages_of_the_right_reader_and_never_of_gold() -> None:
    labels, subset = named("predict", {"a": 1}), named("subset")
    teacher, verifier = named("train", {"is": "teacher"}), named("train", {"is": "verifier"})
    readers = Readers(
        (PlannedModel("small", "f"), teacher),
        (PlannedModel("large", "f"), None),
        (PlannedModel("large", "f"), verifier),
    )

    def stages(fitting: bool) -> dict[Need, Stage]:
        needs = map(own_need, reversed(NEEDS))
        read = readings(
            needs, readers, kind="choice", labels=labels, subset=subset, fitting=fitting, label="toy", seed=hash
        )
        assert not read.shown_as
        return dict(read.stages)

    scoring, fitting = stages(False), stages(True)
    assert set(scoring) == set(NEEDS) - {PROBS}
    assert set(fitting) == set(NEEDS) - {PROBS, VERIFIED}
    assert list(scoring) == sorted(scoring, key=str)
    for need, stage in scoring.items():
        weights = {"teacher": teacher, "verifier": verifier}.get(need.of)
        expected = {"subset": subset, "labels": labels} | ({"weights": weights} if weights else {})
        assert stage.inputs == expected
        assert (stage.params["read"], stage.params["layer"]) == (need.read, need.layer)
        assert stage.params["model"]["name"] == ("small" if need.of == "teacher" else "large")


def test_a_reading_takes_its_own_parameters_alone() -> None:
    for need, said in (
        (Need("teacher", "choice_probs", -1), "unknown parameter of reading 'choice_probs' 'layer'"),
        (Need("teacher", "hidden_states"), "reading 'hidden_states' needs a value for layer"),
        (Need("teacher", "hidden_states", "last"), "must be an integer, 'all' or 'middle', got 'last'"),  # type: ignore[arg-type]
    ):
        with pytest.raises(W2SBenchError, match=said):
            built_in_reading(need.read, need.parameters)


def test_a_need_is_what_its_text_says() -> None:
    assert [str(need) for need in (*NEEDS, STATES)] == [
        "teacher.choice_probs",
        "student.choice_probs",
        "teacher.label_logprobs",
        "verifier.label_logprobs",
        "teacher.hidden_states[-1]",
        "teacher.hidden_states[all]",
        'student.acme/states[0,pool="mean",spans=[1, 2]]',
    ]
    same = Need("student", "acme/states", 0, spans=(1, 2), pool="mean")
    assert same == STATES and hash(same) == hash(STATES) and str(same) == str(STATES)
    assert STATES.parameters == {"layer": 0, "spans": [1, 2], "pool": "mean"}
    STATES.parameters["spans"].append(3)
    assert STATES.parameters["spans"] == [1, 2], "what is given out is a copy"
    assert Need("teacher", "acme/samples", k=8) != Need("teacher", "acme/samples", k=8.0)
    assert replace(STATES, when="choice") == STATES
    assert repr(STATES) == "Need('student', 'acme/states', layer=0, pool='mean', spans=[1, 2])"
    assert repr(replace(PROBS, when="choice")) == "Need('teacher', 'choice_probs', when='choice')"
    with pytest.raises(ValueError, match="which JSON cannot hold"):
        Need("teacher", "acme/samples", k={1, 2})


@given(st.lists(st.lists(st.floats(-9, 9), max_size=4), max_size=6))
def test_ragged_rows_come_back(rows: list[list[float]]) -> None:
    ragged = Ragged.from_rows(rows)
    assert [list(row) for row in ragged] == rows
    assert len(ragged) == len(rows)
    for outside in (-1, len(rows)):
        with pytest.raises(IndexError):
            _ = ragged[outside]
