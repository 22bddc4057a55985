"""The command line: help that teaches, mistakes that are explained, and nothing heavy where nothing heavy is needed."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cell_builder import change, make_cells
from support import BUNDLED, TOY, run_inline, toy_environment, toy_registry, toy_suite
from w2s_bench import __version__
from w2s_bench._cli.app import app
from w2s_bench._cli.listing import _print
from w2s_bench._cli.report import print_leaderboard
from w2s_bench.plugins.registry import Registry
from w2s_bench.results.leaderboard import build
from w2s_bench.results.references import SuiteRef
from w2s_bench.runs import refusals
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite

runner = CliRunner()
#: Torch is asked in a process of its own, for seconds.
ASKED_ONCE = functools.cache(refusals._missing_device)
HEAVY = ("torch", "transformers", "datasets", "lm_eval", "matplotlib", "peft")


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if str(TOY) not in sys.path:
        monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("W2S_BENCH_STORE", str(tmp_path / "store"))
    path = tmp_path / "toy.yaml"
    path.write_text(toy_suite(tmp_path / "models").to_yaml())
    return path


def changed(path: Path, **changes: object) -> Path:
    """The suite file with some top-level keys changed."""
    content = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump(content))
    return path


def mistake(*arguments: object) -> str:
    """The message of a call that must end as the user's mistake."""
    result = runner.invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def test_version() -> None:
    assert runner.invoke(app, ["--version"]).output.strip() == f"w2s-bench {__version__}"


@pytest.mark.parametrize("verb", [[], ["run"], ["list"], ["leaderboard"], ["verify"], ["plan"]])
def test_help_teaches(verb: list[str]) -> None:
    result = runner.invoke(app, [*verb, "--help"])
    assert result.exit_code == 0
    if verb in ([], ["run"], ["verify"]):
        assert "w2s-bench run" in result.output or "w2s-bench verify" in result.output, "examples to copy"


