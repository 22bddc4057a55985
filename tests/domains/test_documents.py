"""Other data are other items: a fingerprint sees every file it can, and documents are read where it cannot see all."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from support import LINUX, digest_of_task, run_stage, toy_registry, toy_suite
from w2s_bench.domains.documents import Documents, _InTest, key_of
from w2s_bench.domains.task import TaskDomain
from w2s_bench.errors import PluginError
from w2s_bench.names import INCLUDE_VARIABLE
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import contradictions, evaluation
from w2s_bench.protocol import items as rendered
from w2s_bench.protocol.catalogue import write_indexed
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.record import read_records, write_records
from w2s_bench.runs.plan import plan
from w2s_bench.runs.tasks import libraries_of
from w2s_bench.suite import Suite
from w2s_bench.types import Item

YAML = """task: made
DATA
test_split: test
output_type: multiple_choice
num_fewshot: 0
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
LOADER = """import datasets, json, pathlib
def load(**_):
    return {"test": datasets.Dataset.from_list(json.loads(pathlib.Path(FILE).read_text()))}
"""


def rows(answer: int = 0, count: int = 6) -> list[dict[str, Any]]:
    names = ("id", "group", "key")
    return [
        {**dict.fromkeys(names, str(n)), "stratum": "s", "question": f"Q{n}", "choices": ["a", "b"], "answer": answer}
        for n in range(count)
    ]


def domain_over(folder: Path, data: str = "custom_dataset: !function loader.load", **more: Any) -> TaskDomain:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made.yaml").write_text(YAML.replace("DATA", data))
    return TaskDomain("made", "1", "choice", folder / "made.yaml", "made", **more)


SEEN = ("items.jsonl", "data/items.jsonl", "a/b/c.tsv", "games.pgn", "items.jsonl.zst", "data.arrow", "items.db")


@pytest.mark.parametrize("name", [*SEEN, "base.yml", "ITEMS.JSONL", "LICENSE"])
def test_a_fingerprint_sees_every_file_below_the_yaml(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "domain"
    domain, path = domain_over(folder), folder / name
    before = domain.fingerprint()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("one")
    one = domain.fingerprint()
    path.write_text("two")
    two = domain.fingerprint()
    assert len({before, one, two}) == 3
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert domain_over(tmp_path / "elsewhere").fingerprint() == two


def test_a_domain_may_name_clusters_and_its_fingerprint_tells(tmp_path: Path) -> None:
    document = {"id": "1", "group": "g", "key": "k", "stratum": "s", "verb": "drop", "year": 1999}
    plain, verbs = domain_over(tmp_path), domain_over(tmp_path, cluster="verb")
    assert plain.fields(document) == {"id": "1", "group": "g", "key": "k", "stratum": "s"}
    assert verbs.fields(document) == {**plain.fields(document), "cluster": "drop"}
    assert domain_over(tmp_path, cluster=lambda d: d["year"]).fields(document)["cluster"] == "1999"
    assert len({plain.fingerprint(), verbs.fingerprint(), domain_over(tmp_path, cluster="year").fingerprint()}) == 3
    with pytest.raises(PluginError, match="no field 'country' for its cluster"):
        domain_over(tmp_path, cluster="country").fields(document)
    item = Item("1", "g", "k", "s", "?", None)
    for cluster, written in (("", False), ("drop", True)):
        write_records(tmp_path / "items", [replace(item, cluster=cluster)])
        write_indexed(tmp_path / "indexed", [replace(item, cluster=cluster)])
        for name in ("items", "indexed"):
            assert ("cluster" in (tmp_path / name).read_text()) == written, (
                "items of domains without stay the same bytes"
            )
            assert read_records(tmp_path / name, Item) == [replace(item, cluster=cluster)]


@pytest.mark.parametrize(
    "name",
    [
        "__pycache__/loader.cpython-311.pyc",
        ".cache/x",
        ".hidden",
        "out/qa/results/made/naive.json",  # what a run leaves, had it been told to leave it here
        f"store/items/{'0' * 64}/items.jsonl",
    ],
)
def test_a_fingerprint_passes_over_caches_and_what_a_run_writes(name: str, tmp_path: Path) -> None:
    domain, path = domain_over(tmp_path), tmp_path / name
    before = domain.fingerprint()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    if "results" in name:
        (tmp_path / "out/qa/suite.yaml").write_text("name: qa")
    assert domain.fingerprint() == before


def test_a_fingerprint_sees_what_the_yaml_includes_and_the_code_that_it_names(tmp_path: Path) -> None:
    base, again, code = (
        tmp_path / "base.yaml",
        tmp_path / "more" / "again.yaml",
        tmp_path / "more" / "utils" / "text.py",
    )
    code.parent.mkdir(parents=True)
    base.write_text("include: more/again.yaml\ndoc_to_text: one\n")
    again.write_text("doc_to_text: !function utils.text.shown\n")
    code.write_text("def shown(document): return 1\n")
    for files in (None, ("made.yaml",)):
        domain = domain_over(tmp_path / "d", f"include: {base}", files=files)
        prints = [domain.fingerprint()]
        for path in (base, again, code):
            path.write_text(path.read_text() + "\n")
            prints.append(domain.fingerprint())
        assert len(set(prints)) == 4


def test_a_yaml_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    gone = TaskDomain("made", "1", "choice", tmp_path / "none" / "made.yaml", "made")
    with pytest.raises(PluginError, match=f"domain 'made': there is no folder {tmp_path}/none"):
        gone.fingerprint()
    with pytest.raises(PluginError, match=f"there is no other.yaml in {tmp_path}"):
        TaskDomain("made", "1", "choice", tmp_path / "other.yaml", "made").task()
    with pytest.raises(PluginError, match=f"made.yaml includes base.yaml, which does not lie in {tmp_path}"):
        domain_over(tmp_path, "include: base.yaml").fingerprint()
    (tmp_path / "base.yaml").write_text("include: made.yaml")
    with pytest.raises(PluginError, match="includes itself"):
        domain_over(tmp_path, "include: base.yaml").task()
    (tmp_path / "base.yaml").write_text("a: [1")
    with pytest.raises(PluginError, match=r"cannot read .*base.yaml: while parsing"):
        domain_over(tmp_path, "include: base.yaml").task()
    (tmp_path / "base.yaml").write_text("- 1")
    with pytest.raises(PluginError, match=r"base.yaml holds list, an lm-eval task is a mapping"):
        domain_over(tmp_path, "include: base.yaml").task()
    domain_over(tmp_path / "other", "")
    with pytest.raises(PluginError, match=r"no task 'mode' in .*other \(there: made\)"):
        TaskDomain("made", "1", "choice", tmp_path / "other" / "made.yaml", "mode").task()


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ("dataset_kwargs: {data_files: {test: items.jsonl}}", "items.jsonl"),
        ("dataset_kwargs: {data_files: {test: [data/*.jsonl]}}", "data/items.jsonl"),
        ("dataset_kwargs: {data_files: {test: items.jsonl}, data_dir: data}", "data/items.jsonl"),
        ("include: ../shared/base.yaml", "../shared/items.jsonl"),
    ],
)
def test_paths_in_a_yaml_are_relative_to_the_file_they_stand_in(
    options: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "domain"
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.yaml").write_text("dataset_kwargs: {data_files: {test: items.jsonl}}")
    domain = domain_over(folder, f"dataset_path: json\n{options}")
    monkeypatch.chdir(tmp_path)  # elsewhere
    if "*" not in options:
        with pytest.raises(
            PluginError, match=r"domain 'made': \w+.yaml names data that is missing: there is no|missing"
        ):
            domain.task()
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows())))
    assert [document["question"] for document in domain.task().eval_docs] == [f"Q{n}" for n in range(6)]


