"""Selection keeps ⌊coverage · n⌋ rows by score alone, ties by a seeded hash, and only `oracle` sees who is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage_functions import named
from support import run_stage
from w2s_bench.coverage import count_to_keep
from w2s_bench.errors import NotApplicableError
from w2s_bench.protocol import draws, selection
from w2s_bench.protocol.classes import equal_shares, label_classes, proportional_shares
from w2s_bench.protocol.draws import random_ids
from w2s_bench.protocol.files import GRADES, ITEMS, KEPT, PREDICTIONS
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.types import Item, Prediction

IDS = [f"item-{i:03d}" for i in range(60)]
LEVELS = st.lists(st.integers(-3, 3), min_size=60, max_size=60).map(
    lambda s: dict(zip(IDS, map(float, s), strict=True))
)


def top_ids(scores: Mapping[str, float], count: int, seed: int) -> list[str]:
    return selection.top_ids(Scores.of(list(scores), np.array(list(scores.values()))), count, seed)


@given(st.integers(1, 99), st.integers(1, 5000))
def test_the_count_is_the_floor_of_what_was_written(percent: int, count: int) -> None:
    assert count_to_keep(percent / 100, count) == Fraction(percent, 100) * count // 1


@pytest.mark.parametrize(("coverage", "count", "kept"), [(0.29, 100, 29), (0.57, 100, 57), (1 / 3, 3, 1), (0.5, 7, 3)])
def test_counts_at_rounding_errors(coverage: float, count: int, kept: int) -> None:
    assert count_to_keep(coverage, count) == kept


@given(LEVELS, st.integers(0, 60), st.integers(0, 9), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_the_highest_are_kept_whatever_their_order(
    scores: dict[str, float], count: int, seed: int, random: Any
) -> None:
    kept = top_ids(scores, count, seed)
    assert len(kept) == len(set(kept)) == count
    assert kept == sorted(kept)
    left = set(scores) - set(kept)
    if kept and left:
        assert min(scores[i] for i in kept) >= max(scores[i] for i in left)
    assert top_ids(dict(random.sample(list(scores.items()), len(scores))), count, seed) == kept


@given(LEVELS, st.integers(0, 60), st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_a_rising_transform_of_the_scores_changes_nothing(scores: dict[str, float], count: int, seed: int) -> None:
    kept = top_ids(scores, count, seed)
    for transform in (lambda s: 3 * s - 7, np.exp, lambda s: s**3, lambda s: 1 / (1 + np.exp(-s))):
        assert top_ids({i: float(transform(s)) for i, s in scores.items()}, count, seed) == kept


@given(LEVELS, st.integers(0, 60))
@settings(deadline=None, max_examples=40)
def test_rows_drawn_by_lot_are_those_that_another_seed_may_change(scores: dict[str, float], count: int) -> None:
    drawn, tied = selection.drawn_by_lot(np.array(list(scores.values())), count)
    kept = [top_ids(scores, count, seed) for seed in range(40)]
    always = set(IDS).intersection(*kept)
    assert (drawn == 0) == (len(always) == count), "of one seed's rows some are others with another, or none was drawn"
    if drawn:
        lowest = min(scores[i] for i in kept[0])
        assert tied == sum(value == lowest for value in scores.values()) > drawn
        assert drawn == sum(scores[i] == lowest for i in kept[0])


def test_a_stage_says_how_many_rows_no_score_chose(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores that are nearly all the same make an arm `random` by another name, and no figure of a cell would show it."""
    tied = tmp_path / "tied"
    tied.mkdir()
    Scores.of(IDS, np.array([2.0] * 5 + [1.0] * 50 + [0.0] * 5)).write(tied)
    kept_by(selection.run_top, tmp_path / "by lot", 0.5, scores=tied)
    assert capsys.readouterr().out == "25 of the 30 rows kept were drawn by lot among 50 of one score\n"
    kept_by(selection.run_top, tmp_path / "by score", 0.5, scores=folders["scores"])
    assert capsys.readouterr().out == "", "scores that all differ leave nothing to a lot"


