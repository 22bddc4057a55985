"""Items, scores, answers and grades are those of `lm_eval.evaluate` with `HFLM`, on tasks made here."""

from __future__ import annotations

import textwrap
from pathlib import Path
from string import ascii_uppercase
from types import SimpleNamespace
from typing import Any

import pytest

from w2s_bench.domains.task import TaskDomain
from w2s_bench.errors import PluginError
from w2s_bench.protocol.evaluation import run_grade, run_marks
from w2s_bench.protocol.files import ANSWERS, GRADES, ITEMS, PREDICTIONS
from w2s_bench.protocol.items import build_answers, build_items
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.protocol.recipes.tuned import predict
from w2s_bench.record import read_json, read_records
from w2s_bench.store.stage import StageContext
from w2s_bench.types import Answer, Item, Kind, Prediction

LOADER = """
import datasets

# No prompt is another one followed by part of an option: HFLM's logits cache (0.4.13) takes the wrong position there.
CHOICES = [
    ("The capital of France is", ["Paris", "Lima", "Santiago of Chile"], 0),
    ("The capital of Peru is ", ["Paris", "Lima , of Peru", "Santiago"], 1),
    ("größe naïve façade", ["δ 東京", "→ ≤ ½", "seven", "größe"], 3),
    ("one two three  ", ["four five six seven", "ten", "42", "is", "nine"], 2),
    ("Question: how much", ["is 12 + 30 ?", "a b c d e f g h"], 1),
    ("zero zero", ["zero", "zero zero zero"], 0),
]
QUESTIONS = ["one two three", "Question: how much is 12 + 30 ?", "größe naïve", "a b c d e f g h i", "The", "zero zero", "z y x w"]


def choices(**kwargs):
    rows = [
        {"question": q + extra, "options": options, "gold": gold, "answer": options[gold]}
        for extra in ("", " 東京 ") for q, options, gold in CHOICES
    ]
    return _documents(rows)


def questions(**kwargs):
    return _documents([{"question": extra + q, "answer": "n n"} for extra in ("", "nine of ") for q in QUESTIONS])


def _documents(rows):
    named = [{"id": f"item-{i:02d}", "group": str(i), "key": str(i), "stratum": "all", **row} for i, row in enumerate(rows)]
    return {"test": datasets.Dataset.from_list(named)}
"""
METRIC = """
metric_list:
  - metric: {metric}
    aggregation: mean
    higher_is_better: true
"""
CHOICE = """
task: {name}
custom_dataset: !function loader.choices
output_type: multiple_choice
test_split: test
doc_to_text: question
doc_to_choice: options
""" + METRIC.format(metric="acc")
GENERATE = """
task: {name}
custom_dataset: !function loader.questions
output_type: generate_until
test_split: test
doc_to_text: question
doc_to_target: answer
""" + METRIC.format(metric="exact_match")
TASKS = {
    "by_number": (CHOICE, "doc_to_target: gold\ndescription: 'of Chile '\n"),
    "by_text": (CHOICE, "doc_to_target: answer\ntarget_delimiter: ' , '\ngen_prefix: 'Answer:'\n"),
    "to_limit": (GENERATE, "generation_kwargs: {until: [], do_sample: false, max_gen_toks: 9}\n"),
    "until_text": (
        GENERATE,
        "generation_kwargs: {until: [' w', 'of', 'three', '\\x7f', 'ti'], do_sample: false, max_gen_toks: 12}\n",
    ),
}
LIMITS = {"to_limit": 9, "until_text": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "loader.py").write_text(LOADER, encoding="utf-8")
    for name, (base, more) in TASKS.items():
        (folder / f"{name}.yaml").write_text(base.format(name=name) + more, encoding="utf-8")
    return folder


def domain_of(folder: Path, name: str) -> TaskDomain:
    kind: Kind = "generate" if name in LIMITS else "choice"
    return TaskDomain(name, "1", kind, folder / f"{name}.yaml", name, max_new_tokens=LIMITS.get(name))