def test_a_folder_of_data_that_is_missing_is_named(tmp_path: Path) -> None:
    domain = domain_over(tmp_path, "dataset_path: ./data")
    with pytest.raises(
        PluginError, match=f"dataset_path './data' of made.yaml is missing: there is no {tmp_path}/data"
    ):
        domain.task()


def test_documents_have_one_digest_whatever_holds_them(tmp_path: Path) -> None:
    class Task:
        def __init__(self, documents: Any) -> None:
            self.eval_docs = documents

    import datasets

    some = rows(count=2500)
    digests = {digest_of_task("made", Task(one)) for one in (some, iter(some), datasets.Dataset.from_list(some))}
    assert len(digests) == 1
    for place, name, value in ((0, "answer", 1), (2499, "question", "Q"), (1200, "choices", ["a", "c"])):
        changed = [*some[:place], {**some[place], name: value}, *some[place + 1 :]]
        digests.add(digest_of_task("made", Task(changed)))
    assert len(digests) == 4
    for value in (b"bytes", float("nan"), {1, 2}):
        with pytest.raises(
            PluginError, match=r"domain 'made': field 'extra' of a document is .*which JSON cannot hold"
        ):
            digest_of_task("made", Task([{**some[0], "extra": value}]))


def test_examples_are_in_the_digest_and_documents_alone_have_the_one_they_always_had() -> None:
    class Task:
        def __init__(self, examples: Any = ()) -> None:
            self.eval_docs, self.examples = rows(), examples

    alone = digest_of_task("made", Task())
    assert alone == "67f7acef7a612d33cf2046e10e11797cad40a7a9514303c1311464f98bb9d9f2", "it is in stores and in cells"
    one, other = rows(count=8)[6:], rows(answer=1, count=8)[6:]
    digests = [digest_of_task("made", Task(shown)) for shown in ((), one, other, one[::-1], one[:1])]
    assert digests[0] == alone and len(set(digests)) == 5
    more = Task()
    more.eval_docs = [*rows(), *one]
    assert digest_of_task("made", more) not in digests, "an example is no document"


