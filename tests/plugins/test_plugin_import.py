"""Whatever a plugin does when it is imported, asked for its names or built costs its own names alone.

Real distributions in folders on the path; each does its worst in the process that looks at it, never in this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Mapping
from importlib.metadata import EntryPoint, distributions
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from typer.testing import CliRunner

from support import LINUX, TESTS, small_suite_file, toy_environment, toy_registry, toy_suite
from w2s_bench._cli.app import app
from w2s_bench.errors import PluginError, W2SBenchError
from w2s_bench.names import BUILT_IN
from w2s_bench.plugins import memory as plugin_memory
from w2s_bench.plugins.checks import check_trust_function
from w2s_bench.plugins.planning import declarations, described_domain, described_model
from w2s_bench.plugins.registry import Registry
from w2s_bench.runs.plan import plan
from w2s_bench.suite import Suite

SOUND = """
    import os, pathlib
    from w2s_bench import Need, hookimpl
    MARK
    class T:
        "Scores nothing in particular."
        supervision, needs, scope, kinds = "none", (Need("teacher", "label_logprobs", when="choice"),), "row", ("choice",)
        def __init__(self, depth=1):
            BUILD
        def fit(self, evidence, correct, *, rng): ...
        def score(self, evidence, *, rng): ...
    @hookimpl
    def w2s_trust_functions():
        CALL
        return {"t": T}
"""
LIMIT = "6"  # seconds, for what hangs: it is waited for

HANG = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

#: Name → what it does, where, and what is said of it; None: it is sound all the same.
BAD: Mapping[str, tuple[str, str, str | None]] = {
    "os-exit": ("MARK", "os._exit(5)", "ended the process with exit code 5; it is tried again when it changes"),
    "sys-exit": ("MARK", "import sys; sys.exit('no licence')", "raised SystemExit: no licence"),
    "segfault": ("MARK", "import ctypes; ctypes.string_at(0)", "ended the process by SIGSEGV"),
    "kill": ("MARK", "os.kill(os.getpid(), 9)", "ended the process by SIGKILL"),
    "says": ("MARK", "print('no GPU,\\tsorry', flush=True); os._exit(3)", "code 3, last saying 'no GPU, sorry'"),
    "loop": ("MARK", HANG, f"took longer than {LIMIT} seconds, and was stopped; it is tried again"),
    "stop": ("MARK", "class Stop(BaseException): pass\n    raise Stop", "raised Stop"),
    "interrupt": ("MARK", "raise KeyboardInterrupt", "raised KeyboardInterrupt"),
    "generator": ("MARK", "raise GeneratorExit('x')", "raised GeneratorExit: x"),
    "mute": ("MARK", "class E(Exception):\n        def __str__(self): 1 / 0\n    raise E", "raised E"),
    "closes": ("MARK", "os.closerange(3, 1000)", "ended the process "),  # itself, or as if nobody asked any more
    "hook-exit": ("CALL", "os._exit(6)", "ended the process with exit code 6"),
    "hook-stop": ("CALL", "raise GeneratorExit", "w2s_trust_functions raised GeneratorExit"),
    "prints": ("MARK", "print('hello'); os.write(1, b'hello')", None),
    "reads": ("MARK", "import sys; assert sys.stdin.read() == ''", None),
    "forks": ("MARK", "os.fork()", None),
    "silent": ("MARK", "os.close(1); os.close(2)", None),
    "thread": ("MARK", "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()", None),
    "leaves": ("MARK", "import subprocess; subprocess.Popen(['sleep', '600'])", None),
    "at-exit": ("MARK", "import atexit; atexit.register(os._exit, 7)", None),
}
_number = count()


def install(folder: Path, distribution: str, source: str, *, version: str = "1.0") -> str:
    """Put a distribution of one module into `folder`; the module's name."""
    module = f"watched_plugin_{next(_number)}"  # of its own: imported modules stay
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(textwrap.dedent(source))
    describe(folder, distribution, version, f"main = {module}")
    return module


