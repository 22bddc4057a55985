"""What is after the automated weak-to-strong researcher: agreement with a search without gold, and a curriculum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from w2s_bench.testing import check_objective, synthetic_evidence
from w2s_bench_further import w2s_objectives
from w2s_bench_further.objectives.mdl_curriculum import MdlCurriculum
from w2s_bench_further.weak_to_strong.ccs_agreement import CcsAgreement, agreement

RNG = np.random.default_rng(0)


def test_agreement_by_hand() -> None:
    said, weak = np.array([0.9, 0.5, 0.4, 0.1]), np.array([0.6, 0.8, 0.7, 0.3])
    np.testing.assert_allclose(agreement(said, weak, 0.1), [0.9, 0.8, 0.06, 0.03])


def test_what_the_two_agree_on_comes_first_and_is_more_often_right() -> None:
    shown, right = synthetic_evidence("choice", 300, 5)
    scores = CcsAgreement(epsilon=0.5).score(shown, rng=RNG)
    assert scores.min() >= 0 and scores.max() <= 1 and scores[right].mean() > scores[~right].mean()
    agreed = scores >= 0.5
    assert 0 < agreed.sum() < 300 and right[agreed].mean() > right[~agreed].mean()
    with pytest.raises(ValueError, match=r"epsilon must be a number from 0 to 0.5, got 0.6"):
        CcsAgreement(epsilon=0.6)


@pytest.mark.parametrize("parameters", [{}, {"share": 1.0}, {"top": 1.0}, {"share": 0.6, "top": 0.25}])
def test_the_curriculum_keeps_the_contract(parameters: dict[str, float]) -> None:
    check_objective(w2s_objectives()["mdl_curriculum"](**parameters))


def test_sure_labels_first_then_all() -> None:
    from w2s_bench import Step, Targets

    logits = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.0], [3.0, 0.0]], dtype=torch.float64)
    label = torch.tensor([0, 0, 1, 1])
    teacher = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55]], dtype=torch.float64)
    targets: Any = Targets(label, {"teacher": teacher})
    each = torch.nn.functional.cross_entropy(logits, label, reduction="none")
    objective = MdlCurriculum()
    early = objective.loss(logits, targets, None, Step(39, 100))
    assert float(early) == pytest.approx(float(each[[0, 2]].mean())), "the two of .9 and .8 are the surer half"
    late = objective.loss(logits, targets, None, Step(40, 100))
    assert float(late) == pytest.approx(float(each.mean()))
    # A batch in parts: the threshold is that of the whole.
    settled = objective.settled(logits, targets, Step(0, 100))
    parts = [Targets(label[at], {"teacher": teacher[at]}) for at in (slice(0, 2), slice(2, 4))]
    halves = [
        settled.loss(logits[at], part, None, Step(0, 100))
        for part, at in zip(parts, (slice(0, 2), slice(2, 4)), strict=True)
    ]
    assert float(sum(halves)) / 2 == pytest.approx(float(early))
    weights = torch.tensor([2.0, 1.0, 0.5, 0.5], dtype=torch.float64)
    weighted = objective.loss(logits, targets, weights, Step(0, 100))
    assert float(weighted) == pytest.approx(float((2 * each[0] + 0.5 * each[2]) / 2))


def test_unknown_parameters_are_refused() -> None:
    for parameters, said in (
        ({"share": 0}, "share must be"),
        ({"top": 1.5}, "top must be"),
        ({"least": 2}, "least must be"),
    ):
        with pytest.raises(ValueError, match=said):
            MdlCurriculum(**parameters)  # type: ignore[arg-type]
