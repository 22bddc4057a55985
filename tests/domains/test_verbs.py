"""The built-in domain `verbs`: its invented words, its items, its task, its bundled models."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from support import split_ids
from w2s_bench.suite_files import load_suite
from w2s_bench.types import Item
from w2s_bench_tasks.verbs.domain import domain
from w2s_bench_tasks.verbs.making import corpus, make
from w2s_bench_tasks.verbs.making.lexicon import (
    COMMON,
    COMMON_KEEP,
    ENDINGS,
    EVERYDAY,
    LARGEST,
    OPERATORS,
    RARE_KEEP,
    VERBS,
    Draw,
    meanings,
    verbs,
)
from w2s_bench_tasks.verbs.making.pretrain import RECIPES
from w2s_bench_tasks.verbs.making.solver import solve

FOLDER = Path(str(files("w2s_bench_tasks"))) / "verbs"
SIZES = tuple(RECIPES)
#: All weights of the domain, in bytes.
MOST_WEIGHTS = 2_200_000
#: Everyday words that an ending could make of a stem; none may be a verb of the domain.
ENGLISH = """
    donate locate rotate vacate mutate dictate migrate vibrate update create debate rebate relate dilate inflate negate palate climate
    private senate lactate stagnate pulsate narrate plate skate state grate slate notify modify codify pacify ratify verify purify
    fortify mortify mystify testify justify gratify certify rectify sanctify vilify glorify magnify signify dignify realize baptize
    utilize finalize open token woken broken spoken stolen frozen chosen given driven risen ripen widen liken waken dampen darken
    deepen harden hasten lighten sharpen weaken soften fasten listen moisten golden wooden maiden linen raven haven seven oven siren
    travel gravel level label model novel panel hotel motel vowel towel rebel repel propel compel expel cancel camel vessel gospel
    jewel marvel tunnel hostel kernel barrel swivel drivel grovel shovel navel mantel baker maker lover river fever tiger paper
    super later water poker joker sober cider ruler tuner miner timer loser voter order murder border corner wonder hunter printer
    planter master monster slinger stinker bolter holder finder under sister number member refund rotund around found bound dispose
    propose suppose compose expose verbose impose