@pytest.mark.slow
def test_help_and_list_import_nothing_heavy() -> None:
    code = f"""
import sys
from importlib import resources
from w2s_bench._cli.app import app
for arguments in (["--help"], ["list"], ["list", "models", "--json"], ["run", "--help"]):
    try:
        app(arguments)
    except SystemExit as done:
        assert not done.code, (arguments, done.code)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    assert not heavy, (arguments, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=toy_environment())
    assert done.returncode == 0, done.stderr


def test_list_names_what_is_installed() -> None:
    tables = json.loads(runner.invoke(app, ["list", "--json"]).stdout)
    names = {topic: {row["name"] for row in rows} for topic, rows in tables.items()}
    assert {f"w2s-bench/{domain}" for domain in BUNDLED} <= names["domains"]
    assert {"w2s-bench/confidence", "w2s-bench/probe", "w2s-bench/student_probe", "w2s-bench/verifier"} <= names[
        "trust"
    ]
    assert {f"tiny/{domain}-{size}" for domain in BUNDLED for size in "sml"} <= names["models"]
    assert "tiny" in names["suites"]
    only = json.loads(runner.invoke(app, ["list", "suites", "--json"]).stdout)
    assert only == tables["suites"]


def test_unknown_names_come_with_the_nearest_known(suite: Path) -> None:
    assert "did you mean tiny" in mistake("run", "tinny")
    assert "did you mean w2s-bench-toy/largest" in mistake("run", suite, "--domain", "largst")
    assert "did you mean w2s-bench/confidence" in mistake("run", suite, "--trust", "confidense")
    assert "unknown parameter" in mistake("run", suite, "--trust", "confidence:temprature=2")
    assert "no suite file" in mistake("run", "nowhere/suite.yaml")


def test_unknown_model_is_named_with_the_prefixes_there_are(suite: Path) -> None:
    content = yaml.safe_load(suite.read_text())
    content["domains"][0]["teacher"]["model"] = "tiny/knowlege-s"
    suite.write_text(yaml.safe_dump(content))
    said = mistake("run", suite)
    assert "did you mean tiny/knowledge-s" in said
    assert all(prefix in said for prefix in ("(tiny/)", "hf/OWNER/NAME@COMMIT", "local/FOLDER", "a folder's path"))


def test_unknown_domain_is_named_with_the_prefixes_there_are(suite: Path) -> None:
    content = yaml.safe_load(suite.read_text())
    content["domains"] = [{**content["domains"][0], "name": "arc_easy"}]
    suite.write_text(yaml.safe_dump(content))
    said = mistake("run", suite)
    assert "unknown domain 'arc_easy'" in said
    assert "(w2s-bench-toy/, w2s-bench/) or lm-eval/TASK" in said


@pytest.mark.slow
@pytest.mark.parametrize("verb", [["run"], ["run", "--dry-run"], ["run", "--explain"]])
def test_a_device_is_checked_before_anything_runs(
    suite: Path, tmp_path: Path, verb: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2S_BENCH_DEVICE", "cpu")  # the option sets it for the process: put back afterwards
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(refusals, "_missing_device", ASKED_ONCE)
    command = [*verb, suite, "--out", tmp_path / "out", "--trust", "confidence"]
    for wrong in ("gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cpu; rm"):
        said = mistake(*command, "--device", wrong)
        assert f"unknown device {wrong!r}; expected cpu, cuda, cuda:N" in said
    absent = mistake(*command, "--device", "cuda")
    assert "device 'cuda' is not there" in absent and "sees no GPU" in absent
    monkeypatch.setenv("W2S_BENCH_DEVICE", "tpu")
    assert "unknown device 'tpu'" in mistake(*command)
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "out").exists()


def test_a_store_that_takes_no_files_is_a_mistake_of_the_call_as_a_folder_of_results_is(
    suite: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert "give another --out" in mistake("run", suite, "--out", tmp_path / "file" / "out")
    assert "the store cannot use" in mistake(
        "run", suite, "--out", tmp_path / "out", "--store", tmp_path / "file" / "store"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("run", "tiny", "--seeds", "0"), "1"),
        (("run", "tiny", "--workers", "x"), "--workers"),
        (("suite", "new", "mine", "--coverage", "3"), "0.999"),
        (("table", "x", "--format", "xls"), "'xls' is not one of"),
    ],
)
def test_what_is_wrong_with_an_option_is_said_in_no_librarys_words(call: tuple[str, ...], said: str) -> None:
    refused = runner.invoke(app, [*call])
    told = " ".join(refused.output.split())
    assert refused.exit_code == 2 and said in told
    assert "Input should be" not in told and "Value error" not in told


def test_a_preview_refuses_what_the_run_would_refuse(suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "file").write_text("")
    for option in ("--dry-run", "--explain"):
        assert "give another --out" in mistake("run", suite, option, "--out", tmp_path / "file" / "below")
        assert "must be positive" in mistake("run", suite, option, "--stage-timeout", "0")
        refused = runner.invoke(app, ["run", str(suite), option, "--store", str(tmp_path / "file" / "store")])
        assert refused.exit_code == 2 and "the store cannot use" in refused.stderr, "as the run says it"
        assert "unknown option of Slurm" in mistake("run", suite, option, "-x", "slurm", "--slurm", "partitoin=x")
        assert "did you mean" in mistake("run", suite, option, "--trust", "confidense")
    other = Suite.model_validate({**yaml.safe_load(suite.read_text()), "coverage": 0.25})
    (out / "toy").mkdir(parents=True)
    (out / "toy" / "suite.yaml").write_text(other.to_yaml())
    for option in ("--dry-run", "--explain"):
        assert "another suite" in mistake("run", suite, option, "--out", out)
    assert not (tmp_path / "store").exists()


def test_a_preview_says_of_sizes_what_is_known(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a domain fills its splits is cut from the items that are stored; without them it is said to be open."""
    content = yaml.safe_load(suite.read_text())
    content["domains"] = content["domains"][:1]
    suite.write_text(yaml.safe_dump(content))
    command = ["run", str(suite), "--out", str(tmp_path / "out"), "--trust", "confidence"]
    before = runner.invoke(app, [*command, "--dry-run", "--json"])
    assert json.loads(before.stdout)["sizes_unchecked"] == ["w2s-bench-toy/largest"]
    assert "is seen as the run begins" in runner.invoke(app, [*command, "--explain"]).stderr
    planned = plan(load_suite(suite), toy_registry(monkeypatch), trust=["confidence"])
    store = Store(tmp_path / "store")
    run_inline([planned.cells[0].graphs[0].items], store, toy_registry(monkeypatch))
    after = runner.invoke(app, [*command, "--dry-run", "--json"])
    assert json.loads(after.stdout)["sizes_unchecked"] == []
    content["domains"][0]["sizes"]["transfer"] = 5000
    suite.write_text(yaml.safe_dump(content))
    for option in ("--dry-run", "--explain"):
        assert "400 items" in mistake(*command, option)
    assert [path.name for path in (tmp_path / "store").iterdir() if not path.name.startswith(".")] == ["items"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--dry-run", "--explain"])
def test_a_preview_refuses_sizes_beyond_a_bundled_domains_documents(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty store, by its documents; up to them it is open, since groups and left-out items take room too."""
    monkeypatch.setenv("W2S_BENCH_STORE", str(tmp_path / "store"))
    content = yaml.safe_load((resources.files("w2s_bench") / "suites" / "tiny.yaml").read_text(encoding="utf-8"))
    content["domains"] = [domain for domain in content["domains"] if domain["name"].endswith("knowledge")]
    lines = (resources.files("w2s_bench_tasks") / "knowledge" / "data" / "items.jsonl").read_bytes().count(b"\n")
    sizes, path = content["domains"][0]["sizes"], tmp_path / "mine.yaml"
    sizes["test"] += lines - sum(sizes.values())
    path.write_text(yaml.safe_dump(content))
    command = ["run", path, option, "--out", tmp_path / "out", "--trust", "confidence"]
    filled = runner.invoke(app, list(map(str, command)))
    assert filled.exit_code == 0 and "is seen as the run begins" in filled.stderr
    sizes["test"] += 1
    path.write_text(yaml.safe_dump(content))
    said = " ".join(mistake(*command).split())
    assert f"domain 'w2s-bench/knowledge' has {lines} items, too few for sizes dev {sizes['dev']}" in said
    assert f"(sum {lines + 1}). Make the splits smaller" in said
    assert not (tmp_path / "store").exists() and not (tmp_path / "out").exists()


def test_a_preview_loads_the_installed_plugins_once_and_its_own_domains_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time all distributions that are installed are gone through; documents are counted of three bundled domains."""
    loaded: list[tuple[object, ...]] = []
    load: Callable[..., Registry] = Registry.load.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Registry], *restrict: object, **options: object) -> Registry:
        loaded.append(restrict)
        return load(cls, *restrict, **options)

    monkeypatch.setattr(Registry, "load", classmethod(counted))
    done = runner.invoke(app, ["run", "tiny", "--dry-run", "--store", str(tmp_path / "s"), "--out", str(tmp_path)])
    assert done.exit_code == 0 and "knowledge, math, chess" in done.stderr
    assert loaded == [(), ((),)]


