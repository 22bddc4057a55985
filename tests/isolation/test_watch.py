"""Whatever a trust function changes of its process is given back, and named; what sound code does is no change."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from w2s_bench.errors import TrustFunctionError
from w2s_bench.isolation.process_state import generators_kept, torch_settings
from w2s_bench.isolation.surroundings import current_umask
from w2s_bench.isolation.watch import MOST_PRINTED, left_as_found, unchanged
from w2s_bench.protocol.evidence.view import read_only

SAID = "trust function 'acme/liar' did not leave everything as it found it: in score it changed "

#: Variables that pytest changes, and that importing scikit-learn sets.
SET_BY_OTHERS = ("PYTEST_CURRENT_TEST", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inputs = tmp_path / "inputs"
    (inputs / "deep").mkdir(parents=True)
    (inputs / "deep" / "rows.jsonl").write_text("{}\n")
    return inputs


@pytest.fixture(autouse=True)
def state(folder: Path) -> Iterator[None]:
    """The process is what it was, whatever the test's own code did to it."""

    def noted() -> tuple[object, ...]:
        numpy = np.random.get_state()
        generators = random.getstate(), numpy[1].tolist(), numpy[2:], torch.get_rng_state().tolist()  # type: ignore[index, union-attr]
        variables = {n: v for n, v in os.environ.items() if n not in SET_BY_OTHERS}
        return variables, Path.cwd(), current_umask(), generators, np.geterr()

    with generators_kept(20_240_601):  # a state that no seed below gives
        before = noted()
        yield
        assert noted() == before


def set_variable(name: str, value: str | None) -> Callable[[], None]:
    def change() -> None:
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda: random.seed(0), "the generator of Python's `random`, by a seed or by draws; take all randomness from"),
        (random.random, "the generator of Python's `random`"),
        (lambda: np.random.seed(0), "numpy's global generator, by numpy.random.seed or by draws; .*`rng` given"),
        (np.random.standard_normal, "numpy's global generator"),
        (lambda: torch.manual_seed(0), "torch's global generator, by torch.manual_seed .* `with torch.random.fork_rng"),
        (lambda: torch.nn.Linear(2, 2), "torch's global generator"),
        (set_variable("W2S_NEW", "hunter2"), "the environment: W2S_NEW \\(added\\); give libraries what they need as"),
        (set_variable("W2S_THERE", "hunter2"), "the environment: W2S_THERE \\(changed\\)"),
        (set_variable("W2S_THERE", None), "the environment: W2S_THERE \\(removed\\)"),
        (lambda: os.chdir(tempfile.gettempdir()), "the working directory, from '.+' to '.+'; give absolute paths"),
        (lambda: os.umask(0o777), "the umask, from [0-7]{3} to 777; give the modes of your own files instead"),
        (lambda: np.seterr(all="raise"), "what numpy does on errors, .* `with np.errstate"),
    ],
)  # fmt: skip
def test_a_change_of_the_process_is_named_and_given_back(
    change: Callable[[], object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2S_THERE", "letmein")
    with pytest.raises(TrustFunctionError, match=SAID + told) as caught, left_as_found("acme/liar", "score"):
        change()
    assert os.environ["W2S_THERE"] == "letmein"
    assert "hunter2" not in str(caught.value) and "letmein" not in str(caught.value), "a value may be a secret"


def start_timer() -> None:
    threading.Timer(60, print).start()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 60), r"its timers \(VIRTUAL\): call signal.alarm\(0\)"),
        (lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN), r"the handlers of signals \(SIGUSR1\); put back"),
        (start_timer, r"the threads there are: left Thread-\d+ running; wait for them to end, or cancel them"),
        (lambda: torch.set_float32_matmul_precision("high"), "torch's settings: .*mkldnn.matmul.fp32_precision from none to"),
        (lambda: torch.set_default_dtype(torch.float64), "torch's settings: set_default_dtype from torch.float32 to"),
        (lambda: torch.set_grad_enabled(False), "torch's settings: set_grad_enabled from True to False; leave them"),
    ],
)  # fmt: skip
def test_what_would_break_the_next_stage_is_named_and_given_back(change: Callable[[], object], told: str) -> None:
    def found() -> tuple[object, ...]:
        signals = signal.getitimer(signal.ITIMER_VIRTUAL), signal.getsignal(signal.SIGUSR1)
        return signals, threading.active_count(), torch_settings(torch)

    before = found()
    with pytest.raises(TrustFunctionError, match=SAID + told), left_as_found("acme/liar", "score"):
        change()
    deadline = time.monotonic() + 10
    while threading.active_count() > before[1] and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.01)
    assert found() == before


