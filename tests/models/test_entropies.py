"""Entropies and certainties of what a model expected in the place of each token, against plain transformers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from w2s_bench.models import scoring
from w2s_bench.models.encoding import Pair
from w2s_bench.models.entropies import token_certainties, token_entropies


@pytest.mark.parametrize("name", ["words", "untied", "gpt2"])
@pytest.mark.parametrize("at_once", [2_048, 16])
def test_they_are_those_of_the_row_alone(
    sources: Any, name: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "tokens_at_once", lambda model: at_once)
    model, rng = sources[name].load()[0], np.random.default_rng(3)
    size = model.config.vocab_size
    pairs = [
        Pair(tuple(rng.integers(0, size, 1 + n % 4).tolist()), tuple(rng.integers(0, size, 1 + n % 3).tolist()))
        for n in range(9)
    ]
    found, certain = token_entropies(model, pairs), token_certainties(model, pairs)
    for pair, entropies, certainties in zip(pairs, found, certain, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*pair.prompt, *pair.completion]])).logits[0].double()
        alone = torch.distributions.Categorical(logits=logits[len(pair.prompt) - 1 : -1]).entropy()
        assert len(entropies) == len(pair.completion) and (entropies <= math.log(size) + 1e-6).all()
        np.testing.assert_allclose(entropies, alone.numpy(), atol=1e-5)
        said = torch.distributions.Categorical(logits=logits[len(pair.prompt) - 1 : -1])
        guess = torch.distributions.Categorical(logits=torch.zeros_like(said.logits))
        apart = torch.distributions.kl_divergence(guess, said)
        np.testing.assert_allclose(certainties, apart.numpy(), atol=1e-5)


def test_of_no_rows_there_are_none_and_a_token_that_cannot_come_has_no_share(sources: Any) -> None:
    from w2s_bench.models.entropies import _entropies

    assert token_entropies(sources["words"].load()[0], []) == []
    logits = torch.tensor([[0.0, 0.0, -torch.inf], [1e4, 0.0, 0.0]])
    np.testing.assert_allclose(_entropies(logits), [math.log(2), 0.0], atol=1e-6)


def test_a_guess_is_certain_of_nothing_and_what_cannot_come_is_not_asked(sources: Any) -> None:
    from w2s_bench.models.entropies import _certainties

    assert token_certainties(sources["words"].load()[0], []) == []
    logits = torch.tensor([[2.0, 2.0, -torch.inf], [math.log(3.0), 0.0, -torch.inf], [9.0, 9.0, 9.0]])
    known = [0.0, -math.log(2) - (math.log(3 / 4) + math.log(1 / 4)) / 2, 0.0]
    np.testing.assert_allclose(_certainties(logits), known, atol=1e-6)
