"""What a task, an item and its gold must be for the protocol: whatever can never be asked or never be right is named here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any

from w2s_bench.domains.grading import answers_are_right, delimiter_of, filter_that_takes, headline, option_is_right
from w2s_bench.errors import LeakError, PluginError, said
from w2s_bench.types import Answer, Item

_OUTPUT_TYPES = {"choice": "multiple_choice", "generate": "generate_until"}
_TRIED = 5_000  # gold answers that are graded before anything is trained: lm-eval takes half a millisecond for one
_TRIED_OTHERWISE = 16  # items of which answers other than gold are graded
_WORD = re.compile(r"\S+")
_MOST_TEMPLATES = 16  # kept compiled


def check_task(domain: Any, task: Any) -> None:
    """The task asks for what the protocol does: its kind of output, no shots, greedy decoding of the same length, a metric."""
    fault = None
    if _OUTPUT_TYPES[domain.kind] != task.OUTPUT_TYPE:
        fault = f"its task's output_type is {task.OUTPUT_TYPE}, kind {domain.kind!r} needs {_OUTPUT_TYPES[domain.kind]}"
    elif task.config.num_fewshot:
        fault = f"its task asks for {task.config.num_fewshot} shots, the protocol is zero-shot; set num_fewshot: 0"
    elif not task._metric_fn_list:
        fault = (
            f"its task has no metric; name one in metric_list: {'acc' if domain.kind == 'choice' else 'exact_match'}"
        )
    elif domain.kind == "choice" and "acc" not in task._metric_fn_list:
        fault = (
            f"its task's metrics are {', '.join(task._metric_fn_list)}, the protocol takes acc; add it to metric_list"
        )
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


def check_options(domain: str, item: str, options: Any) -> None:
    """The options of a document, as its task gives them: a list, and none of them nothing."""
    if not isinstance(options, list | tuple):
        raise PluginError(
            f"domain {domain!r}: item {item!r} needs a list of two or more distinct options, got {options!r}; "
            "see doc_to_choice, or leave the item out in process_docs"
        )
    for number, option in enumerate(options):
        if option is None or not str(option).strip():
            raise PluginError(
                f"domain {domain!r}: option {number + 1} of item {item!r} is empty ({list(options)!r}); give it a text, or "
                "leave the item out in process_docs"
            )


def left_out(item: Item) -> str | None:
    """Why an item can never be asked, so that it is left out and counted; None where it can.

    Two options that read the same cannot both be wrong and right; where there is one alone, every label is right.
    """
    if item.choices is None:
        return None
    if len(item.choices) < 2:
        return "they have fewer than two options"
    return "they have two equal options" if len(set(item.choices)) < len(item.choices) else None


def check_items(items: Sequence[Item], domain: str) -> None:
    """Ids are unique, one question has one group, every choice item has two or more distinct options; clusters are several."""
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
        if left_out(item) is not None:
            raise PluginError(
                f"domain {domain!r}: item {item.id!r} needs two or more distinct options, got {item.choices!r}"
            )
    if len(items) > 1 and items[0].cluster and len({item.cluster for item in items}) == 1:
        raise PluginError(
            f"domain {domain!r}: all {len(items)} items are of one cluster, {items[0].cluster!r}, so that nothing could be said "
            "of others; name a finer cluster, or leave it out"
        )


def check_index(
    domain: str, task: Any, document: Mapping[str, Any], item: str, options: Sequence[Any], index: int
) -> None:
    """Gold that is the text of one option is not taken for the number of another.

    lm-eval reads digits that a template renders as an index: of the options "1" to "4", gold "1" would be the second.
    A template that computes a number means the index, as lm-eval does.
    """
    template = task.config.doc_to_target
    if not isinstance(template, str) or template in task.features:
        return
    text = giving(template)(document)
    texts = [str(option) for option in options]
    if isinstance(text, str) and text.isdigit() and text in texts and texts.index(text) != index:
        raise PluginError(
            f"domain {domain!r}: gold {text!r} of item {item!r} is option {texts.index(text) + 1} of {list(options)!r}, but "
            f"lm-eval reads the digits as an index and counts {texts[index]!r} as right; write the field's name alone in "
            "doc_to_target, or give the index"
        )


@lru_cache(_MOST_TEMPLATES)
def giving(template: str) -> Callable[[Mapping[str, Any]], Any]:
    """Document → what a template of lm-eval's gives: the value itself where nothing stands beside it, a number too; else the text.

    None for a template without a field, whose digits its author wrote as an index.
    """
    from jinja2 import Environment, meta
    from jinja2.nativetypes import NativeCodeGenerator
    from lm_eval.utils import env

    if not meta.find_undeclared_variables(env.parse(template)):
        return lambda document: None
    native = env.overlay()
    native.code_generator_class = NativeCodeGenerator  # values stay what they are until they are joined
    native.concat = _joined
    compiled = Environment.from_string(
        native, template
    )  # the method of `env` may be a remembering one, which compiles for `env`
    return lambda document: compiled.render(**document)


def _joined(parts: Iterable[Any]) -> Any:
    """The only part that is not empty, as it is, or the text of all."""
    given = [part for part in parts if part != ""]
    return given[0] if len(given) == 1 else "".join(map(str, given))


def cut(text: str, until: Iterable[str]) -> str:
    """A generated text up to the first of the strings that end it."""
    return text[: min((cut for stop in until if stop and (cut := text.find(stop)) >= 0), default=len(text))]


def first_words(text: str, most: int) -> str:
    """A text up to the end of its word of this number: no tokenizer in use has a token for more than one."""
    words = list(islice(_WORD.finditer(text), most + 1))
    return text[: words[most - 1].end()] if len(words) > most else text


def unreachable(
    domain: str, task: Any, until: Sequence[str], most_tokens: int, answers: Sequence[Answer]
) -> tuple[list[str], list[str]]:
    """Ids of generated answers that no model can give, since what ends an answer comes before their gold does; and of those that
    are whole and not right by the task's own filter and metric, as a number with a unit where the filter takes a number.

    Raises where none of them is right.
    """

    def given(answer: Answer) -> str:
        return first_words(cut(answer.completion, until), most_tokens)

    tried = [a for number, a in enumerate(answers) if number < _TRIED or given(a) != a.completion]
    if not tried:
        return [], []
    texts = [given(a) for a in tried]
    with told(domain, "its gold"):
        right = answers_are_right(task, [a.id for a in tried], [a.document for a in tried], texts)
        wrong = [(a, text) for a, text, ok in zip(tried, texts, right, strict=True) if not ok]
        # Some tokenizers decode an answer without the space that it begins with.
        bare = [text.removeprefix(delimiter_of(task)) for _, text in wrong]
        if wrong:
            saved = answers_are_right(task, [a.id for a, _ in wrong], [a.document for a, _ in wrong], bare)
            wrong = [pair for pair, ok in zip(wrong, saved, strict=True) if not ok]
    lost = [a for a, text in wrong if text != a.completion]
    refused = [a for a, text in wrong if text == a.completion]
    if len(wrong) == len(tried):
        example = (refused or lost)[0]
        shown = f"as in {example.completion[:80]!r} of item {example.id!r}"
        if not refused and cut(example.completion, until) != example.completion:
            raise PluginError(
                f"domain {domain!r}: no model can be right: `until` {list(until)!r} ends an answer inside the gold, {shown}; "
                "take that string out of until, or shorten doc_to_target"
            )
        if not refused:
            raise PluginError(
                f"domain {domain!r}: no model can be right: max_gen_toks {most_tokens} ends an answer inside the gold, of "
                f"{len(example.completion.split())} words {shown}; raise it (and max_new_tokens), or shorten doc_to_target"
            )
        other = filter_that_takes(
            task, [a.id for a in refused], [a.document for a in refused], [a.completion for a in refused]
        )
        remedy = (
            "see doc_to_target, filter_list and metric_list"
            if other is None
            else f"with parameters: {{filter: {other}}} it is, as it would be with that filter first in filter_list"
        )
        raise PluginError(
            f"domain {domain!r}: its own gold is not right by its task's filter and metric {headline(task)!r}, {shown}; {remedy}"
        )
    return [a.id for a in lost], [a.id for a in refused]


def check_grades(domain: Any, task: Any, until: Sequence[str], answers: Sequence[Answer]) -> None:
    """Whatever is answered, the task says right or wrong: answers other than gold are graded, of a few items.

    Of gold itself F1 and the like are 1, so that they would be found out by what a trained model answers.
    """
    for number, answer in enumerate(answers[:_TRIED_OTHERWISE]):
        if domain.kind == "choice":
            count = len(task.doc_to_choice(answer.document))
            for option in range(count):
                with told(domain.name, f"option {option + 1} of item {answer.id!r}"):
                    option_is_right(task, answer.document, count, option, answer.id)
            continue
        for text in _other_answers(answer.completion, answers[(number + 1) % len(answers)].completion):
            given = cut(text, until)
            with told(domain.name, f"the answer {given[:60]!r} to item {answer.id!r}"):
                answers_are_right(task, [answer.id], [answer.document], [given])


def _other_answers(gold: str, of_another: str) -> dict[str, None]:
    """Nothing, gold's first word, another item's gold, both golds: what is a part of gold, or has gold as a part."""
    return dict.fromkeys(["", first_words(gold, 1), of_another, f"{gold} {of_another}"])


@contextmanager
def told(domain: str, graded: str) -> Iterator[None]:
    """Whatever grading raises, as an error that names the domain."""
    try:
        yield
    except PluginError as error:
        raise PluginError(f"domain {domain!r}: {error}") from error
    except Exception as error:  # a filter and a metric of the task raise anything
        raise PluginError(
            f"domain {domain!r}: its filter or metric cannot grade {graded} ({type(error).__name__}: {said(error)}); a model may "
            "answer anything: what cannot be read counts as wrong"
        ) from error
