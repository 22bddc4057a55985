"""Somebody's own weak labels: the same scores as in the protocol, whatever the file; gold teaches and certifies, and no more."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from typer.testing import CliRunner

import w2s_bench
from support import ROOT, toy_model
from w2s_bench import Need
from w2s_bench._cli.app import app
from w2s_bench.plugins.registry import Registry
from w2s_bench.scoring import applying, evidence, labels
from w2s_bench.scoring.applying import folds_of, in_half
from w2s_bench.scoring.rows import RowParser
from w2s_bench.scoring.schema import Columns, documentation
from w2s_bench.testing import synthetic_evidence

N = 160


def made(kind: Any, n: int = N, seed: int = 1) -> tuple[list[dict[str, Any]], Any, Any]:
    """Rows of a file, the same as evidence in memory, and which labels are right."""
    shown, correct = synthetic_evidence(kind, n, seed)
    states = shown.read(Need("teacher", "hidden_states", "all"))
    rows = []
    for i in range(n):
        row: dict[str, Any] = {"id": shown.ids[i], "prompt": shown.prompts[i], "label": shown.labels[i].strip()}
        row["embedding"] = states[i].tolist()
        if shown.choices is not None:
            row["options"] = [option.strip() for option in shown.choices[i]]
            row["probs"] = shown.choice_probs()[i].tolist()
            row["student_probs"] = shown.choice_probs("student")[i].tolist()
        row["token_logprobs"] = shown.label_logprobs()[i].tolist()
        rows.append(row)
    return rows, shown, correct


def with_gold(rows: list[dict[str, Any]], correct: Any, count: int) -> list[dict[str, Any]]:
    return [row | ({"correct": bool(correct[i])} if i < count else {}) for i, row in enumerate(rows)]


@pytest.fixture(scope="module")
def choice() -> tuple[list[dict[str, Any]], Any, Any]:
    return made("choice")


@pytest.mark.parametrize("name", ["confidence", "option_margin", "doctor", "product_of_experts", "mean_logprob"])
def test_a_function_gives_the_same_scores_of_a_file_as_in_the_protocol(name: str, choice: Any) -> None:
    rows, shown, _ = choice
    scored = w2s_bench.score(rows, trust=name)
    function = Registry.load([]).trust_function(name)
    expected = function.score(shown.declaring(function.needs), rng=np.random.default_rng(0))
    assert scored["id"] == list(shown.ids)
    assert scored[f"score:{name}"] == pytest.approx(expected.tolist(), abs=1e-9)
    assert sum(scored["kept"]) == N // 2
    lowest = min(s for s, kept in zip(scored[f"score:{name}"], scored["kept"], strict=True) if kept)
    assert all(s <= lowest for s, kept in zip(scored[f"score:{name}"], scored["kept"], strict=True) if not kept)


def written(rows: list[dict[str, Any]], folder: Path) -> dict[str, Path]:
    """The rows in every kind of file."""
    paths = {kind: folder / f"rows.{kind}" for kind in ("jsonl", "csv", "parquet")} | {"datasets": folder / "rows"}
    paths["jsonl"].write_text("\ufeff" + "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with paths["csv"].open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {k: json.dumps(v) if isinstance(v, list | bool) else v for k, v in row.items()} for row in rows
        )
    dataset = datasets.Dataset.from_list(rows)
    dataset.to_parquet(str(paths["parquet"]))
    datasets.DatasetDict({"train": dataset}).save_to_disk(str(paths["datasets"]))
    return paths


def test_every_kind_of_file_gives_the_same(choice: Any, tmp_path: Path) -> None:
    rows, _, correct = choice
    rows = with_gold(rows, correct, 60)
    expected = w2s_bench.score(rows, trust=["mass_mean", "confidence"]).to_list()
    for path in written(rows, tmp_path).values():
        assert w2s_bench.score(path, trust=["mass_mean", "confidence"]).to_list() == expected, path


def test_rows_are_streamed_and_parts_change_nothing(choice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _, correct = choice
    rows = with_gold(rows, correct, 60)
    names = ["mass_mean", "confidence", "batch_calibrated"]  # the last looks at the pool as a whole
    expected = w2s_bench.score(rows, trust=names).to_pandas()
    most = []

    def view(shown: Any, *args: Any, **kwargs: Any) -> Any:
        most.append(len(shown))
        return evidence.view_of(shown, *args, **kwargs)

    monkeypatch.setattr(labels, "ROWS_AT_ONCE", 16)
    monkeypatch.setattr(applying, "view_of", view)
    found = w2s_bench.score(rows, trust=names).to_pandas()
    for name in names:
        assert found[f"score:{name}"].to_numpy() == pytest.approx(expected[f"score:{name}"].to_numpy(), abs=1e-9)
    assert found["kept"].tolist() == expected["kept"].tolist()
    assert most.count(16) >= N // 16 and most.count(N) == 1


def test_gold_of_a_row_has_no_part_in_its_own_score(choice: Any) -> None:
    rows, _, correct = choice
    before = w2s_bench.score(with_gold(rows, correct, 80), trust=["mass_mean"])["score:mass_mean"]
    changed = correct.copy()
    changed[7] = not changed[7]
    after = w2s_bench.score(with_gold(rows, changed, 80), trust=["mass_mean"])["score:mass_mean"]
    assert after[7] == before[7]
    assert after[N - 1] != before[N - 1]  # rows without gold are scored by what learnt from all of it


def test_who_learns_from_nothing_scores_the_same_whatever_gold_there_is(choice: Any) -> None:
    rows, _, correct = choice
    plain = w2s_bench.score(rows, trust="confidence")["score:confidence"]
    assert w2s_bench.score(with_gold(rows, ~correct, 80), trust="confidence")["score:confidence"] == plain


def test_gold_in_a_file_of_its_own_is_the_same_as_in_a_column(choice: Any, tmp_path: Path) -> None:
    rows, _, correct = choice
    gold = [{"id": rows[i]["id"], "correct": bool(correct[i])} for i in range(60)]
    expected = w2s_bench.score(with_gold(rows, correct, 60), trust="mass_mean").to_list()
    assert w2s_bench.score(rows, trust="mass_mean", trust_set=gold).to_list() == expected
    texts = [
        {"id": row["id"], "gold": row["label"] if right else next(o for o in row["options"] if o != row["label"])}
        for row, right in zip(rows[:60], correct[:60], strict=True)
    ]
    assert w2s_bench.score(rows, trust="mass_mean", trust_set=texts).to_list() == expected


def test_a_trust_set_beside_the_pool_teaches_and_is_not_in_the_table(choice: Any, tmp_path: Path) -> None:
    rows, _, correct = choice
    gold = with_gold(rows[:80], correct, 80)
    scored = w2s_bench.score(rows[80:], trust="mass_mean", trust_set=gold, out=tmp_path / "out")
    inside = w2s_bench.score(with_gold(rows, correct, 80), trust="mass_mean")
    assert scored["id"] == [row["id"] for row in rows[80:]] and not any(scored["in_trust_set"])
    # The opaque order of the trust set's rows differs, so that sums do in their last digits.
    assert scored["score:mass_mean"] == pytest.approx(inside["score:mass_mean"][80:], rel=1e-6)
    summary = json.loads((tmp_path / "out" / "score.json").read_text())
    assert summary["trust_set"] == {"rows": 80, "right": int(correct[:80].sum()), "in_pool": False, "taught": 0}
    assert summary["functions"][0]["judged_by"] == 80


def test_rows_of_one_prompt_are_in_one_fold_and_half() -> None:
    def row(name: str, prompt: str) -> Any:
        return labels.Row(name, prompt, "x", None, None, {}, True)

    rows = [row(f"{i} {j}", f"prompt {i}") for i in range(60) for j in range(2)]
    folds = folds_of(rows, 0)
    assert (folds[::2] == folds[1::2]).all() and set(folds) == set(range(applying.FOLDS))
    halves = [in_half(one, 0) for one in rows]
    assert halves[::2] == halves[1::2] and 20 < sum(halves[::2]) < 40


def test_a_purity_is_certified_by_rows_that_taught_nobody(tmp_path: Path) -> None:
    rows, _, correct = made("choice", 900, 3)
    rows = with_gold(rows, correct, 500)
    scored = w2s_bench.score(rows, trust=["mass_mean", "confidence"], purity=0.8, out=tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "score.json").read_text())
    learns, none = summary["functions"]
    taught = summary["trust_set"]["taught"]
    assert 200 < taught < 300 and learns["judged_by"] == 500 - taught and none["judged_by"] == 500
    kept = np.array(scored["kept"])
    assert kept.sum() == learns["kept"] > 100 and correct[kept].mean() > 0.8
    threshold = learns["certified"]["threshold"]
    chosen = np.array(scored["score:mass_mean"]) >= threshold
    wrong = ~correct & (np.arange(len(rows)) < 500)
    assert (chosen & ~wrong).tolist() == kept.tolist()
    assert learns["known_wrong"] == (chosen & wrong).sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "goal", [{"keep": 0.4}, {"keep": 1.0}, {"purity": 0.8}, {"purity": 0.8, "guarantee": "conformal"}]
)
def test_what_gold_calls_wrong_is_scored_and_never_kept(goal: dict[str, Any], tmp_path: Path) -> None:
    rows, _, correct = made("choice", 900, 3)
    known = np.arange(len(rows)) < 500
    out = tmp_path / "out"
    scored = w2s_bench.score(with_gold(rows, correct, 500), trust="confidence", **goal, out=out)
    summary = json.loads((out / "score.json").read_text())
    scores, kept = np.array(scored["score:confidence"]), np.array(scored["kept"])
    wrong = known & ~correct
    chosen = scores >= scores[kept].min()  # no two scores are equal here
    assert scored["score:confidence"] == w2s_bench.score(rows, trust="confidence")["score:confidence"]
    assert not (kept & wrong).any() and (kept | wrong)[chosen].all(), "and every other row that was chosen is kept"
    if "keep" in goal:
        assert kept.sum() + summary["known_wrong"] == int(goal["keep"] * len(rows)), "no row takes another's place"
    assert summary["known_wrong"] > 0 and summary["kept"] == kept.sum() < kept.sum() + summary["known_wrong"]
    trained = {json.loads(line)["id"] for line in (out / "training.jsonl").read_text().splitlines()}
    assert trained == {row["id"] for row, one in zip(rows, kept, strict=True) if one}
    page = (out / "README.md").read_text()
    assert f"{summary['known_wrong']} rows of them, whose label gold calls wrong, are not kept" in page
    assert f"Kept: {kept.sum()} of 900" in page


def test_gold_beside_the_pool_takes_nothing_out_of_it(choice: Any) -> None:
    rows, _, correct = choice
    scored = w2s_bench.score(rows[80:], trust="confidence", trust_set=with_gold(rows[:80], correct, 80), keep=0.5)
    assert sum(scored["kept"]) == 40


def test_abstention_is_a_result(choice: Any, tmp_path: Path) -> None:
    rows, _, correct = choice
    out = tmp_path / "out"
    scored = w2s_bench.score(with_gold(rows, correct, 60), trust="confidence", purity=0.99, out=out)
    assert not any(scored["kept"]) and len(scored) == N
    assert not (out / "training").exists() and not (out / "training.jsonl").exists()
    assert "abstains" in (out / "README.md").read_text()


def test_votes_become_shares(choice: Any) -> None:
    rows = [
        {"prompt": "a?", "label": "yes", "options": ["no", "yes"], "votes": {"ann": "yes", "bob": "yes", "cy": "no"}},
        {"prompt": "b?", "label": 0, "options": ["no", "yes"], "votes": {"ann": "no", "bob": "no", "cy": "no"}},
    ]
    scored = w2s_bench.score(rows, trust="confidence")
    assert scored["id"] == ["1", "2"] and scored["label"] == ["yes", "no"]
    assert scored["score:confidence"] == pytest.approx([2.5 / 4, 3.5 / 4])


def test_samples_are_votes_or_told_by_their_final_answers() -> None:
    row = {"prompt": "a?", "label": "So 1,000 apples.", "samples": ["#### 7", "It is 1000.", "7 apples", "none"]}
    parser = RowParser(Columns.of({}), "rows")
    assert parser.parse(row, 1).signals["teacher.samples"].tolist() == [1, 0, 1, 2]
    available = evidence.Available("generate", {"teacher.samples": (4,)})
    assert available.column_of(Need("teacher", "samples", k=8)) == "teacher.samples"
    with pytest.raises(w2s_bench.LabelsError, match=r"row 2 has the shape \(1,\), and row 1 has \(4,\)"):
        parser.parse(row | {"samples": ["x"]}, 2)
    choice = {"prompt": "a?", "label": "yes", "options": ["no", "yes"], "samples": ["yes", "yes", "no"]}
    assert w2s_bench.score([choice], trust="confidence")["score:confidence"] == pytest.approx([2.5 / 4])


def test_what_is_written(tmp_path: Path, choice: Any) -> None:
    rows, _, correct = choice
    rows = [row | {"label": row["label"], "spare": 1} for row in with_gold(rows, correct, 60)]
    rows[0]["prompt"] = "<script>alert(1)</script> | *bold*"
    out = tmp_path / "new" / "out"
    scored = w2s_bench.score(rows, trust=["confidence", "mass_mean"], keep=0.25, out=out)
    names = {"README.md", "score.json", "scored.parquet", "scored.jsonl", "training", "training.jsonl"}
    assert {path.name for path in out.iterdir()} == names | {"coverage.svg", "calibration.svg"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    lines = [json.loads(line) for line in (out / "scored.jsonl").read_text().splitlines()]
    assert lines == scored.to_list()
    training = datasets.load_from_disk(str(out / "training")).to_list()
    assert training == [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    wrong = json.loads((out / "score.json").read_text())["known_wrong"]
    assert [row["id"] for row in training] == [row["id"] for row in lines if row["kept"]]
    assert len(training) == N // 4 - wrong
    assert list(training[0]) == ["id", "prompt", "completion", "options", "score"]  # no gold
    page = (out / "README.md").read_text()
    assert "spare" in page and "<script>" not in page and "Most trusted" in page
    assert f"Kept: {40 - wrong} of 160" in page and "Brier" in page
    again = tmp_path / "again"
    w2s_bench.score(rows, trust=["confidence", "mass_mean"], keep=0.25, out=again)
    for name in ("README.md", "coverage.svg", "calibration.svg", "scored.jsonl", "training.jsonl"):
        assert (again / name).read_bytes() == (out / name).read_bytes(), name


def test_classes_that_are_dropped_are_shown(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": f"{i}?",
            "label": "yes" if i % 2 else "no",
            "options": ["yes", "no"],
            "probs": [0.9, 0.1] if i % 2 else [0.45, 0.55],
        }
        for i in range(40)
    ]
    w2s_bench.score(rows, trust="confidence", out=tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert (
        "|        50% → 100%        |" in page and "|         50% → 0%         |" in page and "very unequally" in page
    )


def test_models_read_what_columns_lack(tmp_path: Path) -> None:
    from w2s_bench.models.loading import load_engine
    from w2s_bench.types import TrainingRow

    folder = toy_model(tmp_path / "model", width=16, layers=1)
    rows = [{"prompt": f"{i} + {i + 1} =", "label": f"{2 * i + 1}"} for i in range(8)]
    scored = w2s_bench.score(rows, trust="mean_logprob", teacher=str(folder))
    engine = load_engine(Registry.load([]).model(f"local/{folder}"), None)
    asked = [TrainingRow("", row["prompt"], f" {row['label']}", True, None, None) for row in rows]
    expected = [row.mean() for row in engine.label_logprobs(asked)]
    assert scored["score:mean_logprob"] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(w2s_bench.LabelsError, match="has no part in this"):
        w2s_bench.score(rows, trust="short_label", student=str(folder))


def test_the_command_line(tmp_path: Path, choice: Any) -> None:
    rows, _, correct = choice
    given = tmp_path / "labels.jsonl"
    renamed = [
        {"q": {"text": row["prompt"]}, **{k: v for k, v in row.items() if k != "prompt"}}
        for row in with_gold(rows, correct, 60)
    ]
    given.write_text("".join(json.dumps(row) + "\n" for row in renamed))
    runner = CliRunner()

    def call(*more: str) -> Any:
        return runner.invoke(app, ["score", str(given), *more])

    shown = call("--column", "prompt=q.text", "--list", "--json")
    told = {one["name"]: one["lacks"] for one in json.loads(shown.stdout)}
    assert told["confidence"] == told["probe"] == [] and "verifier" in told["verifier"][0]
    assert told["student_probe"] == ["student.hidden_states[all] (column 'student_embedding', or --student MODEL)"]
    done = call("-c", "prompt=q.text", "--trust", "confidence", "--keep", ".2", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    wrong = json.loads((tmp_path / "out" / "score.json").read_text())["known_wrong"]
    assert wrong and f"{wrong} of the 32 rows chosen are not kept: gold calls their labels wrong" in done.stdout
    assert f"{32 - wrong} of 160 rows kept by confidence" in done.stdout
    for arguments, message in (
        (["--trust", "confidence", "--out", str(tmp_path / "new")], "no 'prompt'"),
        (["-c", "prompt=q.text", "--trust", "confidence"], "--out is not given"),
        (["-c", "prompt=q.text", "--trust", "confidence", "--out", str(tmp_path / "out")], "--force"),
        (["-c", "prompt=q.text", "--trust", "confidnce", "--out", str(tmp_path / "new")], "did you mean"),
        (["-c", "prompt=q.text", "--out", str(tmp_path / "new")], "no trust function is named"),
        (
            ["-c", "prompt=q.text", "--trust", "confidence", "--keep", "50", "--out", str(tmp_path / "new")],
            "between 0 and 1",
        ),
    ):
        mistake = call(*arguments)
        assert mistake.exit_code == 2 and message in " ".join(mistake.stderr.split()), mistake.output
    assert not (tmp_path / "new").exists()
    assert (
        call("-c", "prompt=q.text", "-t", "confidence", "-q", "--force", "--out", str(tmp_path / "out")).exit_code == 0
    )


def test_the_documentation_has_every_column() -> None:
    assert documentation() in (ROOT / "docs" / "score.md").read_text(encoding="utf-8")


def test_a_fault_leaves_nothing_behind(tmp_path: Path, choice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _, _ = choice
    out = tmp_path / "out"
    w2s_bench.score(rows, trust="confidence", out=out)
    before = (out / "scored.jsonl").read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("w2s_bench.scoring.score.write_report", full)
    with pytest.raises(w2s_bench.LabelsError, match="the disk is full"):
        w2s_bench.score(rows[:50], trust="confidence", out=out, force=True)
    assert (out / "scored.jsonl").read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["out"]
