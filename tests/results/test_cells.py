"""Cell files: any edit of the body shows, names never leave the folder, and the published schema is the one in use."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cell_builder import change, make_cells, write_cells
from support import ROOT
from w2s_bench.controls import OWN_ARMS
from w2s_bench.errors import CellError
from w2s_bench.record import digest_of, pack_bits
from w2s_bench.results.cells import Cell, CellBody, schema_json
from w2s_bench.results.files import read_cell, read_cells
from w2s_bench.results.seed_results import KeptRows, SeedResult

SCHEMA_FILE = ROOT / "docs" / "cell.schema.json"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cells(tmp_path_factory.mktemp("cells"), make_cells())


@pytest.fixture(scope="module")
def cell(results: Path) -> Cell:
    """A trust function's cell, with every kind of field filled."""
    return next(c for c in read_cells(results) if c.body.arm.role == "trust_function" and c.body.seeds[0].diagnostics)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every single value."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, inner in pairs for leaf in leaves(inner, (*path, key))]
    return [path]


def edited(content: Any, path: tuple[Any, ...], new: Any) -> Any:
    content = copy.deepcopy(content)
    inner = content
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = new
    return content


def test_a_cell_comes_back_as_it_was_written(cell: Cell, tmp_path: Path) -> None:
    path = cell.write(tmp_path)
    assert path == cell.path(tmp_path)
    back = read_cell(path)
    assert back == cell
    assert back.write(tmp_path / "again").read_bytes() == path.read_bytes()
    content = json.loads(path.read_text())
    assert list(content) == ["schema", "body", "digest", "provenance"]
    assert digest_of(content["body"]) == content["digest"] == cell.digest


def test_every_edit_of_the_body_shows(cell: Cell, tmp_path: Path) -> None:
    path = cell.write(tmp_path)
    content = json.loads(path.read_text())
    places = leaves(content["body"])
    assert len(places) > 60
    for place in places:
        old = content["body"]
        for part in place:
            old = old[part]
        for new in (f"{old}x", None, 0, 0.5, "abc"):
            if new == old:
                continue
            path.write_text(json.dumps(edited(content, ("body", *place), new)))
            with pytest.raises(CellError):
                read_cell(path)
    path.write_text(json.dumps(edited(content, ("body", "seeds"), content["body"]["seeds"][:-1])))
    with pytest.raises(CellError, match=r"was altered after it was written: .*; run the row again"):
        read_cell(path)


def test_provenance_and_layout_are_no_part_of_the_digest(cell: Cell, tmp_path: Path) -> None:
    path = cell.write(tmp_path)
    content = json.loads(path.read_text())
    content["provenance"] = {"git": None, "cost": {"seconds": 9e9}}
    path.write_text(json.dumps(dict(reversed(content.items())), indent=7, sort_keys=False))
    assert read_cell(path).digest == cell.digest
    assert Cell.of(cell.body, {}).digest == cell.digest


