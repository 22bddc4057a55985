"""Rules that check a label without a model: what is read as a step of arithmetic, what holds, what hangs together."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_bench.results.mechanisms.solutions import steps_of
from w2s_bench.testing import MemoryEvidence
from w2s_bench_baselines.verifiers.answer_format import AnswerFormat, ending_shape
from w2s_bench_baselines.verifiers.arithmetic import final_number, numbers_in, steps_in
from w2s_bench_baselines.verifiers.arithmetic_steps import ArithmeticSteps

RNG = np.random.default_rng(0)


def solutions(*pairs: tuple[str, str]) -> MemoryEvidence:
    prompts, labels = zip(*pairs, strict=True)
    return MemoryEvidence(tuple(f"{i}" for i in range(len(pairs))), prompts, labels, None, None, {}, labels)


#: Text → whether each of its steps holds.
STEPS = [
    ("37 - 19 = 18 ; 18 * 2 = 36 #### 36", [True, True]),
    ("37 - 19 = 17", [False]),
    ("48/2 = <<48/2=24>>24 clips, 48+24 = <<48+24=72>>72", [True, True]),
    ("2 + 3 * 4 = 14, 2 * 3 + 4 = 10 and 20 - 4 / 2 = 18", [True, True, True]),
    ("$1,200 x 3 = $3,600", [True]),
    ("10 / 3 = 3.33 but not 10 / 3 = 3.34", [True, False]),
    ("10 / 3 = 3", [False]),
    ("7 / 2 = 3.5", [True]),
    ("5 / 0 = 1", [False]),
    ("3 - 5 = -2", [True]),
    ("12 ÷ 4 × 2 = 6", [True]),
    ("so 5 = 5 and x + 3 = 7 and 3 + = 4", []),
    ("__import__('os') + 1 = 2", []),
    ("version 1.2.3 + 4 = 8", []),
    ("1 + 1 = 2a", []),
    ("", []),
]
#: More shapes that solutions take, for the two that read them.
PROBES = [
    *(text for text, _ in STEPS),
    "3 + 4 = 7eggs",
    "3 + 4 = 7 eggs",
    "3x4=12 and 3 x 4 = 12",
    "3+4=7*2=14",
    "4 3 + 4 = 7",
    "3 + -4 = -1 and -3 + 4 = 1",
    "3 + 4 = -$7",
    "$3 + $4 = $7.00",
    "3 + 4 =\n7",
    "1,20 + 3 = 123 and 1,200 + 3 = 1203",
    "3 + 4 = 7.",
    "3 + 4 = 7.5.1",
    "3 + 4 = 7, 8",
    "(3 + 4) * 2 = 14",
    "3 + 4 == 7",
    "3 + 4% = 7",
    "3 + 4 = 7₂ = ٣",
    "- 3 + 4 = 1",
    f"{'9' * 40} + 1 = {'9' * 41}",
]


@pytest.mark.parametrize(("text", "holds"), STEPS)
def test_steps_are_read_and_judged(text: str, holds: list[bool]) -> None:
    assert [step.holds for step in steps_in(text)] == holds


@pytest.mark.parametrize("text", PROBES)
def test_the_harness_reads_steps_as_the_trust_function_does(text: str) -> None:
    """A page of `analyse` and the score of `arithmetic_steps` must not differ in what a step is; neither imports the other."""
    told = [(step.operands, step.result, step.holds) for step in steps_in(text)]
    assert [(step.operands, step.result, step.holds) for step in steps_of(text)] == told


@given(st.lists(st.sampled_from([*"3470-+*x×÷/= $.,(a%", "1,200", "3.5", "####", "<<"]), max_size=14).map("".join))
def test_whatever_is_written_the_two_read_the_same(text: str) -> None:
    test_the_harness_reads_steps_as_the_trust_function_does(text)


@given(st.integers(0, 9999), st.sampled_from("+-*"), st.integers(0, 9999), st.integers(-50, 50))
def test_a_step_holds_exactly_if_it_is_right(a: int, op: str, b: int, off: int) -> None:
    right = {"+": a + b, "-": a - b, "*": a * b}[op]
    (step,) = steps_in(f"first {a} {op} {b} = {right + off} .")
    assert step.holds == (off == 0)
    assert step.operands == (a, b) and step.result == right + off


@pytest.mark.slow
def test_a_long_text_of_digits_and_signs_is_read_in_no_time() -> None:
    for text in ("1" * 200_000, "1 + " * 50_000, "1,000" * 40_000, "- " * 100_000, "1 + 1" * 40_000):
        assert steps_in(text) == [] == steps_of(text)
        assert isinstance(numbers_in(text), list)


def test_the_final_number() -> None:
    assert final_number("36 #### 1,234 apples 7") == 1234
    assert final_number("so it is 5, or 6.") == 6
    assert final_number("7 ####") is None
    assert final_number("none") is None
    assert final_number("costs $2.50") == Fraction(5, 2)


def test_a_score_is_the_mean_of_its_three_parts() -> None:
    question = "Sam owns 37 stamps, drops 19, and doubles by 2."
    evidence = solutions(
        (question, "37 - 19 = 18 ; 18 * 2 = 36 #### 36"),
        (question, "37 - 19 = 18 ; 18 * 2 = 36 #### 35"),
        (question, "37 - 19 = 17 ; 17 * 2 = 34 #### 34"),
        (question, "37 - 20 = 17 ; 17 * 2 = 34 #### 34"),
        (question, "it is 36 #### 36"),
    )
    every = ArithmeticSteps()
    np.testing.assert_allclose(every.score(evidence, rng=RNG), [1, 2 / 3, 2.5 / 3, 2.75 / 3, 0])
    assert ArithmeticSteps("steps").score(evidence, rng=RNG).tolist() == [1, 1, 0.5, 1, 0]


def test_a_format_is_what_most_of_the_pool_has() -> None:
    evidence = solutions(("", "1 #### 36"), ("", "2 + 2 #### 7"), ("", "seven"), ("", "#### x"))
    assert AnswerFormat().score(evidence, rng=RNG).tolist() == [0.5, 0.5, 0.25, 0.25]
    assert AnswerFormat(r"#### \d+$").score(evidence, rng=RNG).tolist() == [1, 1, 0, 0]
    assert (AnswerFormat().scope, AnswerFormat("x").scope) == ("pool", "row")
    assert ending_shape("so, it's  12ab") == "a'a 0a"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ArithmeticSteps("most"), "parts must be 'all' or 'steps'"),
        (lambda: AnswerFormat("("), "pattern must be a regular expression, got '\\('"),
    ],
)
def test_parameters_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
