"""What the files of a bundled domain tell of its documents, which nobody reads to plan a run."""

from __future__ import annotations

import json
from itertools import chain

from w2s_bench.domains.documents import Count
from w2s_bench.domains.files import task_files
from w2s_bench.domains.task import TaskDomain
from w2s_bench.domains.texts import MOST, by_templates
from w2s_bench.domains.usable import merged


def counted(domain: TaskDomain) -> Count | None:
    """Each line of its .jsonl files is a document; None where it has none."""
    files = [domain.yaml.parent / file for file in domain.files or () if file.endswith(".jsonl")]
    lines = [line for line in chain.from_iterable(file.read_bytes().split(b"\n") for file in files) if line]
    if not lines:
        return None
    documents = [json.loads(line) for line in lines[:: -(-len(lines) // MOST)]]
    keys = merged(task_files(domain.yaml, f"domain {domain.name!r}"))
    return Count(len(lines), None, by_templates(keys, documents))
