"""What each model of a run takes: memory, bytes to fetch, and time, from its shapes and from what this machine was seen to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from w2s_bench.executors.timings import Timings, amount_of, domain_of
from w2s_bench.models.footprint import PROCESS, Blueprint, Memory, Use, memory, operations
from w2s_bench.models.setup import USUAL
from w2s_bench.models.sizes import Sizes, sizes_of
from w2s_bench.protocol.catalogue import every_nth
from w2s_bench.protocol.evidence.readings import built_in_readings
from w2s_bench.protocol.files import ITEMS
from w2s_bench.protocol.planned import PlannedModel, PlannedTask
from w2s_bench.runs.unmade import Unmade
from w2s_bench.store.stage import ALL_GPUS, Stage
from w2s_bench.types import OPTION_FORMS, Dtype

if TYPE_CHECKING:
    from w2s_bench.domains.texts import TextLength
    from w2s_bench.models.speed import Throughput
    from w2s_bench.runs.plan import Plan
    from w2s_bench.suite_training import Training

#: A device, and the dtype of a model's weights.
Where = tuple[str, Dtype]

_MOST_MEASURED = 500  # items of a domain, evenly spread
_CHARACTERS = 4  # a token
_ASSUMED = 256  # tokens of a prompt, where nothing is known of it
_OPTIONS, _OPTION = 4, 8  # options of an item and tokens of each, where nothing is known of them
_READ_ON_GPU, _READ_ON_CPU = 16_384, 2_048  # tokens read at once, as the engine has it
_ANSWERED = 256  # rows answered at once
#: Stages of these names take what heads take: seconds, whatever the model.
_OF_HEADS: Final = frozenset({"train_head", "predict_head", "read_head"})


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a domain's items: `prompt`, all options together (`ends`), one completion (`end`). `seen`: by stored
    items, or by documents that were looked at."""

    prompt: float
    ends: float
    end: float
    seen: bool


@dataclass(frozen=True)
class ModelCost:
    """One model, whatever it is in the suite.

    `recipes`: how it is tuned; `roles`: what it is where. `memory`: bytes of one worker at its fullest, by what they are for;
    `parameters` and it are None where its shapes are not known. `on_disk`, `download`: bytes; None: nobody tells, but that no more
    are fetched than `download_at_most`, where that is known. `seconds` of one worker: None where the speed was not measured and
    nothing of it was timed.
    """

    name: str
    recipes: tuple[str, ...]
    roles: tuple[str, ...]
    parameters: int | None
    memory: Mapping[str, int] | None
    on_disk: int | None
    download: int | None
    download_at_most: int | None
    seconds: float | None
    assumed_lengths: bool
    why: str


def estimate(
    planned: Plan,
    to_run: Sequence[Stage],
    timings: Timings,
    stored: Mapping[str, Path],
    throughput: Mapping[Where, Throughput],
) -> tuple[ModelCost, ...]:
    """Of every model of the plan, in its order. `stored`: node → folder of the stages that are there.

    Nothing runs and no weight is read; what a hub must be asked is asked.
    """
    tasks = list({cell.task.spec.name: cell.task for cell in planned.cells}.values())
    uses: dict[str, list[tuple[PlannedTask, str, PlannedModel, Training]]] = {}
    for task in tasks:
        for role, model, how in _roles(task):
            uses.setdefault(model.name, []).append((task, role, model, how))
    sizes = sizes_of({name: task.origins[name] for name, ((task, *_), *_) in uses.items()})
    items = {cell.task.domain.name: stored.get(cell.graphs[0].items.node) for cell in planned.cells}
    unmade = planned.unmade
    lengths = {task.domain.name: _lengths(task, items[task.domain.name], unmade) for task in tasks}
    out = []
    for name, its in uses.items():
        own = _stages_of(its[0][2], to_run)
        seconds = _seconds(own, its, sizes[name].blueprint, timings, lengths, throughput)
        out.append(_cost(name, its, sizes[name], lengths, seconds))
    return tuple(out)


