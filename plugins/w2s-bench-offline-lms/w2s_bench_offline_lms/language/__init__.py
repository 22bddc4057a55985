"""Domain `language`: to which of four languages a word belongs. Its items are made of the word lists of `wordfreq`."""

from __future__ import annotations

from pathlib import Path

from w2s_bench import TaskDomain


def domain() -> TaskDomain:
    """Four-option questions; `id`, `group`, `key` and `stratum` are fields of the documents.

    `files` is left out: the words are the installed `wordfreq`'s, so the documents themselves are part of every key.
    """
    return TaskDomain(
        name="language",
        version="1",
        kind="choice",
        yaml=Path(__file__).parent / "language.yaml",
        task_name="w2s_language",
    )
