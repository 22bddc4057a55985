"""A suite file is checked to the last key, says plainly what is wrong, and its digest covers all that a result rests on."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from w2s_bench.errors import SuiteError, UnknownNameError
from w2s_bench.suite import Suite
from w2s_bench.suite_files import built_in_suites, load_suite
from w2s_bench.suite_training import Training

TRAINING = {"model": "w2s-bench/small", "steps": 30, "learning_rate": 0.001}
SUITE: dict[str, Any] = {
    "name": "mine",
    "version": "1",
    "description": "Größe & more",
    "domains": [
        {
            "name": "w2s-bench/math",
            "version": "1",
            "parameters": {"level": 2, "ops": ["+", "-"]},
            "sizes": {"dev": 4, "test": 5, "weak_train": 6, "trust": 7, "transfer": 100},
            "teacher": TRAINING,
            "student": {**TRAINING, "model": "w2s-bench/large", "recipe": "lora"},
        }
    ],
}

Change = Callable[[dict[str, Any]], Any]


def changed(change: Change) -> dict[str, Any]:
    content = copy.deepcopy(SUITE)
    change(content)
    return content


def put(*path: str | int, value: Any) -> Change:
    """Set one value deep in the suite."""

    def change(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        content[path[-1]] = value

    return change


def load(tmp_path: Path, text: str) -> Suite:
    path = tmp_path / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return load_suite(path)


def refused(tmp_path: Path, content: Any) -> str:
    """What is said about a suite with this content."""
    with pytest.raises(SuiteError) as caught:
        load(tmp_path, content if isinstance(content, str) else yaml.safe_dump(content))
    message = str(caught.value)
    assert "suite.yaml" in message
    assert caught.value.exit_code == 2
    # For people: no traceback, no class names of the validation library, no addresses of its manual.
    for noise in ("Traceback", "pydantic", "http", "ValidationError", "Value error"):
        assert noise not in message
    return message


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("coverige",), "coverige: unknown key; did you mean 'coverage'?"),
        (("domains", 0, "teachr"), "domains.0.teachr: unknown key; did you mean 'teacher'?"),
        (("domains", 0, "sizes", "weak_trian"), "domains.0.sizes.weak_trian: unknown key; did you mean 'weak_train'?"),
        (("domains", 0, "student", "step"), "domains.0.student.step: unknown key; did you mean 'steps'?"),
        (("domains", 0, "teacher", "zzz"), "domains.0.teacher.zzz: unknown key; known: model, recipe, steps"),
        (("trusted",), "trusted: unknown key; known: name, version"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path: Path, path: tuple[Any, ...], said: str) -> None:
    assert said in refused(tmp_path, changed(put(*path, value=1)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("coverage", value=0), "coverage: Input should be greater than 0 (got 0)"),
        (put("coverage", value=1.0), "coverage: Input should be less than 1 (got 1.0)"),
        (put("coverage", value="half"), "coverage: Input should be a valid number"),
        (put("coverage", value=float("nan")), "coverage: "),
        (put("coverage", value=0.009), "coverage 0.009 of 100 transfer items keeps none; raise either"),
        (put("seeds", value=0), "seeds: Input should be greater than 0 (got 0)"),
        (put("seeds", value=True), "seeds: Input should be a valid integer (got True)"),
        (put("seed", value=-1), "seed: Input should be greater than or equal to 0 (got -1)"),
        (put("tolerance", value=1), "tolerance: Input should be less than 1"),
        (put("version", value=1), "version: Input should be a valid string (got 1)"),
        (put("name", value="../elsewhere"), "name: String should match pattern"),
        (put("name", value="My Suite"), "name: String should match pattern"),
        (put("protocol", value="w2s-2"), "protocol: Input should be 'w2s-1' (got 'w2s-2')"),
        (put("evaluate_on", value="transfer"), "evaluate_on: Input should be 'test' or 'dev'"),
        (put("domains", value=[]), "domains: "),
        (put("domains", value="math"), "domains: "),
        (put("domains", 0, "sizes", "dev", value=-3), "domains.0.sizes.dev: Input should be greater than or equal to 0 (got -3)"),
        (put("domains", 0, "sizes", "dev", value=2.5), "domains.0.sizes.dev: Input should be a valid integer (got 2.5)"),
        (put("domains", 0, "teacher", "learning_rate", value=float("inf")), "domains.0.teacher.learning_rate: "),
        (put("domains", 0, "teacher", "learning_rate", value=-0.1), "greater than 0 (got -0.1)"),
        (put("domains", 0, "student", "recipe", value="qlora"), "domains.0.student.recipe: Input should be 'full', "),
        (put("domains", 0, "parameters", value={"level": float("nan")}), "parameters must be JSON values"),
        (lambda c: c["domains"][0]["sizes"].pop("trust"), "domains.0.sizes.trust: Field required"),
        (lambda c: c.pop("name"), "name: Field required"),
        (lambda c: c["domains"].append(c["domains"][0]), "may stand once in a suite; twice here: math"),
        (lambda c: c["domains"].append({**c["domains"][0], "name": "math"}), "twice here: math"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_where_it_stands(tmp_path: Path, change: Change, said: str) -> None:
    assert said in refused(tmp_path, changed(change))


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    content = changed(put("coverage", value=2))
    content["domains"][0]["sizes"]["test"] = 0
    message = refused(tmp_path, content)
    assert "coverage: " in message and "domains.0.sizes.test: " in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds NoneType, expected a mapping with name, version, domains"),
        ("- a\n- b\n", "holds list, expected a mapping"),
        ("tiny", "holds str, expected a mapping"),
        ("name: [", "cannot read suite file"),
        ("name: a\nname: b\n", "found key 'name' twice"),
        ("name: !!python/object/apply:os.system ['true']\n", "cannot read suite file"),
        ("name: a\n1: b\n", "1: "),
        ("name: &x [*x]\n", "line 1, column 7: an alias stands within what it names"),
    ],
    ids=["empty", "list", "text", "broken", "key twice", "code", "number as key", "endless"],
)
def test_a_file_that_is_no_suite_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_a_date_among_parameters_is_refused(tmp_path: Path) -> None:
    text = yaml.safe_dump(changed(put("domains", 0, "parameters", value={"since": "THEN"})))
    assert "write dates and the like in quotes" in refused(tmp_path, text.replace("THEN", "2020-01-01"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(SuiteError, match="cannot read suite file"):
        load_suite(path)


@pytest.mark.parametrize("name", ["nowhere.yaml", "some/folder/suite", "x.yml"])
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(SuiteError, match=f"no suite file '{name}'; give the path of a YAML file"):
        load_suite(name)


def test_an_unknown_suite_gets_the_names_that_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped = {"tiny": tmp_path / "tiny.yaml", "main": tmp_path / "main.yaml"}
    monkeypatch.setattr("w2s_bench.suite_files.built_in_suites", lambda: shipped)
    with pytest.raises(
        UnknownNameError, match=r"unknown suite 'tinny'; did you mean tiny\? Known: main, tiny\. Or give"
    ) as e:
        load_suite("tinny")
    assert e.value.exit_code == 2
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SUITE), encoding="utf-8")
    assert load_suite("tiny").name == "mine"


def test_every_built_in_suite_loads_under_its_own_name() -> None:
    for name, path in built_in_suites().items():
        suite = load_suite(name)
        assert suite.name == path.stem
        assert load_suite(path).digest == suite.digest


def test_a_domain_is_found_by_its_full_and_its_bare_name() -> None:
    suite = Suite.model_validate(SUITE)
    assert suite.domain("math") is suite.domain("w2s-bench/math") is suite.domains[0]
    with pytest.raises(UnknownNameError, match=r"unknown domain 'maths'; did you mean w2s-bench/math\?.* suite 'mine'"):
        suite.domain("maths")


def test_a_bare_name_is_the_built_in_ones_or_must_be_the_only_one() -> None:
    def named(*names: str) -> Suite:
        return Suite.model_validate({**SUITE, "domains": [{**SUITE["domains"][0], "name": name} for name in names]})

    assert named("acme/math", "w2s-bench/math").domain("math").name == "w2s-bench/math"
    assert named("math").domain("w2s-bench/math").name == "math"
    with pytest.raises(UnknownNameError, match=r"acme/math.*other/math.*write one in full"):
        named("acme/math", "other/math").domain("math")


def test_full_names_make_one_suite_of_two_ways_of_writing_it() -> None:
    written = Suite.model_validate({**SUITE, "domains": [{**SUITE["domains"][0], "name": "math"}]})
    full = written.with_full_names(lambda name: f"w2s-bench/{name}")
    assert full.digest == Suite.model_validate(SUITE).digest != written.digest
    two = Suite.model_validate({**SUITE, "domains": [{**SUITE["domains"][0], "name": n} for n in ("a/x", "x")]})
    with pytest.raises(SuiteError, match="'mine' has a/x by two names"):
        two.with_full_names(lambda name: "a/x")


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same mapping with its keys in another order, at every depth."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], rng) for key in rng.sample(list(value), len(value))}
    return [shuffled(each, rng) for each in value] if isinstance(value, list) else value


def test_the_digest_ignores_the_description_the_order_of_keys_and_defaults_written_out() -> None:
    suite = Suite.model_validate(SUITE)
    for same in (
        shuffled(SUITE, random.Random(1)),
        changed(put("description", value="other")),
        changed(lambda c: c.pop("description")),
        suite.model_dump(),
        suite.model_dump(mode="json"),
    ):
        assert Suite.model_validate(same).digest == suite.digest


@pytest.mark.parametrize(
    "change",
    [
        put("name", value="other"), put("version", value="2"), put("seed", value=1), put("seeds", value=4),
        put("evaluate_on", value="dev"), put("coverage", value=0.25), put("tolerance", value=0.01),
        put("domains", 0, "name", value="acme/math"), put("domains", 0, "version", value="2"),
        put("domains", 0, "parameters", "level", value=3), put("domains", 0, "parameters", "ops", value=["-", "+"]),
        put("domains", 0, "parameters", "level", value="2"),
        *[put("domains", 0, "sizes", split, value=50) for split in SUITE["domains"][0]["sizes"]],
        *[
            put("domains", 0, who, what, value=value)
            for who in ("teacher", "student")
            for what, value in [("model", "x"), ("recipe", "head"), ("steps", 9), ("batch_size", 9),
                                ("learning_rate", 0.1), ("lora_rank", 9)]
        ],
        lambda c: c["domains"].append({**c["domains"][0], "name": "acme/math"}),
    ],
)  # fmt: skip
def test_everything_else_changes_the_digest(change: Change) -> None:
    assert Suite.model_validate(changed(change)).digest != Suite.model_validate(SUITE).digest


def test_a_suite_written_as_yaml_is_the_same_suite(tmp_path: Path) -> None:
    suite = Suite.model_validate(SUITE)
    again = load(tmp_path, suite.to_yaml())
    assert again == suite and again.digest == suite.digest
    assert again.to_yaml() == suite.to_yaml()
    assert "Größe" in suite.to_yaml()


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path: Path) -> None:
    text = yaml.safe_dump(SUITE).replace("learning_rate: 0.001", "learning_rate: 1e-3")
    assert "1e-3" in text
    assert load(tmp_path, text).digest == Suite.model_validate(SUITE).digest
    tiny = Suite.model_validate(changed(put("domains", 0, "teacher", "learning_rate", value=1e-5)))
    assert load(tmp_path, tiny.to_yaml()) == tiny


def test_a_coverage_that_keeps_one_row_by_a_rounding_error_is_taken() -> None:
    content = changed(put("coverage", value=1 / 49))
    content["domains"][0]["sizes"]["transfer"] = 49
    assert 1 / 49 * 49 < 1
    assert Suite.model_validate(content).domains[0].sizes.total == 71


def test_the_usual_precision_leaves_a_suite_what_it_was_and_another_makes_another() -> None:
    usual = load_suite("tiny")
    domains = [
        d.model_copy(update={"student": d.student.model_copy(update={"precision": "bfloat16"})}) for d in usual.domains
    ]
    other = usual.model_copy(update={"domains": tuple(domains)})
    assert "precision" not in usual.to_yaml() and other.to_yaml().count("precision: bfloat16") == len(domains)
    assert other.digest != usual.digest
    assert Suite.model_validate(yaml.safe_load(other.to_yaml())).digest == other.digest
    with pytest.raises(ValidationError, match="float32"):
        Training(model="m", steps=1, learning_rate=1e-3, precision="float16")


def test_top_alone_leaves_a_suite_what_it_was_and_other_selections_make_another() -> None:
    usual = load_suite("tiny")
    assert usual.selections == ("top",) and "selections" not in usual.to_yaml()
    other = usual.model_copy(update={"selections": ("top", "balanced")})
    assert other.digest != usual.digest
    assert Suite.model_validate(yaml.safe_load(other.to_yaml())).selections == ("top", "balanced")
    written = Suite.model_validate({**SUITE, "selections": ["top"]})
    assert written.digest == Suite.model_validate(SUITE).digest


def test_no_objectives_leave_a_suite_what_it_was_and_some_make_another(tmp_path: Path) -> None:
    usual = load_suite("tiny")
    assert usual.objectives == () and "objectives" not in usual.to_yaml()
    other = Suite.model_validate({**SUITE, "objectives": ["gce:q=0.5", "soft"]})
    assert (
        other.digest != Suite.model_validate(SUITE).digest == Suite.model_validate({**SUITE, "objectives": []}).digest
    )
    assert Suite.model_validate(yaml.safe_load(other.to_yaml())) == other
    assert "twice here: soft" in refused(tmp_path, {**SUITE, "objectives": ["soft", "soft"]})


@pytest.mark.parametrize("selections", [["balanced"], ["balanced", "top"], ["top", "top"], [], ["top", "bottom"]])
def test_selections_begin_with_top_each_once(tmp_path: Path, selections: list[str]) -> None:
    said = refused(tmp_path, {**SUITE, "selections": selections})
    assert "selections" in said and ("top" in said or "at least 1" in said)


def chain_of(*between: Any, **changes: Any) -> Change:
    """Models between teacher and student, and more keys of the domain."""

    def change(content: dict[str, Any]) -> None:
        content["domains"][0] |= {"chain": list(between), **changes}

    return change


MIDDLE = {**TRAINING, "model": "w2s-bench/middle"}


def test_a_suite_without_a_chain_is_what_it_was_before_there_were_any() -> None:
    plain = Suite.model_validate(SUITE)
    assert {"chain", "pool"}.isdisjoint(plain.canonical()["domains"][0])
    same = Suite.model_validate(changed(put("domains", 0, "pool", value="same")))
    assert same.digest == plain.digest
    assert Suite.model_validate(plain.model_dump()) == plain


def test_a_suite_that_cuts_nothing_is_what_it_was_before_it_could() -> None:
    plain = Suite.model_validate(SUITE)
    assert "overflow" not in plain.canonical()["domains"][0]
    assert Suite.model_validate(changed(put("domains", 0, "overflow", value="refuse"))).digest == plain.digest
    cut = Suite.model_validate(changed(put("domains", 0, "overflow", value="truncate_left")))
    assert cut.digest != plain.digest and cut.canonical()["domains"][0]["overflow"] == "truncate_left"


def test_models_of_a_chain_and_its_pool_are_part_of_the_suite(tmp_path: Path) -> None:
    suites = [
        Suite.model_validate(changed(change))
        for change in (
            lambda _: None,
            chain_of(MIDDLE),
            chain_of(MIDDLE, MIDDLE),
            chain_of(MIDDLE, pool="fresh"),
            chain_of({**MIDDLE, "steps": 31}),
        )
    ]
    assert len({suite.digest for suite in suites}) == len(suites)
    for suite in suites:
        assert load(tmp_path, suite.to_yaml()).digest == suite.digest
    assert [suite.domains[0].generations for suite in suites] == [1, 2, 3, 2, 2]
    teaches, learns = suites[2].domains[0].link(2)
    assert (teaches, learns) == (suites[2].domains[0].chain[0], suites[2].domains[0].chain[1])


def test_rows_of_a_generation_are_of_its_part_of_the_pool() -> None:
    suite = Suite.model_validate({**changed(chain_of(MIDDLE, MIDDLE, pool="fresh")), "coverage": 0.5})
    (spec,) = suite.domains
    assert (spec.pool_rows(chained=True), spec.pool_rows(chained=False)) == (33, 100)
    assert (suite.kept_rows(spec, chained=True), suite.kept_rows(spec)) == (16, 50)
    same = Suite.model_validate(changed(chain_of(MIDDLE)))
    assert same.domains[0].pool_rows(chained=True) == 100


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (chain_of(), "domains.0.chain: a chain has one model or more between teacher and student; name some, or leave"),
        (put("domains", 0, "chain", value=None), "domains.0.chain: a chain has one model or more"),
        (
            put("domains", 0, "pool", value="fresh"),
            "domains.0: pool 'fresh' is for the generations of a chain, and there is no",
        ),
        (chain_of({"model": "a/b", "recipe": "none"}), "domains.0: recipe 'none' is for a teacher alone"),
        (chain_of({**MIDDLE, "stepz": 3}), "domains.0.chain.0.stepz: unknown key; did you mean 'steps'?"),
        (chain_of("tiny/knowledge-m"), "domains.0.chain: a chain is a list of models, each with `model`, `steps` and"),
        (put("domains", 0, "chain", value="tiny/knowledge-m"), "domains.0.chain: a chain is a list of models"),
        (
            chain_of(*[MIDDLE] * 21),
            "domains.0.chain: a chain has at most 20 models between teacher and student; got 21",
        ),
        (chain_of(MIDDLE, pool="new"), "domains.0.pool: "),
        (
            chain_of(
                *[MIDDLE] * 9, pool="fresh", sizes={"dev": 4, "test": 5, "weak_train": 6, "trust": 7, "transfer": 15}
            ),
            "pool 'fresh' leaves each of 10 generations 1 of 15 transfer items, of which coverage 0.5 keeps none; raise either",
        ),
    ],
)
def test_a_chain_that_cannot_be_is_refused(tmp_path: Path, change: Change, said: str) -> None:
    assert said in refused(tmp_path, changed(change))


def test_folders_of_models_between_are_those_beside_the_suite(tmp_path: Path) -> None:
    suite = load(tmp_path, yaml.safe_dump(changed(chain_of({**MIDDLE, "model": "./between"}))))
    assert suite.domains[0].chain[0].model == str(tmp_path / "between")
