"""`lm-eval/TASK`: what ties documents together, what stands in no split, and code and files that are never touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.test_lm_eval import SIZES, arc, data, made, write  # noqa: F401 - `data` is a fixture
from support import split_ids
from w2s_bench.domains.asked import Row, choose
from w2s_bench.domains.usable import facts_of
from w2s_bench.errors import PluginError
from w2s_bench.names import INCLUDE_VARIABLE
from w2s_bench.plugins.registry import Registry

MINE = """task: mine
output_type: generate_until
training_split: train
test_split: test
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 8}
"""
EXACT = "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}"


def row(number: int, key: str, group: str, *, test: bool = False) -> Row:
    return Row(f"r{number}", {"n": number}, group, key, "all", test)


def write_mine(folder: Path, monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    """A task of the user's own, with rows."""
    (folder / "yaml").mkdir()
    (folder / "yaml" / "mine.yaml").write_text(MINE + more, encoding="utf-8")
    monkeypatch.setenv(INCLUDE_VARIABLE, str(folder / "yaml"))
    for split, first in (("train", 0), ("test", 20)):
        rows = [{"question": f"How many {n}?", "answer": str(n)} for n in range(first, first + 15)]
        write(folder, "mine", split, rows)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans()), min_size=1, max_size=30))
def test_equal_keys_and_equal_groups_are_never_parted(rows: list[tuple[int, int, bool]]) -> None:
    """However long the chain: a group of which one question stands in another group is one with it."""
    drawn = [row(n, f"k{key}", f"g{group}", test=test) for n, (key, group, test) in enumerate(rows)]
    chosen = {one.id: one for one in choose(drawn, None, 0, "d").rows}
    assert len(chosen) == len(rows)
    for a in drawn:
        for b in drawn:
            if a.key == b.key or a.group == b.group:
                assert chosen[a.id].group == chosen[b.id].group


def test_a_passage_of_test_keeps_its_other_questions_out_of_training() -> None:
    rows = [row(0, "a", "p", test=True), row(1, "a", "q"), row(2, "b", "q"), row(3, "c", "r")]
    chosen = choose(rows, None, 0, "d")
    assert {one.group for one in chosen.rows[:3]} == {"p"}
    assert "2 training documents share" in chosen.remarks[0]
    assert "r1, r2" in chosen.remarks[0]


def test_what_shares_a_passage_with_an_example_is_in_no_split() -> None:
    example = row(9, "a", "p")
    chosen = choose([row(0, "a", "q"), row(1, "b", "q"), row(2, "c", "p"), row(3, "d", "r")], [example], 1, "d")
    assert [one.id for one in chosen.rows] == ["r3"]


def test_an_example_that_the_yaml_holds_is_in_no_split_though_a_document_says_the_same(
    data: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = (
        "fewshot_config: {samples: [{question: 'how many 3', answer: '3'}, {question: 'How many 22?', answer: '22'}]}\n"
    )
    write_mine(data, monkeypatch, EXACT + "]\n" + samples)
    items, answers, remarks, domain = made(data / "out", "lm-eval/mine", num_fewshot=2)
    assert "train-3" not in {item.id for item in items}
    assert "test-2" not in {item.id for item in items}
    assert len(items) == 28
    assert all(item.prompt.startswith("how many 3 3") for item in items)
    assert any("1 test documents are among the examples" in remark for remark in remarks)
    in_test = np.array([domain.in_test(answer.document) for answer in answers])
    assert split_ids(items, SIZES, "d", seed=0, in_test=in_test)


CODE = "from pathlib import Path\nWORDS = (Path(__file__).parent / 'texts' / 'before.txt').read_text()\n"
SAYS = "def asked(document):\n    return WORDS + document['question']\n"


def test_what_a_prompt_is_made_of_is_in_the_fingerprint(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The YAML, what it includes, code beside it, and the texts that either names; no other file."""
    folder = data / "yaml"
    write_mine(data, monkeypatch, EXACT + "]\ninclude: more/base.yaml\nuse_prompt: mine.prompts.yaml:short\n")
    texts = {
        "more/base.yaml": "fewshot_delimiter: ' / '\ndescription: !function words.first\n",
        "more/words.py": "first = 'read: says.jinja'\n",
        "more/says.jinja": "Say.",
        "code.py": CODE + SAYS,
        "texts/before.txt": "Now: ",
        "mine.prompts.yaml": "prompts: {short: '{{question}}'}",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    domain = Registry.load().domain("lm-eval/mine")
    prints = [domain.fingerprint()]
    for name, text in texts.items():
        (folder / name).write_text(f"{text}\n# another", encoding="utf-8")
        prints.append(domain.fingerprint())
    assert len(set(prints)) == 1 + len(texts)
    (data / "elsewhere").mkdir()
    shutil.copy(folder / "mine.prompts.yaml", data / "elsewhere")
    monkeypatch.chdir(data / "elsewhere")
    assert domain.fingerprint() == prints[-1], "the same texts make the same task, wherever they are read"
    for other in ("README.md", "run.log", "texts/after.txt"):
        (folder / other).write_text("nothing that the task asks", encoding="utf-8")
    assert domain.fingerprint() == prints[-1]


def test_a_metric_of_the_hub_is_never_loaded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """lm-eval's library for metrics fetches a module by its name and runs it, for every metric that a task lists."""
    import evaluate

    asked: list[Any] = []
    monkeypatch.setattr(evaluate, "load", lambda *a, **k: asked.append(a))
    more = ", {metric: somebody/rouge, aggregation: mean, higher_is_better: true, hf_evaluate: true}]\n"
    write_mine(data, monkeypatch, EXACT + more)
    items, *_ = made(data / "out", "lm-eval/mine")
    assert len(items) == 30
    assert not asked


@pytest.mark.parametrize(
    "metric",
    [
        {"metric": "exact_match", "hf_evaluate": True},
        {"metric": "accuracy"},
    ],
)
def test_a_task_graded_by_code_of_the_hub_is_refused(metric: dict[str, Any]) -> None:
    keys = {"output_type": "generate_until", "test_split": "t", "metric_list": [metric]}
    assert "fetches from the hub" in (facts_of("x", keys).fault or "")
    assert facts_of("x", {**keys, "process_results": "utils.f"}).fault is None, "the task's own function grades"


@pytest.mark.parametrize("split", ["../../secret", "a/b", "..", "~root", "C:\\x"])
@pytest.mark.parametrize("role", ["train", "test"])
def test_a_split_that_is_a_path_is_refused(role: str, split: str, data: Path) -> None:  # noqa: F811
    """A suite that came with somebody's results may not make `verify` read files outside of the data folder."""
    write(data, "arc_easy", "train", [arc(n) for n in range(5)])
    with pytest.raises(PluginError, match="is no name of a split"):
        Registry.load().domain("lm-eval/arc_easy", **{role: split})
