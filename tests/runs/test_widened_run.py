"""A run planned for a processor without instructions for bfloat16: its cells say so, and either kind of processor can check it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from w2s_bench import api, machine
from w2s_bench._cli.app import app
from w2s_bench.results.files import read_cells
from w2s_bench.suite import Suite

SIZES = {"dev": 20, "test": 60, "weak_train": 40, "trust": 40, "transfer": 80}
HOW = {"steps": 5, "batch_size": 8, "learning_rate": 1e-3}
TEACHER = {"model": "tiny/knowledge-s", "recipe": "lora", "dtype": "bfloat16", **HOW}
STUDENT = {"model": "tiny/knowledge-l", "recipe": "full", **HOW}


@pytest.mark.slow
def test_its_cells_say_so_and_either_kind_of_processor_checks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = {"name": "w2s-bench/knowledge", "version": "2", "sizes": SIZES, "teacher": TEACHER, "student": STUDENT}
    suite = Suite.model_validate({"name": "few-bits", "version": "1", "seeds": 1, "domains": [domain]})
    monkeypatch.setenv(machine.MULTIPLIES_VARIABLE, "")
    api.run(suite, trust=["confidence"], out=tmp_path, store=tmp_path / "store", workers=1)
    cells = {cell.row: cell for cell in read_cells(tmp_path / "few-bits")}
    told = {row.partition("/")[2]: cell.provenance.get(machine.IMITATED) for row, cell in cells.items()}
    assert told["naive"] == told["confidence"] == ["bfloat16"]
    assert told["ceiling"] is None, "no model of its stages is of few bits"

    def verified() -> str:
        found = CliRunner().invoke(
            app, ["verify", str(tmp_path / "few-bits"), "--row", "knowledge/naive", "--no-attest"], terminal_width=300
        )
        return found.output

    assert "knowledge/naive  identical" in verified()
    monkeypatch.setenv(machine.MULTIPLIES_VARIABLE, "bfloat16,float16")
    assert "float32 computed in place of bfloat16; here of nothing" in " ".join(verified().split())
    items = CliRunner().invoke(
        app, ["items", str(tmp_path / "few-bits"), "--row", "knowledge/naive", "--store", str(tmp_path / "store")]
    )
    assert items.exit_code == 0 and '"weak_label"' in items.output