def test_bits_accuracy_and_error_must_agree(cell: Cell, tmp_path: Path) -> None:
    path = cell.write(tmp_path)
    content = json.loads(path.read_text())
    seed = content["body"]["seeds"][0]
    flipped = np.zeros(content["body"]["items"], dtype=np.bool_)
    for name, fields, said in (
        ("accuracy", {"accuracy": min(1.0, seed["accuracy"] + 0.01)}, "disagree"),
        ("bits", {"correct": pack_bits(flipped)}, "disagree"),
        ("length", {"correct": seed["correct"] + "00"}, "cannot hold"),
        ("no digits", {"correct": "zz"}, "hexadecimal"),
        ("both", {"error": "it failed"}, "or else an error"),
        ("neither", {"accuracy": None, "correct": None}, "or else an error"),
        ("half", {"correct": None}, "or else an error"),
        ("twice", {"seed": content["body"]["seeds"][1]["seed"]}, "a seed stands once"),
    ):
        body = edited(content["body"], ("seeds", 0), {**seed, **fields})
        path.write_text(json.dumps({**content, "body": body, "digest": digest_of(body)}))
        with pytest.raises(CellError, match=said):
            read_cell(path)
            pytest.fail(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read as a cell of schema w2s-bench/cell/1"),
        ("{", "cannot be read"),
        ("[]", "is no cell of schema w2s-bench/cell/1: the file: "),
        ("{}", "schema: Field required; body: Field required; digest: Field required"),
        (
            '{"schema": "w2s-bench/cell/2"}',
            "schema is 'w2s-bench/cell/2', which this version of w2s-bench does not read",
        ),
        ('{"schema": NaN}', "NaN is no JSON, at schema"),
    ],
)
def test_a_file_that_is_no_cell_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "cell.json"
    path.write_text(text)
    with pytest.raises(CellError) as caught:
        read_cell(path)
    assert said in str(caught.value) and str(path) in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_another_schema_and_unknown_fields_are_refused(cell: Cell, tmp_path: Path) -> None:
    path = cell.write(tmp_path)
    content = json.loads(path.read_text())
    for wrong in (
        {**content, "schema": "w2s-bench/cell/2"},
        {key: value for key, value in content.items() if key != "schema"},
        {**content, "signature": "x"},
        edited(content, ("body", "note"), "x"),
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(CellError, match="is no cell of schema w2s-bench/cell/1: "):
            read_cell(path)
    path.unlink()
    with pytest.raises(CellError, match="No such file"):
        read_cell(path)


def test_a_folder_holds_one_suite(results: Path, tmp_path: Path) -> None:
    cells = read_cells(results)
    assert [c.path(results).is_file() for c in cells] == [True] * len(cells)
    for one in cells:
        one.write(tmp_path)
    assert [c.digest for c in read_cells(tmp_path)] == [c.digest for c in cells]
    other = change(cells[0], suite=cells[0].body.suite.model_copy(update={"digest": digest_of("other")}))
    other.write(tmp_path)
    with pytest.raises(CellError, match="mixes cells of 2 suites"):
        read_cells(tmp_path)
    with pytest.raises(CellError, match=r"no cell files in .*; give the folder that holds suite.yaml and results/"):
        read_cells(tmp_path / "results")


def test_a_cell_that_lies_elsewhere_than_its_row_says_is_refused(cell: Cell, tmp_path: Path) -> None:
    path = cell.write(tmp_path)
    copy = path.with_name("copy.json")
    copy.write_bytes(path.read_bytes())
    with pytest.raises(CellError) as caught:
        read_cells(tmp_path)
    assert str(copy) in str(caught.value) and str(path) in str(caught.value)
    copy.unlink()
    path.parent.rename(path.parent.with_name("acme.math"))
    with pytest.raises(CellError, match=f"row {cell.row}, which belongs in"):
        read_cells(tmp_path)


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_correctness_comes_back_bit_for_bit(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 30))
    rows = data.draw(st.lists(st.lists(st.booleans(), min_size=count, max_size=count), min_size=1, max_size=4))
    seeds = [
        {"seed": seed, "accuracy": float(np.mean(row)), "correct": pack_bits(np.array(row, dtype=np.bool_))}
        for seed, row in enumerate(rows)
    ]
    body = CellBody.model_validate({**BODY, "items": count, "seeds": [*seeds, {"seed": len(rows), "error": "failed"}]})
    assert {seed: row.tolist() for seed, row in body.correctness().items()} == dict(enumerate(rows))
    assert [bits.tolist() for bits in body.correctness().values()] == rows
    assert [s.seed for s in body.failed] == [len(rows)]


BODY: dict[str, Any] = {
    "suite": {"name": "toy", "version": "1", "digest": "d" * 64, "evaluate_on": "test"},
    "protocol": "w2s-1",
    "domain": {"name": "w2s-bench/math", "version": "1", "fingerprint": "f"},
    "teacher": {"name": "t", "fingerprint": "f"},
    "student": {"name": "s", "fingerprint": "f"},
    "arm": {"name": "acme/f", "kind": "trust_function", "supervision": "none"},
    "items": 0,
    "items_digest": "d" * 64,
    "seeds": [{"seed": 0, "error": "failed"}],
}


def named(arm: str, domain: str = "w2s-bench/math") -> Cell:
    kind = OWN_ARMS[arm].role if arm in OWN_ARMS else "trust_function"
    changes = {"arm": {**BODY["arm"], "name": arm, "kind": kind}, "domain": {**BODY["domain"], "name": domain}}
    return Cell.of(CellBody.model_validate({**BODY, **changes}), {})


@pytest.mark.parametrize(
    ("arm", "slug"),
    [
        ("naive", "naive"),
        ("w2s-bench/confidence", "confidence"),
        ("acme/liar", "acme.liar"),
        ("w2s-bench/probe:folds=3,layer=-1", "probe@folds=3,layer=-1"),
        ("acme/liar:rate=0.5", "acme.liar@rate=0.5"),
    ],
)
def test_files_are_named_for_their_arm(arm: str, slug: str, tmp_path: Path) -> None:
    assert named(arm).path(tmp_path) == tmp_path / "results" / "math" / f"{slug}.json"
    assert named(arm).row == f"math/{slug}"
    assert named(arm, "acme/chess").path(tmp_path).parent.name == "acme.chess"
    assert named(arm, "acme/chess").row == f"acme.chess/{slug}"
    assert named(arm, "acme/chess").path(tmp_path) == tmp_path / "results" / f"{named(arm, 'acme/chess').row}.json"


