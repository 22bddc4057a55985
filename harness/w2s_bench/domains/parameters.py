"""What a suite says of an lm-eval task, checked: whatever can be known to be wrong without its YAML and its data."""

from __future__ import annotations

import re
from dataclasses import dataclass

from w2s_bench.domains.task_data import Mapped, check_mapping
from w2s_bench.errors import PluginError
from w2s_bench.types import JSON

#: The name of a commit: what cannot move.
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Parameters:
    """What a suite may say of an lm-eval task; all of it is part of what its items are, but for where data lie."""

    data: Mapped = None
    revision: str | None = None
    train: tuple[str, ...] = ()
    test: str | None = None
    group: str | None = None
    key: str | None = None
    stratum: str | None = None
    num_fewshot: int = 0
    filter: str | None = None
    metric: str | None = None
    max_new_tokens: int | None = None
    calculator_marks: bool = True
    chat_template: str | None = None
    apply_chat_template: str | None = None
    system_prompt: str | None = None
    cluster: str | None = None


def checked(
    who: str,
    *,
    data: JSON = None,
    revision: JSON = None,
    train: JSON = None,
    test: JSON = None,
    group: JSON = None,
    key: JSON = None,
    stratum: JSON = None,
    num_fewshot: JSON = 0,
    filter: JSON = None,
    metric: JSON = None,
    max_new_tokens: JSON = None,
    calculator_marks: JSON = True,
    chat_template: JSON = None,
    apply_chat_template: JSON = None,
    system_prompt: JSON = None,
    cluster: JSON = None,
) -> Parameters:
    """What was said, in its types. `who` names the domain in messages.

    Raises:
        PluginError: for a value that cannot be right, with what is expected.
    """
    texts = {
        "revision": revision, "test": test, "group": group, "key": key, "stratum": stratum, "filter": filter,
        "metric": metric, "chat_template": chat_template, "apply_chat_template": apply_chat_template,
        "system_prompt": system_prompt, "cluster": cluster,
    }  # fmt: skip
    if isinstance(apply_chat_template, bool):
        raise PluginError(
            f"{who}: apply_chat_template must name the model whose chat template every prompt is written by, such as "
            f"local/FOLDER, got {apply_chat_template!r}; all models of a suite are asked the same"
        )
    for parameter, value in texts.items():
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise PluginError(f"{who}: {parameter} must be a text, got {value!r}; leave it out, or put it in quotes")
    if chat_template is not None and apply_chat_template is not None:
        raise PluginError(
            f"{who}: chat_template and apply_chat_template both say how chats are written; give the text, or a model's name"
        )
    trained = [train] if isinstance(train, str) else train or []
    if not isinstance(trained, list) or not all(isinstance(split, str) and split for split in trained):
        raise PluginError(f"{who}: train must be the name of a split, or a list of names, got {train!r}")
    for split in [*trained, *([test] if isinstance(test, str) else [])]:
        if any(sign in split for sign in "/\\") or split.startswith((".", "~")):
            raise PluginError(
                f"{who}: {split!r} is no name of a split; write one such as train, and where its file lies in data"
            )
    for parameter, value, least in (("num_fewshot", num_fewshot, 0), ("max_new_tokens", max_new_tokens, 1)):
        if value is not None and (type(value) is not int or value < least):
            raise PluginError(f"{who}: {parameter} must be a whole number, {least} or more, got {value!r}")
    if not isinstance(calculator_marks, bool):
        raise PluginError(f"{who}: calculator_marks must be true (kept) or false (removed), got {calculator_marks!r}")
    if revision is not None and not COMMIT.fullmatch(revision):
        raise PluginError(
            f"{who}: revision {revision!r} can move; give the 40 hexadecimal digits of a commit of its data set"
        )
    return Parameters(
        check_mapping(data, who), revision, tuple(trained), test, group, key, stratum, num_fewshot or 0, filter, metric,
        max_new_tokens, calculator_marks, chat_template, apply_chat_template, system_prompt, cluster,
    )  # fmt: skip
