"""Domain → items and answers, rendered once by lm-eval itself.

Items and answers are different stages with different folders, so that a stage which should not see gold has no path to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from w2s_bench.domains.contradictions import Contradictions
from w2s_bench.domains.documents import Digest, of_task
from w2s_bench.domains.golds import gold_of, is_index
from w2s_bench.domains.grading import delimiter_of
from w2s_bench.domains.learnt import learnt_of
from w2s_bench.domains.soundness import (
    check_grades,
    check_index,
    check_items,
    check_options,
    check_task,
    left_out,
    unreachable,
)
from w2s_bench.errors import PluginError
from w2s_bench.hookspecs import Domain
from w2s_bench.plugins.checks import check_domain_unchanged
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.catalogue import write_groups, write_indexed
from w2s_bench.protocol.files import ANSWERS, FORMAT, ITEMS, REMARKS
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.record import canonical_json, digest_of, read_json, write_json
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import Answer, Item

_MOST_SHOWN = 5  # ids in a remark
_MOST_TEMPLATES = 256
_MOST_TASKS = 4  # tasks that a worker keeps loaded, each with all its documents
#: Parameters of a domain → the plugins that built it, and its task; the one used last comes last.
_TASKS: dict[str, tuple[Registry, Any]] = {}


def items(domain: PlannedDomain, label: str = "") -> Stage:
    """Stage: every item of a domain without its answer, and the format of answers."""
    return Stage(build_items, {"domain": domain.params}, libraries=domain.libraries, label=label, code=domain.code)


def answers(domain: PlannedDomain, label: str = "") -> Stage:
    """Stage: the gold of every item. Only `gold` stages read it."""
    return Stage(build_answers, {"domain": domain.params}, libraries=domain.libraries, label=label, code=domain.code)


def training_answers(domain: PlannedDomain, label: str = "") -> Stage:
    """Stage: what every item is answered by where something learns from it, of a domain with training gold of its own."""
    return Stage(
        build_training_answers, {"domain": domain.params}, libraries=domain.libraries, label=label, code=domain.code
    )


@stage("items", version=2)
def build_items(context: StageContext) -> None:
    """Prompts and options are exactly the strings that lm-eval scores; what cannot be asked is left out and counted."""
    domain = load_domain(context)
    task = _load(domain)
    check_task(domain, task)
    everything: list[Item] = []
    in_test: dict[str, bool | None] = {}
    for document in _documents(context, task):
        everything.append(item_of(domain, task, document))
        in_test[everything[-1].id] = _in_test(domain, document)
    built = [item for item in everything if left_out(item) is None]
    if everything and not built:
        raise PluginError(
            f"domain {domain.name!r}: none of its {len(everything)} items can be asked: item {everything[0].id!r} needs two or "
            f"more distinct options, got {everything[0].choices!r}; see doc_to_choice"
        )
    check_items(built, domain.name)
    write_indexed(context.out / ITEMS, built)
    write_groups(context.out, built, _whether_in_test(domain, [in_test[item.id] for item in built]))
    write_json(
        context.out / FORMAT,
        {"kind": domain.kind, "until": _until(domain, task), "delimiter": delimiter_of(task)},
    )
    write_json(context.out / REMARKS, [*getattr(task, "remarks", ()), *_left_out(everything)])


@stage("answers", version=4)
def build_answers(context: StageContext) -> None:
    """Every item's gold: the document, the completion a student trains on, and the option's index."""
    domain = load_domain(context)
    task = _load(domain)
    contradictions, built = Contradictions(domain.name), []
    for document in _documents(context, task):
        item = item_of(domain, task, document)
        if left_out(item) is None:
            built.append(answer_of(domain, task, document, item))
            contradictions.check(item, built[-1])
    _write_answers(context, domain, task, built)


@stage("training_answers", version=3)
def build_training_answers(context: StageContext) -> None:
    """As `answers`, of the documents that the domain gives to learn from: their answers alone are other than those that grade."""
    domain = load_domain(context)
    task, built = _load(domain), []
    taught = getattr(domain, "training_document", None)
    assert taught is not None, f"domain {domain.name!r} was planned with training gold of its own"
    for document in _documents(context, task):
        item = item_of(domain, task, document)
        if left_out(item) is not None:
            continue
        other = taught(document)
        if not isinstance(other, Mapping) or item_of(domain, task, dict(other)) != item:
            raise PluginError(
                f"domain {domain.name!r}: training_document gave another question than that of item {item.id!r}; give the whole "
                "document again, with another answer and nothing else changed"
            )
        built.append(answer_of(domain, task, dict(other), item))
    _write_answers(context, domain, task, built)


def _write_answers(context: StageContext, domain: Domain, task: Any, built: list[Answer]) -> None:
    write_indexed(context.out / ANSWERS, built)
    until = _until(domain, task)
    lost, refused = list[str](), list[str]()
    if domain.kind == "generate":
        assert domain.max_new_tokens is not None
        lost, refused = unreachable(domain.name, task, until, domain.max_new_tokens, built)
    check_grades(domain, task, until, built)
    ends = f"{', '.join(map(repr, until)) or 'nothing'}, or {domain.max_new_tokens} tokens"
    said = f"of {len(built)} items cannot be answered right, as their gold goes on after what ends an answer ({ends})"
    other = f"of {len(built)} items cannot be answered right, as their own gold is not right by the task's filter and metric"
    write_json(context.out / REMARKS, [*_remark(lost, said), *_remark(refused, other)])


def _left_out(everything: Sequence[Item]) -> list[str]:
    """How many items are left out, and which: a remark for each reason."""
    ids: dict[str, list[str]] = {}
    for item in everything:
        if (why := left_out(item)) is not None:
            ids.setdefault(why, []).append(item.id)
    return [
        remark
        for why in sorted(ids)
        for remark in _remark(ids[why], f"of {len(everything)} items were left out, as {why}")
    ]


def remarks(domain: str, folder: Path) -> list[str]:
    """What the user should know of a domain by the result of a stage in this folder, though it is no error."""
    return [f"{domain}: {text}" for text in read_json(folder / REMARKS)]


def _remark(ids: Sequence[str], said: str) -> list[str]:
    shown = ", ".join(ids[:_MOST_SHOWN]) + (", …" if len(ids) > _MOST_SHOWN else "")
    return [f"{len(ids)} {said} ({shown})"] if ids else []


def _in_test(domain: Domain, document: dict[str, Any]) -> bool | None:
    """Whether the task itself has a document in `test`; most domains do not say."""
    says = getattr(domain, "in_test", None)
    return None if says is None else says(document)


def _whether_in_test(domain: Domain, told: Sequence[bool | None]) -> list[bool] | None:
    if all(in_test is None for in_test in told):
        return None
    if any(not isinstance(in_test, bool) for in_test in told):
        raise PluginError(
            f"domain {domain.name!r}: in_test gave {told[:3]!r}, …; give True or False for all, or None for all"
        )
    return [in_test is True for in_test in told]


def _until(domain: Domain, task: Any) -> list[str]:
    until = (task.config.generation_kwargs or {}).get("until", []) if domain.kind == "generate" else []
    return [until] if isinstance(until, str) else list(until)


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
    remembered = _TASKS.pop(key, None)
    task = remembered[1] if remembered and remembered[0] is registry else _load(domain)
    _TASKS[key] = (registry, task)
    while len(_TASKS) > _MOST_TASKS:
        del _TASKS[next(iter(_TASKS))]
    return task


def item_digest(item: Item) -> str:
    """Of what an answer belongs to: the prompt and the options in their order."""
    return digest_of([item.prompt, item.choices])


def _load(domain: Domain) -> Any:
    """The domain's task. From here on lm-eval compiles a template once, not once a document, which took most of rendering."""
    from lm_eval import utils

    task, environment = domain.task(), getattr(utils, "env", None)
    if environment is not None and not hasattr(environment.from_string, "cache_info"):
        environment.from_string = lru_cache(_MOST_TEMPLATES)(environment.from_string)
    return task