@pytest.mark.parametrize("name", ["README.md", "pgr.svg", "ties.svg"])
def test_a_run_writes_over_nobodys_page(suite: Path, tmp_path: Path, name: str) -> None:
    mine = tmp_path / "out" / "toy" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    for option in ([], ["--dry-run"], ["--explain"]):
        said = mistake("run", str(suite), "--out", str(tmp_path / "out"), "--trust", "confidence", *option)
        assert f"{name} is there and no suite.yaml beside it" in " ".join(said.split())
    assert mine.read_text() == "mine" and len(list(mine.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"covrage": 0.5}, "did you mean 'coverage'"),
        ({"coverage": 1.5}, "less than 1"),
        ({"seeds": 0}, "greater than 0"),
        ({"protocol": "w2s-9"}, "w2s-1"),
        ({"domains": []}, "at least 1"),
    ],
)
def test_a_bad_suite_file_is_explained(suite: Path, changes: dict[str, object], said: str) -> None:
    assert said in mistake("run", changed(suite, **changes))


@pytest.mark.slow
def test_sizes_a_domain_cannot_fill_are_said_before_anything_is_trained(suite: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(suite.read_text())
    content["domains"] = content["domains"][:1]
    content["domains"][0]["sizes"]["transfer"] = 5000
    suite.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--out", str(tmp_path), "--workers", "1"]
    command += ["--trust", "confidence"]
    done = subprocess.run(command, capture_output=True, text=True, env=toy_environment(), timeout=300)
    assert done.returncode == 2
    assert done.stderr.count("too few for sizes") == 1, "said once, for all seeds"
    assert "400 items" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "store").glob("train/*"))
    assert not (tmp_path / "toy").exists()


