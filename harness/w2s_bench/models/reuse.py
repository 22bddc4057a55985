"""Models that one stage of a process loaded, for the next: a base is lent to all that ask for it, and its weights lie in memory once.

Whoever is lent a model has modules and settings of its own, whose weights are the kept ones; nobody may write into those before
`own` has made them the borrower's. No torch until a model is loaded.
"""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from w2s_bench.models.verdicts import Verdicts

#: Weights of so many bytes are copied where they are to be written into; the next stage would load greater ones as fast.
_COPIED = 32 << 20


@dataclass(frozen=True)
class _Kept:
    """`bytes` of memory, which is that of the `accelerators` where there are any."""

    model: Any
    tokenizer: Any
    bytes: int
    accelerators: frozenset[Any]

    @classmethod
    def of(cls, model: Any, tokenizer: Any) -> _Kept:
        tensors = [*model.parameters(), *model.buffers()]
        storages = {storage.data_ptr(): storage.nbytes() for storage in (t.untyped_storage() for t in tensors)}
        away = frozenset(tensor.device for tensor in tensors if tensor.device.type != "cpu")
        return cls(model, tokenizer, sum(storages.values()), away)


class LoadedModels:
    """What a process has loaded, by what it is; those used last come last.

    On an accelerator nothing stays but what the running stage uses, and after it until another model is asked for: what is free
    there decides how many rows are read at once. On the processor what was not used lately goes first, at the end of a stage, beyond
    as many bytes as `settle` is told. Not `keeps`: everything is loaded anew, for processes whose code may write into weights.
    """

    def __init__(self, verdicts: Verdicts | None = None, *, keeps: bool = False) -> None:
        self.verdicts = verdicts or Verdicts()
        self.keeps = keeps
        self._kept: dict[Hashable, _Kept] = {}
        self._lent = Counter[Hashable]()  # by the running stage

    @property
    def bytes(self) -> int:
        """Of the processor's memory, taken by models that are kept."""
        return sum(kept.bytes for kept in self._kept.values() if not kept.accelerators)

    def lend(self, key: Hashable, load: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any, Callable[[Any], Any]]:
        """(model, tokenizer, own) of what `load` gives, or gave a stage before; `own(model)` has weights that may be written into.

        `key` names all that they depend on. Whatever `load` raises is raised, and nothing is kept then.
        """
        self.make_room(key)
        kept = self._kept.pop(key, None)
        if kept is None:
            model, tokenizer = load()
            if not self.keeps or not _can_be_lent(model):
                return model, tokenizer, _as_it_is
            kept = _Kept.of(model, tokenizer)
        view = _view(kept.model)
        self._kept[key] = kept
        self._lent[key] += 1
        return view, kept.tokenizer, lambda model: self._own(key, kept, model)

    def settle(self, most: Callable[[], int]) -> None:
        """A stage has ended, and its models are no longer in use: on the processor so many bytes are kept."""
        self._lent.clear()
        excess = self.bytes and self.bytes - most()
        for key, kept in list(self._kept.items()):
            if excess > 0 and not kept.accelerators:
                del self._kept[key]
                excess -= kept.bytes

    def _own(self, key: Hashable, kept: _Kept, model: Any) -> Any:
        """`model` with weights that nobody else has: copies, or the kept ones, which then are kept no more.

        Either way one borrower less has the kept ones, so that the last of several is handed them: no more copies than loads.
        """
        borrowers, is_kept = self._lent[key], self._kept.get(key) is kept
        own = model if is_kept and borrowers == 1 and kept.bytes > _COPIED else copy.deepcopy(model)
        if own is model:
            del self._kept[key]
        if borrowers:
            self._lent[key] -= 1
        return own

    def make_room(self, wanted: Hashable = None) -> None:
        """Take from the accelerators what the running stage has not asked for, and is not about to."""
        idle = [key for key, kept in self._kept.items() if kept.accelerators and key != wanted and not self._lent[key]]
        devices = {device for key in idle for device in self._kept.pop(key).accelerators}
        if devices:
            from w2s_bench.models.memory import empty_cache

            for device in devices:
                empty_cache(device)


def _as_it_is(model: Any) -> Any:
    return model


def _can_be_lent(model: Any) -> bool:
    """Whether a copy is a model of its own. Packed weights have no plain copies, and what a closure holds stays the original's."""
    if getattr(model, "is_quantized", False):
        return False
    if any(getattr(value, "__closure__", None) for module in model.modules() for value in _held(module)):
        return False
    try:
        _view(model)
    except Exception:  # noqa: BLE001 - a lock, a handle, a tensor with a history: whatever has no copy says so in its own words
        return False
    return True


def _held(module: Any) -> Iterator[Any]:
    """What a module has besides its tensors, and the functions that it calls around its own."""
    hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    for value in (*vars(module).values(), *hooks):
        yield value
        while isinstance(value, functools.partial):
            value = value.func
            yield value


def _view(model: Any) -> Any:
    """A model of its own, whose parameters are numbers of the other's; buffers, which are small, are copied."""
    from torch.nn import Parameter

    own = {id(p): Parameter(p.detach(), requires_grad=p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, own)