def _documents(context: StageContext, task: Any) -> Iterator[dict[str, Any]]:
    """Every document; at the end it is seen whether they, and the examples, are those that the run was planned with.

    Of a large domain the conformance kit looks at `one_in` so many alone; no run does.
    """
    planned = context.params["domain"]
    if "documents" not in planned:
        yield from islice(of_task(task), 0, None, context.params.get("one_in", 1))
        return
    digest = Digest(planned["name"])
    yield from digest.seen(task)
    if planned["documents"] is None:
        raise PluginError(f"domain {planned['name']!r}: its documents could not be read when the run began; run again")
    if digest.hexdigest() != planned["documents"]:
        raise PluginError(
            f"domain {planned['name']!r}: its documents are not those that were read when the run began; run again. "
            "If it happens again, fix the loader: no randomness without a seed of its own"
        )


def _called(domain: Any, document: Mapping[str, Any]) -> str:
    return f"domain {domain.name!r}: item {domain.fields(document)['id']}"


def item_of(domain: Any, task: Any, document: dict[str, Any]) -> Item:
    """What is asked by one document."""
    try:
        context = task.fewshot_context(document, 0, gen_prefix=task.doc_to_prefix(document))
    except (ValueError, IndexError):
        gold_of(
            task, document, _called(domain, document)
        )  # lm-eval asks for gold here too; this says what is wrong with it
        raise
    if not isinstance(context, str):
        raise PluginError(
            f"domain {domain.name!r}: its options stand in the prompt (several contexts an item); one context an item is needed"
        )
    fields, choices = domain.fields(document), None
    if domain.kind == "choice":
        check_options(domain.name, fields["id"], task.doc_to_choice(document))
        pairs = [request.args for request in task.construct_requests(document, context)]
        if any(prompt != context for prompt, _ in pairs):
            raise PluginError(
                f"domain {domain.name!r}: a metric of its task scores the options without the prompt too (acc_mutual_info); "
                "the protocol takes acc: leave the other out of metric_list"
            )
        choices = tuple(str(option) for _, option in pairs)
    return Item(prompt=context, choices=choices, **fields)