def places(planned: Plan) -> tuple[Where, ...]:
    """Where, and in which numbers, the plan's models run."""
    return tuple(dict.fromkeys((m.device, m.setup.held) for cell in planned.cells for _, m, _ in _roles(cell.task)))


def _roles(task: PlannedTask) -> list[tuple[str, PlannedModel, Training]]:
    """What each model of a domain is in it; a label source that has none is none."""
    between = [
        (f"{task.domain.short_name} generation {number}", model, how)
        for number, (model, how) in enumerate(zip(task.chain, task.spec.chain, strict=True), 1)
    ]
    teacher = [(f"{task.domain.short_name} teacher", task.teacher, task.spec.teacher)]
    return [
        *(teacher if task.spec.teacher.is_model else []),
        *between,
        (f"{task.domain.short_name} student", task.student, task.spec.student),
    ]


def _cost(
    name: str,
    its: Sequence[tuple[PlannedTask, str, PlannedModel, Training]],
    sizes: Sizes,
    lengths: Mapping[str, Lengths],
    seconds: float | None,
) -> ModelCost:
    largest: Memory | None = None
    if sizes.blueprint is not None:
        memories = [
            _memory(sizes.blueprint, model, how, lengths[task.domain.name], task) for task, _, model, how in its
        ]
        largest = max(memories, key=lambda memory: memory.total)
    told = None
    if largest is not None:
        parts = ("weights", "gradients", "optimizer", "activations", "process")
        told = {**{part: getattr(largest, part) for part in parts}, "total": largest.total}
    return ModelCost(
        name=name,
        recipes=tuple(dict.fromkeys(model.recipe for _, _, model, _ in its)),
        roles=tuple(role for _, role, _, _ in its),
        parameters=sizes.parameters,
        memory=told,
        on_disk=sizes.on_disk,
        download=sizes.download,
        download_at_most=sizes.download_at_most,
        seconds=seconds,
        assumed_lengths=not all(lengths[task.domain.name].seen for task, *_ in its),
        why="; ".join(filter(None, (sizes.why, *dict.fromkeys(map(_computed_wider, its))))),
    )


def _computed_wider(use: tuple[PlannedTask, str, PlannedModel, Training]) -> str:
    """What is told of a model that this processor multiplies in more digits than the suite asks for; else nothing."""
    _, _, model, _ = use
    if model.imitated is None:
        return ""
    told = f"no instructions for {model.imitated} here, so that "
    if model.setup.dtype == "float32":
        return f"{told}products are float32's"
    return f"{told}weights, rounded to it, are held and multiplied in float32"


def _memory(of: Blueprint, model: PlannedModel, how: Training, length: Lengths, task: PlannedTask) -> Memory:
    """As the engine uses it: whole steps, a batch of readings, and answers side by side."""
    on_gpu, setup = model.device != "cpu", model.setup
    row = _within(of, length.prompt + length.end)
    over_options = task.domain.kind == "choice" and how.objective.partition(":")[0] != "xent"
    options = max(1.0, length.ends / max(length.end, 1)) if over_options else 1.0
    most_new = task.domain.max_new_tokens
    use = Use(
        recipe=model.recipe,
        dtype=setup.held,
        quantization=setup.quantization,
        optimizer=setup.optimizer,
        lora_rank=model.lora_rank,
        lora_dora=setup.lora_dora,
        tokens=int(how.batch_size * row * options),
        predicted=int(how.batch_size * length.end * options),
        read=_READ_ON_GPU if on_gpu else _READ_ON_CPU,
        generated=int(_ANSWERED * _within(of, length.prompt + most_new)) if most_new else 0,
    )
    return memory(of, use, process=0 if on_gpu else PROCESS)


def _within(of: Blueprint, tokens: float) -> float:
    return min(tokens, of.positions) if of.positions else tokens


def _lengths(task: PlannedTask, folder: Path | None, unmade: Unmade) -> Lengths:
    most_new = task.domain.max_new_tokens
    texts = _texts(task, folder, unmade)
    if not texts:
        end = most_new or _OPTION
        return Lengths(_ASSUMED, 0 if most_new else _OPTIONS * _OPTION, end, False)
    prompts = sum(prompt for prompt, _ in texts) / _CHARACTERS / len(texts)
    ends = sum(_tokens(option) for _, options in texts for option in options)
    count = sum(len(options) for _, options in texts)
    return Lengths(max(1.0, prompts), ends / len(texts), float(most_new) if most_new else ends / max(count, 1), True)


