"""How a model is loaded and tuned, beyond its recipe, and what of that this machine decides. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from w2s_bench.errors import ModelError
from w2s_bench.machine import multiplies
from w2s_bench.types import JSON, Attention, DeviceMap, Dtype, OptimizerName, Overflow, Precision, Quantization

#: How many rows pass through a model at once while it is trained. It changes results by round-off alone, so that it is no
#: part of any key: a step is one of all its rows, however they are parted.
MICRO_BATCH_VARIABLE = "W2S_BENCH_MICRO_BATCH"
#: Whether what layers compute is forgotten and computed again for the gradient, which takes a third more time and little memory.
CHECKPOINTING_VARIABLE = "W2S_BENCH_CHECKPOINTING"

Checkpointing = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class Setup:
    """What a suite declares of a model beside its recipe, its rank and its precision."""

    dtype: Dtype = "float32"  # of the weights
    attention: Attention = "default"
    quantization: Quantization = "none"
    device_map: DeviceMap = "none"
    lora_alpha: float | None = None  # None: twice the rank
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ()  # empty: every linear layer but the output
    lora_dora: bool = False
    optimizer: OptimizerName = "adamw"
    overflow: Overflow = "refuse"  # of the domain whose items it reads
    widened: bool = False  # products are float32's, and so is what holds weights that were rounded to fewer bits

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Setup:
        """What `written` gave."""
        settled: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**settled)

    @property
    def written(self) -> dict[str, JSON]:
        """What is not as usual."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def on(self, device: str) -> Setup:
        """As it is on `device`: what may be spread is spread over the GPUs of `cuda`, and lies whole on any that is named."""
        return self if device == "cuda" else replace(self, device_map="none")

    def here(self, device: str, precision: Precision) -> Setup:
        """`on(device)`, as this machine computes it best: a processor that lacks instructions for products of a dtype (of float32,
        of a precision) takes many times as long for them as for those of float32. bitsandbytes computes in its own way."""
        imitated = not multiplies(precision if self.dtype == "float32" else self.dtype)
        return replace(self.on(device), widened=imitated and device == "cpu" and self.quantization == "none")

    @property
    def held(self) -> Dtype:
        """What the weights lie in memory as."""
        return "float32" if self.widened else self.dtype

    @property
    def loading(self) -> Setup:
        """What the untuned model depends on."""
        return Setup(self.dtype, self.attention, self.quantization, self.device_map, widened=self.widened)

    @property
    def untuned(self) -> Setup:
        """What the untuned model depends on, and how it reads."""
        return replace(self.loading, overflow=self.overflow)


@dataclass(frozen=True)
class Effort:
    """What this machine decides of how a model is trained. `micro_batch`: rows at once, None: as memory allows."""

    micro_batch: int | None = None
    checkpointing: Checkpointing = "auto"

    @classmethod
    def of_environment(cls) -> Effort:
        rows, choice = os.environ.get(MICRO_BATCH_VARIABLE, ""), os.environ.get(CHECKPOINTING_VARIABLE, "") or "auto"
        if rows and not (rows.isascii() and rows.isdigit() and int(rows) > 0):
            raise ModelError(f"{MICRO_BATCH_VARIABLE} is {rows!r}; give a whole number of rows from 1, or unset it")
        for checkpointing in ("auto", "always", "never"):
            if choice == checkpointing:
                return cls(int(rows) if rows else None, checkpointing)
        raise ModelError(f"{CHECKPOINTING_VARIABLE} is {choice!r}; give auto, always or never, or unset it")


USUAL = Setup()
USUAL_EFFORT = Effort()
