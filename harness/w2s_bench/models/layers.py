"""The states of some layers at some tokens, out of one pass: nothing else of what the layers give is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from w2s_bench.errors import ModelError
from w2s_bench.models.capabilities import base_of

_KNOWN = "_w2s_bench_blocks"
_ASKED = 4  # tokens of the pass that shows where a model's layers are


def depth_of(model: Any) -> int | None:
    """The number of a model's last layer, where its configuration tells; 0 is the embedding."""
    count = getattr(base_of(model).config.get_text_config(), "num_hidden_layers", None)
    return None if count is None else int(count)


@torch.no_grad()
def count_of(model: Any) -> int:
    """How many layers of states there are, the embedding's among them: as the configuration tells, or else as a token shows."""
    depth = depth_of(model)
    if depth is not None:
        return depth + 1
    ids = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    return len(model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states)


def refuse_layers(model: Any, layers: Sequence[int]) -> None:
    """Raises `ModelError` for a layer that the model does not have."""
    depth = depth_of(model)
    for layer in layers:
        if depth is not None and not -depth - 1 <= layer <= depth:
            raise ModelError(
                f"layer {layer} of a model with layers 0 (embedding) to {depth}; give one of these, or count from the end "
                f"(-1, the last, to -{depth + 1})"
            )


class Tap:
    """Takes states out of a pass while it runs. `settings` go into the call of the model or of its body."""

    def __init__(self, model: Any, layers: Sequence[int], at: torch.Tensor) -> None:
        self.model, self.layers, self.at = base_of(model), tuple(layers), at
        self.blocks = _blocks_of(self.model) if self.layers else ""
        self.settings = {"output_hidden_states": True} if self.layers and self.blocks is None else {}
        self.taken: dict[int, torch.Tensor] = {}

    @property
    def asked(self) -> Any:
        """Whom to ask for states alone: the body, which some whole models go past (OPT), or the model, which tells them."""
        return self.model if self.blocks is None else self.model.base_model

    @contextmanager
    def open(self) -> Iterator[Tap]:
        """While it is open, one pass may be made."""
        handles = []
        if self.layers and self.blocks is not None:
            depth = len(self.model.base_model.get_submodule(self.blocks))
            wanted = {layer % (depth + 1) for layer in self.layers}
            handles = _hooked(self.model.base_model, self.blocks, wanted, self._take)
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def states(self, output: Any) -> torch.Tensor:
        """(at, layers, d) in float32, of the pass that was made and what it gave."""
        if self.blocks is None:
            told = output.hidden_states
            if not all(-len(told) <= layer < len(told) for layer in self.layers):
                raise ModelError(
                    f"layers {list(self.layers)} of model {self.model.config.name_or_path!r}, which has 0 (embedding) to "
                    f"{len(told) - 1}; give some of these, or count from the end (-1, the last)"
                )
            shapes = {tuple(told[layer].shape) for layer in (*self.layers, -1)}
            if len(shapes) > 1:
                self._refuse(sorted(shapes))
            for layer in self.layers:
                self._take(layer, told[layer])
            chosen = [self.taken[layer] for layer in self.layers]
        else:
            depth = len(self.model.base_model.get_submodule(self.blocks))
            chosen = [self.taken[layer % (depth + 1)] for layer in self.layers]
        if len({state.shape for state in chosen}) > 1:
            self._refuse(sorted({tuple(state.shape) for state in chosen}))
        return torch.stack(chosen, dim=1)

    def _take(self, layer: int, states: torch.Tensor) -> None:
        if states.ndim != 3:
            self._refuse([tuple(states.shape)])
        self.taken[layer] = states.flatten(0, 1)[self.at.to(states.device)].float().to(self.at.device)

    def _refuse(self, shapes: list[tuple[int, ...]]) -> None:
        raise ModelError(
            f"layers {list(self.layers)} of model {self.model.config.name_or_path!r} have states of shapes {shapes}; one "
            "vector a token is expected, of one width: take other layers, or another model"
        )


def _hooked(body: Any, blocks: str, wanted: set[int], take: Any) -> list[Any]:
    """Handles of hooks that give `take` each wanted layer's number and its states (rows, length, d).

    Layer i is what block i reads, counted from 0; the last is what the body gives.
    """
    modules = list(body.get_submodule(blocks))
    handles = []
    for layer in sorted(wanted):
        if layer == len(modules):
            handles.append(body.register_forward_hook(lambda _m, _i, out, n=layer: take(n, out.last_hidden_state)))
        else:
            handles.append(
                modules[layer].register_forward_pre_hook(
                    lambda _m, given, named, n=layer: take(n, given[0] if given else named["hidden_states"]),
                    with_kwargs=True,
                )
            )
    return handles


def _blocks_of(plain: Any) -> str | None:
    """The path, in the model's body, of the list of its blocks; None where what they read is not what transformers tells."""
    path = vars(plain).get(_KNOWN, False)
    if path is False:
        path = _found_out(plain)
        setattr(plain, _KNOWN, path)
    assert path is None or isinstance(path, str)
    return path


@torch.no_grad()
def _found_out(plain: Any) -> str | None:
    """Asks the model on a few tokens: the states that hooks see must be transformers' own, number for number."""
    body, depth = plain.base_model, depth_of(plain)
    if body is plain or depth is None:
        return None
    lists = [
        name
        for name, module in body.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth
    ]
    ids = torch.arange(1, _ASKED + 1, device=plain.device)[None] % plain.config.get_text_config().vocab_size
    return next((name for name in lists if _seen_as_told(body, name, ids, depth)), None)


def _seen_as_told(body: Any, blocks: str, ids: torch.Tensor, depth: int) -> bool:
    seen: dict[int, torch.Tensor] = {}
    handles: list[Any] = []
    try:
        handles += _hooked(body, blocks, set(range(depth + 1)), seen.__setitem__)
        told = body(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
        return len(told) == depth + 1 and all(
            torch.equal(seen[layer].to(told[layer].device), told[layer]) for layer in range(depth + 1)
        )
    except Exception:  # noqa: BLE001 - of a model that hooks do not understand transformers tells the states
        return False
    finally:
        for handle in handles:
            handle.remove()
