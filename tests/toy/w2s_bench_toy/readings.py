"""Readings of the toy plugin, a trust function that reads them, and faulty ones."""

from __future__ import annotations

import os

import numpy as np

from w2s_bench import Need


class PromptLogprob:
    """Mean natural log-probability of the prompt's tokens after the first `skip`, (n,)."""

    form = "array"
    of_head = "untuned"

    def __init__(self, skip=1):
        self.skip = skip

    def read(self, model, rows, *, rng):
        import torch

        out = []
        for row in rows:
            ids = torch.tensor([model.tokenizer(row.prompt)["input_ids"]])
            with torch.inference_mode():
                logprobs = model.model(ids).logits[0, :-1].log_softmax(-1)
            out.append(float(logprobs.gather(1, ids[0, 1:, None])[self.skip - 1 :].mean()))
        return np.array(out)

    def synthetic(self, made_up, *, rng):
        return -np.exp(-made_up.lean / 2 + rng.normal(size=len(made_up.rows)))


class OptionLengths:
    """Length of each option's text in characters; it asks no model."""

    form, kinds, asks_model = "options", ("choice",), False

    def read(self, model, rows, *, rng):
        assert model is None
        return [np.array([len(option) for option in row.choices]) for row in rows]

    def synthetic(self, made_up, *, rng):
        return self.read(None, made_up.rows, rng=rng)


class Noise:
    """As many random numbers a label as `k` says; asks no model. It shows whom it meets in its process."""

    form, asks_model = "tokens", False

    def __init__(self, k):
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.k = k

    def read(self, model, rows, *, rng):
        return [rng.random(self.k) for _ in rows]

    def synthetic(self, made_up, *, rng):
        return self.read(None, made_up.rows, rng=rng)


class Faulty(Noise):
    """Gives what `W2S_TOY_READING` says."""

    form = "array"

    def __init__(self):
        super().__init__(1)

    def read(self, model, rows, *, rng):
        return eval(os.environ["W2S_TOY_READING"], {"np": np, "n": len(rows)})  # noqa: S307 - a test's own

    def synthetic(self, made_up, *, rng):
        raise KeyError("none")


PROMPT, LENGTHS = (
    Need("teacher", "w2s-bench-toy/prompt_logprob", skip=2),
    Need("teacher", "w2s-bench-toy/option_lengths"),
)
NOISE, FAULTY = Need("student", "w2s-bench-toy/noise", k=3), Need("teacher", "w2s-bench-toy/faulty")


class Surprise:
    """The prompt's log-probability, the length of the label among the options, and a little noise."""

    supervision, scope, needs = "none", "row", (PROMPT, LENGTHS, NOISE)

    def score(self, evidence, *, rng):
        scores = evidence.read(PROMPT) + [row.mean() / 100 for row in evidence.read(NOISE)]
        if evidence.choices is not None:
            lengths = evidence.read(LENGTHS)
            for row, options in zip(lengths, evidence.choices, strict=True):
                assert row.tolist() == [len(option) for option in options]
            scores = scores + [row[at] for row, at in zip(lengths, evidence.label_index, strict=True)]
        return scores


class Untold(Surprise):
    """Reads what a generate domain does not give."""

    def score(self, evidence, *, rng):
        return np.array([row.mean() for row in evidence.read(LENGTHS)])


class ReadsFaulty(Surprise):
    needs = (FAULTY,)

    def score(self, evidence, *, rng):
        return evidence.read(FAULTY)


READINGS = {"prompt_logprob": PromptLogprob, "option_lengths": OptionLengths, "noise": Noise, "faulty": Faulty}
READERS = {"surprise": Surprise, "untold": Untold, "reads_faulty": ReadsFaulty}
