"""Does a plugin keep the contract? Checks for its author's own tests; each raises an `AssertionError` with the remedy.

    @pytest.mark.parametrize("check", trust_function_checks(), ids=str)
    def test_contract(check):
        check(MyTrustFunction)

They run on a few dozen rows of made-up evidence, on one thread, and say nothing of how good the scores are: in well under a
second where fitting is quick, in a few seconds for a small network, which they fit two dozen times.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from w2s_bench import contract
from w2s_bench.custody import left_as_found
from w2s_bench.errors import TrustFunctionError, W2SBenchError
from w2s_bench.executors.isolation import generators_kept
from w2s_bench.hookspecs import Domain, LanguageModel, TrustFunction
from w2s_bench.synthetic import MemoryEvidence, synthetic_evidence
from w2s_bench.types import BoolArray, FloatArray, IntArray, Kind

if TYPE_CHECKING:
    from w2s_bench.plugin_loading import EntryKind, Registered

__all__ = [
    "Check",
    "MemoryEvidence",
    "check_domain",
    "check_model",
    "check_trust_function",
    "synthetic_evidence",
    "trust_function_checks",
]

Factory = Callable[[], TrustFunction]
_TRUST_SIZE, _POOL_SIZE = 32, 40
#: Shares of the scores' range and of their size that are rounding: a network in float32 gives a row other last digits in
#: another batch. What reads other rows, ids or the order of options moves scores by far more.
_OF_RANGE, _OF_SIZE = 1e-4, 1e-6
#: A model as a suite may ask for it.
_AS_IT_IS = MappingProxyType({"recipe": "full", "lora_rank": 8, "precision": "float32", "device": "cpu"})


@dataclass(frozen=True)
class Check:
    """One property of a trust function, on evidence of one kind of domain. Call it with the factory."""

    name: str
    kind: Kind
    function: Callable[[Factory, Kind], None]

    def __call__(self, factory: Factory) -> None:
        if self.function is not _contract and self.kind not in contract.kinds_of(factory()):
            return  # such a domain never meets it
        with _one_thread():
            self.function(factory, self.kind)

    def __str__(self) -> str:
        return f"{self.name}-{self.kind}"


def trust_function_checks(kinds: Sequence[Kind] = ("choice", "generate")) -> list[Check]:
    """Every check on every kind of domain. A function's own `kinds` count too: checks of another kind pass at once."""
    return [Check(check.__name__.removeprefix("_"), kind, check) for kind in kinds for check in _CHECKS]


def check_trust_function(factory: Factory, kinds: Sequence[Kind] = ("choice", "generate")) -> None:
    """All of `trust_function_checks`, up to the first that fails."""
    for check in trust_function_checks(kinds):
        check(factory)


def _contract(factory: Factory, kind: Kind) -> None:
    """Attributes and signatures are right, and parameters can be left out."""
    try:
        contract.check_parameters("the factory", "name", factory, {})
        contract.check_trust_function("the trust function", factory())
    except W2SBenchError as error:
        raise AssertionError(str(error)) from error


def _scores_are_finite(factory: Factory, kind: Kind) -> None:
    """One finite number a row; only declared evidence is read, and nothing written to."""
    _score(factory, kind)


def _same_every_time(factory: Factory, kind: Kind) -> None:
    """Equal generators give equal scores, whatever the state of the global ones."""
    scores = []
    for seed in (1, 2):
        with generators_kept(seed):
            scores.append(_score(factory, kind))
    same = np.array_equal(scores[0], scores[1])
    _expect(same, "two runs with the same rng differ; take all randomness from `rng`, none from a global generator")


def _process_left_as_found(factory: Factory, kind: Kind) -> None:
    """Global generators, environment, working directory and processes are what they were before."""
    try:
        # A seed that nobody sets, so that whoever seeds is seen to.
        with generators_kept(20_240_601), left_as_found(type(factory()).__name__, "fit or score"):
            _score(factory, kind)
    except TrustFunctionError as error:
        raise AssertionError(str(error)) from error


def _rows_are_scored_alone(factory: Factory, kind: Kind) -> None:
    """Scope "row": a subset's scores are the subset of the scores, in any order, down to a single row."""
    if factory().scope != "row":
        return
    pool = _evidence(kind, _POOL_SIZE, 1)[0]
    whole = _score(factory, kind, pool=pool)
    apart = _fitted(factory, kind)  # which has never seen the whole pool
    for rows in (np.array([7]), np.arange(0, _POOL_SIZE, 3), np.random.default_rng(3).permutation(_POOL_SIZE)):
        moved = _moved(whole, rows, _call_score(apart, pool.take(rows)))
        _expect(
            moved is None, f'scores change with the pool\'s other rows or their order ({moved}); declare scope = "pool"'
        )


