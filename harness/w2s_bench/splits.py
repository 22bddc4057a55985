"""Domain → items, answers, and the splits dev / test / weak_train / trust / transfer.

Items and answers are different stages with different folders, so that a stage which should not see gold has no path to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from w2s_bench.errors import LeakError, PluginError, SuiteError
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.stages import Stage, StageContext
from w2s_bench.types import SPLITS, Answer, Item, Split

if TYPE_CHECKING:
    from w2s_bench.suite import Sizes

ITEMS, ANSWERS, FORMAT, SPLIT_IDS = "items.jsonl", "answers.jsonl", "format.json", "splits.json"
_LM_EVAL = ("lm_eval", "datasets")


def items(domain: Mapping[str, Any], label: str = "") -> Stage:
    """Stage: every item of a domain without its answer, and the format of answers. `domain` is `evaluation.domain_params`."""
    return Stage("items", 1, "w2s_bench.splits:build_items", {"domain": domain}, libraries=_LM_EVAL, label=label)


def answers(domain: Mapping[str, Any], label: str = "") -> Stage:
    """Stage: the gold of every item. Only `gold` stages read it."""
    return Stage("answers", 1, "w2s_bench.splits:build_answers", {"domain": domain}, libraries=_LM_EVAL, label=label)


def splits(items: Stage, sizes: Sizes, *, domain: str, seed: int, suite_seed: int, label: str = "") -> Stage:
    """Stage: ids of each split of one seed."""
    params = {"sizes": sizes.model_dump(), "domain": domain, "seed": seed, "suite_seed": suite_seed}
    return Stage("splits", 1, "w2s_bench.splits:cut", params, {"items": items}, label=label)


def subset(items: Stage, splits: Stage, split: Split, label: str = "") -> Stage:
    """Stage: the items of one split."""
    return Stage(
        "subset", 1, "w2s_bench.splits:take_subset", {"split": split}, {"items": items, "splits": splits}, label=label
    )


def gold(answers: Stage, subset: Stage, split: Split, label: str = "") -> Stage:
    """Stage: the answers of one split. Whoever may read gold has this stage among its inputs, and nobody else has."""
    return Stage(
        "gold", 1, "w2s_bench.splits:take_gold", {"split": split}, {"answers": answers, "subset": subset}, label=label
    )


def build_items(context: StageContext) -> None:
    """Render every document once, with lm-eval's own requests: prompts and options are exactly the strings it scores."""
    domain = context.registry.domain(context.params["domain"]["name"], **context.params["domain"]["parameters"])
    task = domain.task()
    if task.config.num_fewshot:
        raise PluginError(
            f"domain {domain.name!r}: its task asks for {task.config.num_fewshot} shots, the protocol is zero-shot; set num_fewshot: 0"
        )
    built = [_item(domain, task, document) for document in _documents(task)]
    check_unique(built, domain.name)
    until = (task.config.generation_kwargs or {}).get("until", []) if domain.kind == "generate" else []
    write_records(context.out / ITEMS, built)
    until = [until] if isinstance(until, str) else list(until)
    write_json(context.out / FORMAT, {"kind": domain.kind, "until": until, "delimiter": task.config.target_delimiter})


def build_answers(context: StageContext) -> None:
    """Every item's gold: the document, the completion a student trains on, and the option's index."""
    domain = context.registry.domain(context.params["domain"]["name"], **context.params["domain"]["parameters"])
    task = domain.task()
    write_records(context.out / ANSWERS, (_answer(domain, task, document) for document in _documents(task)))


def cut(context: StageContext) -> None:
    everything = read_records(context.inputs["items"] / ITEMS, Item)
    p = context.params
    write_json(
        context.out / SPLIT_IDS,
        split_ids(everything, p["sizes"], p["domain"], seed=p["seed"], suite_seed=p["suite_seed"]),
    )


