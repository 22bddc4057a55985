"""Evidence in pieces is the evidence: the same rows, joined by id, in memory that does not grow with the pool."""

from __future__ import annotations

import random
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import run_stage
from w2s_bench.protocol import selection, trust
from w2s_bench.protocol.evidence.files import item_ids, view, views
from w2s_bench.protocol.evidence.view import EvidenceView
from w2s_bench.protocol.files import ANSWERS, ITEMS, KEPT, PREDICTIONS, READING
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import read_json, write_arrays, write_records
from w2s_bench.types import Answer, Item, Kind, Need, Prediction, Ragged

STATES, LOGPROBS = Need("student", "hidden_states", "all"), Need("teacher", "label_logprobs")
PROBS, OWN_PROBS = Need("student", "choice_probs", when="choice"), Need("teacher", "choice_probs", when="choice")
NEEDS = (STATES, LOGPROBS, PROBS, OWN_PROBS)


def written(folder: Path, kind: Kind, count: int, seed: int, shuffled: bool) -> dict[str, Path]:
    """Files of a pool of `count` rows with readings; items, labels and gold each in an order of their own if `shuffled`."""
    rng = np.random.default_rng(seed)
    options = [tuple(f" {word}{i}" for word in "abcd"[: rng.integers(2, 5)]) for i in range(count)]
    picks = [int(rng.integers(len(row))) for row in options]
    items, labels, gold = [], [], []
    for i, (row, pick) in enumerate(zip(options, picks, strict=True)):
        name = f"item-{i}"
        items.append(Item(name, name, name, "s", f"prompt {i}", row if kind == "choice" else None))
        scores = tuple(rng.normal(size=len(row)).tolist()) if kind == "choice" else None
        labels.append(Prediction(name, row[pick], row[pick], True, pick if kind == "choice" else None, scores))
        gold.append(Answer(name, {}, f" gold {i}", None, ""))
    if shuffled:
        for records in (items, labels, gold):
            random.Random(f"{seed} {records[:1]}").shuffle(records)
    ragged = Ragged.from_rows([rng.normal(size=rng.integers(0, 5)) for _ in labels])
    by_option = Ragged.from_rows([rng.normal(size=len(options[int(label.id[5:])])) for label in labels])
    arrays: dict[str, dict[str, Any]] = {
        str(STATES): {"states": rng.normal(size=(count, 2, 3)).astype(np.float32)},
        str(LOGPROBS): {"values": ragged.values, "offsets": ragged.offsets},
        str(PROBS): {"values": by_option.values, "offsets": by_option.offsets},
    }
    inputs = {f"pool:{name}": folder / name for name in ("items", "labels", "gold", *arrays)}
    for path in inputs.values():
        path.mkdir()
    write_records(inputs["pool:items"] / ITEMS, items)
    write_records(inputs["pool:labels"] / PREDICTIONS, labels)
    write_records(inputs["pool:gold"] / ANSWERS, gold)
    for name, contents in arrays.items():
        write_arrays(inputs[f"pool:{name}"] / READING, contents)
    return inputs


def rows_of(shown: EvidenceView) -> Iterator[tuple[Any, ...]]:
    """Everything that a view says of each row."""
    readings = [shown.label_logprobs(), shown.hidden_states("student", "all")]
    if shown.choices is not None:
        readings += [
            shown.choice_probs("student"),
            shown.choice_probs("teacher"),
            np.array(shown.choices, dtype=object),
        ]
        assert shown.label_index is not None
        readings.append(shown.label_index)
    for row in range(len(shown)):
        said = [np.asarray(reading[row]).tolist() for reading in readings]
        yield shown.ids[row], shown.prompts[row], shown.labels[row], shown.gold[row], said


@given(
    st.sampled_from(["choice", "generate"]), st.integers(0, 25), st.integers(1, 30), st.integers(0, 99), st.booleans()
)
@settings(deadline=None, max_examples=60)
def test_rows_in_pieces_are_the_rows_of_the_whole(kind: Kind, count: int, rows: int, seed: int, shuffled: bool) -> None:
    with tempfile.TemporaryDirectory() as made:
        inputs = written(Path(made), kind, count, seed, shuffled)
        whole = view(inputs, "pool", NEEDS, salt="s", fitting=False)
        pieces = list(views(inputs, "pool", NEEDS, salt="s", fitting=False, rows=rows))
        assert [len(piece) for piece in pieces if count] == [rows] * (count // rows) + [count % rows] * bool(
            count % rows
        )
        for piece in (whole, *pieces):
            assert list(piece.ids) == sorted(piece.ids), "within a view the order says nothing"
        assert sorted(row for piece in pieces for row in rows_of(piece)) == sorted(rows_of(whole))
        for pieced, seen in ((None, [whole]), (rows, pieces)):
            names = list(item_ids(inputs, "pool", salt="s", rows=pieced))
            assert [[f"prompt {name[5:]}" for name in part] for part in names] == [[*one.prompts] for one in seen]


def test_a_label_without_an_item_is_an_error(tmp_path: Path) -> None:
    inputs = written(tmp_path, "generate", 5, 0, False)
    write_records(inputs["pool:items"] / ITEMS, [Item("item-0", "g", "k", "s", "p", None)])
    with pytest.raises(KeyError, match="no record has the id 'item-1'"):
        view(inputs, "pool", NEEDS, salt="s", fitting=False)


# --- memory ---------------------------------------------------------------------------------------------------------


class Longest:
    """Scores by the length of the label; reads every kind of reading."""

    supervision = "none"
    needs = NEEDS
    scope = "row"

    def score(self, evidence: Any, *, rng: Any) -> Any:
        states = evidence.hidden_states("student", "all")
        values = [row.sum() for row in evidence.label_logprobs()]
        return np.array([len(label) for label in evidence.labels]) + states[:, 0, 0] + np.array(values)


def peak_of(folder: Path, count: int, rows: int) -> int:
    """Bytes that scoring and selecting take at their peak, as Python and numpy allocate them."""
    folder.mkdir()
    inputs = {name: path for name, path in written(folder, "choice", count, 0, False).items() if name != "pool:gold"}
    planned = {"name": "acme/longest", "parameters": {}, "supervision": "none", "plugin": {"source": "s"}}
    registry: Any = SimpleNamespace(
        trust_function=lambda name: Longest(), resolve=lambda kind, name: name, source_digest=lambda one: "s"
    )
    params = {"function": planned, "salt": "s", "seed": 0}
    tracemalloc.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trust, "ROWS_AT_ONCE", rows)
            scores = run_stage(trust.run_score, folder / "scores", params, registry=registry, **inputs)
        kept = run_stage(selection.run_top, folder / "kept", {"coverage": 0.5, "seed": 0}, scores=scores)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(Scores.read(scores)) == count
    assert len(read_json(kept / KEPT)["ids"]) == count // 2
    return peak


@pytest.mark.slow
def test_memory_grows_by_bytes_a_row_not_by_rows(tmp_path: Path) -> None:
    """A row keeps its score, its id and, where it is kept, its id once more; everything else goes with its piece."""
    peak_of(tmp_path / "first", 10, 10)  # what is imported on the way is none of the three's
    small, large, whole = (peak_of(tmp_path / name, n, rows) for name, n, rows in [
        ("small", 500, 250), ("large", 4500, 250), ("whole", 4500, 4500),
    ])  # fmt: skip
    assert (large - small) / 4000 < 150
    assert (whole - small) / 4000 > 1000, "what it would take otherwise"
