"""A process that loads a domain once more, told on standard input which and whose gold is asked for: `runs.audit` starts it."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from w2s_bench.errors import W2SBenchError, said
from w2s_bench.runs.watched import note
from w2s_bench.types import Answer

GOLD: Final = "gold.json"
#: The files of the folders asked for that loading the domain opens, where they are asked for.
OPENED: Final = "opened.json"
#: Of an item its gold as a student learns it (None: no gold that can be learned), and a digest of its document.
Found = tuple[str | None, str]


def differs(answer: Answer, found: Found) -> bool:
    """Whether an item's gold is another here; gold that is none of the options any more is."""
    from w2s_bench.record import digest_of

    completion, document = found
    return document != digest_of(answer.document) if completion is None else completion != answer.completion


def gold_of_items(domain: Any, items: Mapping[str, str]) -> dict[str, Found]:
    """Of `items`, ids and digests of what is asked, those that the domain's task has: by id, else as the same question."""
    from w2s_bench.domains.documents import of_task
    from w2s_bench.plugins.checks import guarded

    def read() -> dict[str, Found]:
        found: dict[str, Found] = {}
        task, strangers = domain.task(), []
        for document in of_task(task):
            name = domain.fields(document)["id"]
            if name in items:
                found[name] = _gold(domain, task, document)
            elif len(found) < len(items):
                strangers.append(document)
        missing = {digest: name for name, digest in items.items() if name not in found}
        found.update(_by_question(domain, task, strangers if missing else (), missing))
        return found

    return guarded(f"domain {domain.name!r}", "reading documents", read)


def _by_question(
    domain: Any, task: Any, documents: Collection[dict[str, Any]], missing: Mapping[str, str]
) -> Iterator[tuple[str, Found]]:
    from w2s_bench.protocol.items import item_digest, item_of

    for document in documents:
        try:
            name = missing.get(item_digest(item_of(domain, task, document)))
        except Exception:  # noqa: BLE001  # templates and functions of the task raise anything; this is no question then
            continue
        if name is not None:
            yield name, _gold(domain, task, document)


def _gold(domain: Any, task: Any, document: dict[str, Any]) -> Found:
    from w2s_bench.protocol.items import answer_of, item_of
    from w2s_bench.record import digest_of

    try:
        completion: str | None = answer_of(domain, task, document, item_of(domain, task, document)).completion
    except Exception:  # noqa: BLE001  # as above; the document tells whether it is as shipped
        completion = None
    return completion, digest_of(document)


def main() -> None:
    """As a worker would read them, where its environment says that files lie."""
    from w2s_bench.isolation.process_state import isolated
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.record import write_json

    told = json.load(sys.stdin)
    opened = note([Path(folder) for folder in told["noted"]]) if "noted" in told else None
    try:
        registry = Registry.load(only=told["distribution"])
        with isolated(told["key"]):
            domain = registry.domain(told["domain"], **told["parameters"])
            write_json(Path(told["out"]) / GOLD, gold_of_items(domain, told["items"]))
        if opened is not None:
            write_json(Path(told["out"]) / OPENED, opened())
    except W2SBenchError as error:
        sys.exit(said(error))


if __name__ == "__main__":
    main()