def describe(folder: Path, distribution: str, version: str, *entry_points: str, record: tuple[str, ...] = ()) -> Path:
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[w2s_bench]\n" + "\n".join(entry_points) + "\n")
    if record:
        (info / "RECORD").write_text("".join(f"{name},,\n" for name in record))
    return info


def sound(**replaced: str) -> str:
    source = SOUND
    for place in ("MARK", "BUILD", "CALL"):
        source = source.replace(place, replaced.get(place, "pass"))
    return source


def loaded(folder: Path) -> Registry:
    return Registry.load(entry_points=entry_points(folder))


def entry_points(folder: Path) -> list[EntryPoint]:
    return [e for d in distributions(path=[str(folder)]) for e in d.entry_points]


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if k != "W2S_BENCH_PLUGINS"}
    variables |= {"PYTHONPATH": str(folder), "W2S_BENCH_IMPORT_TIMEOUT": LIMIT, **environment}
    return subprocess.run(
        [sys.executable, "-m", "w2s_bench", *arguments], env=variables, capture_output=True, text=True, timeout=500
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path for distributions, with a memory of its own."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("W2S_BENCH_PLUGIN_CACHE", str(tmp_path / "memory"))
    monkeypatch.delenv("W2S_BENCH_PLUGINS", raising=False)
    return folder


# The command line, with all of them at once.


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """`list trust --json` twice with everything bad installed; each plugin notes when it is imported."""
    folder, memory = tmp_path_factory.mktemp("bad"), tmp_path_factory.mktemp("memory")
    for name, (place, mischief, _) in BAD.items():
        note = f"pathlib.Path({str(folder / name)!r}).open('a').write('x')\n    "
        mark = note + mischief if place == "MARK" else note + "pass"
        install(folder, name, sound(**{place: mischief} | {"MARK": mark}))
    install(folder, "zz-sound", sound())
    first = command(folder, "list", "trust", "--json", W2S_BENCH_PLUGIN_CACHE=str(memory))
    imports = {name: (folder / name).read_text() for name in BAD}
    second = command(folder, "list", "trust", "--json", W2S_BENCH_PLUGIN_CACHE=str(memory))
    again = {name: (folder / name).read_text().removeprefix(imports[name]) for name in BAD}
    return SimpleNamespace(folder=folder, first=first, second=second, again=again)


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_a_bad_import_is_named_and_the_rest_listed(commands: SimpleNamespace, name: str) -> None:
    said = BAD[name][2]
    for done in (commands.first, commands.second):
        listed = {one["name"] for one in json.loads(done.stdout)}
        assert done.returncode == 0 and "Traceback" not in done.stderr
        problems = [line for line in done.stderr.splitlines() if f"of {name} 1.0" in line]
        assert (f"{name}/t" in listed) == (said is None)
        assert [said in line for line in problems] == ([True] if said else [])


def test_the_built_ins_and_what_is_sound_are_listed(commands: SimpleNamespace) -> None:
    built_in = set(Registry.load([]).trust_functions)
    names = {one["name"] for one in json.loads(commands.first.stdout)}
    assert names == built_in | {"zz-sound/t"} | {f"{name}/t" for name, (_, _, said) in BAD.items() if said is None}
    (row,) = [one for one in json.loads(commands.first.stdout) if one["name"] == "zz-sound/t"]
    shown = ("name", "family", "from", "summary")
    assert [row[key] for key in shown] == ["zz-sound/t", "other", "zz-sound 1.0", "Scores nothing in particular."]


def test_what_is_remembered_is_not_imported_again(commands: SimpleNamespace) -> None:
    """All but those that raised, which is cheap, and may be mended by installing something."""
    raised = {name for name, (_, _, said) in BAD.items() if said and "raised" in said}
    assert {name for name, more in commands.again.items() if more} == raised


@pytest.mark.slow
def test_a_retry_imports_again_what_ended_the_process(site: Path, tmp_path: Path) -> None:
    install(site, "aa", sound(MARK=f"pathlib.Path({str(tmp_path / 'noted')!r}).open('a').write('x'); os._exit(1)"))
    install(site, "bb", sound(MARK=f"pathlib.Path({str(tmp_path / 'fine')!r}).open('a').write('x')"))
    lengths = []
    for extra in ([], [], ["--retry"]):
        assert command(site, "list", "plugins", "--json", *extra).returncode == 0
        lengths.append([len((tmp_path / name).read_text()) for name in ("noted", "fine")])
    assert lengths[0] == lengths[1] and lengths[2][0] > lengths[1][0] and lengths[2][1] == lengths[1][1]


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_a_limit_that_is_none(site: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("W2S_BENCH_IMPORT_TIMEOUT", text)
    done = CliRunner().invoke(app, ["list"])
    assert done.exit_code == 2 and f"W2S_BENCH_IMPORT_TIMEOUT={text!r} is no number of seconds" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_completes_with_the_rest(tmp_path: Path) -> None:
    suite = small_suite_file(tmp_path)
    for name in ("os-exit", "loop", "prints", "closes"):
        install(tmp_path / "site", name, sound(**{BAD[name][0]: BAD[name][1]}))
    install(tmp_path / "site", "dies-built", sound(BUILD="os._exit(4)"))
    environment = toy_environment(W2S_BENCH_IMPORT_TIMEOUT=LIMIT)
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path / "site")
    run = [sys.executable, "-m", "w2s_bench", "run", str(suite), "--out", str(tmp_path), "--json", "--workers", "1"]
    run += ["--store", str(tmp_path / "store")]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 1, done.stderr  # a plugin was left out
    rows = {row["arm"]: row for row in json.loads(done.stdout)["leaderboard"]["rows"]}
    assert {"w2s-bench-toy/prompt_hash", "confidence", "naive", "oracle"} <= set(rows)
    problems = json.loads(done.stdout)["problems"]
    assert [name for name in ("os-exit", "loop", "closes", "dies-built") if any(name in p for p in problems)] == [
        "os-exit",
        "loop",
        "closes",
        "dies-built",
    ]


def test_what_plugins_say_steers_no_terminal(site: Path) -> None:
    said = r"red \x1b[31m, bell \a, right to left \u202e, half \ud800, line\nfeed"
    install(site, "aa", sound(CALL=f'T.__doc__ = "{said}"'))
    install(site, "bb", sound(CALL=f'raise ValueError("{said}")'))
    describe(site, "c\x1b[31mc", "1\u202e0", "e\x1bf = no_such_module_at_all")
    for extra in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "w2s_bench", "list", "trust", *extra],
            env=os.environ | {"PYTHONPATH": str(site), "COLUMNS": "300"},
            capture_output=True,
        )
        assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
        assert b"bb 1.0" in done.stderr and b"\\x1b[31m" in done.stderr
        out, err = done.stdout.decode(), done.stderr.decode()
        assert not [c for c in out + err if c in "\x1b\a\u202e"]
        if extra:
            assert "half \ud800, line" in next(one["summary"] for one in json.loads(out) if one["name"] == "aa/t")
        else:
            assert "red \\x1b[31m, bell \\x07, right to left \\u202e, half \\ud800, line" in out


