"""A teacher or student of a suite: which model it is, how it is loaded and how it is trained; and what keys of a suite are made of."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from w2s_bench.suite_label_source import OF_LABEL_SOURCES, OF_MODELS, LabelSource, Noise, filled
from w2s_bench.text import printable
from w2s_bench.types import (
    JSON,
    Attention,
    DeviceMap,
    Dtype,
    OptimizerName,
    Precision,
    Quantization,
    RecipeName,
)

#: Optimizer steps of one model.
MOST_STEPS: Final = 10**8


def is_plain(text: str) -> str:
    if "\n" in text or printable(text) != text:
        raise ValueError("must be one line without control characters")
    return text


#: Keys of a teacher or student that say how it is loaded and tuned beyond recipe, rank and precision.
SETTINGS: Final = (
    *("dtype", "attention", "quantization", "device_map"),
    *("lora_alpha", "lora_dropout", "lora_targets", "lora_dora", "optimizer"),
)
Count = Annotated[int, Field(gt=0, le=10**9, strict=True)]
#: Strength of a penalty.
Ridge = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
#: A name or a version: what tables, file names and errors show.
Line = Annotated[str, Field(min_length=1, max_length=400), AfterValidator(is_plain)]
#: A trust function with its parameters, as the command line has it.
Spec = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(is_plain)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


#: What a model that is not trained has none of.
_IDLE: Final = frozenset({"steps", "batch_size", "learning_rate", "lora_rank", "ridge", "objective"})


class Training(Strict):
    """One model and how it is trained: the same number of optimizer steps whatever the data (small sets repeat).

    A teacher may instead be a label source (`source`). `noisy` and `scarce` have no model; their `model` is what they are called.
    """

    model: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(is_plain)] = Field(
        description="a language model: see below"
    )
    recipe: RecipeName = Field(
        "full",
        description="`full` trains every weight, `lora` a low-rank adapter, `head` a head on frozen states (choice domains); "
        "`none` leaves a teacher as it is: no `steps`, `learning_rate` or other key of training",
    )
    steps: Annotated[int, Field(gt=0, le=MOST_STEPS, strict=True)] = Field(description="optimizer steps")
    batch_size: Annotated[int, Field(gt=0, le=10**6, strict=True)] = Field(32, description="rows a step")
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        description="the highest, after a warm-up over 5 % of the steps"
    )
    lora_rank: Annotated[int, Field(gt=0, le=10**5, strict=True)] = Field(8, description="of recipe `lora` alone")
    ridge: Annotated[tuple[Ridge, ...], Field(max_length=20)] = Field(
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
        description="of recipe `head` alone: strengths r of the penalty r·‖w‖²/2 on the mean loss an item, between which "
        "cross-validation over the training labels chooses one; such a head is trained to convergence, in at most `steps` "
        "iterations. `[]`: no penalty, `steps` of AdamW",
    )
    precision: Precision = Field(
        "float32",
        description="what matrix products of float32 weights are computed in (`tf32`: on CUDA alone; `bfloat16`: on a processor "
        "that has instructions for it, else float32); sums are float32 either way",
    )
    dtype: Dtype = Field(
        "float32",
        description="what weights are rounded to, and what products of others than float32 are computed in (but in float32 on a "
        "processor without instructions for such numbers, unless quantized); recipe `full` trains float32",
    )
    attention: Attention = Field("default", description="how attention is computed; `default`: as transformers chooses")
    quantization: Quantization = Field(
        "none", description="in how few bits frozen weights are kept, by bitsandbytes; not for recipe `full`"
    )
    device_map: DeviceMap = Field(
        "none",
        description="`auto` spreads the model's layers over all GPUs that are visible, as transformers does, for a model that one GPU has "
        "no room for; it needs `--device cuda`, and on any other device the model lies whole, as by `none`",
    )
    lora_alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="what an adapter's product is multiplied by, times its rank; default: twice the rank"
    )
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="of what an adapter reads, in training")
    lora_targets: Annotated[tuple[Line, ...], Field(max_length=100)] = Field(
        (), description="names of the layers that get an adapter; default: every linear layer but the output"
    )
    lora_dora: bool = Field(False, description="adapters by DoRA, which trains the size of weights too")
    optimizer: OptimizerName = Field("adamw", description="`adamw8bit` keeps its moments in 8 bits, by bitsandbytes")
    objective: Line = Field(
        "xent", description="what training minimises: see [objectives](objectives.md), as `NAME` or `NAME:key=value,…`"
    )

    source: LabelSource | None = Field(
        None,
        description="of a teacher alone: where labels come from, if they are not a model's own answers, see "
        "[label sources](label-sources.md). `noisy`: gold, a share of it replaced; `scarce`: few golds; neither has a model or any other "
        "key of training. `majority`: what answers that the model draws agree on, `self_certainty`: the one of them that it is the most "
        "certain of (domains that generate)",
    )
    rate: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="of label source `noisy`: the share of golds that are replaced by a wrong answer"
    )
    noise: Noise = Field(
        "uniform",
        description="of label source `noisy`: `uniform`, drawn from all wrong answers; `systematic`, the untuned student's own most "
        "frequent wrong answer",
    )
    labels: Count | None = Field(
        None,
        description="of label source `scarce`: how many items of the pool have a label, their gold; no other is learned from",
    )
    samples: Annotated[int, Field(gt=0, le=1000, strict=True)] = Field(
        8,
        description="of label sources `majority` and `self_certainty`, and of systematic noise where answers are generated: how many "
        "are drawn an item",
    )
    temperature: Annotated[float, Field(gt=0, lt=100)] = Field(1.0, description="at which they are drawn")

    @property
    def is_model(self) -> bool:
        """Whether there is a model behind it, of which evidence can be had."""
        return self.source is None or self.source in OF_MODELS

    @model_validator(mode="before")
    @classmethod
    def _label_source_has_its_own_keys(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        return filled(given, {key: field.default for key, field in cls.model_fields.items()})

    @model_validator(mode="after")
    def _full_is_float32(self) -> Training:
        if self.recipe == "full" and (self.dtype != "float32" or self.quantization != "none"):
            raise ValueError(
                f"recipe 'full' trains every weight, and small steps are lost in weights of {self.dtype} or of few bits; "
                "take dtype float32 with precision bfloat16, or another recipe"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _untrained_has_no_schedule(cls, given: object) -> object:
        if not isinstance(given, dict) or given.get("recipe") != "none":
            return given
        if idle := sorted(_IDLE & given.keys()):
            raise ValueError(f"recipe 'none' trains nothing; leave out {', '.join(idle)}")
        return {**given, "steps": 1, "learning_rate": 1.0}  # read by nobody, and never written

    @model_serializer(mode="wrap")
    def _without_what_is_usual(self, write: SerializerFunctionWrapHandler) -> dict[str, JSON]:
        """Suites that name none of what came later are what they were before there was a choice, digest and all."""
        written: dict[str, JSON] = write(self)
        later = {"precision", "objective", "source", *OF_LABEL_SOURCES, *SETTINGS}
        if self.recipe != "head":  # heads name theirs: the usual ones were once others
            later.add("ridge")
        left_out = {name for name in later if getattr(self, name) == type(self).model_fields[name].default}
        if self.recipe == "none":
            left_out |= _IDLE
        if not self.is_model:
            left_out |= {"model", "recipe"}
        return {name: value for name, value in written.items() if name not in left_out}