class Protocol:
    """The stages from a domain's items to grades, run one after another without a store."""

    def __init__(self, domain: TaskDomain, out: Path, source: Any = None) -> None:
        self.out, self.kind, self.limit = out, domain.kind, domain.max_new_tokens
        self.registry: Any = SimpleNamespace(domain=lambda name, **_: domain)
        self.domain = PlannedDomain.of("d", domain, {}).params
        self.stage("items", build_items, {"domain": self.domain})
        self.stage("answers", build_answers, {"domain": self.domain})
        if source:
            self.ask(source)

    def ask(self, source: Any) -> Protocol:
        """Replaces the labels and grades by those of this model."""
        self.registry.model = lambda name: source
        model = {
            "name": source.name,
            "fingerprint": source.fingerprint(),
            "recipe": "full",
            "lora_rank": 8,
            "precision": "float32",
            "device": "cpu",
        }
        self.stage("labels", predict, {"model": model, "max_new_tokens": self.limit}, subset="items")
        key = {"gold": "answers"}
        if self.kind == "choice":
            self.stage("marks", run_marks, {"domain": self.domain}, gold="answers", subset="items")
            key = {"marks": "marks"}
        self.stage("grades", run_grade, {"domain": self.domain}, predictions="labels", **key)
        return self

    def stage(self, name: str, function: Any, params: dict[str, Any], **inputs: str) -> None:
        (self.out / name).mkdir(parents=True, exist_ok=True)
        folders = {key: self.out / value for key, value in inputs.items()}
        function(StageContext(params, folders, self.out / name, self.registry))

    @property
    def items(self) -> list[Item]:
        return read_records(self.out / "items" / ITEMS, Item)

    @property
    def answers(self) -> list[Answer]:
        return read_records(self.out / "answers" / ANSWERS, Answer)

    @property
    def labels(self) -> list[Prediction]:
        return read_records(self.out / "labels" / PREDICTIONS, Prediction)

    @property
    def grades(self) -> dict[str, bool]:
        return dict(read_json(self.out / "grades" / GRADES))


def evaluate_with_lm_eval(folder: Path, source: Any, names: list[str], *, batch_size: int = 5) -> dict[str, Any]:
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    model, tokenizer = source.load()
    tasks = TaskManager(include_path=str(folder), include_defaults=False)
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, device="cpu")
    result: dict[str, Any] = simple_evaluate(
        lm, tasks=names, task_manager=tasks, log_samples=True, bootstrap_iters=0, num_fewshot=0
    )
    return result


@pytest.fixture(scope="module")
def protocols(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Protocol]:
    """The four tasks with their items built; rendering them takes longest."""
    return {name: Protocol(domain_of(folder, name), tmp_path_factory.mktemp(name)) for name in TASKS}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["words", "bpe", "bos", "gpt2"])
def test_scores_answers_and_grades_are_those_of_lm_eval(model: str, sources: Any, folder: Path, protocols: Any) -> None:
    theirs = evaluate_with_lm_eval(folder, sources[model], list(TASKS))
    for name in TASKS:
        ours = protocols[name].ask(sources[model])
        samples = {sample["doc"]["id"]: sample for sample in theirs["samples"][name]}
        assert [label.id for label in ours.labels] == list(samples) == list(ours.grades)
        metric = "exact_match" if name in LIMITS else "acc"
        for item, label in zip(ours.items, ours.labels, strict=True):
            sample = samples[label.id]
            assert ours.grades[label.id] == bool(sample[metric])
            if name in LIMITS:
                assert item.prompt == sample["arguments"][0][0]
                assert label.answer == sample["resps"][0][0]
            else:
                assert [(item.prompt, choice) for choice in item.choices or ()] == sample["arguments"]
                assert label.choice_scores == pytest.approx([resp[0][0] for resp in sample["resps"]], abs=1e-4)
        accuracy = sum(ours.grades.values()) / len(ours.grades)
        assert accuracy == theirs["results"][name][f"{metric},none"]


def test_the_cases_compared_are_not_all_alike(sources: Any, protocols: Any) -> None:
    """Guards the test above: answers that stop early and late, labels that are right and wrong."""
    ended, right = set(), set()
    for name in TASKS:
        ours = protocols[name].ask(sources["words"])
        right |= {(name in LIMITS, grade) for grade in ours.grades.values()}
        ended |= {label.ended for label in ours.labels if name in LIMITS}
    assert ended == {True, False}
    assert {(False, True), (False, False), (True, False)} <= right


