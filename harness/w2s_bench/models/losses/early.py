"""Objective `early`: the cross-entropy, stopped where the student agrees best with labels that it was not shown."""

from __future__ import annotations

from w2s_bench.models.objectives import CrossEntropy, refuse_outside


class Early(CrossEntropy):
    """Cross-entropy of the label, −ln p_y, with early stopping by agreement with held-out labels of the same source.

    A `share` of the items, above 0 and at most .5, is held out, drawn by the student's seed: whole groups of them, so that no label
    held out is learned from a row that asks the same. Where no group fits into the share, the smallest is held out. At `checks` steps,
    equally far apart and the last one among them (from 2 to 100), the student answers them: the likeliest option, or the likeliest
    token at every place of a generated label, all of which must be the label's. Of the checked students the one that agrees with
    most labels is kept, of equals the earliest. The steps, and so the schedule and the cost, are those of `xent`, and answers
    besides.

    Labels that are held out are those that the arm trains on, weak ones where those are weak: no gold is asked, where Burns et
    al. (2023) stop by gold as an oracle. Where labels are gold, it stops by gold that it was given. `over` as for `xent`.
    Language models alone: heads under a penalty are fitted to convergence.
    """

    def __init__(self, share: float = 0.1, checks: int = 5, over: str = "tokens") -> None:
        super().__init__(over)
        refuse_outside("share", share, 0, 0.5, above=True)
        refuse_outside("checks", checks, 2, 100)
        if not isinstance(checks, int):
            raise ValueError(f"checks is {checks!r}, expected a whole number from 2 to 100")
        self.held_out, self.checks = share, checks
