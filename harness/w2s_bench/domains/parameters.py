"""What a suite says of an lm-eval task, checked: whatever can be known to be wrong without its YAML and its data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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


#: Those that are texts, where they are given.
_TEXTS: Final = (
    "revision", "test", "group", "key", "stratum", "filter", "metric", "chat_template", "apply_chat_template", "system_prompt",
    "cluster",
)  # fmt: skip


def checked(who: str, said: Mapping[str, JSON]) -> Parameters:
    """What was said, by the names of `Parameters`, all of them, in its types. `who` names the domain in messages.

    Raises:
        PluginError: for a value that cannot be right, with what is expected.
    """
    train, test, revision = said["train"], said["test"], said["revision"]
    chat_template, apply_chat_template = said["chat_template"], said["apply_chat_template"]
    if isinstance(apply_chat_template, bool):
        raise PluginError(
            f"{who}: apply_chat_template must name the model whose chat template every prompt is written by, such as "
            f"local/FOLDER, got {apply_chat_template!r}; all models of a suite are asked the same"
        )
    for parameter in _TEXTS:
        if (value := said[parameter]) is not None and not (isinstance(value, str) and value.strip()):
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
    for parameter, least in (("num_fewshot", 0), ("max_new_tokens", 1)):
        if (value := said[parameter]) is not None and (type(value) is not int or value < least):
            raise PluginError(f"{who}: {parameter} must be a whole number, {least} or more, got {value!r}")
    if not isinstance(said["calculator_marks"], bool):
        raise PluginError(
            f"{who}: calculator_marks must be true (kept) or false (removed), got {said['calculator_marks']!r}"
        )
    if revision is not None and not COMMIT.fullmatch(revision):
        raise PluginError(
            f"{who}: revision {revision!r} can move; give the 40 hexadecimal digits of a commit of its data set"
        )
    typed = {"data": check_mapping(said["data"], who), "train": tuple(trained), "num_fewshot": said["num_fewshot"] or 0}
    return Parameters(**{**said, **typed})
