"""Gold that is none of a document's options: where it stands, what it is, and what the options are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, TypeGuard

from w2s_bench.errors import PluginError, said
from w2s_bench.text import shortened

_SHOWN = 120  # characters of a field, or of all options, that a message quotes
_NO_GOLD = -1  # how data sets write that a document has none


def refuse_beyond(target: Any, options: Sequence[Any], what: str) -> None:
    """An index beyond the options is no missing gold, which is −1 or empty: where golds count from 1, all of them are wrong."""
    for index in target if isinstance(target, list) else [target]:
        if is_index(index) and len(options) > 1:
            if _NO_GOLD <= index < len(options):
                continue
            raise PluginError(
                f"{what} has gold {index}, the index of none of its {len(options)} options counted from 0 "
                f"({shortened(repr(list(options)), _SHOWN)}); mend it, and look whether its data count golds from 1 (a document "
                "without gold has -1, or nothing)"
            )


def is_index(target: Any) -> TypeGuard[int]:
    """Whether a target is a whole number, numpy's too, as a function of the task's may give."""
    return isinstance(target, Integral) and not isinstance(target, bool)


def gold_of(task: Any, document: Mapping[str, Any], what: str) -> Any:
    """What the task gives as the gold of a document. Raises where it is looked for among the options and not found."""
    try:
        return task.doc_to_target(document)
    except (ValueError, IndexError) as error:
        if task.config.doc_to_choice is None:
            raise
        raise _not_found(task, document, what, error) from error


def _not_found(task: Any, document: Mapping[str, Any], what: str, error: BaseException) -> PluginError:
    """The error for gold such as a letter that is the key of no option."""
    template = task.config.doc_to_target
    fields = _fields(template, document)
    shown = ", ".join(f"{name} {shortened(repr(document[name]), _SHOWN)}" for name in fields)
    return PluginError(
        f"{what} has gold that is none of its options ({type(error).__name__}: {said(error)}): doc_to_target is "
        f"{template if isinstance(template, str) else 'a function'}, and the document has {shown}; mend it, or leave the document "
        "out in process_docs"
    )


def _fields(template: Any, document: Mapping[str, Any]) -> list[str]:
    """The fields of a document that a template asks for; all where it is no template."""
    from jinja2 import meta
    from lm_eval.utils import env

    if not isinstance(template, str):
        return list(document)
    asked = meta.find_undeclared_variables(env.parse(template))
    return [name for name in document if name in asked]
