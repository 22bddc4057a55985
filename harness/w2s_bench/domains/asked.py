"""A loaded lm-eval task as the harness asks it: its own test documents, its training documents, examples, a chat format.

It stands in the place of the task: whatever is not asked otherwise here is the task's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

from w2s_bench.domains.golds import gold_of, refuse_beyond
from w2s_bench.domains.normalised import formula_key, normalised, text_key
from w2s_bench.errors import PluginError, W2SBenchError, said
from w2s_bench.types import JSON, Kind

#: The field that documents get here: id, group, key, stratum, and whether the task itself has the document in `test`.
FIELD = "w2s_bench"
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Row:
    """One document with what the splits need to know of it."""

    id: str
    document: Mapping[str, Any]
    group: str
    key: str
    stratum: str
    in_test: bool
    cluster: str = ""
    #: The key that it has where another document of its key is a formula of the same words; empty where a field tells the key.
    formula: str = ""

    def marked(self) -> dict[str, Any]:
        """The document with its marks, as it goes through the protocol."""
        marks: dict[str, JSON] = {name: getattr(self, name) for name in ("id", "group", "key", "stratum", "in_test")}
        if self.cluster:
            marks["cluster"] = self.cluster
        return {**self.document, FIELD: marks}


@dataclass(frozen=True)
class Reading:
    """How documents are read: which fields tell group, key, stratum and cluster.

    None: the text does, there are no strata, groups are clusters.
    """

    who: str
    kind: Kind
    group: str | None = None
    key: str | None = None
    stratum: str | None = None
    cluster: str | None = None

    def rows(self, task: Any, split: str, documents: Iterable[Mapping[str, Any]], *, in_test: bool) -> list[Row | None]:
        """One a document in the task's order; None where it has no gold."""
        return [self._row(task, f"{split}-{number}", dict(d), in_test) for number, d in enumerate(documents)]

    def example(self, task: Any, number: int, document: Mapping[str, Any]) -> Row:
        """An example that the YAML itself holds; it may have other fields than the task's documents, and then ties to none."""
        name = f"example-{number}"
        try:
            row = self._row(task, name, dict(document), False)
        except PluginError:
            row = None
        return row or Row(name, document, name, name, "all", False)

    def _row(self, task: Any, name: str, document: dict[str, Any], in_test: bool) -> Row | None:
        try:
            options = task.doc_to_choice(document) if task.config.doc_to_choice is not None else ()
            text = task.doc_to_text(document)
            target = gold_of(task, document, f"{self.who}: document {name}")
        except W2SBenchError:
            raise
        except Exception as error:  # templates and functions of the task raise anything
            raise lacking(self.who, f"document {name}", document, error) from error
        if self.kind == "choice":
            refuse_beyond(target, options, f"{self.who}: document {name}")
        if not _is_gold(target, options, self.kind):
            return None
        # In a task that cannot be used the question may be no text. The stage that makes the item says so.
        asked = str(text), [str(option) for option in options]
        key, formula = text_key(*asked), formula_key(*asked)
        if self.key is not None:
            key, formula = self._hashed(document, name, self.key), ""
        group = key if self.group is None else self._hashed(document, name, self.group)
        stratum = "all" if self.stratum is None else self._value(document, name, self.stratum)
        cluster = "" if self.cluster is None else self._value(document, name, self.cluster)
        return Row(name, document, group, key, stratum, in_test, cluster, formula)

    def _hashed(self, document: Mapping[str, Any], name: str, field: str) -> str:
        value = normalised(self._value(document, name, field))
        return hashlib.sha256(f"{field}\0{value}".encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _value(self, document: Mapping[str, Any], name: str, field: str) -> str:
        if field not in document or str(document[field]).strip() in ("", "None"):
            fault = "has no field" if field not in document else "has nothing in its field"
            raise PluginError(
                f"{self.who}: document {name} {fault} {field!r}, which a parameter names (fields: {', '.join(document)}); name "
                "another field, or leave the parameter out"
            )
        return str(document[field])


def lacking(who: str, what: str, document: Mapping[str, Any], error: BaseException) -> PluginError:
    """The error for a document that does not have what the task's YAML asks for."""
    return PluginError(
        f"{who}: {what} lacks what the task's YAML asks for ({type(error).__name__}: {said(error)}); its fields are "
        f"{', '.join(document) or 'none'}: give files with the columns of the task's own data set"
    )


def _is_gold(target: Any, options: Sequence[Any], kind: Kind) -> bool:
    """Whether a target is an answer at all. Whether it can be reached is asked when answers are made."""
    if isinstance(target, list):
        return bool(target) and all(_is_gold(answer, options, kind) for answer in target)
    if kind == "choice" and isinstance(target, Integral) and not isinstance(target, bool):  # numpy's numbers too
        return 0 <= int(target) < len(options)
    return target is not None and bool(str(target).strip())


@dataclass(frozen=True)
class Chosen:
    """Which documents items are made of, which are the examples, and what is to be said of the others."""

    rows: tuple[Row, ...]
    examples: tuple[Mapping[str, Any], ...]
    remarks: tuple[str, ...]


def choose(rows: Sequence[Row], given: Sequence[Row] | None, shots: int, who: str) -> Chosen:
    """Equal questions in one group, `shots` examples set aside, near-duplicates counted.

    Examples are those that the task brings (`given`), else training documents, the first by a hash of their key, so that
    neither the seed nor the model nor the order of files matters. Whatever shares a group with one of them is in no split.
    """
    joined = _joined(_parted([*rows, *(given or ())]))
    rows, given = joined[: len(rows)], None if given is None else joined[len(rows) :]
    tested = {row.group for row in rows if row.in_test}
    remarks = []
    straddling = [row.id for row in rows if not row.in_test and row.group in tested]
    if straddling:
        said = "training documents share text or group with a test document; they are in no split"
        remarks.append(f"{len(straddling)} {said} ({_shown(straddling)})")
    seen: set[str] = set()
    repeated = [row.id for row in rows if row.key in seen or seen.add(row.key)]  # type: ignore[func-returns-value]
    if repeated:
        said = "documents are another one but for spelling, spaces and punctuation; no two splits share them"
        remarks.append(f"{len(repeated)} {said} ({_shown(repeated)})")
    if given is None:
        given = _examples([row for row in rows if row.group not in tested], shots)
    if len(given) < shots:
        raise PluginError(
            f"{who}: num_fewshot {shots}, but there are {len(given)} documents for examples; ask for fewer"
        )
    given = given[:shots]
    shown = {row.key for row in given} | {row.group for row in given}
    asked = [row.id for row in rows if row.in_test and (row.key in shown or row.group in shown)]
    if asked:
        remarks.append(
            f"{len(asked)} test documents are among the examples in the prompt; they are in no split ({_shown(asked)})"
        )
    left = tuple(row for row in rows if row.key not in shown and row.group not in shown)
    return Chosen(left, tuple(row.document for row in given), tuple(remarks))


def _parted(rows: Sequence[Row]) -> list[Row]:
    """The rows with keys of their own for formulas of the same words, as `not (A and B)` and `(not A) and B` are.

    All other keys, and the groups and splits that hang on them, are those of the words alone.
    """
    formulas: dict[str, set[str]] = {}
    for row in rows:
        formulas.setdefault(row.key, set()).add(row.formula)
    return [
        replace(row, key=row.formula, group=row.formula if row.group == row.key else row.group)
        if len(formulas[row.key]) > 1
        else row
        for row in rows
    ]


def _joined(rows: Sequence[Row]) -> list[Row]:
    """The rows with one group for all that a chain of equal keys and equal groups ties together: the first row's.

    A question that stands in two groups joins them whole. Else the other members of one could be trained on while those
    of the other are tested.
    """
    above: dict[tuple[str, str], tuple[str, str]] = {}

    def top(node: tuple[str, str]) -> tuple[str, str]:
        while (higher := above.setdefault(node, node)) != node:
            above[node] = above[higher]  # halves the way for the next one
            node = higher
        return node

    for row in rows:
        above[top(("key", row.key))] = top(("group", row.group))
    named: dict[tuple[str, str], str] = {}
    return [replace(row, group=named.setdefault(top(("group", row.group)), row.group)) for row in rows]


def _examples(rows: Sequence[Row], shots: int) -> list[Row]:
    """The first training documents by a hash, of different groups."""
    out: dict[str, Row] = {}
    if shots:
        for row in sorted(rows, key=lambda row: hashlib.sha256(f"example\0{row.key}\0{row.id}".encode()).digest()):
            out.setdefault(row.group, row)
    return list(out.values())


def _shown(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_MOST_SHOWN]) + (", …" if len(ids) > _MOST_SHOWN else "")