def _ids_and_option_order_mean_nothing(factory: Factory, kind: Kind) -> None:
    """Other ids and another order of the options give the same scores."""
    pool = _evidence(kind, _POOL_SIZE, 1)[0]
    plain, disguised = _score(factory, kind, pool=pool), _score(factory, kind, pool=pool.disguised(5))
    moved = _moved(plain, np.arange(_POOL_SIZE), disguised)
    _expect(
        moved is None,
        f"scores change with the rows' ids or the order of the options ({moved}), which mean nothing; do not use them",
    )


def _score_twice(factory: Factory, kind: Kind) -> None:
    """Scoring changes nothing: a second call gives the same scores."""
    function = _fitted(factory, kind)
    first, second = (_call_score(function, _evidence(kind, _POOL_SIZE, 1)[0]) for _ in range(2))
    _expect(np.array_equal(first, second), "a second call of score gives other scores; keep no state between calls")


def _poor_trust_sets(factory: Factory, kind: Kind) -> None:
    """A trust set with all labels right, all wrong, one of either, or four rows still gives finite scores."""
    if factory().supervision == "none":
        return
    evidence, correct = _evidence(kind, _TRUST_SIZE, 0)
    everything = np.arange(len(correct))
    single = np.concatenate([np.flatnonzero(correct), np.flatnonzero(~correct)[:1]])
    few = np.concatenate([np.flatnonzero(correct)[:2], np.flatnonzero(~correct)[:2]])
    cases: list[tuple[str, Any, BoolArray]] = [
        ("all labels right", everything, np.ones(_TRUST_SIZE, dtype=np.bool_)),
        ("all labels wrong", everything, np.zeros(_TRUST_SIZE, dtype=np.bool_)),
        ("one wrong label", single, correct[single]),
        ("four rows", few, correct[few]),
    ]
    for name, rows, right in cases:
        try:
            _score(factory, kind, trust=(evidence.take(rows), right))
        except AssertionError as error:
            raise AssertionError(f"trust set with {name}: {error}") from error


_CHECKS: tuple[Callable[[Factory, Kind], None], ...] = (
    _contract,
    _scores_are_finite,
    _same_every_time,
    _process_left_as_found,
    _score_twice,
    _rows_are_scored_alone,
    _ids_and_option_order_mean_nothing,
    _poor_trust_sets,
)


def check_domain(domain: Domain, *, at_most: int = 300, models: Sequence[LanguageModel] = ()) -> None:
    """The harness can render, cut and grade the domain: its first `at_most` items, answered with gold, are all right.

    Also: unique ids, options that are not empty, equal keys within one group only, no question under two keys with two
    golds, the same items when loaded again; for a choice domain, wrong options graded wrong; for a generate domain, no
    gold that `until` or the number of new tokens cuts: by its words, and by the tokens of each of `models`, whose tokenizers
    are tried too. Items left out, as two of their options are equal, are told by a warning.
    """
    from w2s_bench import evaluation, prediction, record, training
    from w2s_bench import items as rendered
    from w2s_bench.registry import Registry
    from w2s_bench.stages import StageContext
    from w2s_bench.types import Answer, Item, Prediction

    _keeps_contract(contract.check_domain, domain)
    _expect_lasting_fingerprint(domain)
    entry = _registered("domain", domain)
    tried = {f"checked/model-{number}": _registered("model", model) for number, model in enumerate(models)}
    registry = Registry((), MappingProxyType({}), MappingProxyType({entry.name: entry}), MappingProxyType(tried))
    params: dict[str, Any] = {"domain": evaluation.domain_params(entry.name, domain, {})}

    def stage(function: Callable[[StageContext], None], name: str, **inputs: Path) -> Path:
        folder = root / name
        folder.mkdir()
        _guarded(f"making the domain's {name}", lambda: function(StageContext(params, inputs, folder, registry)))
        return folder

    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        made_items = stage(rendered.build_items, "items")
        items = record.read_records(made_items / rendered.ITEMS, Item)
        again = record.read_records(stage(rendered.build_items, "again") / rendered.ITEMS, Item)
        _expect(items == again, "loading twice gives other items; make them from a fixed seed or a file")
        _expect(len(items) > 0, "the domain has no items")
        made_answers = stage(rendered.build_answers, "answers")
        answers = record.read_records(made_answers / rendered.ANSWERS, Answer)[:at_most]
        for remark in record.read_json(made_items / rendered.REMARKS):
            warnings.warn(f"{domain.name}: {remark}", stacklevel=2)
        lost = record.read_json(made_answers / rendered.REMARKS)
        remedy = "take that string out of until, allow more tokens, or shorten doc_to_target"
        _expect(not lost, f"{domain.name}: {', '.join(lost)}; {remedy}")
        params["max_new_tokens"] = domain.max_new_tokens if domain.kind == "generate" else None
        for name, model in zip(tried, models, strict=True):
            params["model"] = {"name": name, "fingerprint": model.fingerprint(), **_AS_IT_IS}
            measured = stage(training.run_usable, Path(name).name, answers=made_answers)
            for remark in record.read_json(measured / rendered.REMARKS):
                _expect("takes more tokens" not in remark, f"{domain.name}, {model.name}: {remark}; {remedy}")
        gold = root / "gold"
        gold.mkdir()
        record.write_records(gold / rendered.ANSWERS, answers)
        key = {"gold": gold}
        if domain.kind == "choice":
            some = root / "some items"
            some.mkdir()
            record.write_records(some / rendered.ITEMS, items[:at_most])
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
            record.write_records(given / prediction.PREDICTIONS, predictions)
            grades = evaluation.read_grades(stage(evaluation.run_grade, name, predictions=given, **key))
            odd = [item for item, right in grades.items() if right != (name == "right")]
            _expect(not odd, f"the {name} answer of item {odd[:1]} is not graded {name}; see doc_to_target and metric")