def test_a_stop_text_that_is_a_special_token_stops(
    sources: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Chat tasks stop at texts such as <end_of_turn>, which vanish when special tokens are left out of the decoded text."""
    source = sources["words"]
    model, tokenizer = source.load()
    tokenizer.add_special_tokens({"additional_special_tokens": ["w"]})
    special = SimpleNamespace(name="special", load=lambda: (model, tokenizer), fingerprint=lambda: "1")
    (tmp_path / "loader.py").write_text(LOADER, encoding="utf-8")
    text = GENERATE.format(name="chat") + "generation_kwargs: {until: [w], do_sample: false, max_gen_toks: 12}\n"
    (tmp_path / "chat.yaml").write_text(text, encoding="utf-8")
    domain = TaskDomain("chat", "1", "generate", tmp_path / "chat.yaml", "chat", max_new_tokens=12)
    ours = Protocol(domain, tmp_path_factory.mktemp("out"), special)
    theirs = evaluate_with_lm_eval(tmp_path, special, ["chat"], batch_size=1)  # its batches go on until all rows stop
    assert [label.answer for label in ours.labels] == [sample["resps"][0][0] for sample in theirs["samples"]["chat"]]
    assert any(label.ended and label.answer for label in ours.labels)


def test_gold_is_found_whether_number_or_text(protocols: Any) -> None:
    for name in ("by_number", "by_text"):
        ours = protocols[name]
        assert len({answer.index for answer in ours.answers}) > 2, "gold is tied to no position"
        for item, answer in zip(ours.items, ours.answers, strict=True):
            assert item.id == answer.id
            assert answer.index == answer.document["gold"]
            assert item.choices is not None and answer.index is not None
            assert answer.completion == item.choices[answer.index]


DOCUMENTS = """
    import datasets

    def documents(**kwargs):
        rows = [{{"id": str(i), "group": str(i), "key": str(i), "stratum": "all", **row}} for i, row in enumerate({rows})]
        return {{"test": datasets.Dataset.from_list(rows)}}
"""


def task_over(folder: Path, text: str, *rows: dict[str, Any]) -> TaskDomain:
    """A task over these documents alone."""
    text = text.replace("loader.choices", "loader.documents").replace("loader.questions", "loader.documents")
    folder.mkdir(exist_ok=True)
    (folder / "loader.py").write_text(textwrap.dedent(DOCUMENTS.format(rows=rows)), encoding="utf-8")
    (folder / "one.yaml").write_text(text.format(name="one"), encoding="utf-8")
    kind: Kind = "generate" if "generate_until" in text else "choice"
    return TaskDomain("one", "1", kind, folder / "one.yaml", "one", max_new_tokens=4)


@pytest.mark.parametrize("gold", ["B", "Lim", 2, -1])
def test_gold_that_is_no_option_is_refused(gold: Any, tmp_path: Path) -> None:
    """A letter where the options are texts, a number past the end. (The first document, lm-eval itself looks at.)"""
    sound = "Lima" if isinstance(gold, str) else 1
    rows = [{"question": "one", "options": ["Paris", "Lima"], "gold": answer} for answer in (sound, gold)]
    domain = task_over(tmp_path / "task", CHOICE + "doc_to_target: gold\n", *rows)
    with pytest.raises(PluginError, match="is none of the options"):
        Protocol(domain, tmp_path)


def test_digits_as_options_are_read_as_lm_eval_reads_them(tmp_path: Path) -> None:
    """A field that holds a text is that text; a template that renders to digits is an index to lm-eval, and refused."""
    row = {"question": "one two", "options": ["2", "0", "1"], "gold": "1"}
    field = task_over(tmp_path / "task", CHOICE + "doc_to_target: gold\n", row)
    assert [answer.index for answer in Protocol(field, tmp_path / "field").answers] == [2]
    template = task_over(tmp_path / "task", CHOICE + "doc_to_target: '{{{{gold}}}}'\n", row)
    with pytest.raises(PluginError, match="reads the digits as an index and counts '0' as right"):
        Protocol(template, tmp_path / "template")


def test_a_generated_answer_named_by_its_option_trains_on_the_option(tmp_path: Path) -> None:
    text = GENERATE.replace("doc_to_target: answer", "doc_to_target: gold\ndoc_to_choice: options")
    text += "generation_kwargs: {{until: [], do_sample: false, max_gen_toks: 4}}\n"
    domain = task_over(tmp_path / "task", text, {"question": "one two", "options": ["Paris", "Lima"], "gold": 1})
    assert [answer.completion for answer in Protocol(domain, tmp_path).answers] == [" Lima"]


def test_a_task_with_shots_is_refused(tmp_path: Path) -> None:
    domain = task_over(
        tmp_path,
        CHOICE + "doc_to_target: gold\nnum_fewshot: 2\n",
        {"question": "one two", "options": ["a", "b"], "gold": 1},
    )
    with pytest.raises(PluginError, match="2 shots, the protocol is zero-shot"):
        Protocol(domain, tmp_path)


def test_a_task_without_the_metric_is_refused(sources: Any, tmp_path: Path) -> None:
    text = CHOICE.replace("metric: acc", "metric: acc_norm") + "doc_to_target: gold\n"
    domain = task_over(tmp_path / "task", text, {"question": "one two", "options": ["a", "b"], "gold": 1})
    with pytest.raises(PluginError, match="metrics are acc_norm, the protocol takes acc"):
        Protocol(domain, tmp_path, sources["words"])


LETTERED = CHOICE.replace("doc_to_choice: options", "doc_to_choice: '{{{{letters}}}}'").replace(
    "doc_to_text: question",
    'doc_to_text: "{{{{question}}}}\\n{{% for o in options %}}{{{{letters[loop.index0]}}}}. {{{{o}}}}\\n{{% endfor %}}Answer:"',
)


@pytest.mark.slow
@pytest.mark.parametrize("by_letter", [True, False], ids=["letter", "index"])
def test_26_lettered_options_are_scored_and_graded_as_by_lm_eval(
    by_letter: bool, far_reading: Any, tmp_path: Path
) -> None:
    rows = [
        {"question": f"one {n}", "options": [f"o{i}" for i in range(width)], "letters": [*ascii_uppercase[:width]]}
        | {"gold": ascii_uppercase[gold] if by_letter else gold}
        for n, (width, gold) in enumerate([(2, 0), (26, 25), (26, 13), (26, 4), (7, 6), (19, 9)])
    ]
    task = tmp_path / "task"
    ours = Protocol(task_over(task, LETTERED + "doc_to_target: gold\n", *rows), tmp_path / "out", far_reading)
    assert [answer.index for answer in ours.answers] == [0, 25, 13, 4, 6, 9]
    theirs = evaluate_with_lm_eval(task, far_reading, ["one"], batch_size=1)
    for item, label, sample in zip(ours.items, ours.labels, theirs["samples"]["one"], strict=True):
        assert [(item.prompt, choice) for choice in item.choices or ()] == sample["arguments"]
        assert label.choice_scores == pytest.approx([resp[0][0] for resp in sample["resps"]], abs=1e-4)
        assert ours.grades[label.id] == bool(sample["acc"])


SHAPED = (
    "sciq",
    "arc_challenge",
    "boolq",
    "openbookqa",
    "social_iqa",
    "hellaswag",
    "gsm8k",
    "arc_easy",
    "mmlu_anatomy",
)


@pytest.fixture(scope="module")
def far_reading(sources: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The random model `bpe` with room for 512 tokens: questions of these tasks do not fit into 64."""
    from w2s_bench.models.origins import LocalModel

    model, tokenizer = sources["bpe"].load()
    model.config.max_position_embeddings = 512
    tokenizer.model_max_length = 512
    folder = tmp_path_factory.mktemp("far")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return LocalModel("far", folder)


@pytest.mark.slow
@pytest.mark.parametrize("task", SHAPED)
def test_a_task_of_lm_eval_by_its_name_agrees_with_lm_eval(
    task: str, far_reading: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lm-eval's own YAML on rows made here: prompts, options, log-likelihoods, answers and accuracy of its `test`."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks._yaml_loader import load_yaml

    from domains.test_lm_eval import TESTS, write_task
    from w2s_bench.domains.task_data import read_splits
    from w2s_bench.domains.task_index import find_task
    from w2s_bench.names import DATA_VARIABLE
    from w2s_bench.plugins.registry import Registry

    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    write_task(tmp_path, task)
    more: dict[str, Any] = {"max_new_tokens": 8} if task == "gsm8k" else {}
    more |= {"train": "train"} if task == "mmlu_anatomy" else {}
    domain: Any = Registry.load().domain(f"lm-eval/{task}", **more)
    source = far_reading
    ours = Protocol(domain, tmp_path / "out", source)
    test = TESTS.get(task, "test")
    dataset = read_splits({"train": domain.files["train"], test: domain.files[test]}, "")
    keys = {
        k: v for k, v in load_yaml(find_task(task)[0]).items() if k not in ("tag", "fewshot_split", "fewshot_config")
    }
    keys |= {"custom_dataset": lambda **_: dataset, "dataset_kwargs": {}, "num_fewshot": 0}
    if task == "gsm8k":
        keys["generation_kwargs"] = {**keys["generation_kwargs"], "max_gen_toks": 8}
    model, tokenizer = source.load()
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, device="cpu")
    theirs: Any = evaluate(lm, {task: ConfigurableTask(config=keys)}, log_samples=True, bootstrap_iters=0)
    labels = {label.id: label for label in ours.labels}
    items = {item.id: item for item in ours.items}
    metric, chosen = ("exact_match", "strict-match") if task == "gsm8k" else ("acc", "none")
    samples = [sample for sample in theirs["samples"][task] if sample["filter"] == chosen]
    assert len(samples) == 6
    grades = []
    for sample in samples:
        name = f"{test}-{sample['doc_id']}"
        grades.append(ours.grades[name])
        assert grades[-1] == bool(sample[metric])
        if task == "gsm8k":
            assert items[name].prompt == sample["arguments"][0][0]
            assert labels[name].answer == sample["resps"][0][0]
        else:
            assert [(items[name].prompt, option) for option in items[name].choices or ()] == sample["arguments"]
            assert labels[name].choice_scores == pytest.approx([r[0][0] for r in sample["resps"]], abs=1e-4)
    assert sum(grades) / len(grades) == pytest.approx(theirs["results"][task][f"{metric},{chosen}"])
