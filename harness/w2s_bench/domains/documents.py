"""What a domain's documents are now, and the examples before its questions: a digest, read at the start of a run.

A fingerprint of files cannot tell that a data set of a hub, a database or whatever else a loader reads has changed; the
documents can. They are read in a process of their own: nobody else meets the loader's code, and a run is planned without
the libraries that it needs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from w2s_bench.domains.texts import Sample, TextLength, rendered
from w2s_bench.errors import PluginError, W2SBenchError
from w2s_bench.isolation import processes as kept
from w2s_bench.isolation.process_state import WORKER_ENVIRONMENT
from w2s_bench.plugins.checks import guarded
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.record import canonical_json
from w2s_bench.types import JSON

if TYPE_CHECKING:
    from w2s_bench.hookspecs import Domain
    from w2s_bench.plugins.registry import Registry

_REQUESTS, _DIGESTS = "requests.json", "digests.json"
_BATCH = 1000  # documents decoded at once
_EXAMPLES = b"examples\n"  # between documents and examples: no document is written so
_LONGEST = 3600.0  # seconds that the domains of one distribution may take; a data set may have to be fetched
_MOST_NAMED = 3  # domains of which it is said that they are read
#: A domain by name and parameters.
Request = tuple[str, Mapping[str, JSON]]


class Count(NamedTuple):
    """How many documents a domain has, and how many of them its task itself has in `test`; None: it does not say of each.

    `texts`: how long a few of them are, as items; none where that is not known.
    """

    documents: int
    in_test: int | None
    texts: Sequence[TextLength] = ()


class Found(NamedTuple):
    """What reading a domain's documents gives: their digest, which stages' keys hold, and their count, which none does."""

    digest: str
    has: Count


def self_contained(domain: Domain) -> bool:
    """Whether a domain's fingerprint tells all that its documents come from; else they have to be read."""
    return bool(getattr(domain, "self_contained", False))


def of_task(task: Any) -> Iterator[dict[str, Any]]:
    """Every document of an lm-eval task, in its order."""
    documents = task.eval_docs
    if hasattr(documents, "column_names") and hasattr(documents, "__len__"):
        # Documents are decoded in batches: row by row takes five times as long.
        for start in range(0, len(documents), _BATCH):
            columns = documents[start : start + _BATCH]
            for values in zip(*columns.values(), strict=True):
                yield dict(zip(columns, values, strict=True))
    else:
        yield from map(dict, documents)


def examples_of(task: Any) -> Iterator[dict[str, Any]]:
    """The documents that stand answered before every question (`task.examples`); no item is made of them."""
    yield from map(dict, getattr(task, "examples", ()))


class Digest:
    """SHA-256 over what a task's prompts are made of, as canonical JSON: its documents, then the examples if it has any."""

    def __init__(self, domain: str) -> None:
        self._domain, self._sum = domain, hashlib.sha256()

    def seen(self, task: Any) -> Iterator[dict[str, Any]]:
        """The task's documents as they come, each taken into the sum; the examples are once the last has come."""
        for document in of_task(task):
            self._take(document)
            yield document
        for number, example in enumerate(examples_of(task)):
            if number == 0:  # a zero-shot task has the digest of its documents alone
                self._sum.update(_EXAMPLES)
            self._take(example)

    def hexdigest(self) -> str:
        return self._sum.hexdigest()

    def _take(self, document: Mapping[str, Any]) -> None:
        self._sum.update(self._written(document).encode("utf-8", "surrogatepass") + b"\n")

    def _written(self, document: Mapping[str, Any]) -> str:
        try:
            return canonical_json(document)
        except (TypeError, ValueError) as error:
            odd = next((name for name, value in document.items() if not _is_json(value)), "?")
            raise PluginError(
                f"domain {self._domain!r}: field {odd!r} of a document is {str(document.get(odd))[:60]!r}, which JSON cannot "
                f"hold ({error}); convert it, or drop it in process_docs"
            ) from error


def _is_json(value: Any) -> bool:
    try:
        canonical_json(value)
    except (TypeError, ValueError):
        return False
    return True


