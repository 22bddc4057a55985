"""Dawid and Skene's model: how often each annotator takes one class for another, and what the items then are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from w2s_bench import Evidence, FloatArray, IntArray, Kind, Need, Scope
from w2s_bench_further.annotators.votes import needs_of, readers_of, votes
from w2s_bench_further.unfitted import Unfitted

_MOST_STEPS, _LEAST_CHANGE = 500, 1e-9
#: Answers added to every cell of an annotator's table, so that no answer is impossible that was not seen.
_ADDED = 0.01


class DawidSkene(Unfitted):
    """Dawid-Skene: the posterior that the label is the item's class, from the votes of teacher and students.

    In [0, 1], higher = more trusted. Annotators: the teacher, and the readers in `by`, joined by +, each with its favourite option.
    Where all items offer the same options, each annotator has a table of errors, p(says l | is k), and classes have shares, by
    expectation maximisation from the majority's vote (Dawid & Skene 1979). Elsewhere each annotator has one accuracy and errs evenly
    (the one-coin model). That their errors are independent given the class is the model's assumption, and students that learn from the
    teacher break it. Cost: five students of the suite's steps, and passes over the options.
    """

    kinds: tuple[Kind, ...] = ("choice",)
    scope: Scope = "pool"

    def __init__(self, by: str = "student+student_cv") -> None:
        self._readers = readers_of(by)
        self.needs: tuple[Need, ...] = needs_of(self._readers)

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        told, choices = votes(evidence, self._readers), evidence.choices
        assert choices is not None, "for choice domains alone"
        if not choices:
            return np.zeros(0)
        texts = [tuple(option.strip() for option in options) for options in choices]
        classes = sorted(set(texts[0]))
        if len(classes) == len(texts[0]) and all(sorted(row) == classes for row in texts):
            said = np.array([[classes.index(row[at]) for at in voted] for row, voted in zip(texts, told, strict=True)])
            posterior = dawid_skene(np.eye(len(classes))[said], added=_ADDED).posterior
            return np.asarray(posterior[np.arange(len(said)), said[:, 0]])
        return one_coin(told, np.array([len(row) for row in texts]))


@dataclass(frozen=True)
class Estimates:
    """Of n items, a annotators and k classes: (n, k) posteriors, (k,) shares of classes, (a, k, k) p(says | is)."""

    posterior: FloatArray
    shares: FloatArray
    errors: FloatArray


def dawid_skene(counts: NDArray[Any], *, added: float = 0.0) -> Estimates:
    """By expectation maximisation; `counts` (n, a, k): how often an annotator said a class of an item. Labels keep their meaning by
    the start, which is each item's share of votes."""
    seen = np.asarray(counts, dtype=np.float64)
    votes = seen.sum(1)
    posterior = votes / np.maximum(votes.sum(1, keepdims=True), 1.0)
    shares = errors = np.zeros(0)
    for _ in range(_MOST_STEPS):
        shares = posterior.mean(0)
        table = np.einsum("nk,nal->akl", posterior, seen) + added
        total = table.sum(2, keepdims=True)
        errors = np.divide(table, total, out=np.zeros_like(table), where=total > 0)
        with np.errstate(divide="ignore"):
            logs, prior = np.log(errors), np.log(shares)
        # What an annotator never said counts for nothing, and not as 0 times minus infinity.
        likely = prior + np.einsum("nal,akl->nk", seen, np.maximum(logs, -1e6))
        new = np.exp(likely - likely.max(1, keepdims=True))
        new /= new.sum(1, keepdims=True)
        change = np.abs(new - posterior).max(initial=0.0)
        posterior = new
        if change < _LEAST_CHANGE:
            break
    return Estimates(posterior, shares, errors)


def one_coin(told: IntArray, options: IntArray) -> FloatArray:
    """(n,) posterior of the first annotator's answer; `told` (n, a) places among `options` (n,) how many there are.

    An annotator is right with its own accuracy and otherwise says any other option equally often; all options are as likely before.
    """
    n, width = len(told), int(options.max())
    offered = np.arange(width) < options[:, None]
    said = told[:, :, None] == np.arange(width)  # (n, a, width)
    posterior = said.sum(1) / told.shape[1]
    others = np.maximum(options - 1, 1)[:, None]
    for _ in range(_MOST_STEPS):
        right = np.einsum("no,nao->na", posterior, said)
        accuracy = (right.sum(0) + 1) / (n + 2)
        logs = np.where(said, np.log(accuracy)[None, :, None], (np.log1p(-accuracy)[None] - np.log(others))[:, :, None])
        likely = np.where(offered, logs.sum(1), -np.inf)
        new = np.exp(likely - likely.max(1, keepdims=True))
        new /= new.sum(1, keepdims=True)
        change = np.abs(new - posterior).max(initial=0.0)
        posterior = new
        if change < _LEAST_CHANGE:
            break
    return np.asarray(posterior[np.arange(n), told[:, 0]])
