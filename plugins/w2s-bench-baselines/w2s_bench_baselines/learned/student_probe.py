"""The same probe, on what the student makes of the label before it is trained."""

from __future__ import annotations

from w2s_bench import Reader
from w2s_bench_baselines.learned.probe import Probe


class StudentProbe(Probe):
    """`Probe` on the hidden states of the untuned student, reading prompt + label up to the label's last token.

    The strong model may know that a label is wrong where the teacher that wrote it cannot. Score and range, choice of
    layer and strength, and one-sided trust sets are as in `Probe`.
    """

    of: Reader = "student"
