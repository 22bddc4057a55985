"""Checks of a domain: its items can be made, cut, answered and graded."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from w2s_bench.hookspecs import Domain, LanguageModel
from w2s_bench.plugins import checks as contract
from w2s_bench.testing.expecting import expect, expect_lasting_fingerprint, guarded, keeps_contract

if TYPE_CHECKING:
    from w2s_bench.plugins.entries import Registered
    from w2s_bench.plugins.hooks import EntryKind


#: Of so many documents, evenly spread, items are made; of a larger domain not of all.
_MOST_MADE: Final = 2000
#: The splits that every suite has, as small as one may ask for; a teacher that is used as it is trains on nothing.
_SMALLEST: Final[Mapping[str, int]] = MappingProxyType(
    {"dev": 0, "test": 2, "weak_train": 0, "trust": 1, "transfer": 1}
)
_LEAST_GROUPS: Final = sum(size > 0 for size in _SMALLEST.values())
#: Names of steps that say too little by themselves.
_SAID: Final[Mapping[str, str]] = MappingProxyType(
    {"again": "items, the task loaded anew", "right": "grades of right answers", "wrong": "grades of wrong answers"}
)


def check_domain(
    domain: Domain,
    *,
    at_most: int = 300,
    models: Sequence[LanguageModel] = (),
    tell: Callable[[str], None] = lambda what: None,
) -> None:
    """The harness can render, split and grade the domain: its first `at_most` items, answered with gold, are all right.

    Also: the smallest splits that a suite may have can be cut from its items, which takes three groups at least; no answer graded
    between right and wrong, unique ids, options that are not empty, equal keys within one group only, no question under two keys
    with two golds, the same items when loaded again, the same questions with what `training_document` gives; for a choice domain,
    wrong options graded wrong; for a generate domain, no gold that `until` or the number of new tokens cuts: by its words, and by
    the tokens of each of `models`, whose tokenizers are tried too. Items left out, as two of their options are equal, and questions
    under one key with contrary golds are told by a warning. Of a domain of more than 2,000 documents this is said of one in so many,
    evenly spread, that 2,000 are enough; the task is loaded twice. `tell` is called with what is done next.
    """
    from w2s_bench import record
    from w2s_bench.plugins.descriptions import has_own_training_gold
    from w2s_bench.plugins.entries import Plugin
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.protocol import contradictions, evaluation, files, splits, training
    from w2s_bench.protocol import items as rendered
    from w2s_bench.protocol.planned import PlannedDomain, PlannedModel
    from w2s_bench.store.stage import StageContext
    from w2s_bench.types import Answer, Item, Prediction

    keeps_contract(contract.check_domain, domain)
    expect_lasting_fingerprint(domain)
    tell("its task is loaded")
    loaded = _LoadedOnce(domain)
    count = guarded("making the domain's items", lambda: _documents_of(domain, loaded.task()))
    entry = _registered("domain", "checked/domain", loaded)
    tried = [_registered("model", f"checked/model-{number}", model) for number, model in enumerate(models)]
    registry = Registry.of([Plugin("checked", "checked", "0", "ok", (entry, *tried))])
    params: dict[str, Any] = {"domain": PlannedDomain.of(entry.name, domain, {}).params}
    params["one_in"] = max(1, -(-count // _MOST_MADE))
    made_of = f"{count} documents" if params["one_in"] == 1 else f"one in {params['one_in']} of {count} documents"

    def stage(
        function: Callable[[StageContext], None], name: str, own: Mapping[str, Any] | None = None, **inputs: Path
    ) -> Path:
        folder = root / name
        folder.mkdir()
        tell(f"{_SAID.get(name, name)}, of {made_of}")
        asked = StageContext(params if own is None else own, inputs, folder, registry)
        guarded(f"making the domain's {name}", lambda: function(asked))
        return folder

    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        made_items = stage(rendered.build_items, "items")
        items = record.read_records(made_items / files.ITEMS, Item)
        loaded.forget()
        again = record.read_records(stage(rendered.build_items, "again") / files.ITEMS, Item)
        expect(items == again, "loading twice gives other items; make them from a fixed seed or a file")
        expect(len(items) > 0, "the domain has no items")
        groups = len({item.group for item in items})
        expect(
            groups >= _LEAST_GROUPS,
            f"{domain.name}: its {len(items)} items are of {groups} {'group' if groups == 1 else 'groups'}, and cannot be split: no group "
            f"is in two splits, and a suite has {_LEAST_GROUPS} at least (test, trust, transfer); give a group to items that must not be "
            "parted alone, as the same fact or template instance",
        )
        small: dict[str, Any] = {"sizes": _SMALLEST, "domain": domain.name, "seed": 0, "suite_seed": 0}
        held = stage(splits.hold_out, "held-out splits", small, items=made_items)
        stage(splits.cut, "splits of a seed", small, held_out=held)
        made_answers = stage(rendered.build_answers, "answers")
        answers = record.read_records(made_answers / files.ANSWERS, Answer)[:at_most]
        if has_own_training_gold(domain):
            taught = stage(rendered.build_training_answers, "training answers")
            lost_to_learn = record.read_json(taught / files.REMARKS)
            expect(not lost_to_learn, f"{domain.name}: of training_document, {', '.join(lost_to_learn)}")
        compared = stage(contradictions.find_contradictions, "contrary golds", items=made_items, answers=made_answers)
        for remark in (*record.read_json(made_items / files.REMARKS), *record.read_json(compared / files.REMARKS)):
            warnings.warn(f"{domain.name}: {remark}", stacklevel=2)
        lost = record.read_json(made_answers / files.REMARKS)
        remedy = "take that string out of until, allow more tokens, or shorten doc_to_target"
        expect(not lost, f"{domain.name}: {', '.join(lost)}; {remedy}")
        params["max_new_tokens"] = domain.max_new_tokens if domain.kind == "generate" else None
        for name, model in zip((registered.name for registered in tried), models, strict=True):
            params["model"] = PlannedModel(name, model.fingerprint()).params
            measured = stage(training.run_usable, Path(name).name, answers=made_answers)
            for remark in record.read_json(measured / files.REMARKS):
                expect("takes more tokens" not in remark, f"{domain.name}, {model.name}: {remark}; {remedy}")
        gold = root / "gold"
        gold.mkdir()
        record.write_records(gold / files.ANSWERS, answers)
        key: dict[str, Any] = {"gold": gold}
        if domain.kind == "choice":
            some = root / "some items"
            some.mkdir()
            record.write_records(some / files.ITEMS, items[:at_most])
            key = {"marks": stage(evaluation.run_marks, "marks", gold=gold, subset=some)}
        for name, shift in (("right", 0), ("wrong", 1)) if domain.kind == "choice" else (("right", 0),):
            given = root / f"{name} predictions"
            given.mkdir()
            predictions = []
            for item, answer in zip(items, answers, strict=False):
                text, index, scores = answer.completion, None, None
                if item.choices is not None and answer.index is not None:
                    index = (answer.index + shift) % len(item.choices)
                    text, scores = item.choices[index], tuple(float(i == index) for i in range(len(item.choices)))
                predictions.append(Prediction(item.id, text, text, True, index, scores))
            record.write_records(given / files.PREDICTIONS, predictions)
            grades = evaluation.read_grades(stage(evaluation.run_grade, name, predictions=given, **key))
            odd = [item for item, right in grades.items() if right != (name == "right")]
            expect(not odd, f"the {name} answer of item {odd[:1]} is not graded {name}; see doc_to_target and metric")


def _documents_of(domain: Domain, task: Any) -> int:
    """How many there are, of a task that can be asked."""
    from w2s_bench.domains.documents import of_task
    from w2s_bench.domains.soundness import check_task

    check_task(domain, task)
    return sum(1 for _ in of_task(task))


class _LoadedOnce:
    """A domain whose task is loaded when it is first asked for, and then kept: a large one may take a minute."""

    def __init__(self, domain: Domain) -> None:
        self._domain, self._task = domain, None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._domain, name)

    def task(self) -> Any:
        if self._task is None:
            self._task = self._domain.task()
        return self._task

    def forget(self) -> None:
        """Who asks next has it loaded anew."""
        self._task = None


def _registered(entry_kind: EntryKind, name: str, built: Any) -> Registered:
    from w2s_bench.plugins.entries import Registered

    return Registered(name, entry_kind, lambda: built, "checked", "0", "checked", "")
