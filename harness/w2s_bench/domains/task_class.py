"""lm-eval's class of tasks, with its faults told as what they are: data that cannot be loaded, a field that is missing.

lm-eval asks its first document for text, gold and options as it makes a task, and stops at gold beyond the options with an
IndexError. Here every document is judged by the harness, the first as all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from w2s_bench.domains.asked import lacking
from w2s_bench.domains.named_files import fault_in, refuse_unreadable
from w2s_bench.errors import PluginError, W2SBenchError, said


def task_class(who: str, otherwise: str | None = None) -> Any:
    """The class. `otherwise` is what else can be done about data that cannot be loaded; None: the loader is a plugin's own, and
    what it raises goes on to whoever tells of plugins, with the line that it came from.
    """
    from lm_eval.api.task import ConfigurableTask

    class Told(ConfigurableTask):  # type: ignore[misc]
        def __init__(self, config: Mapping[str, Any]) -> None:
            self._looks_at_first, self._in_loader = True, False
            try:
                super().__init__(config={key: value for key, value in config.items() if key != "class"})
            except W2SBenchError:
                raise
            except Exception as error:  # whatever the task's templates and functions raise
                if self._in_loader:
                    raise
                raise _of_first(self, who, error) from error
            self._looks_at_first = False
            if (fault := _no_field(self, who)) is not None:
                raise fault

        def download(self, dataset_kwargs: dict[str, Any] | None = None, **more: Any) -> None:
            options = {} if callable(self.config.custom_dataset) else dataset_kwargs or {}
            refuse_unreadable(options, who)
            try:
                super().download(dataset_kwargs, **more)
            except W2SBenchError:
                raise
            except Exception as error:  # `datasets`, its readers of files and a task's own loader raise many kinds
                if otherwise is None and callable(self.config.custom_dataset):
                    self._in_loader = True
                    raise
                if (fault := fault_in(options, self.DATASET_PATH, who)) is not None:
                    raise fault from error
                raise PluginError(
                    f"{who}: its data cannot be loaded ({_with_cause(error)}); look at the files or the loader that its YAML "
                    f"names{otherwise or ''}"
                ) from error
            split = self.config.test_split or self.config.validation_split
            if isinstance(self.dataset, Mapping) and split not in self.dataset:
                has = ", ".join(map(str, self.dataset))
                raise PluginError(f"{who}: its data set has no split {split!r} (it has: {has}); name one of them")

        def doc_to_choice(self, doc: Any, *more: Any, **named: Any) -> Any:
            options = super().doc_to_choice(doc, *more, **named)
            if not self._looks_at_first:
                return options
            # lm-eval takes the first character of each.
            return [str(option) or "?" for option in options] if isinstance(options, list) and options else ["?"]

        def doc_to_target(self, doc: Any, *more: Any, **named: Any) -> Any:
            if not self._looks_at_first or self.config.doc_to_choice is None:
                return super().doc_to_target(doc, *more, **named)
            try:
                target = super().doc_to_target(doc, *more, **named)
            except (ValueError, IndexError):  # it looks for its gold, and does not find it
                return 0
            return 0 if isinstance(target, int) else target  # lm-eval takes the option of this index

    return Told


def _of_first(task: Any, who: str, error: BaseException) -> PluginError:
    """What lm-eval met at the first document, or before it had any."""
    if "features" not in vars(task):
        return PluginError(
            f"{who}: lm-eval cannot make a task of its YAML ({type(error).__name__}: {said(error)}); look at the keys that it has"
        )
    split = task.config.test_split or task.config.validation_split
    first: Mapping[str, Any] | None = next(iter(task.task_docs), None)
    if first is None:
        return _no_documents(task, who, split)
    return _no_field(task, who) or lacking(who, f"the first document of split {split}", first, error)


def _no_documents(task: Any, who: str, split: str) -> PluginError:
    """Of a split nothing is left to ask."""
    rows = task.dataset[split]
    if not len(rows) or task.config.process_docs is None:
        return PluginError(f"{who}: split {split} of its data set has no rows; give it some, or name another split")
    return PluginError(
        f"{who}: process_docs keeps none of the {len(rows)} rows of split {split} (their fields are {', '.join(rows[0])}); look at "
        "which rows it keeps, and give those of the task's own data set"
    )


def _no_field(task: Any, who: str) -> PluginError | None:
    """The error for one word that the YAML gives in place of a field's name, where documents have no such field.

    lm-eval takes it for the text itself: every item would have it as its prompt, or as its gold.
    """
    for key in ("doc_to_choice", "doc_to_text", "doc_to_target"):
        word = getattr(task.config, key)
        if task.prompt is not None or not isinstance(word, str) or not word.isidentifier() or word in task.features:
            continue
        if key == "doc_to_target" and word in _options(task):  # the same option is right everywhere
            continue
        return PluginError(
            f"{who}: {key} is {word!r}, which is no field of its documents (they have {', '.join(task.features)}); give files with "
            f"the columns of the task's own data set, or write \"{{{{'{word}'}}}}\" if every document has the word itself there"
        )
    return None


def _options(task: Any) -> list[Any]:
    """The options of the first document; none where it has none, or the YAML asks for what is not there."""
    try:
        return list(task.doc_to_choice(task.task_docs[0])) if task.config.doc_to_choice is not None else []
    except Exception:  # noqa: BLE001  # templates and functions of the task raise anything; it is told where items are made
        return []


def _with_cause(error: BaseException) -> str:
    """What an error says, and the first of those that led to it: `datasets` says that data could not be generated, and no more."""
    led = [error]
    while (before := led[-1].__cause__ or led[-1].__context__) is not None and before not in led:  # it may be a ring
        led.append(before)
    return ", from ".join(f"{type(each).__name__}: {said(each)}" for each in dict.fromkeys((led[0], led[-1])))