# Planning.


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return toy_suite(tmp_path_factory.mktemp("models"))


def test_planning_imports_nothing_of_third_parties(site: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    module = install(site, "aa", sound(BUILD="self.supervision = ('none', 'privileged')[depth > 1]"))
    before = {name for name in sys.modules if name.startswith("w2s_bench_toy")}
    registry = toy_registry(monkeypatch)
    one = registry.trust_functions["aa/t"]
    assert (one.summary, one.module, one.version) == ("Scores nothing in particular.", module, "1.0")
    cells = plan(suite, registry, trust=["aa/t", "aa/t:depth=2"]).cells
    arms = {cell.arm.ref.name: cell.arm for cell in cells if cell.arm.ref.role == "trust_function"}
    assert {name: arm.ref.supervision for name, arm in arms.items()} == {"aa/t": "none", "aa/t:depth=2": "privileged"}
    assert {arm.kinds for arm in arms.values()} == {("choice",)}
    assert len(registry.source_digest(one)) == 64
    assert module not in sys.modules
    assert {name for name in sys.modules if name.startswith("w2s_bench_toy")} == before
    assert registry.trust_function("aa/t", depth=2).supervision == "privileged" and module in sys.modules


def test_what_is_described_is_what_is_built(site: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        from types import SimpleNamespace
        from w2s_bench import hookimpl
        @hookimpl
        def w2s_models(): return {"m": lambda: SimpleNamespace(name="aa/m", fingerprint=lambda: "f", load=print)}
    """
    install(site, "aa", source)
    install(site, "bb", sound())
    registry = toy_registry(monkeypatch)
    described, built = described_domain(registry, "w2s-bench-toy/sums", {}), registry.domain("w2s-bench-toy/sums")
    for name in ("name", "version", "kind", "max_new_tokens"):
        assert getattr(described, name) == getattr(built, name)
    assert described.fingerprint() == built.fingerprint()
    assert (described_model(registry, "aa/m").name, described_model(registry, "aa/m").fingerprint()) == ("aa/m", "f")
    for name, parameters in (("w2s-bench/probe", {}), ("w2s-bench/probe", {"layer": 1}), ("bb/t", {"depth": 2})):
        (told,) = declarations(registry, [(name, parameters)])
        assert told == check_trust_function(name, registry.trust_function(name, **parameters))


BUILDS = {
    "os._exit(4)": "could not be built with parameters {}: it ended the process with exit code 4",
    "import ctypes; ctypes.string_at(0)": "could not be built with parameters {}: it ended the process by SIGSEGV",
    HANG: f"could not be built with parameters {{}}: it took longer than {LIMIT} seconds",
    "raise ValueError('no ' * 10**6)": "could not be built with parameters {}: ValueError: no no no ",
    "raise SystemExit(3)": "could not be built with parameters {}: SystemExit: 3",
    "self.needs = 3": "needs must be a tuple",
}


@pytest.mark.parametrize("mischief", [pytest.param(m, marks=pytest.mark.slow) if m == HANG else m for m in BUILDS])
def test_a_factory_costs_its_own_cells(
    site: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch, mischief: str
) -> None:
    install(site, "bad-one", sound(BUILD=mischief))
    install(site, "zz", sound())
    registry = toy_registry(monkeypatch)
    assert not registry.problems
    monkeypatch.setenv("W2S_BENCH_IMPORT_TIMEOUT", LIMIT)
    made = plan(suite, registry)
    (problem,) = made.problems
    assert "'bad-one/t' (entry point 'main' of bad-one 1.0)" in problem and BUILDS[mischief] in problem
    assert len(problem) < 3000
    arms = {cell.arm.ref.name for cell in made.cells}
    assert {"zz/t", "w2s-bench/confidence", "naive"} <= arms and "bad-one/t" not in arms
    with pytest.raises(W2SBenchError, match=r"of bad-one 1\.0"):
        plan(suite, registry, trust=["bad-one/t"])


def test_a_domain_or_model_that_ends_the_process_is_named(site: Path) -> None:
    source = """
        import os
        from types import SimpleNamespace
        from w2s_bench import hookimpl
        def made(): return SimpleNamespace(name="m", load=print, fingerprint=lambda: os._exit(8))
        @hookimpl
        def w2s_domains(): return {"d": lambda: os._exit(7)}
        @hookimpl
        def w2s_models(): return {"m": made}
    """
    install(site, "aa", source)
    registry = loaded(site)
    with pytest.raises(PluginError, match=r"domain 'aa/d' .*of aa 1.0\) could not be built .*with exit code 7$"):
        described_domain(registry, "aa/d", {})
    with pytest.raises(PluginError, match=r"model 'aa/m' .*of aa 1.0\) could not be built .*with exit code 8$"):
        described_model(registry, "aa/m")


@LINUX
@pytest.mark.parametrize("end", ["pass", "os._exit(3)", "time.sleep(600)"])
def test_no_process_that_an_import_starts_goes_on(
    site: Path, tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2S_BENCH_IMPORT_TIMEOUT", LIMIT)
    leave = "import subprocess, time; p = subprocess.Popen(['sleep', '600'], start_new_session=True)"
    install(site, "aa", sound(MARK=f"{leave}; open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); {end}"))
    loaded(site)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_whoever_comes_after_is_not_blamed(site: Path) -> None:
    """A plugin that ends the process when the next one is looked at: that one is asked again, alone."""
    ends = """
    import sys, threading, time
    def end():
        while "next" not in vars(os):
            time.sleep(0.01)
        os._exit(9)
    threading.Thread(target=end).start()
    os.watched = True"""
    waits = """
    import time
    os.next = True
    if "watched" in vars(os):
        time.sleep(600)"""
    install(site, "aa", sound(MARK=ends.strip()))
    install(site, "bb", sound(MARK=waits.strip()))
    assert set(loaded(site).trust_functions) == {"aa/t", "bb/t"}


# What is remembered.


def imports(site: Path) -> int:
    """How often the plugin with `NOTE` was imported until now."""
    return len((site / "noted").read_text()) if (site / "noted").exists() else 0


NOTE = "pathlib.Path(__file__).with_name('noted').open('a').write('x')"


def test_a_changed_source_is_looked_at_anew(site: Path) -> None:
    module = install(site, "aa", sound(MARK=NOTE))
    assert set(loaded(site).trust_functions) == {"aa/t"} and imports(site) == 1
    assert set(loaded(site).trust_functions) == {"aa/t"} and imports(site) == 1
    (site / f"{module}.py").write_text(textwrap.dedent(sound(MARK=NOTE)).replace('{"t": T}', '{"u": T}'))
    assert set(loaded(site).trust_functions) == {"aa/u"} and imports(site) == 2


def test_so_is_a_package_whose_data_changed(site: Path) -> None:
    package = site / "watched_package"
    (package / "data").mkdir(parents=True)
    names = "{p.stem: T for p in pathlib.Path(__file__).parent.glob('data/*.txt')}"
    (package / "__init__.py").write_text(textwrap.dedent(sound()).replace('{"t": T}', names))
    describe(site, "aa", "1.0", "main = watched_package")
    for names in ({"one"}, {"one", "two"}):
        for name in names:
            (package / "data" / f"{name}.txt").touch()
        assert set(loaded(site).trust_functions) == {f"aa/{name}" for name in names}


def test_so_is_one_whose_environment_changed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = sound(MARK=NOTE, CALL="if os.environ.get('WATCHED_NAMES'): return {'v': T}")
    install(site, "aa", source)
    assert set(loaded(site).trust_functions) == {"aa/t"} and imports(site) == 1
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    assert set(loaded(site).trust_functions) == {"aa/t"} and imports(site) == 1
    monkeypatch.setenv("WATCHED_NAMES", "1")
    assert set(loaded(site).trust_functions) == {"aa/v"} and imports(site) == 2
    monkeypatch.delenv("WATCHED_NAMES")
    assert set(loaded(site).trust_functions) == {"aa/t"} and imports(site) == 2


def test_what_was_missing_may_be_installed(site: Path) -> None:
    install(site, "aa", sound(MARK="import watched_dependency"))
    assert "No module named 'watched_dependency'" in str(loaded(site).problems[0])
    (site / "watched_dependency.py").touch()
    assert not loaded(site).problems


@pytest.mark.slow
def test_a_plugin_that_took_too_long_gets_more_time_when_asked(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "aa", sound(MARK=f"import time; {NOTE}; time.sleep(4)"))
    monkeypatch.setenv("W2S_BENCH_IMPORT_TIMEOUT", "1")
    assert "took longer than 1 seconds" in str(loaded(site).problems[0]) and imports(site) == 1
    monkeypatch.setenv("W2S_BENCH_IMPORT_TIMEOUT", "0.5")
    assert "took longer than 1 seconds" in str(loaded(site).problems[0]) and imports(site) == 1
    monkeypatch.setenv("W2S_BENCH_IMPORT_TIMEOUT", "300")
    assert not loaded(site).problems and imports(site) == 2


def test_who_waits_is_told_for_which_plugin(site: Path) -> None:
    install(site, "aa", sound(MARK="os._exit(3)"))
    install(site, "bb", sound())
    told: list[str] = []

    def load() -> Registry:
        told.clear()
        return Registry.load(entry_points=entry_points(site), awaits=told.append)

    registry = load()
    assert list(dict.fromkeys(told)) == ["importing plugin aa", "importing plugin bb", ""] and told[-1] == ""
    told.clear()
    declarations(registry, [("bb/t", {})])
    assert list(dict.fromkeys(told)) == ["building trust function bb/t", ""]
    registry = load()
    assert told == [], "it is remembered"
    declarations(registry, [("bb/t", {})])
    assert told == []


def test_a_crash_is_tried_again_after_a_while(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "aa", sound(MARK=f"{NOTE}; os.kill(os.getpid(), 9)"))
    assert loaded(site).problems and loaded(site).problems and imports(site) == 1
    monkeypatch.setattr(plugin_memory, "RETRY_AFTER", 0.0)
    assert loaded(site).problems and imports(site) == 2


def test_a_broken_memory_is_no_error(site: Path, tmp_path: Path) -> None:
    install(site, "aa", sound(MARK=NOTE))
    loaded(site)
    (file,) = (tmp_path / "memory").iterdir()
    text = file.read_text()
    for i, broken in enumerate(("", "{", "[" * 100_000, "null", "\0", text.replace("aa/t", "aa/x"), '{"digest": 1}')):
        file.write_text(broken)
        assert set(loaded(site).trust_functions) == {"aa/t"} and imports(site) == 2 + i
        assert file.read_text() != broken
    file.unlink()
    file.mkdir()
    assert set(loaded(site).trust_functions) == {"aa/t"}
    assert [path.name for path in (tmp_path / "memory").iterdir()] == [file.name]


@pytest.mark.parametrize("where", ["", "/proc/no/such", __file__])
def test_a_memory_that_cannot_be_kept_is_no_error(site: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    install(site, "aa", sound(MARK=NOTE))
    monkeypatch.setenv("W2S_BENCH_PLUGIN_CACHE", where)
    for times in (1, 2):
        assert set(loaded(site).trust_functions) == {"aa/t"} and imports(site) == times


def test_the_memory_stays_small(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_memory, "_MOST_FILES", 4)
    install(site, "aa", sound())
    registry = loaded(site)
    for depth in range(6):
        declarations(registry, [("aa/t", {"depth": depth})])
    assert len(list((tmp_path / "memory").iterdir())) <= 4


@pytest.mark.slow
def test_many_may_remember_at_once(site: Path, tmp_path: Path) -> None:
    install(site, "aa", sound())
    code = f"""
        import sys
        sys.path[:0] = [{str(TESTS)!r}, {str(Path(__file__).parent)!r}]
        from pathlib import Path
        from test_plugin_import import loaded
        assert set(loaded(Path({str(site)!r})).trust_functions) == {{"aa/t"}}
    """
    variables = os.environ | {"PYTHONPATH": str(site)}
    several = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=variables) for _ in range(4)]
    assert [one.wait(300) for one in several] == [0] * 4
    (file,) = (tmp_path / "memory").iterdir()
    assert json.loads(file.read_text())["answer"]["told"]["provides"][0]["name"] == "aa/t"


# Sources.


def digest(site: Path, name: str) -> str:
    registry = loaded(site)
    return registry.source_digest(registry.trust_functions[name])


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("module", ["made_up_space.mine.trust", "made_up_space.mine"])
def test_a_namespace_package_is_digested_as_far_as_it_is_its_own(site: Path, recorded: bool, module: str) -> None:
    mine, other = site / "made_up_space" / "mine", site / "made_up_space" / "other"
    for folder in (mine, other):
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(textwrap.dedent(sound()))
        (folder / "trust.py").write_text("from made_up_space.mine.more import *\n" + textwrap.dedent(sound()))
        (folder / "more.py").touch()
    (mine / "__init__.py").write_text("from . import more\n" + textwrap.dedent(sound()))
    record = tuple(f"made_up_space/mine/{name}.py" for name in ("__init__", "trust", "more")) if recorded else ()
    describe(site, "made-up-mine", "1.0", f"main = {module}", record=record)
    first = digest(site, "made-up-mine/t")
    (other / "more.py").write_text("x = 1\n")
    (site / "made_up_space" / "third.py").write_text("x = 1\n")
    assert digest(site, "made-up-mine/t") == first
    (mine / "more.py").write_text("x = 1\n")
    assert digest(site, "made-up-mine/t") != first
    assert not any(name.startswith("made_up_space.") for name in sys.modules)


def test_a_folder_without_init_is_digested_whole(site: Path) -> None:
    """Where it cannot be seen what it imports: rather too much than a helper unseen."""
    folder = site / "made_up_folder"
    folder.mkdir()
    (folder / "trust.py").write_text("import importlib\n" + textwrap.dedent(sound()))
    (folder / "helper.py").touch()
    describe(site, "made-up-folder", "1.0", "main = made_up_folder.trust")
    first = digest(site, "made-up-folder/t")
    (folder / "helper.py").write_text("x = 1\n")
    assert digest(site, "made-up-folder/t") != first


def test_a_factory_from_another_package_counts(site: Path) -> None:
    other = install(site, "library", sound())
    (site / "library-1.0.dist-info" / "entry_points.txt").unlink()
    install(
        site,
        "aa",
        f"from w2s_bench import hookimpl\nfrom {other} import T\n@hookimpl\n"
        "def w2s_trust_functions(): return {'t': T}\n",
    )
    first = digest(site, "aa/t")
    (site / f"{other}.py").write_text(textwrap.dedent(sound()) + "# changed\n")
    assert digest(site, "aa/t") != first


def test_an_editable_installation_is_digested_where_it_lies(site: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree" / "made_up_editable"
    tree.mkdir(parents=True)
    (tree / "__init__.py").write_text(textwrap.dedent(sound()) + "\n\ndef late():\n    from . import more\n")
    describe(site, "editable", "1.0", "main = made_up_editable", record=("_editable.pth",))
    sys.path.append(str(tree.parent))
    try:
        first = digest(site, "editable/t")
        (tree / "more.py").write_text("x = 1\n")
        assert digest(site, "editable/t") != first
    finally:
        sys.path.remove(str(tree.parent))


def test_a_plugin_in_a_zip_is_listed_and_says_how_to_install_it(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = install(site, "zipped", sound())
    with zipfile.ZipFile(site / "plugins.zip", "w") as file:
        file.write(site / f"{module}.py", f"{module}.py")
    (site / f"{module}.py").unlink()
    monkeypatch.syspath_prepend(str(site / "plugins.zip"))
    registry = loaded(site)
    with pytest.raises(
        PluginError, match=f"the source of module '{module}' cannot be found; install it as Python files"
    ):
        registry.source_digest(registry.trust_functions["zipped/t"])


# A second distribution called as the harness.


@pytest.mark.parametrize("entry", [(), ("tasks = w2s_bench_tasks",), ("rogue = no_such_module_at_all",)])
@pytest.mark.parametrize("version", ["0.0.1", "0.1.0", "9.9"])
def test_a_second_distribution_of_our_name_hides_nothing(site: Path, version: str, entry: tuple[str, ...]) -> None:
    describe(site, BUILT_IN, version, *entry)
    registry = Registry.load([])
    assert {"w2s-bench/confidence", "w2s-bench/probe"} <= set(registry.trust_functions)
    assert "w2s-bench/knowledge" in registry.domains and "tiny/math-s" in registry.models
    (problem,) = registry.problems
    assert (problem.distribution, problem.version) == (BUILT_IN, version)
    assert f"is not the one that runs: nothing of it is loaded (in {site}; uninstall it" in problem.cause
