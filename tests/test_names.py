"""Names of arms: what is made of another arm comes apart again, and no two names share a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_bench.controls import facts_of
from w2s_bench.names import file_name, of_arm, parted, selected, short
from w2s_bench.plugins.spec import write_spec

WORDS = ("gold_kept", "matched_random", "balanced", "logconf:warmup=0.2", "acme/focal", 'acme/focal:by="a):b=c"')
ENTRIES = ("naive", "gold_kept", "w2s-bench/probe", "acme/probe", "acme/margin.v2")
VALUES = st.one_of(
    st.text('ab():=,"\\{} é', max_size=6),
    st.sampled_from(['a"):b', "x:y=z", ",k=v", "(", '"']),
    st.integers(),
    st.booleans(),
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["layer", "by", "_k"]), st.one_of(VALUES, st.lists(VALUES, max_size=2)), max_size=2
)
SPECS = st.builds(write_spec, st.sampled_from(ENTRIES), PARAMETERS)
ARMS = st.recursive(
    SPECS, lambda inner: st.builds(of_arm, st.one_of(st.sampled_from(WORDS), SPECS), inner), max_leaves=3
)


@given(word=st.one_of(st.sampled_from(WORDS), SPECS), arm=ARMS)
def test_the_name_of_an_arm_made_of_another_comes_apart_again(word: str, arm: str) -> None:
    assert parted(of_arm(word, arm)) == (short(word), short(arm))


@given(SPECS)
def test_a_name_with_parameters_is_made_of_nothing(spec: str) -> None:
    assert parted(spec) is None and parted(short(spec)) is None


@given(ARMS, ARMS)
def test_no_two_arms_share_a_file(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (short(one) == short(other))
    assert len(file_name(one).encode()) < 250 and "/" not in file_name(one)


def test_names_and_files_are_those_of_the_documentation() -> None:
    assert of_arm("gold_kept", "w2s-bench/probe:layer=2") == "gold_kept:probe:layer=2"
    assert of_arm("gold_kept", "balanced:acme/margin") == "gold_kept:balanced:acme/margin"
    assert of_arm("w2s-bench/logconf:warmup=0.2", "naive") == "logconf(warmup=0.2):naive"
    assert parted("gold_kept:balanced:confidence") == ("gold_kept", "balanced:confidence")
    assert parted("probe:layer=2") is None and parted("naive") is None and parted("probe: layer = 2") is None
    assert file_name("gold_kept:probe:layer=2") == "gold_kept@probe@layer=2"
    assert file_name("logconf(warmup=0.2):acme/margin") == "logconf@warmup=0.2@acme.margin"
    assert selected("top", "w2s-bench/probe") == "w2s-bench/probe"
    assert selected("balanced", "w2s-bench/probe") == "balanced:probe"


def test_the_name_that_a_stranger_makes_up_is_read_in_no_time() -> None:
    for name in (
        "a:" * 2000,
        "a(" + '"' * 3997,
        "a(" + '"\\' * 1999,
        "a(b" + '"c"' * 1300 + ")",
        "gold_kept:" * 400 + "naive",
    ):
        assert len(file_name(name)) < 250
        facts_of(name)
        parted(name)


@pytest.mark.parametrize(("word", "arm"), [("gold_kept", "layer=2"), ("", "naive"), ("a=b", "naive"), ("word", "")])
def test_what_would_not_come_apart_again_is_refused(word: str, arm: str) -> None:
    with pytest.raises(ValueError, match="does not come apart"):
        of_arm(word, arm)