@given(LEVELS, st.integers(0, 60), st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_partition_and_sort_keep_the_same(scores: dict[str, float], count: int, seed: int) -> None:
    by_sorting = sorted(scores, key=lambda i: (-scores[i], hash_rank("tie", seed, i)))[:count]
    assert top_ids(scores, count, seed) == sorted(by_sorting)


def test_negative_zero_ties_with_zero() -> None:
    scores = {i: 0.0 if n % 2 else -0.0 for n, i in enumerate(IDS)}
    assert top_ids(scores, 30, 0) == top_ids(dict.fromkeys(IDS, 0.0), 30, 0)


def test_ties_are_broken_by_the_seed_and_never_by_place() -> None:
    level = dict.fromkeys(IDS, 0.0)
    draws = [top_ids(level, 20, seed) for seed in range(300)]
    assert len({tuple(draw) for draw in draws}) > 290
    times = np.array([sum(i in draw for draw in draws) for i in IDS])
    # Kept with chance 1/3 in each of 300 draws: 100 times, standard deviation 8.2; five of them.
    assert abs(times - 100).max() < 41
    assert abs(np.corrcoef(times, np.arange(60))[0, 1]) < 0.45


def test_a_tie_break_is_no_random_control_in_disguise() -> None:
    assert top_ids(dict.fromkeys(IDS, 1.0), 30, 7) != random_ids(IDS, 30, 7)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_a_smaller_random_draw_is_part_of_a_larger_one(one: int, other: int, seed: int, random: Any) -> None:
    small, large = sorted((one, other))
    shuffled = random.sample(IDS, len(IDS))
    assert set(random_ids(IDS, small, seed)) <= set(random_ids(shuffled, large, seed))
    assert len(random_ids(IDS, small, seed)) == small


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Sixty weak labels, scores and grades; every file in an order of its own. Every fourth label is right."""
    for name in ("labels", "scores", "grades"):
        (tmp_path / name).mkdir()
    write_records(tmp_path / "labels" / PREDICTIONS, [Prediction(i, "a", " a", False) for i in IDS[::-1]])
    Scores.of(IDS, np.arange(60.0) * 37 % 60).write(tmp_path / "scores")
    write_json(tmp_path / "grades" / GRADES, {i: n % 4 == 0 for n, i in enumerate(IDS)})
    return {name: tmp_path / name for name in ("labels", "scores", "grades")}


def kept_by(function: Any, out: Path, coverage: float, seed: int = 0, **inputs: Path) -> dict[str, Any]:
    kept: dict[str, Any] = read_json(run_stage(function, out, {"coverage": coverage, "seed": seed}, **inputs) / KEPT)
    return kept


def test_a_score_belongs_to_its_id(folders: dict[str, Path], tmp_path: Path) -> None:
    kept = kept_by(selection.run_top, tmp_path / "out", 0.25, scores=folders["scores"])
    best = sorted(i for n, i in enumerate(IDS) if n * 37 % 60 >= 45)
    assert kept == {"ids": best, "wanted": 15, "shortfall": 0}


def test_random_rows_depend_on_ids_and_seed_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    kept = kept_by(draws.run_random, tmp_path / "a", 0.29, seed=3, labels=folders["labels"])
    assert kept == {"ids": random_ids(IDS, 17, 3), "wanted": 17, "shortfall": 0}
    labels = named("predict")
    drawn = draws.draw("blindly", labels=labels, grades=named("grade"), coverage=0.3, stream=len)
    assert (set(drawn.inputs), drawn.params["seed"]) == ({"labels"}, len("random"))
    assert set(selection.top(labels, coverage=0.3, seed=0).inputs) == {"scores"}


def test_only_what_is_drawn_from_the_right_labels_reads_grades() -> None:
    labels, grades, hard = named("predict"), named("grade"), named("difficulty")
    read = {
        how: draws.draw(how, labels=labels, grades=grades, coverage=0.3, stream=len, difficulty=lambda: hard)
        for how in draws.DRAWS
    }
    assert [how for how, stage in read.items() if "grades" in stage.inputs] == ["right", "wrong", "noisily"]
    assert [how for how, stage in read.items() if "difficulty" in stage.inputs] == ["easiest"]


def test_the_easiest_rows_are_those_of_lowest_difficulty(folders: dict[str, Path], tmp_path: Path) -> None:
    """The folder of scores read as difficulties: what has the lowest is kept, and ties are drawn by a hash."""
    kept = kept_by(draws.run_easiest, tmp_path / "out", 0.25, difficulty=folders["scores"])
    assert kept == {"ids": sorted(i for n, i in enumerate(IDS) if n * 37 % 60 < 15), "wanted": 15, "shortfall": 0}


def test_the_oracle_is_not_applicable_where_no_label_is_right(tmp_path: Path) -> None:
    (tmp_path / "grades").mkdir()
    write_json(tmp_path / "grades" / GRADES, dict.fromkeys(IDS, False))
    with pytest.raises(NotApplicableError, match=r"^not applicable: none of the teacher's 60 weak labels is right"):
        kept_by(draws.run_oracle, tmp_path / "none", 0.1, grades=tmp_path / "grades")


def test_the_oracle_keeps_correct_rows_alone_and_records_what_is_missing(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    right = {i for n, i in enumerate(IDS) if n % 4 == 0}
    few = kept_by(draws.run_oracle, tmp_path / "few", 0.1, grades=folders["grades"])
    assert (len(few["ids"]), few["wanted"], few["shortfall"]) == (6, 6, 0)
    assert set(few["ids"]) < right
    all_of_them = kept_by(draws.run_oracle, tmp_path / "many", 0.5, grades=folders["grades"])
    assert all_of_them == {"ids": sorted(right), "wanted": 30, "shortfall": 15}
    other = kept_by(draws.run_oracle, tmp_path / "other", 0.1, seed=1, grades=folders["grades"])
    assert other["ids"] != few["ids"]


def test_an_inverted_oracle_keeps_wrong_rows_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    wrong = sorted(i for n, i in enumerate(IDS) if n % 4)
    few = kept_by(draws.run_wrong, tmp_path / "few", 0.5, grades=folders["grades"])
    assert (len(few["ids"]), few["shortfall"]) == (30, 0) and set(few["ids"]) < set(wrong)
    many = kept_by(draws.run_wrong, tmp_path / "many", 0.9, grades=folders["grades"])
    assert many == {"ids": wrong, "wanted": 54, "shortfall": 9}
    write_json(folders["grades"] / GRADES, dict.fromkeys(IDS, True))
    with pytest.raises(
        NotApplicableError,
        match=r"^not applicable: all of the teacher's 60 weak labels are right, so an inverted oracle",
    ):
        kept_by(draws.run_wrong, tmp_path / "none", 0.1, grades=folders["grades"])


def test_a_noisy_oracle_is_mistaken_about_as_many_rows_as_it_says(folders: dict[str, Path], tmp_path: Path) -> None:
    right = {i for n, i in enumerate(IDS) if n % 4 == 0}
    taken = []
    for seed in range(40):
        params = {"coverage": 1.0, "seed": seed, "flipped": 0.2}
        out = run_stage(draws.run_noisy, tmp_path / str(seed), params, grades=folders["grades"])
        kept = read_json(out / KEPT)
        assert len(set(kept["ids"]) ^ right) == 12, "a fifth of sixty, whichever they are"
        assert kept["shortfall"] == 60 - len(kept["ids"])
        taken.append(set(kept["ids"]))
    # Of 15 right and 45 wrong labels it takes 12 and 9 for right on average: each row is flipped with chance 1/5.
    assert abs(np.mean([len(one & right) for one in taken]) - 12) < 1
    assert abs(np.mean([len(one - right) for one in taken]) - 9) < 1
    exact = run_stage(draws.run_noisy, tmp_path / "none", {"coverage": 1.0, "seed": 0, "flipped": 0.0}, **folders)
    assert set(read_json(exact / KEPT)["ids"]) == right


def test_labels_that_stand_first_are_kept_whatever_they_say(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    places = {i: n * 7 % 4 for n, i in enumerate(IDS)}
    labels = [Prediction(i, "x", " x", True, place) for i, place in places.items()]
    write_records(tmp_path / "labels" / PREDICTIONS, labels[::-1])
    kept = kept_by(draws.run_first, tmp_path / "out", 0.5, labels=tmp_path / "labels")
    assert set(kept["ids"]) == {i for i, place in places.items() if place < 2}
    other = kept_by(draws.run_first, tmp_path / "some", 0.4, seed=1, labels=tmp_path / "labels")
    assert {places[i] for i in other["ids"]} == {0, 1} and len(other["ids"]) == 24


def planted_cells(tmp_path: Path, *, alike: bool = True) -> tuple[dict[str, Path], dict[str, tuple[str, str]]]:
    """Sixty items of two strata, each labelled with one of three options; without `alike`, of options of its own."""
    cells = {i: ("even" if n % 2 == 0 else "odd", "abc"[n // 2 % 3]) for n, i in enumerate(IDS)}
    items, labels = [], []
    for n, (i, (stratum, label)) in enumerate(cells.items()):
        options = ("a", "b", "c")[n % 3 :] + ("a", "b", "c")[: n % 3]
        shown = options if alike else tuple(f"{option} of {i}" for option in options)
        items.append(Item(i, i, i, stratum, "?", shown))
        labels.append(Prediction(i, label, f" {label}", True, options.index(label)))
    folders = {name: tmp_path / name for name in ("kept", "subset", "labels")}
    for folder in folders.values():
        folder.mkdir()
    write_records(folders["subset"] / ITEMS, items)
    write_records(folders["labels"] / PREDICTIONS, labels[::-1])
    return folders, cells


def alike_to(folders: dict[str, Path], kept: Kept, out: Path, seed: int = 0) -> Kept:
    kept.write(folders["kept"])
    return Kept.read(run_stage(draws.run_alike, out, {"seed": seed}, **folders))


def test_alike_rows_have_the_counts_of_every_label_in_every_stratum(tmp_path: Path) -> None:
    folders, cells = planted_cells(tmp_path)
    # 9 of the 10 of one cell, 3 of another, 2 of a third, and of the others nothing.
    wanted = {("even", "a"): 9, ("odd", "b"): 3, ("odd", "c"): 2}
    kept = Kept.whole(
        sorted(i for cell, count in wanted.items() for i in [j for j in IDS if cells[j] == cell][:count]), 14
    )
    draws = [alike_to(folders, kept, tmp_path / str(seed), seed) for seed in range(30)]
    for drawn in draws:
        assert Counter(cells[i] for i in drawn.weights) == wanted
        assert (drawn.wanted, drawn.shortfall, set(drawn.weights.values())) == (14, 0, {1.0})
    assert len({tuple(drawn.weights) for drawn in draws}) > 25, "rows are drawn blindly from the whole pool"
    times = Counter(i for drawn in draws for i in drawn.weights if cells[i] == ("odd", "b"))
    assert len(times) == 10 and max(times.values()) < 20, "kept rows are drawn no more often than others"
    everything = Kept.whole(IDS, 60)
    assert alike_to(folders, everything, tmp_path / "all").weights == everything.weights


def test_alike_rows_are_those_of_random_where_the_counts_are_its_own(tmp_path: Path) -> None:
    folders, _ = planted_cells(tmp_path)
    drawn = Kept.whole(random_ids(IDS, 30, 5), 30)
    assert alike_to(folders, drawn, tmp_path / "same", seed=5).weights == drawn.weights


def test_where_labels_are_no_classes_strata_alone_are_matched(tmp_path: Path) -> None:
    folders, cells = planted_cells(tmp_path, alike=False)
    kept = Kept.whole([i for i in IDS if cells[i] == ("even", "a")], 10)
    drawn = alike_to(folders, kept, tmp_path / "out")
    assert Counter(cells[i][0] for i in drawn.weights) == {"even": 10}
    assert len({cells[i][1] for i in drawn.weights}) == 3


def test_labels_are_classes_in_the_strata_that_offer_the_same_options(tmp_path: Path) -> None:
    folders, cells = planted_cells(tmp_path)
    items = read_records(folders["subset"] / ITEMS, Item)
    # The odd stratum's options are its items' own, so that the pool's are not all the same.
    own = [
        replace(i, choices=tuple(f"{o} of {i.id}" for o in i.choices or ())) if i.stratum == "odd" else i for i in items
    ]
    write_records(folders["subset"] / ITEMS, own)
    kept = Kept.whole(sorted(i for i in IDS if cells[i][1] == "a"), 20)
    drawn = alike_to(folders, kept, tmp_path / "out")
    assert {cells[i] for i in drawn.weights if cells[i][0] == "even"} == {("even", "a")}
    assert Counter(cells[i][0] for i in drawn.weights) == {"even": 10, "odd": 10}
    assert {cells[i][1] for i in drawn.weights if cells[i][0] == "odd"} == {"a", "b", "c"}


def test_alike_rows_have_the_weights_of_their_cell(tmp_path: Path) -> None:
    folders, cells = planted_cells(tmp_path)
    heavy, light = ([i for i in IDS if cells[i] == cell][:4] for cell in (("even", "a"), ("odd", "b")))
    kept = Kept.weighted(dict.fromkeys(sorted(heavy), 2.0) | dict.fromkeys(sorted(light), 0.5), 8)
    drawn = alike_to(folders, kept, tmp_path / "out")
    assert Counter((cells[i], weight) for i, weight in drawn.weights.items()) == {
        (("even", "a"), 2.0): 4, (("odd", "b"), 0.5): 4,
    }  # fmt: skip


GROUPS = st.lists(st.sampled_from("abc"), min_size=60, max_size=60)


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=1), st.floats(0, 1))
def test_equal_shares_are_equal_until_a_class_is_exhausted(sizes: dict[str, int], part: float) -> None:
    count = int(part * sum(sizes.values()))
    shares = equal_shares(sizes, count)
    assert sum(shares.values()) == count and set(shares) == set(sizes)
    assert all(0 <= shares[name] <= size for name, size in sizes.items())
    not_exhausted = [shares[name] for name, size in sizes.items() if shares[name] < size]
    assert max(not_exhausted, default=0) - min(not_exhausted, default=0) <= 1
    # A class gives all that it has only where the others give no less, but for one row.
    assert all(share >= shares[name] - 1 for name in sizes for share in not_exhausted)


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=1), st.floats(0, 1))
def test_proportional_shares_are_a_row_from_their_proportion(sizes: dict[str, int], part: float) -> None:
    total = sum(sizes.values())
    count = int(part * total)
    shares = proportional_shares(sizes, count)
    assert sum(shares.values()) == count
    assert all(0 <= shares[name] <= size for name, size in sizes.items())
    assert all(abs(shares[name] * total - count * size) < total for name, size in sizes.items())


def test_known_shares() -> None:
    assert equal_shares({"a": 2, "b": 30, "c": 40}, 30) == {"a": 2, "b": 14, "c": 14}
    assert equal_shares({"a": 30, "b": 30}, 31) == {"a": 15, "b": 16}
    assert proportional_shares({"a": 10, "b": 30}, 20) == {"a": 5, "b": 15}
    assert proportional_shares({"a": 1, "b": 1, "c": 2}, 2) == {"a": 1, "b": 0, "c": 1}


@given(LEVELS, GROUPS, st.integers(0, 60), st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_each_class_keeps_its_own_highest_with_the_ties_of_top(
    scores: dict[str, float], groups: list[str], count: int, seed: int
) -> None:
    group = dict(zip(IDS, groups, strict=True))
    shares = equal_shares(Counter(groups), count)
    values = Scores.of(list(scores), np.array(list(scores.values())))
    kept = selection.top_of_each(values, group, shares, seed)
    assert len(kept) == count and kept == sorted(kept)
    for name, share in shares.items():
        assert [i for i in kept if group[i] == name] == top_ids(
            {i: scores[i] for i in IDS if group[i] == name}, share, seed
        )
    one = selection.top_of_each(values, dict.fromkeys(IDS, "all"), equal_shares({"all": 60}, count), seed)
    assert one == top_ids(scores, count, seed)


def pool_of(folder: Path, options: Mapping[str, tuple[str, ...]], labels: Mapping[str, str]) -> dict[str, Path]:
    """Sixty items with these options and weak labels; the first fifteen are of the stratum `easy`. Scores rise with the id."""
    inputs = {name: folder / name for name in ("subset", "labels", "scores")}
    for path in inputs.values():
        path.mkdir(parents=True)
    strata = {i: "easy" if n < 15 else "hard" for n, i in enumerate(IDS)}
    items = [Item(i, i, i, strata[i], f"prompt {i}", options[i]) for i in IDS]
    said = [Prediction(i, labels[i], labels[i], True, options[i].index(labels[i])) for i in IDS]
    write_records(inputs["subset"] / ITEMS, items)
    write_records(inputs["labels"] / PREDICTIONS, said[::-1])
    Scores.of(IDS, np.arange(60.0)).write(inputs["scores"])
    return inputs


def test_balanced_keeps_as_many_of_each_class_whatever_the_order_of_options(tmp_path: Path) -> None:
    options = {i: ("yes", "no") if n % 2 else ("no", "yes") for n, i in enumerate(IDS)}
    labels = {i: "yes" if n < 20 else "no" for n, i in enumerate(IDS)}
    inputs = pool_of(tmp_path, options, labels)
    kept = kept_by(selection.run_balanced, tmp_path / "out", 0.5, **inputs)
    assert kept == {"ids": [*IDS[5:20], *IDS[45:]], "wanted": 30, "shortfall": 0}
    most = kept_by(selection.run_balanced, tmp_path / "most", 0.9, **inputs)
    assert most["ids"] == [*IDS[:20], *IDS[26:]], "a class that is exhausted gives all that it has"


def test_balanced_keeps_as_many_of_each_class_of_each_stratum_where_strata_offer_other_options(tmp_path: Path) -> None:
    """`yes` of the stratum `easy` (15 items) is another class than `yes` of `hard`."""
    options = {i: ("no", "yes") if n < 15 else ("later", "yes") for n, i in enumerate(IDS)}
    labels = {i: ("yes" if n < 5 else "no") if n < 15 else ("yes" if n < 35 else "later") for n, i in enumerate(IDS)}
    inputs = pool_of(tmp_path, options, labels)
    kept = kept_by(selection.run_balanced, tmp_path / "out", 0.3, **inputs)
    assert kept == {
        "ids": [*IDS[1:5], *IDS[11:15], *IDS[30:35], *IDS[55:]], "wanted": 18, "shortfall": 0,
    }, "18 rows of four classes: what does not part evenly goes to the larger ones"  # fmt: skip
    most = kept_by(selection.run_balanced, tmp_path / "most", 0.6, **inputs)
    assert most["ids"] == [*IDS[:15], *IDS[25:35], *IDS[49:]], "5 and 10 are all there is of two"


def test_classes_are_options_of_the_pool_and_else_of_each_stratum() -> None:
    def classes(*rows: tuple[str, tuple[str, ...], int]) -> list[str] | None:
        """Of (stratum, options, place of the label) an item, of the first of four items each."""
        rows *= 4
        items = [Item(f"{n}", f"{n}", f"{n}", row[0], "?", row[1]) for n, row in enumerate(rows)]
        labels = [Prediction(f"{n}", row[1][row[2]], row[1][row[2]], True, row[2]) for n, row in enumerate(rows)]
        found = label_classes(items, labels[::-1])
        return found and [found[item.id] for item in items][: len(items) // 4]

    ab, ba, ac = (" a", " b"), (" b", " a"), (" a", " c")
    assert classes(("s", ab, 0), ("t", ba, 0), ("s", ba, 1)) == [" a", " b", " a"], "strata matter nothing here"
    assert classes(("s", ab, 0), ("t", ac, 0), ("s", ba, 0)) == ["s: a", "t: a", "s: b"]
    assert classes(("s", ab, 0), ("t", ac, 0), ("s", ac, 0)) is None, "one stratum's items differ"
    assert classes(("s", ab, 0), ("s", ac, 0)) is None
    assert classes(("a", (" b: c", " d"), 0), ("a: b", (" c", " d"), 0)) == ["'a': ' b: c'", "'a: b': ' c'"], (
        "two classes"
    )
    a_stratum_an_item = [(f"{n}", (f" {n}", " x"), 0) for n in range(20)]
    assert classes(*a_stratum_an_item, *a_stratum_an_item) is not None
    few = [Item(f"{n}", f"{n}", f"{n}", f"{n}", "?", (f" {n}", " x")) for n in range(20)]
    assert label_classes(few, [Prediction(item.id, " x", " x", True, 1) for item in few]) is None, (
        "each would be its own class"
    )


def test_balanced_keeps_what_top_keeps_where_there_is_one_class(tmp_path: Path) -> None:
    inputs = pool_of(tmp_path, dict.fromkeys(IDS, ("yes", "no")), dict.fromkeys(IDS, "no"))
    kept = kept_by(selection.run_balanced, tmp_path / "out", 0.3, **inputs)
    assert kept == kept_by(selection.run_top, tmp_path / "top", 0.3, scores=inputs["scores"])


def test_stratified_keeps_its_share_of_each_stratum(tmp_path: Path) -> None:
    inputs = pool_of(tmp_path, dict.fromkeys(IDS, ("yes", "no")), dict.fromkeys(IDS, "no"))
    del inputs["labels"]
    kept = kept_by(selection.run_stratified, tmp_path / "out", 0.4, **inputs)
    assert kept == {"ids": [*IDS[9:15], *IDS[42:]], "wanted": 24, "shortfall": 0}


@pytest.mark.parametrize("odd", [("yes", "maybe"), ("yes", "no", "no")])
def test_balanced_is_not_applicable_where_items_offer_other_options(odd: tuple[str, ...], tmp_path: Path) -> None:
    options = dict.fromkeys(IDS, ("yes", "no")) | {
        IDS[3]: odd
    }  # of the stratum `easy`; those of `hard` are all the same
    inputs = pool_of(tmp_path, options, dict.fromkeys(IDS, "yes"))
    with pytest.raises(
        NotApplicableError, match=r"^not applicable: selection `balanced` .* the 60 items .* Take `stratified`"
    ):
        kept_by(selection.run_balanced, tmp_path / "out", 0.5, **inputs)


def test_no_selection_reads_gold() -> None:
    scores, subset, labels = named("score"), named("subset"), named("predict")
    for how, read in (("top", set()), ("balanced", {"subset", "labels"}), ("stratified", {"subset"})):
        stage = selection.by_scores(how, scores, subset=subset, labels=labels, coverage=0.5, seed=0)  # type: ignore[arg-type]
        assert (stage.name, set(stage.inputs)) == (how, {"scores", *read})


def test_the_shortest_labels_are_kept_with_the_ties_of_trust_functions(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    texts = {i: " " + "x" * (1 + n % 3) for n, i in enumerate(IDS)}
    write_records(tmp_path / "labels" / PREDICTIONS, [Prediction(i, texts[i], texts[i], True) for i in IDS[::-1]])
    kept = kept_by(draws.run_shortest, tmp_path / "out", 0.5, seed=4, labels=tmp_path / "labels")
    assert kept == {"ids": top_ids({i: -float(len(texts[i])) for i in IDS}, 30, 4), "wanted": 30, "shortfall": 0}
    assert {i for n, i in enumerate(IDS) if n % 3 == 0} < set(kept["ids"])
    assert not {i for n, i in enumerate(IDS) if n % 3 == 2} & set(kept["ids"])