HOSTILE = [
    "a/../../b", "../x", "..", ".", "/etc/passwd", "acme/f:path=/etc/passwd", "acme/f:path=../../x", "acme/f:a=b\\c",
    "acme/f:a=\0", "acme/f:a=b\nc", "acme/f:a=" + "x" * 400, "acme/f:a=ü", "acme/f:a=b:c", "acme/f:a='b c'", "",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_leaves_the_results_folder(name: str, tmp_path: Path) -> None:
    for one in (named(name), named("naive", name)):
        path = one.write(tmp_path)
        assert path.resolve().parent.parent == (tmp_path / "results").resolve()
        assert path.parent.name not in {"", ".", ".."}
        assert not path.name.startswith(".")
        assert read_cell(path) == one
        assert one.row.count("/") == 1
    assert len(read_cells(tmp_path)) == 2


@given(st.lists(st.text(max_size=30) | st.sampled_from(HOSTILE), min_size=2, max_size=2, unique=True))
def test_two_sets_of_parameters_never_share_a_file(parameters: list[str]) -> None:
    one, other = (named(f"acme/f:a={p}").row for p in parameters)
    assert one != other
    assert len(one.encode()) < 200


def test_the_published_schema_is_the_one_in_use(cell: Cell) -> None:
    assert SCHEMA_FILE.read_text() == schema_json(), (
        "docs/cell.schema.json is not current; write it anew: python -c "
        "'from w2s_bench.results.cells import schema_json; print(schema_json(), end=\"\")' > docs/cell.schema.json"
    )
    schema = json.loads(schema_json())
    content = cell.model_dump(mode="json", by_alias=True)
    assert set(schema["required"]) == {"schema", "body", "digest"} <= set(content) == set(schema["properties"])
    assert schema["additionalProperties"] is False
    # Of domains that name clusters or have training gold, generations of a chain, plugins' objectives, another domain's trust set.
    rare = {"clusters", "chain", "objective_plugin", "own_training_gold", "spent", "trust_from"}
    assert set(content["body"]) == set(schema["$defs"]["CellBody"]["properties"]) - rare


@pytest.mark.parametrize(
    ("diagnostics", "said"),
    [
        ({"purity_at": {"0.5": 1.5}}, "purity_at is"),
        ({"purity_at": {"half": 0.5}}, "purity_at is"),
        ({"purity_at": {"1.0": 0.5, "0.5": 0.5}}, "in their order"),
        ({"purity_at": {"nan": 0.5}}, "purity_at is"),
        ({"purity_at": [0.5]}, "purity_at is"),
        ({"reliability": [{"rows": 0, "score": 0.5, "right": 0.5}]}, "reliability is"),
        ({"reliability": [{"rows": 3, "score": 0.5}]}, "reliability is"),
        ({"reliability": {"rows": 3}}, "reliability is"),
        ({"reliability": [[3, 0.5, 0.5]]}, "reliability is"),
    ],
)
def test_curves_that_cannot_be_are_refused(diagnostics: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SeedResult(seed=0, accuracy=0.5, correct="80", diagnostics=diagnostics)


def test_rows_that_are_kept_are_as_many_as_the_coverage_says() -> None:
    kept = KeptRows(pool=10, bits=pack_bits(np.arange(10) < 4))
    figures = {"seed": 0, "accuracy": 0.5, "correct": "80", "kept": 4}
    told = SeedResult(**figures, coverage=0.4, kept_rows=kept)
    assert told.model_dump(mode="json")["kept_rows"] == {"pool": 10, "bits": "f000"}
    assert "kept_rows" not in SeedResult(**figures, coverage=0.4).model_dump(mode="json"), (
        "older cells stay what they are"
    )
    for wrong in ({"coverage": 0.5}, {"coverage": None}):
        with pytest.raises(ValueError, match="kept_rows"):
            SeedResult(**{**figures, "kept": 4, **wrong}, kept_rows=kept)
    for bits in ("f0", "f03f"):  # too few; set beyond the last row
        with pytest.raises(ValueError, match=r"hexadecimal|written otherwise"):
            KeptRows(pool=10, bits=bits)
