"""Weak labels that no model answers greedily: gold with noise, few golds, and one of a model's samples.

`noisy` and `scarce` read the gold of the split that they label, the pool's and the trust set's too: that is what they are. The
gold stays in the stage `source_labels`, which gives labels alone, and which are wrong nothing but grades can tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from w2s_bench.errors import SuiteError
from w2s_bench.protocol.evidence.readings.samples import final_answer
from w2s_bench.protocol.files import ANSWERS, FORMAT, ITEMS, MARKS, PREDICTIONS
from w2s_bench.protocol.planned import PlannedModel, load_planned
from w2s_bench.protocol.prediction import as_completion
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import JSON, Answer, Item, Prediction, TrainingRow

_DRAWN = "drawn.jsonl"


@dataclass(frozen=True)
class Drawn:
    """The texts that a model drew to one prompt."""

    id: str
    texts: tuple[str, ...]


def drawn(
    model: PlannedModel,
    weights: Stage | None,
    subset: Stage,
    *,
    samples: int,
    temperature: float,
    max_new_tokens: int | None,
    seed: int,
    label: str = "",
) -> Stage:
    """Stage: so many answers of a model to each prompt of a subset, every token drawn at a temperature."""
    params: dict[str, JSON] = {"model": model.params, "samples": samples, "temperature": temperature}
    params |= {"max_new_tokens": max_new_tokens, "seed": seed}
    inputs = {"subset": subset} | ({"weights": weights} if weights else {})
    return Stage(run_drawn, params, inputs, label=label, **model.stage_fields())


def of_gold(
    subset: Stage,
    gold: Stage,
    *,
    rate: float,
    noise: str,
    wrong: Stage | None,
    seed: int,
    marks: Stage | None = None,
    label: str = "",
) -> Stage:
    """Stage: the gold of a subset as labels, of which the share `rate` (from 0, below 1) is replaced by a wrong answer.

    `noise` `uniform`: an option drawn from the item's wrong ones; of generated answers the gold of another item, drawn from
    those of another final answer. `systematic`: what a model is likeliest to get wrong, from `wrong`: its answers to the
    subset with the options' scores, or what it drew (`drawn`). `marks` says which options are right, of which an item may have
    several (`evaluation.marks`); without it the gold alone is.
    """
    inputs = {"subset": subset, "gold": gold}
    inputs |= {name: stage for name, stage in (("wrong", wrong), ("marks", marks)) if stage is not None}
    return Stage(label_by_gold, {"rate": rate, "kind": noise, "seed": seed}, inputs, label=label)


def by_majority(subset: Stage, answers: Stage, label: str = "") -> Stage:
    """Stage: of each item the first of the answers drawn whose final answer is the commonest; of equally common ones a hash
    says which. Gold is no input of it."""
    return Stage(label_by_majority, {}, {"subset": subset, "answers": answers}, label=label)


def by_certainty(model: PlannedModel, weights: Stage | None, subset: Stage, answers: Stage, label: str = "") -> Stage:
    """Stage: of each item that of the answers drawn of which `model`, who drew them, is the most certain; of equally certain ones a
    hash says which. Gold is no input of it.

    Self-certainty of an answer o: (1/|o|) Σᵢ KL(U ‖ p(· | prompt, o₁ … oᵢ₋₁)), U uniform over the vocabulary, over its tokens and its
    end (Kang et al. 2025, arXiv 2502.18581; as a reward Zhao et al. 2025, arXiv 2505.19590).
    """
    inputs = {"subset": subset, "answers": answers} | ({"weights": weights} if weights else {})
    return Stage(label_by_certainty, {"model": model.params}, inputs, label=label, **model.stage_fields())


@stage("drawn_answers", version=1)
def run_drawn(context: StageContext) -> None:
    p = context.params
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    until, rng = read_json(context.inputs["subset"] / FORMAT)["until"], np.random.default_rng(p["seed"])
    limit, engine = p["max_new_tokens"], load_planned(context)
    texts = engine.samples(items, p["samples"], p["temperature"], max_new_tokens=limit, until=until, rng=rng)
    write_records(context.out / _DRAWN, [Drawn(item.id, tuple(each)) for item, each in zip(items, texts, strict=True)])


@stage("source_labels", version=2)
def label_by_gold(context: StageContext) -> None:
    p, folder = context.params, context.inputs["subset"]
    items = sorted(read_records(folder / ITEMS, Item), key=lambda item: item.id)
    answers = {answer.id: answer for answer in read_records(context.inputs["gold"] / ANSWERS, Answer)}
    rng = np.random.default_rng(p["seed"])
    ranks = rng.random(len(items))  # drawn first: which items are wrong does not hang on how
    delimiter = read_json(folder / FORMAT)["delimiter"]
    replaced = _wrong_answers(context, items, answers, rng, delimiter)
    able = [index for index in np.argsort(ranks).tolist() if items[index].id in replaced]
    wanted = round(p["rate"] * len(items))
    noisy = {items[index].id for index in able[:wanted]}
    if len(noisy) < wanted:
        print(f"{len(noisy)} labels are wrong, not {wanted}: to the other items no wrong answer was found", flush=True)
    labels = [replaced[item.id] if item.id in noisy else _right(item, answers[item.id]) for item in items]
    write_records(context.out / PREDICTIONS, labels)


@stage("majority_labels", version=2)
def label_by_majority(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    delimiter = read_json(context.inputs["subset"] / FORMAT)["delimiter"]
    texts = {answer.id: answer.texts for answer in read_records(context.inputs["answers"] / _DRAWN, Drawn)}
    labels = []
    for item in items:
        text = commonest(texts[item.id], item.id)
        assert text is not None, "at least one answer is drawn"
        labels.append(_generated(item.id, text, delimiter))
    write_records(context.out / PREDICTIONS, labels)


@stage("self_certain_labels", version=1)
def label_by_certainty(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    delimiter = read_json(context.inputs["subset"] / FORMAT)["delimiter"]
    texts = {answer.id: answer.texts for answer in read_records(context.inputs["answers"] / _DRAWN, Drawn)}
    drawn_labels = [_generated(item.id, text, delimiter) for item in items for text in sorted(set(texts[item.id]))]
    prompts = {item.id: item.prompt for item in items}
    rows = [TrainingRow(one.id, prompts[one.id], one.completion, True, None, None) for one in drawn_labels]
    certain = [float(each.mean()) for each in load_planned(context).label_certainties(rows)]
    best: dict[str, tuple[tuple[float, str], Prediction]] = {}
    for one, certainty in zip(drawn_labels, certain, strict=True):
        place = (-certainty, hash_rank("tie", one.id, one.answer))
        if one.id not in best or place < best[one.id][0]:
            best[one.id] = (place, one)
    write_records(context.out / PREDICTIONS, [best[item.id][1] for item in items])


def commonest(texts: Sequence[str], item: str, *, but: str | None = None) -> str | None:
    """The first text of the commonest final answer, other than `but`; None where there is no other."""
    finals = [final_answer(text) for text in texts]
    counted = Counter(final for final in finals if final != but)
    if not counted:
        return None
    most = max(counted.values())
    chosen = min((f for f, times in counted.items() if times == most), key=lambda f: hash_rank("tie", item, f))
    return texts[finals.index(chosen)]


def _wrong_answers(
    context: StageContext,
    items: Sequence[Item],
    answers: Mapping[str, Answer],
    rng: Generator,
    delimiter: str,
) -> dict[str, Prediction]:
    """Id → the wrong label that an item would have; without the items that none was found for."""
    if context.params["rate"] == 0:
        return {}
    marks = read_json(context.inputs["marks"] / MARKS) if "marks" in context.inputs else {}
    others = {item.id: _wrong_options(item, answers[item.id], marks.get(item.id)) for item in items}
    if context.params["kind"] == "uniform":
        wrong = {item.id: _uniform(item, answers, others[item.id], rng) for item in items}
    elif items[0].choices is not None:
        scores = {p.id: p.choice_scores or () for p in read_records(context.inputs["wrong"] / PREDICTIONS, Prediction)}
        wrong = {item.id: _likeliest(item, others[item.id], scores[item.id]) for item in items}
    else:
        texts = {answer.id: answer.texts for answer in read_records(context.inputs["wrong"] / _DRAWN, Drawn)}
        wrong = {}
        for item in items:
            text = commonest(texts[item.id], item.id, but=final_answer(answers[item.id].completion))
            wrong[item.id] = None if text is None else _generated(item.id, text, delimiter)
    return {name: label for name, label in wrong.items() if label is not None}


def _wrong_options(item: Item, gold: Answer, right: Sequence[bool] | None) -> list[int]:
    """The places of the options that are neither the gold nor marked right."""
    return [i for i in range(len(item.choices or ())) if i != gold.index and not (right and right[i])]


def _uniform(item: Item, answers: Mapping[str, Answer], others: Sequence[int], rng: Generator) -> Prediction | None:
    own = answers[item.id]
    if item.choices is not None:
        return _option(item, others[int(rng.integers(len(others)))]) if others else None
    names, right = sorted(answers), final_answer(own.completion)
    for drawn_index in rng.permutation(len(names)).tolist():
        other = answers[names[drawn_index]].completion
        if final_answer(other) != right:
            return Prediction(item.id, other, other, ended=True)
    return None


def _likeliest(item: Item, others: Sequence[int], scores: Sequence[float]) -> Prediction | None:
    options = item.choices or ()
    if not others:
        return None
    return _option(item, min(others, key=lambda i: (-scores[i], hash_rank("tie", item.id, options[i]))))


def _right(item: Item, gold: Answer) -> Prediction:
    if item.choices is None:
        return Prediction(item.id, gold.completion, gold.completion, ended=True)
    if gold.index is None:
        raise SuiteError(
            f"item {item.id} has options and no gold among them; take another domain for this label source"
        )
    return _option(item, gold.index)


def _option(item: Item, index: int) -> Prediction:
    """An option as a label that nobody scored: options there are, and scores there are none."""
    text = (item.choices or ())[index]
    return Prediction(item.id, text, text, ended=False, index=index, choice_scores=())


def _generated(name: str, text: str, delimiter: str) -> Prediction:
    return Prediction(name, text, as_completion(text, delimiter), ended=True)
