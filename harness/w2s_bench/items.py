"""Domain → items and answers, rendered once by lm-eval itself.

Items and answers are different stages with different folders, so that a stage which should not see gold has no path to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from w2s_bench.contract import check_domain_unchanged
from w2s_bench.documents import Digest, of_task
from w2s_bench.errors import LeakError, PluginError
from w2s_bench.hookspecs import Domain
from w2s_bench.record import canonical_json, digest_of, write_json, write_records
from w2s_bench.registry import Registry
from w2s_bench.stages import Stage, StageContext
from w2s_bench.types import Answer, Item

ITEMS, ANSWERS, FORMAT = "items.jsonl", "answers.jsonl", "format.json"
_LM_EVAL = ("lm_eval", "datasets")
_MOST_TEMPLATES = 256
_MOST_TASKS = 4  # kept loaded, each with all its documents
#: Parameters of a domain → the plugins that built it, and its task; the one used last comes last.
_TASKS: dict[str, tuple[Registry, Any]] = {}
_OUTPUT_TYPES = {"choice": "multiple_choice", "generate": "generate_until"}


def items(domain: Mapping[str, Any], label: str = "") -> Stage:
    """Stage: every item of a domain without its answer, and the format of answers. `domain` is `evaluation.domain_params`."""
    return Stage("items", 1, "w2s_bench.items:build_items", {"domain": domain}, libraries=_LM_EVAL, label=label)


def answers(domain: Mapping[str, Any], label: str = "") -> Stage:
    """Stage: the gold of every item. Only `gold` stages read it."""
    return Stage("answers", 1, "w2s_bench.items:build_answers", {"domain": domain}, libraries=_LM_EVAL, label=label)


def build_items(context: StageContext) -> None:
    """Prompts and options are exactly the strings that lm-eval scores."""
    domain = load_domain(context)
    task = _load(domain)
    check_task(domain, task)
    built = [_item(domain, task, document) for document in _documents(context, task)]
    check_items(built, domain.name)
    until = (task.config.generation_kwargs or {}).get("until", []) if domain.kind == "generate" else []
    write_records(context.out / ITEMS, built)
    until = [until] if isinstance(until, str) else list(until)
    write_json(context.out / FORMAT, {"kind": domain.kind, "until": until, "delimiter": task.config.target_delimiter})


def build_answers(context: StageContext) -> None:
    """Every item's gold: the document, the completion a student trains on, and the option's index."""
    domain = load_domain(context)
    task = _load(domain)
    write_records(context.out / ANSWERS, (_answer(domain, task, document) for document in _documents(context, task)))


def load_domain(context: StageContext) -> Domain:
    """The domain a stage's parameters name, as it was when the run was planned."""
    params = context.params["domain"]
    registry = context.registry
    domain = registry.domain(params["name"], **params["parameters"])
    source = registry.source_digest(registry.resolve("domain", params["name"])) if "source" in params else None
    check_domain_unchanged(domain, params, source)
    return domain


def loaded_task(context: StageContext) -> Any:
    """The task of the domain that a stage's parameters name, loaded once in a process: for grading, which leaves it as it is.

    `items` and `answers` each load their own, so that one that comes out otherwise every time is found out.
    """
    domain, registry = load_domain(context), context.registry
    key = canonical_json(context.params["domain"])
    known = _TASKS.pop(key, None)
    task = known[1] if known and known[0] is registry else _load(domain)
    _TASKS[key] = (registry, task)
    while len(_TASKS) > _MOST_TASKS:
        del _TASKS[next(iter(_TASKS))]
    return task


def item_digest(item: Item) -> str:
    """Of what an answer belongs to: the prompt and the options in their order."""
    return digest_of([item.prompt, item.choices])


