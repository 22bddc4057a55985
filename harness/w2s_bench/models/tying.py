"""Weights that two parts of a model share: told by their memory, for what a configuration says of them need not be so."""

from __future__ import annotations

from typing import Any


def shared_names(model: Any) -> set[str]:
    """Names of a model's tensors that are another's memory, so that one of each group is left: the one which others are tied to.

    transformers ties nothing, and only warns, where the configuration says `tie_word_embeddings` and the file holds two that differ.
    """
    declared = set(getattr(model, "_tied_weights_keys", None) or ())
    places: dict[tuple[Any, ...], list[str]] = {}
    for name, tensor in model.state_dict().items():
        if tensor.numel() and tensor.device.type != "meta":
            place = (str(tensor.device), tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
            places.setdefault(place, []).append(name)
    shared: set[str] = set()
    for names in places.values():
        kept = next((name for name in names if name not in declared), names[0])
        shared |= {name for name in names if name != kept}
    return shared


def tell_as_it_is(model: Any) -> None:
    """Have a model's configuration say that its output layer is its own, where it is: whoever saves it for others to load says so."""
    pair = (model.get_input_embeddings(), model.get_output_embeddings())
    reads, writes = (getattr(layer, "weight", None) for layer in pair)
    if reads is None or writes is None or reads is writes or reads.data_ptr() == writes.data_ptr():
        return
    for config in (model.config, model.config.get_text_config()):
        if getattr(config, "tie_word_embeddings", False):
            config.tie_word_embeddings = False