# --- at the start of a run ------------------------------------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return toy_registry(monkeypatch)


def elsewhere(tmp_path: Path) -> tuple[Path, Path]:
    """A domain's folder whose loader reads a file outside of it, and that file."""
    folder, data = tmp_path / "domain", tmp_path / "data.json"
    domain_over(folder)
    (folder / "loader.py").write_text(LOADER.replace("FILE", repr(str(data))))
    data.write_text(json.dumps(rows()))
    return folder, data


def planned(folder: Path, models: Path, registry: Registry, documents: Documents | None = None) -> Any:
    content = toy_suite(models, seeds=1).model_dump()
    spec = {**content["domains"][0], "name": "w2s-bench-toy/made", "parameters": {"folder": str(folder)}}
    return plan(Suite.model_validate({**content, "domains": [spec]}), registry, trust=(), documents=documents)


@pytest.mark.slow
def test_changed_documents_are_other_items_and_other_rows(registry: Registry, tmp_path: Path) -> None:
    folder, data = elsewhere(tmp_path)
    before = planned(folder, tmp_path / "models", registry)
    again = planned(folder, tmp_path / "models", registry)
    data.write_text(json.dumps(rows(answer=1)))
    after = planned(folder, tmp_path / "models", registry)

    def items(one: Any) -> Any:
        return one.cells[0].graphs[0].items

    assert items(before).node == items(again).node != items(after).node
    assert before.cells[0].domain == again.cells[0].domain != after.cells[0].domain
    assert before.cells[0].domain.fingerprint == after.cells[0].domain.fingerprint
    assert before.cells[0].domain.documents in before.documents.values()
    known = planned(folder, tmp_path / "models", registry, Documents(before.documents))  # as a job made again elsewhere
    assert items(known).node == items(before).node
    out = run_stage(rendered.build_items, tmp_path / "items", items(after).params, registry=registry)
    assert (out / rendered.ITEMS).is_file()
    for build in (rendered.build_items, rendered.build_answers):
        with pytest.raises(
            PluginError, match="its documents are not those that were read when the run began; run again"
        ):
            run_stage(build, tmp_path / "old", items(before).params, registry=registry)


def test_who_plans_is_told_what_is_read_and_when_that_is_over(registry: Registry, tmp_path: Path) -> None:
    folder, _ = elsewhere(tmp_path)
    told: list[str] = []
    before = planned(folder, tmp_path / "models", replace(registry, awaits=told.append))
    assert told[-2:] == ["reading the documents of w2s-bench-toy/made", ""]
    told.clear()
    Documents(before.documents).read([("w2s-bench-toy/made", {"folder": str(folder)})], told.append)
    assert told == [], "they are known"
    names = [f"nobody/{letter}" for letter in "abcde"]
    Documents().read([(name, {}) for name in names], told.append)
    assert told == ["reading the documents of nobody/a, nobody/b, nobody/c and 2 more", ""]


@pytest.mark.slow
def test_documents_are_counted_beside_their_digest(registry: Registry, tmp_path: Path) -> None:
    folder, data = elsewhere(tmp_path)
    data.write_text(json.dumps(rows(count=9)))
    one = planned(folder, tmp_path / "models", registry)
    assert list(one.unmade.counts) == list(one.documents) and [count[:2] for count in one.unmade.counts.values()] == [
        (9, None)
    ]
    key = key_of("w2s-bench-toy/made", {"folder": str(folder)})
    kept = Documents(one.documents, one.unmade.counts)
    kept.read([("w2s-bench-toy/made", {"folder": str(folder)})])
    assert kept.counts[key] == one.unmade.counts[key] and Documents(one.documents).counts == {}
    data.write_text("no JSON")
    assert planned(folder, tmp_path / "models", registry).unmade.counts == {}


def test_what_a_task_has_in_test_is_counted_where_it_says_so_of_each() -> None:
    def count(says: Any) -> int | None:
        marks = _InTest(SimpleNamespace(in_test=says))  # type: ignore[arg-type]
        for document in rows():
            marks.look(document)
        return marks.count

    assert count(lambda document: document["id"] > "3") == 2
    assert count(lambda document: False) == 0
    for unsaid in (None, lambda document: None, lambda document: document["id"] > "3" or None, lambda document: 1 / 0):
        assert count(unsaid) is None


