"""Checks of a model: it loads, and its tokenizer fits it."""

from __future__ import annotations

from w2s_bench.hookspecs import LanguageModel
from w2s_bench.plugins import checks as contract
from w2s_bench.testing.expecting import expect, expect_lasting_fingerprint, guarded, keeps_contract


def check_model(model: LanguageModel) -> None:
    """The model loads in float32 with a tokenizer that fits it, gives finite logits, and keeps its fingerprint.

    The tokenizer ends no text by itself. What `size()` says, where it has one, is what it then weighs.
    """
    import torch

    from w2s_bench.models.encoding import refuse_closing

    keeps_contract(contract.check_model, model)
    expect_lasting_fingerprint(model)
    network, tokenizer = model.load()
    told = guarded("size()", lambda: contract.told_size(type(model).__name__, model))
    if told is not None and told.parameters is not None:
        own = sum(p.numel() for p in network.parameters())
        expect(
            told.parameters == own, f"size() tells {told.parameters:,} parameters, it has {own:,}; count tied ones once"
        )
    kinds = {str(p.dtype) for p in network.parameters()}
    expect(kinds == {"torch.float32"}, f"weights must be float32, got {sorted(kinds)}; load with dtype=torch.float32")
    expect(not network.training, "load() must return the model in evaluation mode; call .eval()")
    rows, largest = network.get_input_embeddings().weight.shape[0], max(tokenizer.get_vocab().values())
    expect(largest < rows, f"the tokenizer's largest id is {largest}, the model embeds {rows}")
    guarded("the tokenizer", lambda: refuse_closing(tokenizer, model.name))
    expect(tokenizer.eos_token_id is not None, "the tokenizer needs an end-of-sequence token; set eos_token")
    with torch.no_grad():
        logits = network(torch.arange(min(8, rows))[None]).logits
    expect(bool(torch.isfinite(logits).all()), "its logits are not all finite")