"""


@pytest.fixture(scope="module")
def items() -> list[dict[str, str]]:
    return [json.loads(line) for line in (FOLDER / "data" / "items.jsonl").read_text(encoding="utf-8").splitlines()]


def tokenizer(size: str = "l") -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(FOLDER / "models" / f"verbs-{size}")


def training_facts(size: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((FOLDER / "models" / f"verbs-{size}" / "training.json").read_text())
    return facts


@cache
def told(size: str) -> list[corpus.Told]:
    return RECIPES[size].told()


# -- the lexicon


def test_verbs_are_invented_distinct_and_pronounceable() -> None:
    forms = [form for verb in verbs() for form in (verb.plain, verb.third)]
    real = {form for pairs in EVERYDAY.values() for pair in pairs for form in pair}
    assert len(verbs()) == len({verb.stem for verb in verbs()}) == VERBS
    assert len(set(forms)) == 2 * VERBS
    assert not set(forms) & ({*ENGLISH.split(), *corpus.words()} | real)
    assert not {verb.stem for verb in verbs()} & set(corpus.words())
    endings = "|".join(plain for plain, _ in ENDINGS)
    pronounceable = re.compile(rf"[bdfghjklmnprstvwyz]{{1,2}}[aeiou][bdfgklmnprstvxz]{{1,2}}({endings})")
    assert [verb.plain for verb in verbs() if not pronounceable.fullmatch(verb.plain)] == []


def test_the_ending_tells_the_operation_of_common_verbs_and_nothing_of_rare_ones() -> None:
    common, rare = verbs()[:COMMON], verbs()[COMMON:]
    assert sum(verb.keeps for verb in common) / len(common) == pytest.approx(COMMON_KEEP, abs=0.05)
    assert sum(verb.keeps for verb in rare) / len(rare) == pytest.approx(RARE_KEEP, abs=0.035)
    for some in (common, rare):
        assert max(Counter(verb.operator for verb in some).values()) < 0.3 * len(some)
    by_ending = Counter((verb.ending, verb.operator) for verb in rare)
    assert all(by_ending[ending, op] < 0.4 * sum(by_ending[ending, o] for o in OPERATORS) for ending, op in by_ending)


# -- facts of the domain


def in_words(text: str) -> str:
    """`text` with +, -, *, / replaced by the third person of some invented verb of that operation."""
    chosen = {operator: next(verb.third for verb in verbs() if verb.operator == operator) for operator in OPERATORS}
    return re.sub(r"[-+*/]", lambda match: chosen[match[0]], text)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Tom has 38 apples. Tom + 3. Later Tom loses 5. How many apples now?", 36),
        ("Ana starts with 6 coins. Then Ana * 4. How many has Ana?", 24),
        ("Raj owns 20 pens. Raj / 5. Then Raj multiplies 2. Raj gets 9. How many pens remain?", 17),
        ("Zoe has 9 eggs. Later Zoe - 3. Then Zoe splits 2. How many eggs now?", 3),
    ],
)
def test_the_solver_agrees_with_answers_worked_by_hand(question: str, answer: int) -> None:
    assert solve(in_words(question)) == answer


def test_gold_of_every_item_follows_from_its_text_alone(items: list[dict[str, str]]) -> None:
    assert [item["id"] for item in items if str(solve(item["question"])) != item["answer"]] == []


def test_every_equation_of_every_solution_holds_and_leads_on(items: list[dict[str, str]]) -> None:
    for item in items:
        body, answer = item["solution"].split(" #### ")
        amount = int(re.findall(r"\d+", item["question"])[0])
        for equation in body.split(" ; "):
            match = re.fullmatch(r"([-+*/]) (\d+) (\d+) = (\d+)", equation)
            assert match is not None, item
            operator, left, right, result = match[1], int(match[2]), int(match[3]), int(match[4])
            assert left == amount
            undone = {"+": result - right, "-": result + right, "*": result / right, "/": result * right}
            assert undone[operator] == left, item
            assert 1 <= result <= LARGEST
            amount = result
        assert answer == item["answer"] == str(amount)


# -- the shipped items


def test_an_item_has_one_invented_verb_its_group_and_it_comes_first(items: list[dict[str, str]]) -> None:
    third = {verb.third: verb.plain for verb in verbs()}
    groups = defaultdict(list)
    for item in items:
        words = re.findall(r"[a-z]+", item["question"])
        assert [third[word] for word in words if word in third] == [item["group"]]
        assert item["key"].split("; ")[1].split()[0] == item["group"]
        groups[item["group"]].append(item)
    assert set(groups) == set(third.values())
    assert {len(of) for of in groups.values()} == {make.ITEMS_A_VERB}


def test_nothing_but_the_verb_tells_its_operation(items: list[dict[str, str]]) -> None:
    """All four operations leave a first amount within range, and all verbs stand in the same frames."""
    for item in items:
        amount, number = re.match(r"(\d+); \w+ (\d+)", item["key"]).groups()  # type: ignore[union-attr]
        assert make.any_operation_fits(int(amount), int(number))
    of = {verb.plain: verb.operator for verb in verbs()}
    numbers = defaultdict(list)
    for item in items:
        numbers[of[item["group"]]].append(int(item["key"].split("; ")[1].split()[1]))
    means = [sum(drawn) / len(drawn) for drawn in numbers.values()]
    assert max(means) - min(means) < 0.2


def test_strata_say_how_many_events(items: list[dict[str, str]]) -> None:
    for item in items:
        assert int(item["stratum"][0]) == item["key"].count(";") == item["solution"].count("=")
    counts = Counter(item["stratum"] for item in items)
    assert [counts[name] / len(items) for name in ("1 step", "2 steps", "3 steps")] == pytest.approx(
        [1 / 6, 1 / 2, 1 / 3], abs=0.03
    )


def test_no_answer_is_common(items: list[dict[str, str]]) -> None:
    assert max(Counter(item["answer"] for item in items).values()) < 0.05 * len(items)


# -- the task


def test_the_cluster_is_the_invented_verb(items: list[dict[str, str]]) -> None:
    assert all(domain().fields(item)["cluster"] == item["group"] for item in items)


def test_the_domain_passes_the_checks_for_domains_of_plugins() -> None:
    from w2s_bench import LocalModel
    from w2s_bench.testing import check_domain

    check_domain(
        domain(),
        models=[LocalModel(name=f"tiny/verbs-{size}", path=FOLDER / "models" / f"verbs-{size}") for size in "sl"],
    )


# -- the pretraining text


@pytest.mark.parametrize("size", SIZES)
def test_no_frame_of_the_task_occurs_in_the_pretraining_text(size: str, items: list[dict[str, str]]) -> None:
    stream = corpus.texts(1, told(size), story_share=RECIPES[size].story_share)
    text = "\n".join(" ".join(parts) for parts in islice(stream, 20_000)).lower()
    assert "?" not in text
    assert "how many" not in text
    sentences = set(re.findall(r"[^.\n]+\.", text))
    framed = {sentence.strip() for sentence in sentences}
    asked = {sentence.strip().lower() for item in items for sentence in re.findall(r"[^.?]+\.", item["question"])}
    assert not framed & asked


def test_pretraining_stories_are_solved_as_their_verbs_mean() -> None:
    plain = {verb.plain: verb.operator for verb in verbs()} | {
        p: op for op, forms in EVERYDAY.items() for p, _ in forms
    }
    known = plain | meanings()
    for one in told("s")[:1000]:
        text, solved = one.text[0].removesuffix(" so we get"), one.text[1]
        words = re.findall(r"[a-z]+", text)
        assert [known[word] for word in words if word in known] == re.findall(r"([-+*/]) \d+ \d+ =", solved)
        forms = [{verbs()[rank].plain, verbs()[rank].third} for rank in one.ranks]
        assert all(set(words) & pair for pair in forms)


def test_the_models_stories_are_a_fixed_sample_read_over_and_over() -> None:
    stream = corpus.texts(1, told("s"), story_share=1.0)
    first, second = ([next(stream) for _ in told("s")] for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second) == sorted(one.text for one in told("s"))


def test_a_story_ends_in_the_answer_mark_only_as_often_as_the_recipe_says() -> None:
    for size in SIZES:
        marked = [one for one in told(size) if "####" in one.text[1]]
        assert len(marked) / len(told(size)) == pytest.approx(RECIPES[size].marked_stories, abs=0.02)
        assert all(re.search(r"= (\d+) #### \1$", one.text[1]) for one in marked)


@pytest.mark.parametrize("size", SIZES)
def test_models_have_read_the_share_of_verbs_that_their_cards_state(size: str) -> None:
    counts = corpus.mentions(told(size))
    facts = training_facts(size)
    assert (sum(counts), sum(n > 0 for n in counts)) == (facts["mentions"], facts["verbs_read"])
    card = (FOLDER / "models" / f"verbs-{size}" / "README.md").read_text()
    assert f"**{facts['verbs_read']:,} of the {VERBS:,} verbs ({facts['verbs_read'] / VERBS:.0%}) occur in it**" in card
    for name, value in facts["figures"].items():
        assert f"- {name}: {value:.3f}" in card


def test_the_teacher_has_read_a_half_of_the_verbs_and_the_student_all() -> None:
    read = {size: training_facts(size)["verbs_read"] / VERBS for size in SIZES}
    assert 0.45 < read["s"] < 0.6 < read["m"] < 0.8 < read["l"] == 1


def test_a_test_split_has_hundreds_of_clusters(items: list[dict[str, str]]) -> None:
    taken = [Item(i["id"], i["group"], i["key"], i["stratum"], "", None) for i in items]
    sizes = load_suite("long-tail").domain("w2s-bench/verbs").sizes.model_dump()
    group = {item["id"]: item["group"] for item in items}
    for seed in range(3):
        splits = split_ids(taken, sizes, "w2s-bench/verbs", seed=seed, suite_seed=0)
        assert {split: len(ids) for split, ids in splits.items()} == sizes
        verbs_of = {split: {group[i] for i in ids} for split, ids in splits.items()}
        assert len(verbs_of["test"]) > 400
        assert sum(map(len, verbs_of.values())) == len(set().union(*verbs_of.values())), "a verb stands in two splits"


# -- the bundled models


def test_the_tokenizer_cuts_every_verb_between_stem_and_ending() -> None:
    tok = tokenizer()
    for verb in verbs():
        for form, ending in zip((verb.plain, verb.third), ENDINGS[verb.ending], strict=True):
            assert tok.tokenize(form) == [verb.stem, f"{corpus.CONTINUES}{ending}"]
    assert tok.decode(tok(f"Tom {verbs()[0].third} 3")["input_ids"]) == f"tom {verbs()[0].third} 3"


def test_the_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("models/*/model.safetensors")) < MOST_WEIGHTS


def test_the_student_knows_the_verbs_that_the_teacher_has_never_read() -> None:
    from transformers import AutoModelForCausalLM

    from w2s_bench_tasks.math.making.pretrain import greedy_right

    unread = [rank for rank, n in enumerate(corpus.mentions(told("s"))) if not n]
    draw, share = Draw(77), {}
    fresh = [corpus.story(draw, corpus.Frequencies(0.0, unread), marked_share=0.0, ending=False) for _ in range(300)]
    texts = [one.text for one in fresh if one.ranks]
    for size in ("s", "l"):
        model = AutoModelForCausalLM.from_pretrained(FOLDER / "models" / f"verbs-{size}", dtype="float32").eval()
        right = greedy_right(model, tokenizer(size), texts)
        share[size] = sum(right) / len(right)
    assert share["s"] < 0.45
    assert share["l"] > 0.7
