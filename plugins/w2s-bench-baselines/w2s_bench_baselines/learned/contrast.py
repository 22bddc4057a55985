"""The label's state against those of the options that the teacher did not choose."""

from __future__ import annotations

from w2s_bench import Kind
from w2s_bench_baselines.learned.parameters import check_reader
from w2s_bench_baselines.learned.probe import Probe
from w2s_bench_baselines.learned.states import What


class Contrast(Probe):
    """Logistic regression on the label's hidden state minus the mean of the item's other options' states.

    Input: x = h(prompt + label) - mean of h(prompt + other option), states of the last token; what the question and the
    words of its answers share falls out, and what sets the label apart from its rivals stays. Score: the log-odds w · x + b,
    any real number, higher = more trusted. The layer, of those at a third, half and two thirds of the depth, and the strength
    are those of least held-out log-loss in a stratified cross-fitting of the trust set, unless given as
    `layer` and `l2`. `of`: the teacher's states, or the untuned student's. Choice domains alone.

    The difference of an answer and its rivals is what Burns et al. (2023, contrast-consistent search) and Marks & Tegmark
    (2023) read truth from; this is its supervised form. Cost: one pass of the model over prompts and all options, seconds
    for the fit. One-sided trust sets as in `Probe`.
    """

    what: What = "contrast"
    kinds: tuple[Kind, ...] = ("choice",)

    def __init__(self, of: str = "teacher", layer: int | None = None, l2: float | None = None, folds: int = 5) -> None:
        self.of = check_reader(of)
        super().__init__(layer, l2, folds)