def _why_no_option(target: Any, options: int, task: Any) -> str:
    """What to do about gold that is the name of a column which is not there, or, as every field of a csv, a number as text; else
    nothing."""
    template = task.config.doc_to_target
    if target == template and template not in task.features:
        return f"; doc_to_target is {template!r}, which is no field of its documents (they have {', '.join(task.features)})"
    if is_index(target):
        return f"; an index counts from 0 to {options - 1} here: mend it, and look whether its data count golds from 1"
    if not (isinstance(target, str) and target.isdecimal() and int(target) < options):
        return "; mend it, or leave the item out in process_docs"
    field = template if isinstance(template, str) and template.isidentifier() else "FIELD"
    return (
        f'; it is text, as every field of a csv is: if it is an option\'s number from 0, write doc_to_target: "{{{{{field}}}}}", '
        "which lm-eval reads as a number"
    )


def answer_of(domain: Any, task: Any, document: dict[str, Any], item: Item) -> Answer:
    """The gold of one document, whose item is known."""
    target = gold_of(task, document, _called(domain, document))
    delimiter = delimiter_of(task)
    index = None
    if domain.kind == "choice":
        choices = task.doc_to_choice(document)
        if isinstance(target, list) and target:
            target = target[0]  # the task grades each of them right, and a student learns the first
        index = target
        if isinstance(target, str):
            index = choices.index(target) if target in choices else None
        if not is_index(index) or not 0 <= index < len(choices):
            raise PluginError(
                f"domain {domain.name!r}: gold {target!r} is none of the options {choices!r} of item {item.id}"
                + _why_no_option(target, len(choices), task)
            )
        index = int(index)
        check_index(domain.name, task, document, item.id, choices, index)
        target = choices[index]
    elif task.config.doc_to_choice is not None:
        choices = task.doc_to_choice(document)
        check_index(domain.name, task, document, item.id, choices, target)
        target = choices[target]  # lm-eval grades such an answer against the option's text
    elif isinstance(target, list):
        if not target:
            raise PluginError(
                f"domain {domain.name!r}: item {item.id!r} has no gold, an empty list of answers; give it one, or leave it "
                "out in process_docs"
            )
        target = learnt_of(domain.name, task, document, target, _until(domain, task), item.id)
    if target is None or not str(target).strip():
        raise PluginError(
            f"domain {domain.name!r}: the gold of item {item.id!r} is empty ({target!r}); see doc_to_target, or leave the "
            "item out in process_docs"
        )
    return Answer(item.id, document, f"{delimiter}{target}", index, item_digest(item))
