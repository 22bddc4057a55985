"""A suite's domains and models as a plan knows them: what a stage's parameters hold of them, before anything runs."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from w2s_bench.errors import ModelError
from w2s_bench.models.origins import ENGINE
from w2s_bench.models.setup import USUAL, Setup
from w2s_bench.models.tokenizer_cache import remembering
from w2s_bench.names import DEVICE_VARIABLE, ENGINE_VARIABLE, short
from w2s_bench.plugins.descriptions import has_own_training_gold
from w2s_bench.protocol.files import ABSTAINED
from w2s_bench.record import digest_of
from w2s_bench.resolvers import parted
from w2s_bench.store.stage import ALL_GPUS, Code, StageContext
from w2s_bench.suite_training import SETTINGS
from w2s_bench.types import JSON, Kind, Overflow, Precision, RecipeName

if TYPE_CHECKING:
    from w2s_bench.hookspecs import Domain, LanguageModel
    from w2s_bench.models.engine import Engine
    from w2s_bench.store.stage import Stage
    from w2s_bench.suite_domain import DomainSpec
    from w2s_bench.suite_training import Training


EngineName = Literal["built-in", "vllm"]
OWN_ENGINE: Final = "built-in"
#: What renders prompts, loads documents and grades of every domain.
_LM_EVAL: Final = ("datasets", "jinja2", "lm_eval")


@dataclass(frozen=True)
class PlannedModel:
    """A model and how it is tuned: enough to load it, and a fingerprint that makes a changed one another."""

    name: str
    fingerprint: str
    recipe: RecipeName = "full"
    lora_rank: int = 8
    precision: Precision = "float32"
    device: str = "cpu"
    setup: Setup = USUAL
    engine: EngineName = OWN_ENGINE  # that answers, and reads labels

    @classmethod
    def of(cls, training: Training, origin: LanguageModel, overflow: Overflow = "refuse") -> PlannedModel:
        device = os.environ.get(DEVICE_VARIABLE) or "cpu"
        tuning = (training.recipe, training.lora_rank, training.precision)
        setup = Setup.of({**{name: getattr(training, name) for name in SETTINGS}, "overflow": overflow})
        setup = setup.here(device, training.precision)
        return cls(training.model, origin.fingerprint(), *tuning, device, setup, _engine_for(device, setup))

    @classmethod
    def of_label_source(cls, training: Training) -> PlannedModel:
        """What stands for a model where labels come from a label source that has none: a name, which is never loaded."""
        return cls(training.model, digest_of(training.model_dump(mode="json")), "none")

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> PlannedModel:
        """The model of which `params` are."""
        return cls(**{**params, "setup": Setup.of(params.get("setup", {}))})

    @property
    def untuned(self) -> PlannedModel:
        """The model as it is, whatever is made of it elsewhere; of one with a head that of its zeroth step."""
        return replace(self.plain, recipe="head") if self.recipe == "head" else self.plain

    @property
    def plain(self) -> PlannedModel:
        """The language model alone."""
        return replace(self, recipe="full", setup=self.setup.untuned)

    @property
    def params(self) -> dict[str, JSON]:
        """As a stage's parameters hold it; of `setup` what is not as usual. What computes in it is the harness's own engine."""
        apart = ("setup", "engine")
        plain, own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart}, self.setup.written
        return {**plain, "setup": own} if own else plain

    def params_to_ask(self, *, texts: bool = True) -> dict[str, JSON]:
        """`params` of a stage that asks the model for answers or for log-probabilities of tokens, of `texts` and nothing else."""
        return {**self.params, "engine": self.engine} if texts and self.engine != OWN_ENGINE else self.params

    @property
    def frozen(self) -> dict[str, JSON]:
        """`params` without how it is tuned, for what does not depend on that."""
        loaded = replace(self, setup=self.setup.untuned)
        return {name: value for name, value in loaded.params.items() if name not in ("recipe", "lora_rank")}

    @property
    def imitated(self) -> str | None:
        """The kind of number that the suite asks for and products of float32 stand for; None where they are its own."""
        narrow = self.precision if self.setup.dtype == "float32" else self.setup.dtype
        return narrow if self.setup.widened else None

    @property
    def timed_as(self) -> str:
        """What the time of a stage that runs it hangs on."""
        precision = "widened" if self.setup.widened else self.precision
        return f"{self.name} {self.fingerprint[:8]} {self.recipe} {self.device} {precision}"

    def fields_to_ask(self, *, texts: bool = True) -> dict[str, Any]:
        """`stage_fields` of a stage with `params_to_ask`."""
        own = self.stage_fields()
        if not texts or self.engine == OWN_ENGINE:
            return own
        return {**own, "libraries": (*own["libraries"], self.engine), "timed_as": f"{self.timed_as} {self.engine}"}

    def stage_fields(self) -> dict[str, Any]:
        """The fields of a `Stage` that loads this model and computes with it."""
        is_merged = parted("model", self.name)[1] is not None  # an adapter and its base
        libraries = (*ENGINE, "peft") if self.recipe == "lora" or is_merged else ENGINE
        if self.setup.quantization != "none" or self.setup.optimizer == "adamw8bit":
            libraries = (*libraries, "bitsandbytes")
        return {
            "libraries": libraries,
            "device": ALL_GPUS if self.setup.device_map == "auto" else self.device,
            "code": Code("engine", self.name),
            "timed_as": self.timed_as,
        }


def _engine_for(device: str, setup: Setup) -> EngineName:
    """What this machine is set to; the harness's own for models that vLLM is given in no such way (packed, spread, on a processor)."""
    named = os.environ.get(ENGINE_VARIABLE) or OWN_ENGINE
    if named not in get_args(EngineName):
        raise ModelError(f"{ENGINE_VARIABLE} is {named!r}; give {' or '.join(get_args(EngineName))}, or unset it")
    if named == OWN_ENGINE:
        return OWN_ENGINE
    if not device.startswith("cuda"):
        raise ModelError(
            f"{ENGINE_VARIABLE} {named} is of CUDA devices, and models run on {device!r}; give --device cuda, or unset it"
        )
    return OWN_ENGINE if setup.quantization != "none" or setup.device_map != "none" else "vllm"