def check_task(domain: Any, task: Any) -> None:
    """The task asks for what the protocol does: its kind of output, no shots, greedy decoding of the same length."""
    fault = None
    if _OUTPUT_TYPES[domain.kind] != task.OUTPUT_TYPE:
        fault = f"its task's output_type is {task.OUTPUT_TYPE}, kind {domain.kind!r} needs {_OUTPUT_TYPES[domain.kind]}"
    elif task.config.num_fewshot:
        fault = f"its task asks for {task.config.num_fewshot} shots, the protocol is zero-shot; set num_fewshot: 0"
    elif domain.kind == "generate":
        asked = task.config.generation_kwargs or {}
        limit = asked.get("max_gen_toks", asked.get("max_new_tokens", domain.max_new_tokens))
        if asked.get("do_sample"):
            fault = "its task samples answers, the protocol is greedy; set do_sample: false"
        elif limit != domain.max_new_tokens:
            fault = (
                f"its task allows {limit} new tokens, the domain {domain.max_new_tokens}; "
                "set max_gen_toks in generation_kwargs to the same"
            )
    if fault:
        raise PluginError(f"domain {domain.name!r}: {fault}")


def check_items(items: Sequence[Item], domain: str) -> None:
    """Ids are unique, one question has one group, and every choice item has two or more distinct options."""
    seen: set[str] = set()
    first: dict[str, Item] = {}
    for item in items:
        if item.id in seen:
            raise PluginError(f"domain {domain!r}: two items have the id {item.id!r}; ids must be unique")
        seen.add(item.id)
        other = first.setdefault(item.key, item)
        if other.group != item.group:
            raise LeakError(
                f"domain {domain!r}: items {other.id} and {item.id} are the same question (key {item.key!r}) in two groups, "
                f"{other.group!r} and {item.group!r}; give them one group, or remove one"
            )
        if item.choices is not None and (len(item.choices) < 2 or len(set(item.choices)) < len(item.choices)):
            raise PluginError(
                f"domain {domain!r}: item {item.id!r} needs two or more distinct options, got {item.choices!r}"
            )


def _load(domain: Domain) -> Any:
    """The domain's task. From here on lm-eval compiles a template once, not once a document, which took most of rendering."""
    from lm_eval import utils

    task, environment = domain.task(), getattr(utils, "env", None)
    if environment is not None and not hasattr(environment.from_string, "cache_info"):
        environment.from_string = lru_cache(_MOST_TEMPLATES)(environment.from_string)
    return task


def _documents(context: StageContext, task: Any) -> Iterator[dict[str, Any]]:
    """Every document; at the end it is seen whether they are those that the run was planned with."""
    planned = context.params["domain"]
    if "documents" not in planned:
        yield from of_task(task)
        return
    digest = Digest(planned["name"])
    yield from digest.seen(of_task(task))
    if planned["documents"] is None:
        raise PluginError(f"domain {planned['name']!r}: its documents could not be read when the run began; run again")
    if digest.hexdigest() != planned["documents"]:
        raise PluginError(
            f"domain {planned['name']!r}: its documents are not those that were read when the run began; run again. "
            "If it happens again, fix the loader: no randomness without a seed of its own"
        )


def _item(domain: Any, task: Any, document: dict[str, Any]) -> Item:
    context = task.fewshot_context(document, 0, gen_prefix=task.doc_to_prefix(document))
    if not isinstance(context, str):
        raise PluginError(
            f"domain {domain.name!r}: its options stand in the prompt (several contexts an item); one context an item is needed"
        )
    choices = None
    if domain.kind == "choice":
        pairs = [request.args for request in task.construct_requests(document, context)]
        if any(prompt != context for prompt, _ in pairs):
            raise PluginError(
                f"domain {domain.name!r}: a metric of its task scores the options without the prompt too (acc_mutual_info); "
                "the protocol takes acc: leave the other out of metric_list"
            )
        choices = tuple(str(option) for _, option in pairs)
    return Item(prompt=context, choices=choices, **domain.fields(document))


def _answer(domain: Any, task: Any, document: dict[str, Any]) -> Answer:
    target, delimiter = task.doc_to_target(document), task.config.target_delimiter
    index = None
    if domain.kind == "choice":
        choices = task.doc_to_choice(document)
        index = target
        if isinstance(target, str):
            index = choices.index(target) if target in choices else None
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(choices):
            raise PluginError(
                f"domain {domain.name!r}: gold {target!r} is none of the options {choices!r} of item {domain.fields(document)['id']}"
            )
        target = choices[index]
    elif task.config.doc_to_choice is not None:
        target = task.doc_to_choice(document)[target]  # lm-eval grades such an answer against the option's text
    elif isinstance(target, list):
        target = target[0]
    digest = item_digest(_item(domain, task, document))
    return Answer(domain.fields(document)["id"], document, f"{delimiter}{target}", index, digest)
