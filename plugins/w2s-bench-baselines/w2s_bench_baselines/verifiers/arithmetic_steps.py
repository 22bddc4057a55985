"""Whether the arithmetic that a solution writes out holds."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from w2s_bench import Evidence, FloatArray, Kind, Need
from w2s_bench_baselines.unfitted import Unfitted
from w2s_bench_baselines.verifiers.arithmetic import final_number, numbers_in, steps_in


class ArithmeticSteps(Unfitted):
    """Whether the arithmetic that a solution writes out holds, and hangs together: read, never run.

    Steps are `a op b = c`, any number of operands, also within `<<a op b=c>>`. Score: the mean of three shares, in [0, 1]: of the
    steps that hold; whether the answer (the number after `####`, else the last one) is the last step's result; of the
    operands that stand in the question or are an earlier step's result. 0 where no step is written out; higher = more
    trusted. `parts` = "steps" takes the first alone. c may be rounded to the decimals that it has. Cost: none. After the
    faithfulness of Rahman et al. (2026), there by a judge, and the calculator annotations of Cobbe et al. (2021).
    """

    kinds: tuple[Kind, ...] = ("generate",)
    needs: tuple[Need, ...] = ()

    def __init__(self, parts: str = "all") -> None:
        if parts not in ("all", "steps"):
            raise ValueError(f"parts must be 'all' or 'steps', got {parts!r}")
        self.parts = parts

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        rows = zip(evidence.prompts, evidence.labels, strict=True)
        return np.array([self._judge(prompt, label) for prompt, label in rows], dtype=np.float64)

    def _judge(self, prompt: str, label: str) -> float:
        steps = steps_in(label)
        if not steps:
            return 0.0
        holding = sum(step.holds for step in steps) / len(steps)
        if self.parts == "steps":
            return holding
        known = set(numbers_in(prompt))
        from_there, operands = 0, 0
        for step in steps:
            operands += len(step.operands)
            from_there += sum(operand in known for operand in step.operands)
            known.add(step.result)
        concluded = final_number(label) == steps[-1].result
        return (holding + concluded + from_there / operands) / 3