def test_a_domain_of_another_version_is_refused(suite: Path) -> None:
    content = yaml.safe_load(suite.read_text())
    content["domains"][0]["version"] = "7"
    suite.write_text(yaml.safe_dump(content))
    assert "version '7'" in mistake("run", suite)


def test_a_folder_with_another_suites_results_is_refused_before_computing(suite: Path, tmp_path: Path) -> None:
    other = Suite.model_validate({**yaml.safe_load(suite.read_text()), "coverage": 0.25})
    (tmp_path / "out" / "toy").mkdir(parents=True)
    (tmp_path / "out" / "toy" / "suite.yaml").write_text(other.to_yaml())
    assert "another suite" in mistake("run", suite, "--out", tmp_path / "out")


def test_a_results_folder_that_takes_no_files_is_refused_before_computing(suite: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "give another --out" in mistake("run", suite, "--out", tmp_path / "file")
    assert not (tmp_path / "store").exists()


def test_cells_of_other_models_are_refused_before_computing(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(load_suite(suite), toy_registry(monkeypatch), trust=["probe"])
    domain = planned.cells[0].domain
    folder = tmp_path / "out" / "toy"
    cells = make_cells(domain.name, arms=["acme/margin", "naive"])
    ref = {"name": "toy", "version": "1", "digest": planned.suite.digest, "evaluate_on": "test"}
    for cell in cells.values():
        change(cell, suite=SuiteRef.model_validate(ref), domain=domain).write(folder)
    said = mistake("run", suite, "--trust", "probe", "--out", tmp_path / "out")
    assert "acme.margin.json: made with another version" in said
    assert "remove these files" in said
    assert "naive.json" not in said, "this run writes it anew"
    assert not (tmp_path / "store").exists()


def test_dry_run_computes_and_writes_nothing(suite: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["run", str(suite), "--dry-run", "--json", "--domain", "largest", "--trust", "probe"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["stored"] == {}
    assert found["to_run"]["items"] == 1, "seeds share a domain's items"
    assert found["to_run"]["score"] == 2, "one for each of two seeds"
    assert "w2s-bench-toy.largest/probe" in found["cells"]
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "w2s-results").exists()


def test_a_decomposed_dry_run_counts_what_explains_each_trust_function(suite: Path, tmp_path: Path) -> None:
    command = ["run", str(suite), "--dry-run", "--json", "--domain", "largest", "--trust", "probe", "--decompose"]
    told = json.loads(runner.invoke(app, command).stdout)
    own = {"gold_kept@probe", "matched_random@probe", "inverted_oracle", "noisy_oracle"}
    assert own <= {row.partition("/")[2] for row in told["cells"]}
    assert {"alike": 2, "wrong": 2, "noisy": 2}.items() <= told["to_run"].items(), "one of each a seed"


def test_explain_says_of_every_stage_why_it_would_run(suite: Path, tmp_path: Path) -> None:
    command = ["run", str(suite), "--explain", "--domain", "largest", "--trust", "probe"]
    result = runner.invoke(app, [*command, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    by_label = {one["label"]: one for one in found["stages"]}
    assert by_label["w2s-bench-toy/largest · items"]["status"] == "to run"
    assert by_label["w2s-bench-toy/largest · items"]["why"] == "never computed in this store"
    assert by_label["w2s-bench-toy/largest · seed 1 · splits"]["why"] == "for w2s-bench-toy/largest · held-out items"
    assert found["counts"].keys() == {"to run", "waits"}
    lines = runner.invoke(app, command).stdout.splitlines()
    assert len(lines) == len(found["stages"]) + 1
    assert lines[-1].startswith(f"toy 1: {len(found['stages'])} stages (")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("--stage-timeout", "0"), ("--stage-timeout", "nan"), ("--stage-memory", "-1"), ("--stage-memory", "inf")],
)
def test_limits_that_are_none_are_the_users_mistake(suite: Path, option: str, value: str) -> None:
    assert "must be positive, got" in mistake("run", suite, option, value)


def test_results_that_are_none_are_explained(tmp_path: Path) -> None:
    assert "no cell files" in mistake("leaderboard", tmp_path)
    assert "no cell files" in mistake("verify", tmp_path)


def broken_plugin(tmp_path: Path) -> dict[str, str]:
    """The environment of a process with the toy plugin and one that cannot be imported."""
    info = tmp_path / "w2s_broken-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: w2s-broken\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[w2s_bench]\nbad = w2s_broken_module\n")
    (tmp_path / "w2s_broken_module.py").write_text("raise RuntimeError('bad day')\n")
    env = toy_environment()
    return env | {"PYTHONPATH": f"{tmp_path}:{env['PYTHONPATH']}"}


def test_a_broken_plugin_is_left_out_of_a_run_and_said(suite: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, env=broken_plugin(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "left out: entry point 'bad' of w2s-broken 0.1" in done.stderr
    assert "bad day" in done.stderr


def test_brackets_in_a_plugins_text_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    _print(
        {
            "trust": [
                {
                    "family": "other",
                    "track": "none",
                    "name": "acme/x",
                    "summary": "closes [/x] what [bold]nobody opened",
                }
            ]
        }
    )
    assert "closes [/x] what [bold]nobody opened" in capsys.readouterr().out
    cells = make_cells("acme/m[/x]") | make_cells("acme/m[/x]", arms=["acme/margin"])
    cells["acme/margin"] = change(
        cells["acme/margin"], arm=cells["acme/margin"].body.arm.model_copy(update={"name": "a/[/b]"})
    )
    print_leaderboard(build(cells.values(), Path("somewhere")), as_json=False)
    shown = capsys.readouterr().out
    assert "a/[/b]" in shown and "acme/m[/x]" in shown and "[bold]" not in shown


def test_a_broken_plugin_is_said_and_the_rest_works(tmp_path: Path) -> None:
    env = broken_plugin(tmp_path)
    done = subprocess.run([sys.executable, "-m", "w2s_bench", "list", "trust"], capture_output=True, text=True, env=env)
    assert done.returncode == 0
    assert "w2s-bench/confidence" in done.stdout
    assert "w2s-broken" in done.stderr
    assert "bad day" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--address", "head:6379"], "--address head:6379 is of a Ray cluster: give --executor ray too"),
        (["--slurm", "partition=long"], "--slurm partition=long is for jobs of Slurm: give --executor slurm too"),
        (["-x", "ray", "--slurm-gpu", "gres=gpu:1"], "--slurm-gpu gres=gpu:1 is for jobs of Slurm"),
        (
            ["-x", "slurm", "--slurm", "partitoin=long"],
            "unknown option of Slurm 'partitoin'; did you mean partition or",
        ),
        (["-x", "slurm", "--slurm", "array=1-9"], "every stage is a job of its own"),
        (["-x", "ray", "--address", "127.0.0.1:1"], "no Ray cluster answers at --address 127.0.0.1:1"),
    ],
)
def test_options_of_clusters_are_checked_before_anything_runs(suite: Path, arguments: list[str], said: str) -> None:
    assert said in mistake("run", suite, "--out", suite.parent / "out", *arguments)
    assert not list((suite.parent / "store").rglob("manifest.json"))


def test_without_slurm_the_next_step_is_said(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(suite.parent))
    said = mistake("run", suite, "--out", suite.parent / "out", "--executor", "slurm")
    assert "there is no sbatch here" in said and "--executor local" in said


def test_a_dry_run_imports_nothing_heavy(tmp_path: Path) -> None:
    code = """
import sys
from importlib import resources
from w2s_bench._cli.app import app
try:
    app(["run", "tiny", "--dry-run", "--store", sys.argv[1], "--out", sys.argv[1]])
except SystemExit as done:
    assert not done.code
heavy = {"torch", "transformers", "datasets", "lm_eval", "scipy", "matplotlib", "pandas", "pyarrow", "fsspec"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "new"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
