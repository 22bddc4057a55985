"""Objective `co_teaching`: two students, each of which chooses by its losses what the other learns from."""

from __future__ import annotations

from w2s_bench.models.objectives import CrossEntropy, Step, refuse_outside


class CoTeaching(CrossEntropy):
    """Cross-entropy of the label, −ln p_y, of two students that choose each other's rows by small loss (Han et al. 2018).

    Beside the student there is a second one of the same model, trained as it is by another seed: in other batches, and with another
    adapter where there is one. At each step each of the two is trained on the share R of its own batch whose labels cost the other
    one least: the mean over a label's tokens, or over options its one loss. What both find hard, wrong labels more than right ones,
    is left out, and as they see other rows they do not err alike. R falls linearly from 1 to 1 − `forget` over the share `warm` of all
    steps, and stays. The first student is the one that is kept; the second is forgotten. `over` as for `xent`.

    `forget` (from 0: `xent`; below 1) is the authors' rate of wrong labels, which they know. Nobody does here without gold, so that .2,
    the least of theirs, is the default, and `warm` (above 0, at most 1) is .2: theirs, 10 of 200 passes, is less than one pass of a
    short training. They give both students one batch and other first weights; students here begin at one model's weights.

    A batch so small that the share left out is no whole row of it is refused. It takes twice the memory of `xent` and more than
    twice its time. Language models alone: a head has no second one.
    """

    def __init__(self, forget: float = 0.2, warm: float = 0.2, over: str = "tokens") -> None:
        super().__init__(over)
        refuse_outside("forget", forget, 0, 1, below=True)
        refuse_outside("warm", warm, 0, 1, above=True)
        self.forget, self.warm = forget, warm

    def share_left(self, step: Step) -> float:
        return 1 - self.forget * step.warmed(self.warm)
