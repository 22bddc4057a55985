"""What commands print for programs is JSON: a figure that is none would be `NaN`, which no parser but Python's takes."""

from __future__ import annotations

import json
import re

import pytest

from support import ROOT
from w2s_bench._cli.output import print_json


def test_a_figure_that_json_cannot_hold_is_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            print_json({"figure": [value]})
    print_json({"figure": None})
    assert json.loads(capsys.readouterr().out) == {"figure": None}


def test_every_command_prints_json_in_this_one_way() -> None:
    folder = ROOT / "harness" / "w2s_bench" / "_cli"
    printing = [
        path.name for path in folder.rglob("*.py") if re.search(r"print\(\s*json\.dumps", path.read_text("utf-8"))
    ]
    assert printing == ["output.py"]
