"""How long a domain's texts are, by a few of its documents: known before any item is made, and part of no stage's key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Characters of a prompt and of each of its options, which are none where answers are generated.
TextLength = tuple[int, Sequence[int]]

#: Documents that are looked at: lm-eval takes up to some milliseconds to render one.
MOST = 32


class Sample:
    """At most so many documents, evenly spread over all that come, of which nobody says beforehand how many they are."""

    def __init__(self, most: int = MOST) -> None:
        self.documents: list[dict[str, Any]] = []
        self._most, self._step, self._seen = most, 1, 0

    def look(self, document: dict[str, Any]) -> None:
        if self._seen % self._step == 0:
            self.documents.append(document)
        if len(self.documents) > self._most:
            self.documents, self._step = self.documents[::2], 2 * self._step
        self._seen += 1


def rendered(task: Any, kind: str, documents: Sequence[dict[str, Any]]) -> list[TextLength]:
    """Of each document, as lm-eval scores it, with examples and chat format; nothing where one cannot be rendered.

    The stage that makes the items meets the same fault, and says it.
    """
    try:
        return [_rendered(task, kind, document) for document in documents]
    except (Exception, SystemExit):  # noqa: BLE001  # templates and functions of the task raise anything
        return []


def _rendered(task: Any, kind: str, document: dict[str, Any]) -> TextLength:
    prompt = task.fewshot_context(document, 0, gen_prefix=task.doc_to_prefix(document))
    options = task.construct_requests(document, prompt) if kind == "choice" else ()
    return len(prompt), [len(str(request.args[1])) for request in options]


def by_templates(keys: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]) -> list[TextLength]:
    """The same by a YAML's own templates, without lm-eval, which takes seconds to import; nothing where they say too little."""
    from jinja2 import Environment, StrictUndefined, TemplateError

    environment = Environment(undefined=StrictUndefined)

    def text(document: Mapping[str, Any]) -> str:
        template = str(keys["doc_to_text"])
        return str(document[template]) if template in document else environment.from_string(template).render(document)

    delimiter = len(str(keys.get("target_delimiter", " ")))
    try:
        return [
            (len(text(document)), [delimiter + len(option) for option in _options(keys, document)])
            for document in documents
        ]
    except (TemplateError, KeyError, TypeError):
        return []


def _options(keys: Mapping[str, Any], document: Mapping[str, Any]) -> Sequence[str]:
    """The options of a document that lie in one of its fields. Raises KeyError or TypeError where they do not."""
    if keys.get("doc_to_choice") is None:
        return ()
    options = document[keys["doc_to_choice"]]
    if not isinstance(options, list):
        raise TypeError(f"options must be a list, got {type(options).__name__}")
    return [str(option) for option in options]
