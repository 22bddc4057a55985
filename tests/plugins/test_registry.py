"""Plugins are loaded one by one under guard, names resolve as documented, and what factories build is checked."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from support import BUNDLED
from w2s_bench import hookspecs
from w2s_bench.errors import ModelError, PluginError, UnknownNameError, W2SBenchError
from w2s_bench.plugins.checks import check_domain_unchanged
from w2s_bench.plugins.hooks import HOOKS, RESERVED_PREFIXES, EntryKind
from w2s_bench.plugins.installation import called_so
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.spec import parse_spec, write_spec
from w2s_bench.types import Need

SOUND = """
    from w2s_bench import Need, hookimpl
    class Sound:
        '''Scores nothing in particular.

        More.'''
        supervision, needs, scope = "none", (), "row"
        def __init__(self, depth=1): self.depth = depth
        def score(self, evidence, *, rng): ...
    @hookimpl
    def w2s_trust_functions(): return {"sound": Sound}
"""

Install = Callable[..., None]
_number = count()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A folder on sys.path that distributions are put into; `load` sees those and no other, but `built_in` if so wished."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("W2S_BENCH_PLUGINS", raising=False)

    def install(
        distribution: str, source: str, *, entry_points: tuple[str, ...] = ("main",), version: str = "1.0"
    ) -> str:
        module = f"made_up_plugin_{next(_number)}"  # of its own: imported modules stay
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [name if "=" in name else f"{name} = {module}" for name in entry_points]
        (info / "entry_points.txt").write_text("[w2s_bench]\n" + "\n".join(lines) + "\n")
        return module

    def entry_points() -> list[EntryPoint]:
        return [e for d in distributions(path=[str(tmp_path)]) for e in d.entry_points]

    def load(restrict: list[str] | None = None, *, built_in: bool = False) -> Registry:
        ours = [one for one in called_so()[0].entry_points if one.group == "w2s_bench"] if built_in else []
        return Registry.load(restrict, entry_points=[*ours, *entry_points()])

    return SimpleNamespace(install=install, load=load, path=tmp_path)


def only_problem(registry: Registry) -> str:
    assert len(registry.problems) == 1, registry.problems
    return str(registry.problems[0])


def test_built_ins_are_there_and_resolve_by_bare_name() -> None:
    registry = Registry.load([])
    assert not registry.problems
    assert {"w2s-bench/confidence", "w2s-bench/probe", "w2s-bench/student_probe", "w2s-bench/verifier"} <= set(
        registry.trust_functions
    )
    assert set(registry.domains) >= {f"w2s-bench/{domain}" for domain in BUNDLED}
    assert registry.resolve("trust_function", "probe").name == "w2s-bench/probe"
    assert registry.trust_function("confidence").supervision == "none"
    assert registry.domain("math").kind == "generate"


def test_loading_and_building_import_nothing_heavy() -> None:
    code = """
        import sys
        from w2s_bench.plugins.registry import Registry
        registry = Registry.load([])
        for name in registry.trust_functions: registry.trust_function(name)
        for name in registry.domains: registry.domain(name)
        for one in registry.models: registry.model(one)
        print(*sorted({"torch", "transformers", "datasets", "lm_eval", "chess", "peft"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_sound_plugin(site: SimpleNamespace) -> None:
    site.install("Sound_Plugin", SOUND, version="2.5")
    registry = site.load()
    assert [p.status for p in registry.plugins] == ["ok"]
    one = registry.trust_functions["sound-plugin/sound"]
    assert (one.distribution, one.version, one.entry_point) == ("sound-plugin", "2.5", "main")
    assert one.summary == "Scores nothing in particular."
    for name in ("sound", "sound-plugin/sound", "Sound_Plugin/sound"):
        assert registry.resolve("trust_function", name) is one
    assert registry.trust_function("sound", depth=3).depth == 3  # type: ignore[attr-defined]


BROKEN = {
    "import": ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "exit": ("raise SystemExit('bye')", "SystemExit: bye"),
    "syntax": ("def", "SyntaxError"),
    "raises": ("w2s_trust_functions = hookimpl(lambda: 1 / 0, specname='w2s_trust_functions')", "ZeroDivisionError"),
    "list": ("@hookimpl\ndef w2s_domains(): return ['a']", "returned a list; return a mapping"),
    "none": ("@hookimpl\ndef w2s_domains(): pass", "returned a NoneType; return a mapping"),
    "number": ("@hookimpl\ndef w2s_domains(): return {1: dict}", "1 is no name"),
    "slash": ("@hookimpl\ndef w2s_domains(): return {'a/b': dict}", "'a/b' is no name"),
    "markup": ("@hookimpl\ndef w2s_models(): return {'<b>': dict}", "'<b>' is no name"),
    "instance": ("@hookimpl\ndef w2s_domains(): return {'a': object()}", "'a' maps to a object, which"),
    "misspelt": ("@hookimpl\ndef w2s_trust_function(): return {}", "did you mean w2s_trust_functions?"),
    "undecorated": ("def w2s_domains(): return {}", "w2s_domains lacks its decorator"),
    "hookless": ("x = 1", "implements none of w2s_trust_functions"),
    "arguments": ("@hookimpl\ndef w2s_domains(config): return {}", "config"),
    "wrapper": ("@hookimpl(wrapper=True)\ndef w2s_domains():\n    return (yield)", "returned a generator"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_one_problem_and_the_rest_loads(site: SimpleNamespace, case: str) -> None:
    source, cause = BROKEN[case]
    site.install("zz-sound", SOUND)
    site.install("broken-one", f"from w2s_bench import hookimpl\n{source}", entry_points=("bad",), version="0.7")
    registry = site.load()
    problem = only_problem(registry)
    assert "'bad'" in problem and "broken-one 0.7" in problem and cause in problem
    assert list(registry.trust_functions) == ["zz-sound/sound"]
    assert {p.distribution: p.status for p in registry.plugins} == {"broken-one": "broken", "zz-sound": "ok"}


def test_a_missing_attribute_of_the_entry_point(site: SimpleNamespace) -> None:
    site.install("broken-one", "", entry_points=("bad = json:nothing",))
    assert "AttributeError" in only_problem(site.load())


def test_several_faults_are_one_problem_and_sound_names_stay(site: SimpleNamespace) -> None:
    more = "\n    @hookimpl\n    def w2s_domains(): return {'a b': dict, 'c': 3}\n"
    site.install("half", SOUND + more)
    registry = site.load()
    problem = only_problem(registry)
    assert "'a b' is no name" in problem and "'c' maps to a int" in problem
    assert list(registry.trust_functions) == ["half/sound"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HOOKS["trust_function"].reserved))
def test_arms_of_the_harness_are_reserved(site: SimpleNamespace, name: str) -> None:
    site.install("greedy", SOUND.replace('"sound"', repr(name)))
    assert f"{name!r} is reserved" in only_problem(site.load())


@pytest.mark.parametrize("name", sorted(RESERVED_PREFIXES))
def test_prefixes_are_reserved(site: SimpleNamespace, name: str) -> None:
    site.install(name, SOUND)
    registry = site.load()
    assert f"{name!r} is reserved" in only_problem(registry) and not registry.trust_functions


def test_a_full_name_given_twice_names_both_and_stands_for_neither(site: SimpleNamespace) -> None:
    other = site.install("elsewhere", SOUND.replace('"sound"', '"other"'))
    mine = site.install("twice", SOUND, entry_points=("one", "two = copy_of_it"))
    (site.path / "copy_of_it.py").write_text(textwrap.dedent(SOUND))
    registry = site.load()
    assert len(registry.problems) == 2 and other
    for problem in registry.problems:
        assert "'twice/sound' is given more than once" in str(problem)
        assert f"'one' ({mine}) of twice 1.0 and 'two' (copy_of_it) of twice 1.0" in str(problem)
    assert list(registry.trust_functions) == ["elsewhere/other"]


def test_bare_names_ambiguous_and_unknown(site: SimpleNamespace) -> None:
    site.install("aa", SOUND)
    site.install("bb", SOUND)
    site.install("cc", "import nowhere_at_all")
    registry = site.load()
    with pytest.raises(UnknownNameError, match=r"aa/sound.*bb/sound.*write one in full"):
        registry.resolve("trust_function", "sound")
    with pytest.raises(UnknownNameError, match="did you mean aa/sound"):
        registry.resolve("trust_function", "aa/sond")
    with pytest.raises(UnknownNameError, match="Did not load whole: entry point 'main' of cc"):
        registry.resolve("trust_function", "cc/sound")
    with pytest.raises(
        UnknownNameError, match=r"'w2s-bench-more' is not installed; .* pip install \./plugins/w2s-bench-more\."
    ):
        registry.resolve("domain", "W2S_Bench_More/words")
    with pytest.raises(UnknownNameError) as foreign:  # nobody knows whose that name is on an index
        registry.resolve("domain", "dd/words")
    assert "pip" not in str(foreign.value)


def test_the_built_in_distribution_wins_a_bare_name(site: SimpleNamespace) -> None:
    site.install("aa", SOUND.replace('"sound"', '"confidence"'))
    registry = site.load(built_in=True)
    assert registry.resolve("trust_function", "confidence").name == "w2s-bench/confidence"
    assert [p.distribution for p in registry.plugins] == ["w2s-bench", "w2s-bench", "aa"]


def test_built_in_models_are_called_tiny(site: SimpleNamespace) -> None:
    site.install("aa", "from w2s_bench import hookimpl\n@hookimpl\ndef w2s_models(): return {'math-s': dict}")
    registry = site.load(built_in=True)
    assert {"tiny/math-s", "aa/math-s"} <= set(registry.models)
    assert registry.resolve("model", "math-s").name == "tiny/math-s"


def test_bundled_models_are_named_after_their_domain() -> None:
    registry = Registry.load([])
    assert set(registry.models) == {f"tiny/{domain}-{size}" for domain in BUNDLED for size in "sml"}
    assert all(registry.model(name).name == name for name in registry.models)


@pytest.mark.parametrize("by", ["distribution", "entry point", "environment"])
def test_restriction(site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    site.install("good-one", SOUND, entry_points=("good",))
    site.install("broken-one", "1 / 0", entry_points=("bad",))
    if by == "environment":
        monkeypatch.setenv("W2S_BENCH_PLUGINS", " Good_One ,")
    restrict = {"distribution": ["good-one"], "entry point": ["good"], "environment": None}[by]
    registry = site.load(restrict, built_in=True)
    assert {p.distribution: p.status for p in registry.plugins} == {
        "w2s-bench": "ok",
        "good-one": "ok",
        "broken-one": "left out",
    }
    assert not registry.problems
    with pytest.raises(UnknownNameError, match="Left out by W2S_BENCH_PLUGINS: broken-one"):
        registry.resolve("trust_function", "broken-one/x")
    with pytest.raises(UnknownNameError, match="did you mean good-one"):
        site.load(["good-on"])


def test_an_empty_restriction_keeps_the_built_ins(site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("aa", SOUND)
    monkeypatch.setenv("W2S_BENCH_PLUGINS", "")
    assert set(site.load(built_in=True).trust_functions) == set(Registry.load([]).trust_functions)


WRONG = {
    "supervision": ('"none", (), "row"', '"gold", (), "row"', "supervision must be one of 'none'"),
    "scope": ('"none", (), "row"', '"none", (), "rows"', "scope must be one of 'row', 'pool'"),
    "needs": ('"none", (), "row"', '"none", ["x"], "row"', "needs must be a tuple"),
    "need": ("(),", '(Need("oracle", "choice_probs"),),', "names no evidence"),
    "layer": ("(),", '(Need("teacher", "hidden_states", "top"),),', "must be an integer, 'middle' or 'all'"),
    "verifier": ("(),", '(Need("verifier", "choice_probs"),),', "trained on the trust set's gold"),
    "fit": ('"none",', '"trust_set",', "without attribute 'fit'"),
    "score": ("def score(self, evidence, *, rng)", "def score(self, evidence)", r"cannot be called as score\(evidence"),
    "missing": ("scope =", "ranges =", "without attribute 'scope'"),
    "raises": ("self.depth = depth", "1 / 0", "could not be built .* ZeroDivisionError"),
    "exits": ("self.depth = depth", "raise SystemExit(3)", "could not be built .* SystemExit: 3"),
    "kind": ('"none", (), "row"', '"none", (), "row"; kinds = ("essay",)', r"kinds must be a tuple of 'choice', 'gen"),
    "no kind": ('"none", (), "row"', '"none", (), "row"; kinds = ()', r"write for example kinds = \('choice',\)"),
    "when": ("(),", '(Need("teacher", "label_logprobs", when="essay"),),', "`when` of need .* must be one of 'choice'"),
    "needs raise": (
        "def __init__",
        "needs = property(lambda self: __import__('sys').exit())\n        def __init__",
        r"needs raised SystemExit: .*py:\d+ in",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG)
def test_what_a_factory_builds_is_checked(site: SimpleNamespace, case: str) -> None:
    old, new, message = WRONG[case]
    assert old in SOUND
    site.install("wrong-one", SOUND.replace(old, new), entry_points=("bad",), version="3.1")
    registry = site.load()
    with pytest.raises(PluginError, match=message) as caught:
        registry.trust_function("sound")
    assert "wrong-one/sound" in str(caught.value) and "wrong-one 3.1" in str(caught.value)


def test_an_interruption_while_building_passes(site: SimpleNamespace) -> None:
    site.install("aa", SOUND.replace("self.depth = depth", "raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        site.load().trust_function("sound")


def test_planning_names_the_plugin_whose_code_raises(site: SimpleNamespace) -> None:
    site.install(
        "aa", "from w2s_bench import hookimpl\n@hookimpl\ndef w2s_domains(): return {'d': dict}", version="4.2"
    )
    registry = site.load()

    def fingerprint() -> str:
        raise SystemExit("no")

    said = (
        r"domain 'aa/d' \(entry point 'main' of aa 4.2\): fingerprint\(\) raised SystemExit: no \(test_registry.py:\d+"
    )
    with pytest.raises(PluginError, match=said):
        registry.guarded("domain", "aa/d", "fingerprint()", fingerprint)
    assert registry.guarded("domain", "d", "version", lambda: "1") == "1"
    with pytest.raises(ModelError, match="on purpose"):
        registry.guarded("domain", "d", "task()", lambda: _raise(ModelError("on purpose")))


def _raise(error: BaseException) -> None:
    raise error


def test_a_domain_that_changed_during_a_run_is_refused() -> None:
    domain: Any = SimpleNamespace(fingerprint=lambda: "now")
    check_domain_unchanged(domain, {"name": "aa/d", "fingerprint": "now"})
    with pytest.raises(PluginError, match="domain 'aa/d' changed on disk since the run began; run again"):
        check_domain_unchanged(domain, {"name": "aa/d", "fingerprint": "then"})


def test_scores_depend_on_the_versions_of_what_the_plugin_requires(site: SimpleNamespace) -> None:
    site.install("aa", SOUND)
    requires = ["w2s-bench", "PyYAML>=6", "scikit_learn (>=1)", 'pluggy; python_version > "3"', "not-there-at-all"]
    requires += ["rich; extra == 'show'", 'typer[all]>=0.1; extra=="show"', "safetensors[torch]~=0.5"]
    metadata = site.path / "aa-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text() + "".join(f"Requires-Dist: {one}\n" for one in requires))
    other = site.path / "scikit_learn-1.5.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 1.5\n")
    registry = site.load()
    libraries = registry.libraries(registry.trust_functions["aa/sound"])
    assert libraries == ("numpy", "pluggy", "pyyaml", "safetensors", "scikit-learn", "scipy")


def test_scores_depend_on_the_versions_of_what_the_code_imports(site: SimpleNamespace) -> None:
    """Inside functions too, by the name of the distribution; Python's own modules and those beside it have no version."""
    site.install("aa", SOUND.replace("*, rng): ...", "*, rng): import rich.table, yaml, no_such_module"))
    registry = site.load()
    libraries = registry.libraries(registry.trust_functions["aa/sound"])
    assert libraries == ("numpy", "pyyaml", "rich", "scipy")
    built_in = Registry.load([])
    named = ("probe", "calibrated", "ntf")
    told = {name: built_in.libraries(built_in.trust_functions[f"w2s-bench/{name}"]) for name in named}
    plain = ("numpy", "scipy")
    assert told == {"probe": plain, "calibrated": ("numpy", "scikit-learn", "scipy"), "ntf": (*plain, "torch")}


def test_parameters_are_checked(site: SimpleNamespace) -> None:
    site.install("aa", SOUND.replace("depth=1", "depth, *, width=2"))
    registry = site.load()
    with pytest.raises(UnknownNameError, match="'dept'; did you mean depth"):
        registry.trust_function("sound", dept=2)
    with pytest.raises(PluginError, match="needs a value for depth; write aa/sound:depth=…"):
        registry.trust_function("sound")
    assert registry.trust_function("sound", depth=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("annotation", "right", "wrong", "said"),
    [
        ("int", (3, -1), (2.5, 1.0, "3", True, None), "a whole number"),
        ("int | None", (3, None), (2.5, False), "a whole number or null"),
        ("bool", (True, False), ("no", 0, None), "true or false"),
        ("float", (3, 2.5), (), ""),
        ("int | str", (3, "all", 2.5), (), ""),  # of what may be several things, the function itself knows which
    ],
)
@pytest.mark.parametrize("future", [True, False], ids=["annotations are text", "annotations are types"])
def test_a_parameter_is_what_its_annotation_says(
    site: SimpleNamespace, annotation: str, right: tuple[Any, ...], wrong: tuple[Any, ...], said: str, future: bool
) -> None:
    source = SOUND.replace("depth=1", f"depth: {annotation} = 1")
    site.install("aa", "    from __future__ import annotations\n" * future + source.lstrip("\n"))
    registry = site.load()
    for value in right:
        assert registry.trust_function("sound", depth=value).depth is value
    for value in wrong:
        with pytest.raises(PluginError, match=rf"sound.*: depth must be {said}, got {value!r}"):
            registry.trust_function("sound", depth=value)


def test_a_domain_and_a_model_are_checked(site: SimpleNamespace) -> None:
    source = """
        from functools import partial
        from types import SimpleNamespace
        from w2s_bench import hookimpl
        METHODS = {"task": print, "fields": print, "fingerprint": print}
        made = partial(SimpleNamespace, name="d", version="1", max_new_tokens=None, **METHODS)
        @hookimpl
        def w2s_domains(): return {k: partial(made, kind=v) for k, v in KINDS.items()}
        @hookimpl
        def w2s_models(): return {"bad": lambda: SimpleNamespace(name="", fingerprint=print, load=3)}
        KINDS = {"good": "choice", "bad": "generate", "odd": "essay"}
    """
    site.install("aa", source)
    registry = site.load()
    assert registry.domain("good").kind == "choice"
    with pytest.raises(PluginError, match="max_new_tokens of a generate domain"):
        registry.domain("bad")
    with pytest.raises(PluginError, match="kind must be one of 'choice', 'generate', got 'essay'"):
        registry.domain("odd")
    with pytest.raises(PluginError, match="name must be a non-empty string"):
        registry.model("bad")


def test_the_source_digest_follows_the_code(site: SimpleNamespace) -> None:
    package = site.path / "digested_package" / "inner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("from digested_package.inner import code\n" + textwrap.dedent(SOUND))
    (package / "code.py").write_text("x = 1\n")
    (package / "notes.txt").write_text("not code\n")
    site.install("aa", "", entry_points=("main = digested_package",))

    def digest() -> str:
        registry = site.load()
        return registry.source_digest(registry.resolve("trust_function", "sound"))

    first = digest()
    assert len(first) == 64 and digest() == first
    (package / "notes.txt").write_text("still not code\n")
    assert digest() == first
    (package / "code.py").write_text("x = 2\n")
    assert digest() != first


def test_a_package_is_read_once_by_who_asks_of_all_its_functions_at_one_moment(
    site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2s_bench.plugins.source import Moment

    site.install("aa", SOUND)
    registry, read, content = site.load(), [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read.append(self) or content(self))
    one = registry.resolve("trust_function", "sound")
    now = Moment()
    assert len({registry.source_digest(one, now) for _ in range(3)}) == 1 and len(read) == 1
    assert registry.source_digest(one) in {registry.source_digest(one, now)} and len(read) == 2, "anew otherwise"


def test_the_source_digest_of_a_single_module(site: SimpleNamespace) -> None:
    site.install("aa", SOUND)
    site.install("bb", SOUND + "    # other\n")
    registry = site.load()
    digests = {registry.source_digest(one) for one in registry.trust_functions.values()}
    assert len(digests) == 2


def test_models_from_elsewhere(tmp_path: Path) -> None:
    registry = Registry.load([])
    (tmp_path / "config.json").write_text("{}")
    for file in ("model.safetensors", "tokenizer.json"):
        (tmp_path / file).write_bytes(b"")
    model = registry.model(f"local/{tmp_path}")
    assert model.name == f"local/{tmp_path}" and model.fingerprint()
    assert registry.resolve("model", str(tmp_path)).name == f"local/{tmp_path}"
    hub = registry.model(f"hf/someone/something@{'a' * 40}")
    assert hub.name == f"hf/someone/something@{'a' * 40}"
    with pytest.raises(ModelError, match="write hf/<owner>/<name>@<commit>"):
        registry.model("hf/someone/something")
    with pytest.raises(ModelError, match="there is no folder"):
        registry.model("local/no/such/folder")
    with pytest.raises(UnknownNameError, match="unknown model 'no-such-model'"):
        registry.model("no-such-model")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("probe", ("probe", {})),
        ("probe:", None),
        ("a/b:x=1", ("a/b", {"x": 1})),
        ("p:x=1.5,y=abc,z=true,w=null", ("p", {"x": 1.5, "y": "abc", "z": True, "w": None})),
        ("p:l2=1e-3", ("p", {"l2": 0.001})),
        ("p:l2=-2.5E+2", ("p", {"l2": -250.0})),
        ("p:layers=[1,2], folds=3", ("p", {"layers": [1, 2], "folds": 3})),
        ("p:text='a,b', other=\"1\"", ("p", {"text": "a,b", "other": "1"})),
        ("p:x=", ("p", {"x": None})),
        ("p:x=a:b", ("p", {"x": "a:b"})),
        ("", None),
        (":x=1", None),
        ("p:x", None),
        ("p:1x=2", None),
        ("p:x=1,x=2", None),
        ("p:x=[1", None),
        ("p:x=[1e-3, .5e1, a]", ("p", {"x": [0.001, 5.0, "a"]})),
        ("p:x={a: 1e3}", ("p", {"x": {"a": 1000.0}})),
        ("p:x='2020-01-01'", ("p", {"x": "2020-01-01"})),
        ("p:x=2020-01-01", None),
        ("p:x=[2020-01-01]", None),
        ("p:x=2020-13-45", None),
        ("p:x=.nan", None),
        ("p:x=NaN", None),
        ("p:x=[.inf]", None),
        ("p:x=1e999", None),
        ("p:x={1: a}", None),
        ("p:x={true: a}", None),
        ("p:x=!!binary aGk=", None),
        ("p:x=!!set {a, b}", None),
        ("p:x=&a [*a]", None),
        ('p:x="\\ud800"', None),
        pytest.param(f"p:x={'[' * 9999}", None, id="deep"),
    ],
)
def test_parse_spec(text: str, expected: tuple[str, dict[str, object]] | None) -> None:
    if expected is None:
        with pytest.raises(W2SBenchError, match=r"name|quotes|key=value|twice"):
            parse_spec(text)
    else:
        assert parse_spec(text) == expected


def test_needs_follow_parameters() -> None:
    registry = Registry.load([])
    assert registry.trust_function("probe").needs == (Need("teacher", "hidden_states", "all"),)
    assert registry.trust_function("student_probe", layer=1).needs == (Need("student", "hidden_states", 1),)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"x": 1},
        {"x": "1"},
        {"x": 1e-3},
        {"x": "1e-3"},
        {"x": None},
        {"x": "null"},
        {"x": "a,b=c", "y": [1, "z"]},
        {"x": "mean"},
        {"x": [1e-5, 1e22]},
        {"x": "\x7f 😀 \n"},
        {"x": {"a": [None, True, 1, 1.0]}},
    ],
)
def test_what_is_written_reads_back(parameters: dict[str, object]) -> None:
    assert parse_spec(write_spec("a/f", parameters)) == ("a/f", parameters)


def test_every_hook_of_the_contract_has_its_row() -> None:
    """The table that loading, naming, listing and building go by is the contract's, name for name."""
    specified = {
        name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.hookspec.project_name}_spec")
    }
    assert {hook.name for hook in HOOKS.values()} == specified
    assert tuple(HOOKS) == get_args(EntryKind)