class Documents:
    """Digests of domains' documents, each read once however often it is asked for; `known` are read already.

    `counts` has, by the same keys, those of the domains that were read; of what is `known` as far as they are given.
    """

    def __init__(
        self, known: Mapping[str, str | None] | None = None, counts: Mapping[str, Count] | None = None
    ) -> None:
        self.known: dict[str, str | None] = dict(known or {})
        self.counts: dict[str, Count] = dict(counts or {})

    def read(self, requests: Sequence[Request], awaits: Awaits = unheard) -> None:
        """Read what is not known yet, the domains of each distribution in one process; `awaits` is told whose."""
        missing = {key_of(*request): request for request in requests if key_of(*request) not in self.known}
        for distribution in sorted({name.partition("/")[0] for name, _ in missing.values()}):
            mine = {key: request for key, request in missing.items() if request[0].partition("/")[0] == distribution}
            awaits(_in_words([name for name, _ in mine.values()]))
            try:
                found = _read_apart(distribution, mine)
            finally:
                awaits("")
            self.known.update({key: found[key].digest if key in found else None for key in mine})
            self.counts.update({key: one.has for key, one in found.items()})

    def digest(self, name: str, parameters: Mapping[str, JSON]) -> str | None:
        """None where they could not be read: the domain's items fail then, and say why."""
        self.read([(name, parameters)])
        return self.known[key_of(name, parameters)]


def key_of(domain: str, parameters: Mapping[str, JSON]) -> str:
    """What stands for a domain in `Documents`."""
    return canonical_json([domain, dict(parameters)])


def _in_words(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"reading the documents of {', '.join(names[:_MOST_NAMED])}{more}"


def _read_apart(distribution: str, requests: Mapping[str, Request]) -> Mapping[str, Found]:
    """What a process of its own finds; what it could not read, or did not come to, as it crashed or took too long, is missing."""
    with tempfile.TemporaryDirectory(prefix="w2s-documents-") as made:
        folder = Path(made)
        (folder / _REQUESTS).write_text(json.dumps(requests), encoding="utf-8")
        process = kept.start(
            __name__,
            made,
            distribution,
            environment=WORKER_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the stage shows what a loader prints, when it fails
            stderr=subprocess.DEVNULL,
        )
        try:
            # The stage that makes the items says that a loader takes too long, and stops it there as every stage is stopped.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LONGEST)
        finally:
            kept.end(process)
        lines = (folder / _DIGESTS).read_text(encoding="utf-8").splitlines() if (folder / _DIGESTS).is_file() else []
        told = [json.loads(line) for line in lines if line.endswith("]")]
        return {key: Found(digest, Count(*count)) for key, digest, count in told}


def _found(registry: Registry, name: str, parameters: Mapping[str, JSON]) -> Found | None:
    def found() -> Found:
        domain = registry.domain(name, **parameters)
        task = domain.task()
        digest, documents, in_test, sample = Digest(name), 0, _InTest(domain), Sample()
        for document in digest.seen(task):
            documents += 1
            in_test.look(document)
            sample.look(document)
        texts = rendered(task, domain.kind, sample.documents)
        return Found(digest.hexdigest(), Count(documents, in_test.count, texts))

    try:
        return guarded(name, "reading documents", found)
    except W2SBenchError:
        return None  # the stage that makes the items meets the same fault and says it


class _InTest:
    """How many documents the task itself has in `test`; None once the domain does not say it of one."""

    def __init__(self, domain: Domain) -> None:
        self._says = getattr(domain, "in_test", None)
        self.count: int | None = None if self._says is None else 0

    def look(self, document: dict[str, Any]) -> None:
        if self.count is None or self._says is None:
            return
        try:
            says = self._says(document)
        except Exception:  # noqa: BLE001  # the stage that makes the items meets it and says it; the digest is none the worse
            says = None
        self.count = self.count + says if isinstance(says, bool) else None


def main() -> None:
    """Read the documents that the process which started this one asks for."""
    from w2s_bench.plugins.registry import Registry

    folder, distribution = Path(sys.argv[1]), sys.argv[2]
    requests: dict[str, list[Any]] = json.loads((folder / _REQUESTS).read_text(encoding="utf-8"))
    registry = Registry.load(only=distribution)
    with (folder / _DIGESTS).open("w", encoding="utf-8") as out:
        for key, (name, parameters) in requests.items():
            if (found := _found(registry, name, parameters)) is not None:
                out.write(json.dumps([key, *found]) + "\n")
                out.flush()
