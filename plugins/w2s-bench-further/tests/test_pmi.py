"""PMI: what an item adds to its label, and nothing of what the label has anyhow."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_bench import Need, Ragged
from w2s_bench.testing import MemoryEvidence
from w2s_bench_further.confidence.pmi import Pmi


def test_it_is_the_difference_of_two_sums() -> None:
    told = {
        Need("teacher", "label_logprobs"): Ragged.from_rows([[-1.0, -0.5], [-1.0, -0.5], [-3.0]]),
        Need("teacher", "label_prior"): np.array([-4.0, -1.5, -6.5]),
    }
    ids, said = ("a", "b", "c"), ("yes", "yes", "no")
    shown = MemoryEvidence(ids, ids, said, (("yes", "no"),) * 3, np.array([0, 0, 1]), told, said)
    assert Pmi().score(shown, rng=np.random.default_rng(0)).tolist() == [2.5, 0.0, 3.5]
    with pytest.raises(ValueError, match="of must be"):
        Pmi("verifier")  # type: ignore[arg-type]