@dataclass(frozen=True)
class Tutor:
    """A student's teacher, for objectives that ask it more than its labels tell. `weights`: None where it is untuned.

    `max_new_tokens` bounds an answer that is generated; None where an option is chosen.
    """

    model: PlannedModel
    weights: Stage | None
    max_new_tokens: int | None


@dataclass(frozen=True)
class PlannedDomain:
    """A domain of a suite: enough to build it, and what makes a changed one another.

    That is its fingerprint; of a domain that is not self-contained also what is `read` at the start of a run: `documents`,
    their digest (None: they could not be read), and `source`, that of its package.
    """

    name: str  # in full
    version: str
    fingerprint: str
    parameters: Mapping[str, JSON]
    kind: Kind
    max_new_tokens: int | None
    read: Mapping[str, JSON]
    #: Whether what is learned from may be another answer than the one that grades; its fingerprint tells which.
    own_training_gold: bool = False
    #: The distributions that its prompts, golds and grades depend on.
    libraries: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, name: str, domain: Domain, parameters: Mapping[str, JSON], *, libraries: Collection[str] = (), **read: JSON
    ) -> PlannedDomain:
        """`libraries`: what the domain's own code computes with; lm-eval and what this renders and loads with come beside."""
        most_new = domain.max_new_tokens if domain.kind == "generate" else None
        own, every = has_own_training_gold(domain), tuple(sorted({*_LM_EVAL, *libraries}))
        given = dict(parameters)
        return cls(name, domain.version, domain.fingerprint(), given, domain.kind, most_new, read, own, every)

    @property
    def short_name(self) -> str:
        return short(self.name)

    @property
    def params(self) -> dict[str, JSON]:
        """As a stage's parameters hold it."""
        named = {"name": self.name, "version": self.version, "fingerprint": self.fingerprint}
        return {**named, "parameters": dict(self.parameters), **self.read}

    @property
    def code(self) -> Code:
        return Code("domain", self.name)


@dataclass(frozen=True)
class PlannedTask:
    """What one line of a suite's `domains` comes to: a domain with the models that meet there; `chain` are those between."""

    spec: DomainSpec
    domain: PlannedDomain
    teacher: PlannedModel
    student: PlannedModel
    chain: tuple[PlannedModel, ...] = ()
    #: What each of its models comes from, by the model's name.
    origins: Mapping[str, LanguageModel] = field(default_factory=dict, compare=False, repr=False)

    def link(self, generation: int) -> PlannedTask:
        """The task of one generation of its chain, counted from 1: who teaches there, and who learns."""
        ladder = (self.teacher, *self.chain, self.student)
        teaches, learns = self.spec.link(generation)
        spec = self.spec.model_copy(update={"teacher": teaches, "student": learns})
        return replace(self, spec=spec, teacher=ladder[generation - 1], student=ladder[generation])


def load_planned(context: StageContext) -> Engine:
    """The model a stage's parameters name, as it was when the run was planned, with the weights among its inputs, if any."""
    from w2s_bench.models.loading import load_engine  # torch

    model = PlannedModel.read(context.params["model"])
    origin = context.registry.model(model.name)
    if origin.fingerprint() != model.fingerprint:
        raise ModelError(f"model {model.name!r} changed on disk since the run began; run again")
    weights = context.inputs.get("weights")
    if weights is not None and (weights / ABSTAINED).exists():
        weights = None  # nothing was kept to train it on
    tuning: dict[str, Any] = {"recipe": model.recipe, "lora_rank": model.lora_rank} if weights else {}
    if model.engine == "vllm":
        from w2s_bench.models.loading import load_whole
        from w2s_bench.models.vllm import VllmEngine

        if context.models is not None:
            context.models.make_room()  # vLLM takes most of a GPU's memory
        return VllmEngine(*load_whole(origin, weights, setup=model.setup, **tuning), model.precision, model.setup)
    how: dict[str, Any] = {"device": model.device, "precision": model.precision, "setup": model.setup, **tuning}
    engine = load_engine(origin, weights, models=context.models, **how)
    for note in engine.notes():
        print(f"model {model.name}: {note}", flush=True)  # a stage's output is kept in the store's log
    engine.tokenizer = remembering(engine.tokenizer, (model.name, model.fingerprint))
    return engine
