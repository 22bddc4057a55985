"""Cheap features of a weak label: what its probabilities, its length and its options say, without hidden states."""

from __future__ import annotations

import numpy as np

from w2s_bench import Evidence, FloatArray, Need, Reader

_READERS: tuple[Reader, ...] = ("teacher", "student")
#: What `cheap_features` reads of each kind of domain.
NEEDS = tuple(
    need
    for of in _READERS
    for need in (Need(of, "choice_probs", when="choice"), Need(of, "label_logprobs", when="generate"))
)
_TINY = 1e-12


def cheap_features(evidence: Evidence) -> FloatArray:
    """(n, f), the same f for every row of a kind of domain; a row's are its own alone, whatever the order of options.

    Choice, of teacher and student each: log p(label), its margin over the best other option, the entropy over options in
    nats, and whether the label is that model's favourite; also the number of options. Generate, of each: mean, least, sum and
    standard deviation of the label's token log-probabilities; also the number of tokens. Of both: words of prompt and label.
    """
    words = [[len(text.split()) for text in texts] for texts in (evidence.prompts, evidence.labels)]
    columns = [np.array(column, dtype=np.float64) for column in words]
    for of in _READERS:
        rows = _of_options(evidence, of) if evidence.label_index is not None else _of_tokens(evidence, of)
        columns.extend(rows.T)
    return np.stack(columns, axis=1)


def _of_options(evidence: Evidence, of: Reader) -> FloatArray:
    features = np.zeros((len(evidence), 5))
    assert evidence.label_index is not None
    for row, (probs, at) in enumerate(zip(evidence.choice_probs(of), evidence.label_index, strict=True)):
        best_other = float(np.delete(probs, at).max(initial=0.0))
        entropy = -float(np.sum(np.sort(probs * np.log(np.maximum(probs, _TINY)))))
        features[row] = (
            np.log(max(probs[at], _TINY)),
            probs[at] - best_other,
            entropy,
            probs[at] >= best_other,
            len(probs),
        )
    return features if of == "teacher" else features[:, :4]


def _of_tokens(evidence: Evidence, of: Reader) -> FloatArray:
    features = np.zeros((len(evidence), 5))
    for row, logprobs in enumerate(evidence.label_logprobs(of)):
        if len(logprobs):
            features[row] = logprobs.mean(), logprobs.min(), logprobs.sum(), logprobs.std(), len(logprobs)
    return features