class Examples:
    """A sampler of lm-eval's that gives every question the same examples."""

    def __init__(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self._documents = list(documents)

    def sample(self, n: int, eval_doc: Any = None, df: Any = None, **_: Any) -> list[Mapping[str, Any]]:
        return self._documents[:n]

    def set_rnd(self, rnd: int | None) -> Examples:
        return self


@dataclass(frozen=True)
class Chat:
    """Prompts as the turns of a chat. `render` makes one text of messages, as a tokenizer's chat template does."""

    render: Callable[..., str] | None = None
    system: str | None = None
    #: What came to light while prompts were made; grows.
    remarks: Sequence[str] = ()


class AskedTask:
    """An lm-eval task with other documents, the same examples before every question, and a chat format where asked."""

    def __init__(self, task: Any, chosen: Chosen, chat: Chat, remarks: Sequence[str], shots: int) -> None:
        self._task, self._chat, self._shots = task, chat, shots
        self.eval_docs = [row.marked() for row in chosen.rows]
        #: The documents that stand answered before every question.
        self.examples = chosen.examples
        self._remarks = [*remarks, *chosen.remarks]

    def __getattr__(self, name: str) -> Any:
        if name == "_task":  # a copy in the making has no task yet
            raise AttributeError(name)
        return getattr(self._task, name)

    @property
    def remarks(self) -> list[str]:
        """What the user should know of documents and prompts so far, though it is no error."""
        return [*self._remarks, *self._chat.remarks]

    @property
    def answer_delimiter(self) -> str:
        """What stands between a prompt and its answer; after a chat template's own end of the prompt, nothing."""
        prefix = self._task.config.gen_prefix
        if self._chat.render is not None and not (prefix and not prefix[-1].isspace()):
            return ""
        return str(self._task.config.target_delimiter)

    def fewshot_context(self, document: Mapping[str, Any], _: int = 0, **options: Any) -> Any:
        """The prompt of one document."""
        try:
            return self._task.fewshot_context(
                document,
                self._shots,
                system_instruction=self._chat.system,
                apply_chat_template=self._chat.render is not None,
                fewshot_as_multiturn=self._chat.render is not None,
                chat_template=self._chat.render,
                **options,
            )
        except W2SBenchError:
            raise
        except Exception as error:  # templates and functions of the task raise anything
            raise lacking(self._who(), f"document {document[FIELD]['id']}", document, error) from error

    def construct_requests(self, document: Mapping[str, Any], context: Any, **options: Any) -> Any:
        """What is scored of one document."""
        return self._task.construct_requests(
            document, context, apply_chat_template=self._chat.render is not None, **options
        )

    def _who(self) -> str:
        return f"domain 'lm-eval/{self._task.config.task}'"