def _texts(task: PlannedTask, folder: Path | None, unmade: Unmade) -> Sequence[TextLength]:
    """Characters of items that are stored, else of documents that are known; none where neither are."""
    if folder is None:
        count = unmade.count(task.domain.params)
        return () if count is None else count.texts
    items = every_nth(folder / ITEMS, _MOST_MEASURED)
    return [(len(item["prompt"]), [len(option) for option in item["choices"] or ()]) for item in items]


def _tokens(characters: int) -> float:
    return max(1.0, characters / _CHARACTERS)


def _stages_of(model: PlannedModel, stages: Sequence[Stage]) -> list[Stage]:
    """Those that run a model, however it is tuned."""
    begins = replace(model, recipe="full").timed_as.partition(" full ")[0]
    return [stage for stage in stages if stage.timed_as.startswith(f"{begins} ")]


def _seconds(
    stages: Sequence[Stage],
    its: Sequence[tuple[PlannedTask, str, PlannedModel, Training]],
    of: Blueprint | None,
    timings: Timings,
    lengths: Mapping[str, Lengths],
    throughput: Mapping[Where, Throughput],
) -> float | None:
    """As long as such stages took in this store, else by the operations that they are; None where neither is known of one."""
    total = 0.0
    tasks = {task.domain.name: task for task, *_ in its}
    for stage in stages:
        seconds = timings.known(stage)
        if seconds is None and stage.name in _OF_HEADS:
            seconds = 0.0
        device = "cuda" if stage.device == ALL_GPUS else stage.device  # one GPU after the other computes
        fast = throughput.get((device, _dtype_of(stage)))
        if seconds is None and of is not None and fast is not None:
            task = tasks.get(domain_of(stage))
            seconds = None if task is None else _by_operations(stage, of, fast, lengths, task)
        if seconds is None:
            return None
        total += seconds
    return total


def _of_labels_alone(stage: Stage) -> bool:
    """Whether it reads of every item its label, and not each of its options."""
    reading = built_in_readings().get(stage.params["read"]) if stage.name == "read" else None
    return reading is not None and reading.form not in OPTION_FORMS


def _dtype_of(stage: Stage) -> Dtype:
    """What the weights of the model that it loads lie in memory as."""
    params = stage.params.get("model")
    return PlannedModel.read(params).setup.held if isinstance(params, Mapping) else USUAL.dtype


def _by_operations(
    stage: Stage, of: Blueprint, fast: Throughput, lengths: Mapping[str, Lengths], task: PlannedTask
) -> float | None:
    """Seconds of one stage by how much it computes and how fast this machine computed such things.

    Of a student that is trained on answers of its own also those to write them; models that are asked about them are left out.
    """
    length, rows, most_new = lengths[task.domain.name], amount_of(stage), task.domain.max_new_tokens
    prompt = _within(of, length.prompt)
    if stage.name in ("train", "train_on_policy"):
        recipe = PlannedModel.read(stage.params["model"]).recipe
        tokens, predicted = int(rows * (prompt + length.end)), int(rows * length.end)
        done, rate = (
            operations(of, recipe, tokens=tokens, predicted=predicted, training=True),
            fast.of("train", of.width),
        )
    else:
        answers = stage.name == "predict" and bool(most_new)
        end = length.end if most_new or _of_labels_alone(stage) else length.ends
        tokens, predicted = int(rows * (prompt + end)), int(rows * end)
        done = operations(of, "none", tokens=tokens, predicted=predicted, training=False)
        rate = fast.of("generate" if answers else "read", of.width)
    if rate is None:
        return None
    if stage.name != "train_on_policy":
        return done / rate
    written, pace = (
        operations(of, "none", tokens=tokens, predicted=predicted, training=False),
        fast.of("generate", of.width),
    )
    return None if pace is None else done / rate + written / pace
