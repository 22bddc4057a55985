"""Domain `language`: words that one language alone has, the same on every machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
import wordfreq

from w2s_bench.testing import check_domain
from w2s_bench_offline_lms import language, w2s_domains
from w2s_bench_offline_lms.language import loader

#: Words whose language anybody can look up.
KNOWN = {
    "assegurança": "Catalan",
    "budoucí": "Czech",
    "afdelinger": "Danish",
    "winkelen": "Dutch",
    "pamangkin": "Filipino",
    "armeijan": "Finnish",
    "livraison": "French",
    "mittelmeer": "German",
    "tudomány": "Hungarian",
    "merpati": "Indonesian",
    "coltello": "Italian",
    "saimnieki": "Latvian",
    "rytas": "Lithuanian",
    "utstyr": "Norwegian",
    "szpitala": "Polish",
    "brasileiros": "Portuguese",
    "fierbinte": "Romanian",
    "vsekakor": "Slovenian",
    "piedra": "Spanish",
    "äntligen": "Swedish",
    "sokaklarda": "Turkish",
    "phượng": "Vietnamese",
}


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    return loader.documents()


def digest(documents: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(documents).encode()).hexdigest()


def test_known_answers(items: list[dict[str, Any]]) -> None:
    answers = {item["key"]: item["choices"][item["answer"]] for item in items}
    assert {word: answers.get(word) for word in KNOWN} == KNOWN and len(KNOWN) == len(loader.LANGUAGES)


def test_no_word_stands_in_another_languages_list(items: list[dict[str, Any]]) -> None:
    """The whole list, not its common words alone: a rare word of a wrong option's language would be right as well."""
    lists = {
        code: {word for words in wordfreq.get_frequency_list(code, wordlist="small") for word in words}
        for code in (*loader.LANGUAGES, "en")
    }
    assert {item["id"]: [code for code in lists if item["key"] in lists[code]] for item in items} == {
        item["id"]: [item["id"].partition("-")[0]] for item in items
    }


def test_every_item_has_four_languages_and_places_tell_nothing(items: list[dict[str, Any]]) -> None:
    assert all(
        len(set(item["choices"])) == 4 and set(item["choices"]) <= set(loader.LANGUAGES.values()) for item in items
    )
    assert all(item["stratum"] == item["choices"][item["answer"]] for item in items)
    assert set(Counter(item["stratum"] for item in items).values()) == {loader._EACH}
    places = Counter(item["answer"] for item in items)
    expected = len(items) / 4  # the greatest chi-square of 3 degrees of freedom in 99.9 % of draws is 16.3
    assert sum((places[place] - expected) ** 2 / expected for place in range(4)) < 16.3


def test_forms_of_a_word_are_of_one_group(items: list[dict[str, Any]]) -> None:
    assert loader._plain("assegurança") == "asseguranca" and loader._plain("phượng") == "phuong"
    groups: dict[str, set[str]] = {}
    for item in items:
        groups.setdefault(loader._plain(item["key"])[: loader._STEM], set()).add(item["group"])
    assert all(len(of) == 1 for of in groups.values()) and len(groups) == len({item["group"] for item in items})
    assert len(groups) < len(items) == len({item["key"] for item in items})


@pytest.mark.slow
def test_items_are_the_same_in_another_process(items: list[dict[str, Any]]) -> None:
    code = (
        "import hashlib, json; from w2s_bench_offline_lms.language.loader import documents; "
        "print(hashlib.sha256(json.dumps(documents()).encode()).hexdigest())"
    )
    for seed in ("1", "2"):
        surroundings = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == digest(items)


@pytest.mark.slow
def test_the_domain_keeps_the_contract() -> None:
    assert w2s_domains()["language"] is language.domain
    check_domain(language.domain())
