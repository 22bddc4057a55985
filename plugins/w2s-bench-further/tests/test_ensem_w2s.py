"""EnsemW2S: AdaBoost's weights by hand, and an ensemble that knows more than its teacher."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_bench import Need, Ragged, TrustFunctionError
from w2s_bench.testing import MemoryEvidence
from w2s_bench_further.ensembles.ensem_w2s import EnsemW2S, errors, weights

RNG = np.random.default_rng(0)


def test_weights_by_hand() -> None:
    wrong = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]], dtype=float)
    # 1 of 4 wrong: log 3, and that row then weighs 1/2. The second errs on a row of 1/6: log 5. The third is worse than chance.
    np.testing.assert_allclose(weights(wrong, np.full(4, 2)), [np.log(3), np.log(5), 0])
    np.testing.assert_allclose(weights(wrong[:, :1], np.full(4, 4)), [np.log(3) + np.log(3)])
    assert weights(wrong[:, 2:], np.full(4, 2)).tolist() == [1.0], "nobody better than chance: all alike"


def test_what_is_known_of_a_member_beside_a_wrong_label() -> None:
    agrees, right = np.array([[1.0], [1.0], [0.0], [1.0], [0.0]]), np.array([True, True, True, False, False])
    # Right in 2 of 3 where the label is: (2 + 1) / (3 + 2) = .6. With four options another than a wrong label is right .6 to .4 · 2 / 3.
    found = errors(agrees, right, np.full(5, 4))[:, 0]
    np.testing.assert_allclose(found, [0, 0, 1, 1, 1 - 0.6 / (0.6 + 0.4 * 2 / 3)])
    assert errors(agrees, right, np.full(5, 2))[4, 0] == 0, "of two options the other one is right"


def drawn(n: int, seed: int) -> tuple[MemoryEvidence, np.ndarray]:
    """Three options; the teacher is right in 60 %, of two others one in 90 % and one in 34 %."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)

    def votes(accuracy: float) -> np.ndarray:
        said = np.where(rng.random(n) < accuracy, truth, (truth + rng.integers(1, 3, n)) % 3)
        return np.eye(3)[said] * 0.7 + 0.1

    teacher, good, bad = votes(0.6), votes(0.9), votes(0.34)
    label = teacher.argmax(1)
    readings = {
        Need("teacher", "choice_probs"): Ragged.from_rows(list(teacher)),
        Need("teacher", "ensemble", k=2): Ragged.from_rows(list(np.stack([good, bad], axis=2))),
    }
    ids, options = tuple(f"{i:04d}" for i in range(n)), (("a", "b", "c"),) * n
    said = tuple("abc"[at] for at in label)
    return MemoryEvidence(ids, ids, said, options, label, readings, said), label == truth


def test_who_errs_less_on_the_trust_set_has_more_to_say() -> None:
    trust, known = drawn(400, 1)
    pool, right = drawn(1000, 2)
    function = EnsemW2S(k=2)
    with pytest.raises(TrustFunctionError, match="not fitted"):
        function.score(pool, rng=RNG)
    function.fit(trust, known, rng=RNG)
    assert function.alphas is not None
    teacher, good, bad = function.alphas
    assert good > teacher > bad, "ranked by their accuracy, of which the labels tell a part"
    scores = function.score(pool, rng=RNG)
    assert scores.min() >= 0 and scores.max() <= 1
    plain = np.round([p[at].mean() for p, at in _told(pool)], 9)  # who agrees with the label counts alike here
    assert _auroc(scores, right) > max(0.9, _auroc(plain, right))
    function.fit(trust.take(np.zeros(0, dtype=int)), known[:0], rng=RNG)
    assert function.alphas.tolist() == [1, 1, 1]


def _told(pool: MemoryEvidence) -> list[tuple[np.ndarray, int]]:
    others = pool.read(Need("teacher", "ensemble", k=2))
    members = [np.column_stack([p, o]) for p, o in zip(pool.choice_probs(), others, strict=True)]
    assert pool.label_index is not None
    return list(zip(members, map(int, pool.label_index), strict=True))


def _auroc(scores: np.ndarray, right: np.ndarray) -> float:
    a, b = scores[right][:, None], scores[~right]
    return float(((a > b) + 0.5 * (a == b)).mean())