def check_model(model: LanguageModel) -> None:
    """The model loads in float32 with a tokenizer that fits it, gives finite logits, and keeps its fingerprint.

    The tokenizer ends no text by itself.
    """
    import torch

    from w2s_bench.models.encoding import refuse_closing

    _keeps_contract(contract.check_model, model)
    _expect_lasting_fingerprint(model)
    network, tokenizer = model.load()
    kinds = {str(p.dtype) for p in network.parameters()}
    _expect(kinds == {"torch.float32"}, f"weights must be float32, got {sorted(kinds)}; load with dtype=torch.float32")
    _expect(not network.training, "load() must return the model in evaluation mode; call .eval()")
    rows, largest = network.get_input_embeddings().weight.shape[0], max(tokenizer.get_vocab().values())
    _expect(largest < rows, f"the tokenizer's largest id is {largest}, the model embeds {rows}")
    _guarded("the tokenizer", lambda: refuse_closing(tokenizer, model.name))
    _expect(tokenizer.eos_token_id is not None, "the tokenizer needs an end-of-sequence token; set eos_token")
    with torch.no_grad():
        logits = network(torch.arange(min(8, rows))[None]).logits
    _expect(bool(torch.isfinite(logits).all()), "its logits are not all finite")


def _registered(kind: EntryKind, built: Domain | LanguageModel) -> Registered:
    from w2s_bench.plugin_loading import Registered

    return Registered(f"checked/{kind}", kind, lambda: built, "checked", "0", "checked", "")


def _expect_lasting_fingerprint(built: Domain | LanguageModel) -> None:
    first, second = (_guarded("fingerprint", built.fingerprint) for _ in range(2))
    _expect(bool(first) and first == second, "fingerprint() must be the same text each time")


def _keeps_contract(check: Callable[[str, Any], None], built: object) -> None:
    try:
        check(type(built).__name__, built)
    except W2SBenchError as error:
        raise AssertionError(str(error)) from error


def _evidence(kind: Kind, n: int, seed: int) -> tuple[MemoryEvidence, BoolArray]:
    evidence, correct = synthetic_evidence(kind, n, seed)
    return evidence, correct


def _fitted(factory: Factory, kind: Kind, trust: tuple[MemoryEvidence, BoolArray] | None = None) -> TrustFunction:
    function = factory()
    if function.supervision != "none":
        evidence, correct = trust or _evidence(kind, _TRUST_SIZE, 0)
        correct.flags.writeable = False
        privileged = function.supervision == "privileged"
        seen = evidence.declaring(function.needs, fitting=True, privileged=privileged)
        _guarded("fit", lambda: function.fit(seen, correct, rng=np.random.default_rng(0)))
    return function


def _call_score(function: TrustFunction, pool: MemoryEvidence) -> FloatArray:
    from w2s_bench.trust import validated

    seen = pool.declaring(function.needs, privileged=function.supervision == "privileged")
    scores = _guarded("score", lambda: function.score(seen, rng=np.random.default_rng(1)))
    try:
        return validated(type(function).__name__, scores, len(pool))
    except W2SBenchError as error:
        raise AssertionError(str(error)) from error


def _score(
    factory: Factory,
    kind: Kind,
    *,
    trust: tuple[MemoryEvidence, BoolArray] | None = None,
    pool: MemoryEvidence | None = None,
) -> FloatArray:
    """Build, fit on the trust set if it learns, score the pool."""
    return _call_score(_fitted(factory, kind, trust), pool or _evidence(kind, _POOL_SIZE, 1)[0])


def _moved(whole: FloatArray, rows: IntArray, part: FloatArray) -> str | None:
    """By how much the scores of some rows differ from what they are in the whole pool, where it is more than rounding."""
    size, spread = float(np.abs(whole).max()), float(np.ptp(whole))
    difference = float(np.abs(part - whole[rows]).max())
    if difference <= _OF_RANGE * spread + _OF_SIZE * size:
        return None
    return f"by up to {difference:.3g}, where all scores lie within {spread:.3g}"


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a run: threads of several trust functions get into each other's way, and take longer than one."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _guarded(what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except W2SBenchError as error:
        raise AssertionError(f"{what} failed: {error}") from error
    except Exception as error:
        hint = "; evidence and `correct` are read-only, work on copies" if "read-only" in str(error) else ""
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}{hint}") from error


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
