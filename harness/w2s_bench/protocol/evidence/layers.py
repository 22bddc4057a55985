"""Which layers of a model a reading takes: by index, all of them, or those in the middle, whatever the model's depth."""

from __future__ import annotations

from typing import Any, Literal, cast

from w2s_bench.errors import EvidenceError

Layers = int | Literal["all", "middle"] | tuple[int, ...]
#: Shares of a model's depth, where what it knows of an answer is read best.
MIDDLE = (1 / 3, 1 / 2, 2 / 3)


def checked(layers: Any, reading: str) -> Layers:
    """What a need asks for, if it is that; otherwise a `ValueError`."""
    if layers in ("all", "middle") or type(layers) is int:
        return cast(Layers, layers)
    if isinstance(layers, list) and layers and all(type(layer) is int for layer in layers):
        if len(set(layers)) == len(layers):
            return tuple(layers)
        raise ValueError(f"the layers of {reading} must differ, got {layers!r}")
    raise ValueError(
        f"the layers of {reading} must be an integer, a list of integers, 'middle' or 'all', got {layers!r}"
    )


#: What is frozen of a model that a head is trained on: the layers that are read most, the head's own (two thirds) among them.
FROZEN: tuple[Layers, ...] = ("middle", -1)


def chosen(layers: Layers, count: int) -> list[int]:
    """Indices into a model's `count` layers of states, of which 0 is the embedding and the last what the output layer reads.

    "middle": those at a third, half and two thirds of the depth, rounded; a shallow model has fewer. "all": every one but the
    embedding, which is in neither: it is the last token itself. Negative indices count from the end.
    """
    depth = count - 1
    if layers == "middle":
        return sorted({max(1, round(share * depth)) for share in MIDDLE})
    if layers == "all":
        return list(range(1, count))
    wanted = [layers] if isinstance(layers, int) else [int(layer) for layer in layers]
    for layer in wanted:
        if not -count <= layer < count:
            raise EvidenceError(f"layer {layer} of {count}; 0 is the embedding, -1 the last")
    return [layer % count for layer in wanted]
