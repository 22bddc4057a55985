"""A plugin for the harness's own tests: two quick domains, and trust functions that are good, bad and broken."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from w2s_bench import Need, TaskDomain, hookimpl
from w2s_bench_toy.faults import FAULTS
from w2s_bench_toy.objectives import objectives
from w2s_bench_toy.readings import READERS, READINGS

TASKS = Path(__file__).with_name("tasks")


def largest():
    """Which of four numbers is the largest."""
    return TaskDomain("largest", "1", "choice", TASKS / "largest.yaml", "w2s_toy_largest", files=("loader.py",))


def second_largest(document):
    """What the domain `planted` learns from: in every fifth item the second largest number is called the largest."""
    numbers = [int(choice) for choice in document["choices"]]
    planted = int(document["id"].rpartition("-")[2]) % 5 == 0
    return {**document, "gold": numbers.index(sorted(numbers)[-2 if planted else -1])}


def planted(wrong=True):
    """`largest`, whose training gold is wrong in known places."""
    taught = second_largest if wrong else None
    return TaskDomain(
        "planted",
        "1",
        "choice",
        TASKS / "largest.yaml",
        "w2s_toy_largest",
        files=("loader.py",),
        training_document=taught,
    )


def sums():
    """Sums of two numbers below twenty."""
    return TaskDomain(
        "sums", "1", "generate", TASKS / "sums.yaml", "w2s_toy_sums", max_new_tokens=6, files=("loader.py",)
    )


def made(folder: str = "", kind: str = "choice"):
    """Whatever task `made` a test has written to a folder; its documents may come from anywhere."""
    return TaskDomain("made", "1", kind, Path(folder) / "made.yaml", "made", max_new_tokens=6)


@dataclass
class Scores:
    """Scores by a hash of the prompt; the base of the broken ones."""

    supervision = "none"
    needs = ()
    scope = "row"

    def fit(self, evidence, correct, *, rng):
        raise AssertionError("never called for supervision 'none'")

    def score(self, evidence, *, rng):
        return np.array([float(sum(map(ord, p)) % 97) for p in evidence.prompts])


class Raises(Scores):
    def score(self, evidence, *, rng):
        raise RuntimeError("no scores today")


class GivesNaN(Scores):
    def score(self, evidence, *, rng):
        scores = super().score(evidence, rng=rng)
        scores[3] = np.nan
        return scores


class WrongLength(Scores):
    def score(self, evidence, *, rng):
        return super().score(evidence, rng=rng)[:-1]


class WrongType(Scores):
    def score(self, evidence, *, rng):
        return list(super().score(evidence, rng=rng))


class Undeclared(Scores):
    def score(self, evidence, *, rng):
        return evidence.hidden_states()[:, 0]


class WantsGold(Scores):
    def score(self, evidence, *, rng):
        return np.array([float(len(g)) for g in evidence.gold])


class Exits(Scores):
    def score(self, evidence, *, rng):
        raise SystemExit(0)


class ReadsVerifierInFit(Scores):
    supervision = "trust_set"
    needs = (Need("verifier", "label_logprobs"),)

    def fit(self, evidence, correct, *, rng):
        evidence.label_logprobs("verifier")


class Privileged(Scores):
    """Whether the label is the gold answer: what the privileged track may see."""

    supervision = "privileged"

    def fit(self, evidence, correct, *, rng):
        assert len(evidence.gold) == len(correct)

    def score(self, evidence, *, rng):
        return np.array([float(g == label) for g, label in zip(evidence.gold, evidence.labels, strict=True)])


BROKEN = {
    "raises": Raises,
    "gives_nan": GivesNaN,
    "wrong_length": WrongLength,
    "wrong_type": WrongType,
    "undeclared": Undeclared,
    "wants_gold": WantsGold,
    "exits": Exits,
    "reads_verifier_in_fit": ReadsVerifierInFit,
    **FAULTS,
    **READERS,
}


@hookimpl
def w2s_domains():
    return {"largest": largest, "sums": sums, "made": made, "planted": planted}


@hookimpl
def w2s_readings():
    return READINGS


@hookimpl
def w2s_objectives():
    return objectives()


@hookimpl
def w2s_trust_functions():
    # Broken ones are asked for by name: a run of "every installed one" stays whole.
    chosen = {name: BROKEN[name] for name in os.environ.get("W2S_TOY_BROKEN", "").split(",") if name}
    return {"prompt_hash": Scores, "privileged": Privileged, **chosen}
