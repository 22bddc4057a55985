"""How fast this machine trains, reads and answers: small random models of a few widths, through the engine's own code."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from w2s_bench.models.footprint import Blueprint, operations
from w2s_bench.types import Dtype

Work = Literal["train", "read", "generate"]
#: Widths that are measured, the smallest first, with the layers of each.
_LADDER = ((64, 2), (256, 2), (1024, 1))
_LENGTH, _END, _NEW = 24, 4, 8  # tokens of a row, of its completion, tokens answered
_ROWS, _READ = (
    16,
    64,
)  # rows that are trained on or answered at once, and that are read: as many as the engine reads on a processor
_VOCABULARY = 2_000
_ENOUGH = 0.3  # seconds of one measurement, beyond which it is not repeated


@dataclass(frozen=True)
class Throughput:
    """Floating-point operations a second by work and width of the model, as measured."""

    measured: Mapping[Work, Sequence[tuple[int, float]]] = field(default_factory=dict)

    def of(self, work: Work, width: int) -> float | None:
        """Between two measured widths by their logarithms, beyond them as at the nearest; None where nothing was measured."""
        points = self.measured.get(work) or ()
        if not points:
            return None
        below = [point for point in points if point[0] <= width] or [points[0]]
        above = [point for point in points if point[0] >= width] or [points[-1]]
        (narrow, slow), (wide, fast) = below[-1], above[0]
        if narrow >= wide:
            return slow if narrow <= width else fast
        share = math.log(width / narrow) / math.log(wide / narrow)
        return math.exp(math.log(slow) * (1 - share) + math.log(fast) * share)


def measure(
    device: str = "cpu",
    dtype: Dtype = "float32",
    *,
    seconds: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
) -> Throughput:
    """Measure for about `seconds`, imports not counted; the narrowest width always, wider ones while time is left.

    `dtype` is that of the weights: some processors multiply bfloat16 several times as fast as float32, others far slower. On a
    processor one thread is measured, which is what a worker has.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measured(device, dtype, seconds, clock)
    finally:
        torch.set_num_threads(threads)


def _measured(device: str, dtype: Dtype, seconds: float, clock: Callable[[], float]) -> Throughput:
    begun, out = -math.inf, dict[Work, list[tuple[int, float]]]()
    for number, (width, layers) in enumerate(_LADDER):
        for work, done, run in _works(width, layers, device, dtype):
            begun = clock() if begun == -math.inf else begun
            if number and clock() - begun > seconds:
                return Throughput(out)
            run()  # the first time, memory is fetched and kernels are chosen
            spent, times = 0.0, 0
            while not times or (spent < _ENOUGH and clock() - begun < seconds):
                start = clock()
                run()
                spent, times = spent + clock() - start, times + 1
            out.setdefault(work, []).append((width, done * times / max(spent, 1e-9)))
    return Throughput(out)


def _works(width: int, layers: int, device: str, dtype: Dtype) -> Iterator[tuple[Work, float, Callable[[], object]]]:
    """Each work with how many operations it takes and what does it once."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from w2s_bench.models.encoding import Pair
    from w2s_bench.models.finetuning import finetune
    from w2s_bench.models.greedy import generate
    from w2s_bench.models.origins import numbers_of
    from w2s_bench.models.scoring import token_logprobs

    sizes: dict[str, Any] = {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": layers}
    config = LlamaConfig(vocab_size=_VOCABULARY, num_attention_heads=width // 32, max_position_embeddings=256, **sizes)
    with torch.random.fork_rng([], enabled=True):
        model: Any = LlamaForCausalLM(config).eval().to(device, numbers_of(dtype))
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    blueprint = Blueprint.of(shapes, config.to_dict())
    rows = [[(7 * row + 3 * column) % (_VOCABULARY - 1) + 1 for column in range(_LENGTH)] for row in range(_READ)]
    pairs = [Pair(tuple(row[:-_END]), tuple(row[-_END:])) for row in rows]
    read = {"tokens": _READ * _LENGTH, "predicted": _READ * _END}
    trained = {"tokens": _ROWS * _LENGTH, "predicted": _ROWS * _END}
    settings: dict[str, Any] = {"steps": 1, "batch_size": _ROWS, "learning_rate": 1e-4, "seed": 0}

    def waited(result: object) -> object:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return result

    yield "read", operations(blueprint, "none", **read, training=False), lambda: waited(token_logprobs(model, pairs))
    answered = {"tokens": _ROWS * (_LENGTH + _NEW), "predicted": _ROWS * _NEW}
    texts = [" ".join(map(str, row)) for row in rows[:_ROWS]]
    asked: dict[str, Any] = {"max_new_tokens": _NEW, "until": ()}
    yield (
        "generate",
        operations(blueprint, "none", **answered, training=False),
        lambda: waited(generate(model, _Numbers(), texts, **asked)),
    )
    yield (
        "train",
        operations(blueprint, "full", **trained, training=True),
        lambda: waited(finetune(model, pairs[:_ROWS], **settings)),
    )


class _Numbers:
    """A tokenizer of numbers, which are their own ids; nothing ends an answer."""

    bos_token = eos_token = eos_token_id = bos_token_id = None

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[int(word) for word in text.split()] for text in texts]}

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return " ".join(map(str, ids))
