"""Several golds of one generated answer → the one that a student learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from w2s_bench.domains.grading import answers_are_right, delimiter_of
from w2s_bench.domains.soundness import cut, giving, told


def learnt_of(
    domain: str, task: Any, document: Mapping[str, Any], golds: Sequence[Any], until: Sequence[str], item: str
) -> Any:
    """Of several golds of a generated answer the one that a student learns: the first that ends before any of `until` does.

    lm-eval reads a text such as [-2,7] as a list, too: then the text is the gold, unless the task calls it wrong and one of the
    list's members, or the list as Python writes it, right.
    """
    delimiter = delimiter_of(task)
    text = _text_given(task, document)
    if text is None:
        return next((gold for gold in golds if (whole := f"{delimiter}{gold}") == cut(whole, until)), golds[0])
    tried = [text, str(list(golds)), *map(str, golds)]
    answers = [cut(f"{delimiter}{gold}", until) for gold in tried]
    with told(domain, f"the gold of item {item!r}"):
        right = answers_are_right(task, [item] * len(tried), [document] * len(tried), answers)
    return next((gold for gold, is_right in zip(tried, right, strict=True) if is_right), text)


def _text_given(task: Any, document: Mapping[str, Any]) -> str | None:
    """The text that the task's template gives of a document; None where it gives no text, or the task has no template."""
    template = task.config.doc_to_target
    if not isinstance(template, str):
        return None
    given = document[template] if template in document else giving(template)(document)
    return given if isinstance(given, str) else None