def take_subset(context: StageContext) -> None:
    ids = set(read_json(context.inputs["splits"] / SPLIT_IDS)[context.params["split"]])
    chosen = [item for item in read_records(context.inputs["items"] / ITEMS, Item) if item.id in ids]
    write_records(context.out / ITEMS, sorted(chosen, key=lambda item: item.id))
    write_json(context.out / FORMAT, read_json(context.inputs["items"] / FORMAT))


def take_gold(context: StageContext) -> None:
    by_id = {answer.id: answer for answer in read_records(context.inputs["answers"] / ANSWERS, Answer)}
    subset = read_records(context.inputs["subset"] / ITEMS, Item)
    write_records(context.out / ANSWERS, [by_id[item.id] for item in subset])


def split_ids(
    items: Sequence[Item], sizes: Mapping[str, int], domain: str, *, seed: int, suite_seed: int = 0
) -> dict[str, list[str]]:
    """Ids of each split, sorted; exact sizes; no group and no key in two splits.

    Groups are ranked by a hash, of (domain, group) for `dev` and `test` and of (suite seed, seed, group) for the other
    three, and dealt out in that order. A group that overfills a split is cut; what is cut off is used nowhere.
    """
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item)
    for members in groups.values():
        members.sort(key=lambda item: hash_rank(domain, item.id))
    out: dict[str, list[str]] = {}
    rest = sorted(groups, key=lambda group: hash_rank("held out", domain, group))
    rest = _deal(rest, groups, sizes, ("dev", "test"), out, domain)
    rest = sorted(rest, key=lambda group: hash_rank("drawn", suite_seed, domain, seed, group))
    _deal(rest, groups, sizes, ("weak_train", "trust", "transfer"), out, domain)
    _refuse_shared_keys(items, out, domain)
    return {split: sorted(out[split]) for split in SPLITS}


def _deal(
    order: list[str],
    groups: Mapping[str, list[Item]],
    sizes: Mapping[str, int],
    splits: Sequence[Split],
    out: dict[str, list[str]],
    domain: str,
) -> list[str]:
    """Fill `splits` in turn from the groups in `order`; returns the groups left over."""
    place = 0
    for split in splits:
        ids: list[str] = []
        while len(ids) < sizes[split]:
            if place == len(order):
                asked = ", ".join(f"{name} {sizes[name]}" for name in SPLITS)
                raise SuiteError(
                    f"domain {domain!r} has {sum(map(len, groups.values()))} items in {len(groups)} groups, too few for sizes {asked} "
                    f"(sum {sum(sizes[name] for name in SPLITS)}); {split} was filled to {len(ids)}. Make the splits smaller; a group "
                    "that straddles two splits is cut, so leave some room."
                )
            ids += [item.id for item in groups[order[place]]][: sizes[split] - len(ids)]
            place += 1
        out[split] = ids
    return order[place:]


def _refuse_shared_keys(items: Iterable[Item], ids: Mapping[str, list[str]], domain: str) -> None:
    split_of = {i: split for split, members in ids.items() for i in members}
    seen: dict[str, Item] = {}
    for item in items:
        if item.id not in split_of:
            continue
        other = seen.setdefault(item.key, item)
        if split_of[other.id] != split_of[item.id]:
            raise LeakError(
                f"domain {domain!r}: items {other.id} ({split_of[other.id]}) and {item.id} ({split_of[item.id]}) are the same question "
                f"(key {item.key!r}); give them one group, or remove one"
            )


def check_unique(items: Sequence[Item], domain: str) -> None:
    """No two items share an id; every item has at least two distinct options, where it has options."""
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise PluginError(f"domain {domain!r}: two items have the id {item.id!r}; ids must be unique")
        seen.add(item.id)
        if item.choices is not None and (len(item.choices) < 2 or len(set(item.choices)) < len(item.choices)):
            raise PluginError(
                f"domain {domain!r}: item {item.id!r} needs two or more distinct options, got {item.choices!r}"
            )


def _documents(task: Any) -> list[dict[str, Any]]:
    return [dict(document) for document in task.eval_docs]


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
    return Answer(domain.fields(document)["id"], document, f"{delimiter}{target}", index)
