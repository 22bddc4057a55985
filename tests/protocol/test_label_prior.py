"""The label's prior is what the model says of it after the premise, each premise and label read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from support import toy_model
from w2s_bench.errors import PluginError
from w2s_bench.models.loading import load_engine
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.evidence.readings.label_prior import LabelPrior, last_line
from w2s_bench.protocol.needs import planned_needs
from w2s_bench.types import Need, TrainingRow


def test_what_leads_over_to_the_answer() -> None:
    assert last_line("What is 2 + 2?\nAnswer in words:") == "Answer in words:"
    assert last_line("What is 2 + 2?\nThe sum is\n") == "The sum is"
    assert last_line("largest of 3 4 is") == "Answer:"


def test_it_is_what_the_model_says_without_the_item(tmp_path: Path) -> None:
    source = Registry.of(()).model(str(toy_model(tmp_path)))
    engine = load_engine(source, None, device="cpu", precision="float32", recipe="full", lora_rank=8)
    rows = [
        TrainingRow("a", "largest of 3 4\n2 + 2 =", " 4", True, None, None),
        TrainingRow("b", "largest of 3 7\n2 + 2 =", " 4", True, None, None),
        TrainingRow("c", "largest of 3 4\n2 + 2 =", " 7", True, None, None),
    ]
    asked: list[Any] = []

    class Counting:
        def label_logprobs(self, given: list[TrainingRow]) -> Any:
            asked.extend(given)
            return engine.label_logprobs(given)

    found = np.asarray(LabelPrior().read(cast(Any, Counting()), rows))
    alone = engine.label_logprobs([TrainingRow("x", "2 + 2 =", " 4", True, None, None)])[0]
    assert found[0] == found[1] == pytest.approx(float(alone.sum()), abs=1e-5) and found[2] != found[0]
    assert len(asked) == 2, "the first two are one question"


def test_a_premise_that_says_nothing_is_refused() -> None:
    with pytest.raises(PluginError, match="premise must be a text that labels may follow"):
        planned_needs(Registry.of(()), [Need("teacher", "label_prior", premise=" ")], "who")
