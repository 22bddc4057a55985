"""The words of domain `language` are of one language alone, and the same on every call."""

from __future__ import annotations

from collections import Counter

import pytest

from w2s_bench.testing import check_domain
from w2s_bench_offline_lms import language, w2s_domains
from w2s_bench_offline_lms.language import loader


@pytest.fixture(scope="module")
def documents() -> list[dict[str, object]]:
    return loader.documents()


def test_the_domain_keeps_the_contract() -> None:
    assert w2s_domains()["language"] is language.domain
    check_domain(language.domain())


def test_every_call_makes_the_same_items(documents: list[dict[str, object]]) -> None:
    assert loader.documents() == documents
    assert Counter(document["stratum"] for document in documents) == dict.fromkeys(loader.LANGUAGES.values(), 100)


def test_a_word_is_of_its_gold_language_and_of_no_other_option(documents: list[dict[str, object]]) -> None:
    import wordfreq

    codes = {name: code for code, name in loader.LANGUAGES.items()}
    words = {code: set().union(*wordfreq.get_frequency_list(code, "small")[:]) for code in codes.values()}
    for document in documents[::23]:
        options, gold = document["choices"], document["answer"]
        assert isinstance(options, list)
        assert isinstance(gold, int)
        assert len(set(options)) == 4
        assert options[gold] == document["stratum"]
        assert document["key"] in words[codes[options[gold]]]


def test_the_gold_option_stands_at_every_place(documents: list[dict[str, object]]) -> None:
    assert all(450 < count < 650 for count in Counter(document["answer"] for document in documents).values())
