"""No two arms of a plot of lines look alike, dots are of constants alone, and nothing hangs on the order in which arms come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from w2s_bench.results.pages.strokes import DASHES, DOTTED, MARKERS, strokes
from w2s_bench.results.pages.style import TRACKS

ARMS = st.dictionaries(st.text(min_size=1, max_size=8), st.sampled_from([*TRACKS]), max_size=60)


@given(ARMS, st.randoms(), st.integers(0, 2 * len(MARKERS)))
def test_no_two_arms_look_alike_in_grey_print_in_whatever_order_they_come(
    tracks: dict[str, str], random: object, constants: int
) -> None:
    constant = [*tracks][:constants]
    made = strokes(tracks, constant)
    looks = [(stroke.marker, stroke.filled, stroke.dash) for stroke in made.values()]
    assert made.keys() == tracks.keys() and len(set(looks)) == len(looks), "without their colours"
    assert {arm for arm, stroke in made.items() if stroke.dash == DOTTED} == set(constant)
    assert all(stroke.colour == TRACKS[tracks[arm]].colour for arm, stroke in made.items())
    other = [*tracks]
    random.shuffle(other)  # type: ignore[attr-defined]
    assert strokes({arm: tracks[arm] for arm in other}, set(constant)) == made


def test_few_arms_have_a_marker_each() -> None:
    few = strokes({f"f{n}": "trust_set" for n in range(len(MARKERS))})
    assert len({stroke.marker for stroke in few.values()}) == len(MARKERS)
    assert len({stroke.dash for stroke in few.values()}) == len(DASHES) and DOTTED not in DASHES
