"""What lm-eval calls for the documents of `w2s_language`: made of `wordfreq`'s small word lists, the same on every call."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets

#: The languages that are asked for, as the models are told them. English stands by, so that its words are left out.
LANGUAGES = {
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "es": "Spanish",
    "fi": "Finnish",
    "fil": "Filipino",
    "fr": "French",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "nb": "Norwegian",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "sl": "Slovenian",
    "sv": "Swedish",
    "tr": "Turkish",
    "vi": "Vietnamese",
}
_AMONG = 8_000  # a language's words, the commonest first
_SKIPPED = 200  # of them: the commonest of all tell the least of what a model knows
_LENGTHS = range(5, 12)  # letters
_STEM = 6  # letters that words of one group share: they are forms of one word more often than not
_EACH = 100  # items a language


def documents() -> list[dict[str, Any]]:
    """At most 100 words of every language that stand in no other's list, sorted by id; wrong options are drawn by a hash.

    A list is searched whole for another language's words, rare ones too: a word that two languages have has no one answer.
    """
    lists = {code: _words(code) for code in (*LANGUAGES, "en")}
    owners = Counter(chain.from_iterable(map(set, lists.values())))
    made = []
    for code in LANGUAGES:
        among = lists[code][:_AMONG]
        own = [word for word in among if owners[word] == 1 and word.isalpha() and len(word) in _LENGTHS]
        for word in sorted(own[_SKIPPED:], key=_drawn)[:_EACH]:
            others = sorted((other for other in LANGUAGES if other != code), key=lambda other: _drawn(word, other))[:3]
            options = sorted((code, *others), key=lambda option: _drawn(word, "place", option))
            made.append(
                {
                    "id": f"{code}-{word}",
                    "group": _plain(word)[:_STEM],
                    "key": word,
                    "stratum": LANGUAGES[code],
                    "question": f'To which language does the word "{word}" belong?',
                    "choices": [LANGUAGES[option] for option in options],
                    "answer": options.index(code),
                }
            )
    return sorted(made, key=lambda document: str(document["id"]))


def load(**_metadata: Any) -> dict[str, datasets.Dataset]:
    """lm-eval's `custom_dataset`: it hands over all of the task's metadata, none of which is needed."""
    import datasets

    return {"test": datasets.Dataset.from_list(documents())}


def _words(code: str) -> list[str]:
    """The commonest first; those of one frequency in the order of the alphabet."""
    import wordfreq

    bins = wordfreq.get_frequency_list(code, wordlist="small")
    return [word for words in bins for word in sorted(words)]


def _plain(word: str) -> str:
    """Without accents, so that a word's spellings with and without them are of one group."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))


def _drawn(*of: str) -> str:
    """Where a hash puts a thing."""
    return hashlib.sha256("\0".join(of).encode()).hexdigest()