#: Run by itself: the test's own output is at stake.
STREAMS = """
import os, sys
from w2s_bench.isolation.watch import left_as_found
from w2s_bench.errors import TrustFunctionError
for what in sys.argv[1:]:
    try:
        with left_as_found("acme/liar", "score"):
            print("before")
            exec(what)
    except TrustFunctionError as error:
        sys.stderr.write(f"{error}\\n")
    os.write(2, b"2 is there\\n")
    sys.stdout.write("1 is there\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("os.close(2)", "its standard error; use contextlib.redirect_stdout, or pipes of your own"),
        ("os.dup2(os.open(os.devnull, os.O_WRONLY), 1)", "its standard output"),
        ("sys.stdout.close()", "its standard output"),
        ("sys.stderr = open(os.devnull, 'w')", "its standard error"),
        ("os.ftruncate(1, 0)", "the log: what was printed before is gone; print, and leave the file alone"),
        ("print('x', file=sys.stderr); sys.stdout.flush()", None),
    ],
)
def test_standard_output_and_error_are_given_back(tmp_path: Path, change: str, told: str | None) -> None:
    with (tmp_path / "out").open("a+") as out, (tmp_path / "err").open("a+") as err:
        print("earlier", file=out, flush=True)
        subprocess.run([sys.executable, "-c", STREAMS, change], stdout=out, stderr=err, check=True)
    said, printed = (tmp_path / "err").read_text(), (tmp_path / "out").read_text()
    assert said.endswith("2 is there\n")
    assert printed.endswith("1 is there\n")
    assert (SAID + told in said) if told else ("did not leave" not in said)


def test_a_helper_that_a_library_keeps_is_no_thread_left() -> None:
    ended = threading.Event()
    with left_as_found("acme/fair", "score"):
        threading.Thread(target=ended.wait, daemon=True).start()
        quick = threading.Thread(target=time.sleep, args=(0.05,))
        quick.start()
    ended.set()


def test_all_changes_are_named_at_once() -> None:
    with (
        pytest.raises(TrustFunctionError, match=r"working directory.*numpy's global.*W2S_NEW"),
        left_as_found("acme/liar", "fit"),
    ):
        os.chdir("/")
        np.random.seed(1)
        os.environ["W2S_NEW"] = "1"


def test_what_it_raises_goes_first_and_its_changes_are_given_back_all_the_same() -> None:
    with pytest.raises(ZeroDivisionError), left_as_found("acme/liar", "score"):
        os.environ["W2S_NEW"] = "1"
        random.seed(0)
        raise ZeroDivisionError


def test_a_folder_that_it_removed_beneath_itself() -> None:
    with pytest.raises(TrustFunctionError, match="to 'one that is gone'"), left_as_found("acme/liar", "score"):
        gone = tempfile.mkdtemp()
        os.chdir(gone)
        Path(gone).rmdir()


# --- processes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forked", ["os.fork", "multiprocessing"])
def test_a_fork_is_refused_before_it_happens(forked: str) -> None:
    with pytest.raises(TrustFunctionError, match="tried to fork its process"), left_as_found("acme/liar", "score"):
        if forked == "os.fork":
            os.fork()
        else:
            multiprocessing.get_context("fork").Process(target=print).start()


def test_forks_are_free_outside() -> None:
    with left_as_found("acme/fair", "score"):
        pass
    if (child := os.fork()) == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork of the C library, by its name on Linux")
def test_a_copy_made_behind_pythons_back_ends_before_it_answers(tmp_path: Path) -> None:
    with left_as_found("acme/liar", "score"):
        if child := ctypes.CDLL(None).fork():
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    (tmp_path / str(child)).touch()  # the copy's would be called 0
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [str(child)]


def test_a_process_left_running_is_ended_and_named() -> None:
    with (
        pytest.raises(TrustFunctionError, match=SAID + "the processes there are: left sleep running; wait"),
        left_as_found("acme/liar", "score"),
    ):
        left = subprocess.Popen(["sleep", "60"])
    assert not psutil.pid_exists(left.pid)
    left.wait()


def test_a_process_that_ended_and_one_that_was_there_before_are_no_change() -> None:
    with subprocess.Popen(["sleep", "60"]) as before:
        with left_as_found("acme/fair", "score"):
            subprocess.run(["true"], check=True)
            unreaped = subprocess.Popen(["true"])
            deadline = time.monotonic() + 10
            while psutil.Process(unreaped.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(0.01)
        assert before.poll() is None
        before.kill()
    unreaped.wait()


# --- output, inputs, arrays -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [MOST_PRINTED // 2, MOST_PRINTED + 4096], ids=["some", "much"])
def test_a_log_is_for_people(size: int, capfd: pytest.CaptureFixture[str]) -> None:
    def score() -> None:
        with left_as_found("acme/liar", "score"):
            print("x" * size)

    if size <= MOST_PRINTED:
        score()
    else:
        with pytest.raises(TrustFunctionError, match=SAID + "the log: it printed 1.0 MiB, more than the 1 MiB it may"):
            score()
    assert len(capfd.readouterr().out) == size + 1


def overwrite(folder: Path) -> None:
    (folder / "deep" / "rows.jsonl").write_text("[]\n")


def replace(folder: Path) -> None:
    beside = folder / "deep" / "beside"
    beside.write_text("{}\n")
    beside.replace(folder / "deep" / "rows.jsonl")


def remove(folder: Path) -> None:
    (folder / "deep" / "rows.jsonl").unlink()


def add(folder: Path) -> None:
    (folder / "deep" / "more").touch()


@pytest.mark.parametrize("change", [overwrite, replace, remove, add])
def test_files_of_its_inputs_may_only_be_read(folder: Path, change: Callable[[Path], None]) -> None:
    with (
        pytest.raises(TrustFunctionError, match=SAID + "its inputs: .*write to a temporary folder instead"),
        left_as_found("acme/liar", "score", [folder]),
    ):
        change(folder)


def test_reading_its_inputs_is_no_change(folder: Path) -> None:
    with left_as_found("acme/fair", "score", [folder]):
        assert (folder / "deep" / "rows.jsonl").read_text() == "{}\n"


def test_arrays_cannot_be_written_to_and_a_trick_that_does_is_told() -> None:
    owner = np.array([3, 1, 2])
    shown = read_only(owner)
    with pytest.raises(ValueError, match="read-only"):
        shown[0] = 0
    with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
        shown.flags.writeable = True
    with (
        pytest.raises(
            TrustFunctionError, match="'acme/liar' changed correct in fit, the first row 1 from 1 to 7; it is"
        ),
        unchanged("acme/liar", "fit", correct=shown, label_index=None),
    ):
        shown.base.flags.writeable = True  # type: ignore[union-attr]
        shown.base[1] = 7  # type: ignore[index, call-overload]


# --- sound code -----------------------------------------------------------------------------------------------------


def test_sound_code_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    with left_as_found("acme/fair", "fit"):
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression

        states, right = rng.normal(size=(60, 3)), np.arange(60) % 2
        LogisticRegression().fit(states, right)
        RandomForestClassifier(5, random_state=int(rng.integers(2**32))).fit(states, right)
        with torch.random.fork_rng(), np.errstate(all="ignore"):
            torch.manual_seed(int(rng.integers(2**63)))
            layer = torch.nn.Linear(3, 1)
            layer(torch.from_numpy(states).float()).sum().backward()
        with tempfile.TemporaryDirectory() as made:
            (Path(made) / "cache").touch()
        print("done")


MODULE = """
import os, random
import numpy as np
os.environ["W2S_LIBRARY_WAS_HERE"] = "1"
random.seed(0)
np.random.seed(0)
import w2s_part_of_a_library
"""


def test_what_a_library_does_when_it_is_imported_is_not_held_against_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w2s_a_library.py").write_text(MODULE)
    (tmp_path / "w2s_part_of_a_library.py").write_text("import random\nrandom.random()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    with left_as_found("acme/fair", "score"):
        import w2s_a_library  # type: ignore[import-not-found]

        assert "exec_module" not in vars(w2s_a_library.__loader__)
        # The library may look for it; the executor takes it back after the stage.
        assert os.environ["W2S_LIBRARY_WAS_HERE"] == "1"
    assert os.environ.pop("W2S_LIBRARY_WAS_HERE") == "1"
    assert sys.meta_path == finders
    for name in ("w2s_a_library", "w2s_part_of_a_library"):
        del sys.modules[name]


TORCH_AFRESH = """
import importlib.util
import sys
from w2s_bench.isolation.watch import left_as_found
from w2s_bench.errors import TrustFunctionError
from w2s_bench.isolation.process_state import isolated, watch_for_torch

