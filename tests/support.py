"""What several test files share: toy models and suites, the toy plugin, and an executor without processes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from w2s_bench.arm_facts import Facts
from w2s_bench.domains.documents import Digest
from w2s_bench.executors import Done, Ended, Event, Failed, Outcome
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import splits
from w2s_bench.protocol.catalogue import write_groups
from w2s_bench.protocol.files import SPLIT_IDS
from w2s_bench.record import read_json
from w2s_bench.store import Store, key_of
from w2s_bench.store.stage import Stage, StageContext, walk
from w2s_bench.suite import Suite
from w2s_bench.types import Item

#: For tests that ask what has become of a process that nobody waits for.
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere an orphan cannot be found")
TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
TOY = TESTS / "toy"
#: Built-in domains with models of their own, as the folders say.
BUNDLED = tuple(sorted(path.parent.name for path in (ROOT / "tasks" / "w2s_bench_tasks").glob("*/models")))
#: What a run of the toy suite takes of the built-in trust functions: of each kind of evidence one, since each trains students.
TOY_TRUST = (
    *("confidence", "probe", "student_probe", "verifier", "ntf", "contrast:of=student"),
    *("crossfit_student_gold", "aum", "self_consistency"),
)
#: What it takes where a run is there for its processes: a score of labels, and models of two further trainings.
FEW_TRUST = ("confidence", "student_probe", "verifier")
WORDS = [*map(str, range(45)), "+", "=", "####", "largest", "of", "is"]


def toy_model(folder: Path, *, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """A small random Llama with a word-level tokenizer over the toy domains' words, saved to `folder`."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from w2s_bench_tasks.pretraining import new_model, wrap_tokenizer

    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model = new_model(
        vocab_size=len(vocabulary), width=width, layers=layers, max_length=32, seed=seed, eos_id=1, pad_id=0
    )
    model.save_pretrained(folder)
    wrap_tokenizer(tokenizer, max_length=32).save_pretrained(folder)
    return folder


def toy_suite(models: Path, **changes: Any) -> Suite:
    """Two toy domains, two seeds, a few steps. `models` gets a teacher and a student unless they are there."""
    teacher, student = models / "teacher", models / "student"
    if not teacher.is_dir():
        toy_model(teacher, width=16, layers=1, seed=1)
        toy_model(student, seed=2)
    sizes = {"dev": 30, "test": 40, "weak_train": 60, "trust": 24, "transfer": 100}
    training = {"steps": 6, "batch_size": 8, "learning_rate": 3e-3}
    domains = [
        {
            "name": f"w2s-bench-toy/{name}",
            "version": "1",
            "sizes": sizes,
            "teacher": {"model": str(teacher), **training, "steps": 30},
            "student": {"model": str(student), **training},
        }
        for name in ("largest", "sums")
    ]
    usual = {"name": "toy", "version": "1", "seeds": 2, "domains": domains, "trust_functions": TOY_TRUST}
    return Suite.model_validate({**usual, **changes})


def small_suite_file(folder: Path) -> Path:
    """A file with the toy suite's first domain, one seed and few trust functions, beside its models."""
    small = toy_suite(folder / "models", seeds=1, trust_functions=FEW_TRUST)
    path = folder / "toy.yaml"
    path.write_text(small.model_copy(update={"domains": small.domains[:1]}).to_yaml())
    return path


def bodies(folder: Path) -> dict[str, Any]:
    """Row file → cell body, of the toy suite's results in `folder`."""
    return {
        str(path.relative_to(folder)): json.loads(path.read_text())["body"]
        for path in sorted(folder.glob("toy/results/*/*.json"))
    }


def toy_environment(**extra: str) -> dict[str, str]:
    """The environment of a process that has the toy plugin installed."""
    path = os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **extra}


def toy_registry(monkeypatch: Any) -> Registry:
    """A registry that has the toy plugin, in this process."""
    if str(TOY) not in sys.path:
        monkeypatch.syspath_prepend(str(TOY))
    return Registry.load()


def ended(events: Sequence[Event], how: Literal["new", "stored", "failed"]) -> list[Stage]:
    """The stages that events say ended so, in their order: with a result that is new, or was stored, or without one."""

    def ending(outcome: Outcome) -> str:
        return "failed" if isinstance(outcome, Failed) else "new" if outcome.new else "stored"

    return [event.stage for event in events if isinstance(event, Ended) and ending(event.outcome) == how]


def run_inline(targets: Sequence[Stage], store: Store, registry: Registry) -> Mapping[str, Outcome]:
    """Outcomes of all stages, run one after another in this process, on one thread as workers do."""
    import torch

    torch.set_num_threads(1)
    outcomes: dict[str, Outcome] = {}
    for stage in walk(targets):
        failed = next((f for s in stage.inputs.values() if isinstance(f := outcomes[s.node], Failed)), None)
        if failed:
            outcomes[stage.node] = failed
            continue
        inputs = {name: outcomes[s.node] for name, s in stage.inputs.items()}
        contents = {name: done.result.content for name, done in inputs.items() if isinstance(done, Done)}
        folders = {name: done.result.path for name, done in inputs.items() if isinstance(done, Done)}
        result = store.find(stage, key_of(stage, contents))
        if result is None:

            def produce(out: Path, stage: Stage = stage, folders: Mapping[str, Path] = folders) -> None:
                stage.function.resolve()(StageContext(stage.params, folders, out, registry))

            try:
                result = store.put(stage, contents, produce)
            except Exception as error:  # noqa: BLE001 - a stage may raise anything; it fails alone, as in a worker
                outcomes[stage.node] = Failed(stage.label, str(error), stage.node)
                continue
        outcomes[stage.node] = Done(result)
    return outcomes


def digest_of_task(domain: str, task: Any) -> str:
    """Of all documents of a task and of its examples, as they are when a domain's items are made."""
    digest = Digest(domain)
    for _ in digest.seen(task):
        pass
    return digest.hexdigest()


def split_ids(
    items: Sequence[Item],
    sizes: Mapping[str, int],
    domain: str,
    *,
    seed: int,
    suite_seed: int = 0,
    in_test: Sequence[bool] | None = None,
) -> dict[str, list[str]]:
    """Ids of each split, as the stages of a run cut them; `in_test` (n,) says which items their task has in `test`."""
    params = {"sizes": dict(sizes), "domain": domain, "seed": seed, "suite_seed": suite_seed}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "items").mkdir()
        write_groups(folder / "items", items, in_test)
        held = run_stage(splits.hold_out, folder / "held", params, items=folder / "items")
        return dict(read_json(run_stage(splits.cut, folder / "cut", params, held_out=held) / SPLIT_IDS))


def reads_pool_gold(facts: Facts) -> bool:
    """Whether what an arm trains on hangs on gold of the transfer pool, which no trust function below `privileged` sees."""
    return any(rows.split == "transfer" and (rows.labels == "gold" or rows.by_gold) for rows in facts.rows)


def run_stage(
    function: Callable[[StageContext], None],
    out: Path,
    params: Mapping[str, Any],
    *,
    registry: Registry | None = None,
    **inputs: Path,
) -> Path:
    """Run one stage function on folders made by hand; returns the folder that it wrote."""
    out.mkdir(parents=True, exist_ok=True)
    function(StageContext(params, inputs, out, registry))  # type: ignore[arg-type]  # few functions ask the registry
    return out