@pytest.mark.slow
def test_documents_that_cannot_be_read_fail_the_items_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, data = elsewhere(tmp_path)
    loader = folder / "loader.py"
    for fault in ("raise SystemExit(3)", "import os; os._exit(3)", "raise RuntimeError('no network')"):
        loader.write_text(LOADER.replace("FILE", repr(str(data))).replace("    return", f"    {fault}\n    return"))
        registry = toy_registry(monkeypatch)  # a plan asks each domain once
        one = planned(folder, tmp_path / "models", registry)
        assert list(one.documents.values()) == [None]
        params = one.cells[0].graphs[0].items.params
        if "_exit" not in fault:
            with pytest.raises((RuntimeError, SystemExit)):
                run_stage(rendered.build_items, tmp_path / "items", params, registry=registry)
    loader.write_text(LOADER.replace("FILE", repr(str(data))))
    params["domain"]["fingerprint"] = registry.domain("made", folder=str(folder)).fingerprint()
    with pytest.raises(PluginError, match="its documents could not be read when the run began"):
        run_stage(rendered.build_items, tmp_path / "items", params, registry=registry)


@LINUX
def test_no_process_that_a_loader_starts_goes_on(registry: Registry, tmp_path: Path) -> None:
    folder, data = elsewhere(tmp_path)
    leave = f"""import subprocess
LEFT = subprocess.Popen(["sleep", "600"], start_new_session=True)
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(LEFT.pid))
"""
    (folder / "loader.py").write_text(LOADER.replace("FILE", repr(str(data))) + leave)
    planned(folder, tmp_path / "models", registry)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_the_code_of_the_package_is_part_of_what_items_are_made_of(registry: Registry, tmp_path: Path) -> None:
    folder, _ = elsewhere(tmp_path)
    params = planned(folder, tmp_path / "models", registry).cells[0].graphs[0].items.params
    params["domain"]["source"] = "0" * 64
    with pytest.raises(PluginError, match="changed on disk since the run began"):
        run_stage(rendered.build_items, tmp_path / "items", params, registry=registry)


def test_what_the_code_of_a_task_imports_is_part_of_all_that_it_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of what answers are graded by grades them anew, whoever's the task is."""
    (tmp_path / "made.yaml").write_text(
        YAML.replace("DATA", "dataset_path: json\ndataset_kwargs: {data_files: {test: items.json}}")
        + "process_results: !function grading.grade\n"
    )
    (tmp_path / "grading.py").write_text(
        "import json\nfrom helpers import other\ndef grade(doc, results): import sympy.core\n"
    )
    (tmp_path / "helpers.py").write_text("from yaml import safe_load as other\n")
    (tmp_path / "items.json").write_text(json.dumps(rows()))
    monkeypatch.setenv(INCLUDE_VARIABLE, str(tmp_path))
    registry = Registry.load([])
    name = "lm-eval/made"
    made = registry.domain(name, train="test")
    libraries = libraries_of(registry, registry.resolve("domain", name), made)
    assert libraries == ("pyyaml", "sympy")
    here = PlannedDomain.of(name, made, {}, libraries=libraries)
    assert here.libraries == ("datasets", "jinja2", "lm_eval", "pyyaml", "sympy")
    item, gold = rendered.items(here), rendered.answers(here)
    stages = [item, gold, rendered.training_answers(here), evaluation.marks(here, gold, item)]
    stages += [
        evaluation.grade(replace(here, kind="generate"), item, gold, item),
        contradictions.contradictions(here, items=item, answers=gold),
    ]
    assert {stage.libraries for stage in stages} == {here.libraries}
    bundled = registry.domain("math")
    assert libraries_of(registry, registry.resolve("domain", "math"), bundled) == ()


def test_a_plugins_domain_depends_on_what_its_distribution_requires(registry: Registry, tmp_path: Path) -> None:
    folder, _ = elsewhere(tmp_path)
    graph = planned(folder, tmp_path / "models", registry).cells[0].graphs[0]
    own = registry.libraries(registry.resolve("domain", "w2s-bench-toy/made"))
    assert own and {*own, "lm_eval"} <= set(graph.items.libraries) == set(graph.answers.libraries)


@pytest.mark.parametrize("name", ["knowledge", "math", "chess"])
def test_the_bundled_domains_come_from_their_files_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They promise it, so that nobody reads their documents to plan a run: copied alone, the files give the same ones."""
    domain = Registry.load().domain(name)
    assert isinstance(domain, TaskDomain) and domain.self_contained and domain.files is not None
    for file in (*domain.files, domain.yaml.name):
        shutil.copy(domain.yaml.parent / file, tmp_path / file)
    monkeypatch.chdir(tmp_path)
    for variable in [v for v in os.environ if v.startswith("W2S")]:
        monkeypatch.delenv(variable)
    alone = TaskDomain(
        name, domain.version, domain.kind, tmp_path / domain.yaml.name, domain.task_name, max_new_tokens=9
    )
    assert digest_of_task(name, alone.task()) == digest_of_task(name, domain.task())
    assert "documents" not in PlannedDomain.of(name, domain, {}).params