watch_for_torch()
for what in sys.argv[1:]:
    with isolated("00000007"):
        try:
            with left_as_found("acme/x", "score"):
                assert importlib.util.find_spec("torch")  # some libraries ask, and load it later or never
                import torch
                assert torch.initial_seed() == 7
                exec(what)
        except TrustFunctionError as error:
            unseeded = torch.Generator().manual_seed(7).get_state()
            print(what, "->", "torch's global" in str(error), torch.equal(torch.get_rng_state(), unseeded))
        else:
            print(what, "-> fine")
"""


@pytest.mark.slow
def test_torch_is_watched_in_the_very_stage_that_loads_it() -> None:
    def run(*actions: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", TORCH_AFRESH, *actions], capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    bad, good = "torch.manual_seed(3)", "torch.ones(2)"
    assert run(bad, good, bad) == [f"{bad} -> True True", f"{good} -> fine", f"{bad} -> True True"]
    assert run(good, bad) == [f"{good} -> fine", f"{bad} -> True True"]


def test_a_result_marked_as_used_by_the_store_is_no_change(tmp_path: Path) -> None:
    """Another process may find the same result while a trust function reads it."""
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "grades.json").write_text("{}")
    with left_as_found("acme/trust", "score", [tmp_path]):
        os.utime(tmp_path / "manifest.json", (1, 1))
    with (
        pytest.raises(TrustFunctionError, match=r"its inputs: '.*manifest.json'"),
        left_as_found("acme/trust", "score", [tmp_path]),
    ):
        (tmp_path / "manifest.json").write_text("{} ")


LEFT_BEHIND = """
import torch
from w2s_bench.isolation.process_state import isolated, torch_settings

with isolated("00000001"):
    before = torch_settings(torch)
    torch.set_float32_matmul_precision("medium")
    assert torch_settings(torch) != before
with isolated("00000002"):
    assert torch_settings(torch) == before
"""


def test_a_stage_does_not_meet_the_precision_that_an_earlier_one_left() -> None:
    subprocess.run([sys.executable, "-c", LEFT_BEHIND], check=True, timeout=300)
