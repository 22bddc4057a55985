"""Does the reader know the answer at all? A probe that has not seen the label."""

from __future__ import annotations

from w2s_bench_baselines.learned.parameters import check_reader
from w2s_bench_baselines.learned.probe import Probe
from w2s_bench_baselines.learned.states import What


class Pik(Probe):
    """P(IK): logistic regression on the state of the prompt's last token to "the teacher's label will be right".

    Score: the log-odds w · h + b, any real number, higher = more trusted. h has read the question and not the label, so that
    it says how hard the question is, and all labels of one question would score the same. The layer, of those at a third,
    half and two thirds of the depth, and the strength are chosen by cross-fitting within the trust set, unless given as
    `layer` and `l2`. `of`: the teacher's states, or the untuned student's.

    Source: Kadavath et al. (2022), arXiv 2207.05221. Cost: one pass of the model over prompts. One-sided trust sets as in
    `Probe`.
    """

    what: What = "prompt"

    def __init__(self, of: str = "teacher", layer: int | None = None, l2: float | None = None, folds: int = 5) -> None:
        self.of = check_reader(of)
        super().__init__(layer, l2, folds)
