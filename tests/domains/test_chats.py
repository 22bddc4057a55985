"""`apply_chat_template: MODEL`: whose template prompts are written by, what it may do, and what makes items anew."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from domains.test_lm_eval import data, made, write_task  # noqa: F401 - `data` is a fixture
from models.test_chat_templates import changed, folder_of
from w2s_bench.domains.chat import Renderer, pasted
from w2s_bench.errors import ModelError, PluginError, SuiteError, UnknownNameError
from w2s_bench.plugins.registry import Registry
from w2s_bench.results.consent import placements, refuse_unasked, with_placements
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite
from w2s_bench.types import ChatTemplate

TURNS = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{% endfor %}"
)
ASKED = [{"role": "user", "content": "one <two>"}]


def rendered(text: str, messages: list[dict[str, str]] = ASKED, **tokens: str) -> str:
    return Renderer(ChatTemplate(text, tokens), "domain 'd'")(messages)


def domain_of(folder: Path | str, **parameters: Any) -> Any:
    return Registry.load().domain("lm-eval/arc_easy", apply_chat_template=str(folder), **parameters)


@pytest.mark.parametrize("written", ["local/{}", "{}"])
def test_prompts_are_chats_by_the_models_own_template(written: str, data: Path) -> None:  # noqa: F811
    write_task(data, "arc_easy")
    folder = folder_of(data / "model", TURNS)
    asked = {"system_prompt": "Be brief.", "num_fewshot": 1, "apply_chat_template": written.format(folder)}
    items, _, remarks, _ = made(data / "a", "lm-eval/arc_easy", **asked)
    for item in items:
        assert item.prompt.startswith("<s><system>Be brief.</s><user>Question:")
        assert item.prompt.count("<user>") == 2 and item.prompt.endswith("</s><assistant>")
        assert all(option.startswith("option") for option in item.choices or ()), "a chat's answer begins at once"
    assert remarks == []


def test_what_makes_items_anew_is_what_the_template_says_and_not_where_it_lies(data: Path) -> None:  # noqa: F811
    write_task(data, "arc_easy")
    here = folder_of(data / "here", TURNS)
    there = shutil.copytree(here, data / "there")
    plain = Registry.load().domain("lm-eval/arc_easy").fingerprint()
    before = domain_of(here).fingerprint()
    assert before == domain_of(there).fingerprint() != plain
    changed(there, pad_token="<turn>", model_max_length=7)
    assert domain_of(there).fingerprint() == before, "a token that it does not write changes nothing"
    changed(there, eos_token="<turn>")
    other_token = domain_of(there).fingerprint()
    (here / "chat_template.jinja").write_text(TURNS + " ")
    assert len({before, other_token, domain_of(here).fingerprint(), plain}) == 4
    assert plain == Registry.load().domain("lm-eval/arc_easy", chat_template=TURNS).fingerprint(), (
        "its text is a parameter"
    )


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"apply_chat_template": True}, r"must name the model whose chat template .* such as local/FOLDER, got True"),
        ({"apply_chat_template": 3}, r"apply_chat_template must be a text, got 3"),
        (
            {"apply_chat_template": "local/x", "chat_template": "x"},
            r"both say how chats are written; give the text, or",
        ),
        (
            {"apply_chat_template": "w2s-bench-offline-lms/smollm2-135m"},
            r"is no model whose files can be read here; write .*gguf/FILE.*for a plugin's model the file or folder that it is made",
        ),
        ({"apply_chat_template": "local/no/such"}, r"apply_chat_template: model 'local/no/such': there is no folder"),
        (
            {"apply_chat_template": "local/{data}/plain"},
            r"apply_chat_template: model .*/plain' has no chat template: .*; name",
        ),
    ],
)
def test_mistakes_are_told_before_anything_runs(parameters: dict[str, Any], said: str, data: Path) -> None:  # noqa: F811
    write_task(data, "arc_easy")
    folder_of(data / "plain", None)
    given = {k: v.replace("{data}", str(data)) if isinstance(v, str) else v for k, v in parameters.items()}
    with pytest.raises((PluginError, ModelError), match=rf"domain 'lm-eval/arc_easy': .*{said}"):
        Registry.load().domain("lm-eval/arc_easy", **given)


def test_templates_have_what_transformers_gives_them() -> None:
    text = "{% for m in messages %}{% if loop.first %}{{ m | tojson }}{% break %}{% endif %}{% endfor %}{{ eos_token }}{{ pad_token }}"
    assert rendered(text, ASKED * 2, eos_token="</s>") == '{"role": "user", "content": "one <two>"}</s>'
    with pytest.raises(
        PluginError, match=r"domain 'd': its chat_template cannot render a prompt \(TemplateError: told"
    ):
        rendered("{{ raise_exception('told') }}")


@pytest.mark.parametrize(
    "text",
    [
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages[0].__init__.__globals__ }}",
        "{{ bos_token.format.__self__ }}",
    ],
)
def test_templates_of_strangers_stay_in_the_sandbox(text: str) -> None:
    with pytest.raises(PluginError, match="cannot render a prompt"):
        Renderer(pasted(text + "{{ messages[0].x.y }}"), "domain 'd'")(ASKED)
    try:
        shown = rendered(text, bos_token="<s>")
    except PluginError as error:
        assert "SecurityError" in str(error)
    else:
        assert shown == "", "what is unsafe is as if it were not there"


def test_the_date_is_the_same_every_day_and_that_is_said() -> None:
    text = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}, {{ strftime_now('%Y-%m-%d') }}{% endif %}\n{{ x }}."
    inside = "{% macro head() %}{{ strftime_now('%B %-d') }}{% endmacro %}{{ head() }}"
    assert rendered(text) == "26 Jul 2024, 2024-07-26."
    assert rendered(inside) == "July 26"
    assert rendered("\n \n{{ bos_token }}x") == "\n \nx", "a template without a date is left as it is"
    assert rendered("\n \n{% set d = strftime_now('%c') %}\nx") == "\n \nx", "and the text before one, too"
    asked = Renderer(pasted(text), "domain 'd'")
    assert asked(ASKED) and asked.remarks == ["its chat template writes the date; it is told 26 July 2024 every day"]


def test_a_template_that_refuses_the_system_does_without_and_says_so(data: Path) -> None:  # noqa: F811
    """As `HFLM` does, which only warns."""
    write_task(data, "arc_easy")
    folder = folder_of(data / "model", NO_SYSTEM + TURNS)
    asked = {"system_prompt": "Be brief.", "apply_chat_template": f"local/{folder}"}
    items, _, remarks, _ = made(data / "a", "lm-eval/arc_easy", **asked)
    assert all(item.prompt.startswith("<s><user>Question:") for item in items)
    assert [remark for remark in remarks if "refuses system messages" in remark] == remarks != []
    with pytest.raises(PluginError, match=r"cannot render a prompt \(TemplateError: no"):
        rendered("{{ raise_exception('no') }}", [{"role": "system", "content": "s"}, *ASKED])


def suite_with(model: str) -> Suite:
    written = load_suite("tiny").model_dump(mode="json")
    (first, second, *_) = written["domains"]
    first |= {"name": "lm-eval/arc_easy", "parameters": {"apply_chat_template": model, "stratum": "local/x"}}
    second |= {"parameters": {"apply_chat_template": model}}
    first["teacher"]["model"] = "local/student"
    return Suite.model_validate({**written, "domains": [first, second]})


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("local/m", "local//there/m"),
        ("./m", "/there/m"),
        ("gguf/m.gguf", "gguf//there/m.gguf"),
        ("adapter/a+local/b", "adapter//there/a+local//there/b"),
        ("hf/o/n@" + "0" * 40, "hf/o/n@" + "0" * 40),
    ],
)
def test_relative_folders_are_those_beside_the_suite(model: str, meant: str) -> None:
    first, second = suite_with(model).with_folders_of(Path("/there")).domains
    assert first.parameters == {"apply_chat_template": meant, "stratum": "local/x"}
    assert second.parameters == {"apply_chat_template": model}, "another domain's parameters are its own affair"


def test_a_model_may_lie_elsewhere_where_a_row_is_verified(tmp_path: Path) -> None:
    """The teacher's folder, given once, is the template's too; one that only gives its template is called by its name."""
    refs = {role: SimpleNamespace(name="local//there/student", fingerprint="f" * 64) for role in ("teacher", "student")}
    arm = SimpleNamespace(parameters={}, trusts=None, objective=None, explains=False)
    named = SimpleNamespace(name="lm-eval/arc_easy")
    cells: Any = [SimpleNamespace(row="lm-eval.arc_easy/naive", body=SimpleNamespace(**refs, arm=arm, domain=named))]
    same = suite_with("local/student").with_folders_of(Path("/there"))
    moved = with_placements(same, placements(same, cells, {"f" * 8: str(tmp_path)}))
    assert moved.domains[0].teacher.model == f"local/{tmp_path}"
    assert moved.domains[0].parameters["apply_chat_template"] == f"local/{tmp_path}"
    other = suite_with("local/chat").with_folders_of(Path("/there"))
    moved = with_placements(other, placements(other, cells, {"local//there/chat": str(tmp_path)}))
    assert moved.domains[0].teacher.model == "local//there/student"
    assert moved.domains[0].parameters["apply_chat_template"] == f"local/{tmp_path}"
    with pytest.raises(SuiteError, match=r"model 'local//there/chat', apply_chat_template of lm-eval/arc_easy; domain"):
        refuse_unasked(other, cells, Path("results"), {"local//there/student": "local/x"})
    with pytest.raises(UnknownNameError, match=r"Known: local//there/chat, local//there/student \(ffffffffffff\)"):
        placements(other, cells, {"local/chat": str(tmp_path)})


def test_a_template_that_is_missing_where_a_row_is_verified_is_told(data: Path) -> None:  # noqa: F811
    from w2s_bench.domains.documents import Documents
    from w2s_bench.runs.verify import _planned

    write_task(data, "arc_easy")
    ref = SimpleNamespace(name="tiny/x", fingerprint="f" * 64)
    arm = SimpleNamespace(trusts=None, explains=False)
    body = SimpleNamespace(teacher=ref, student=ref, arm=arm, domain=SimpleNamespace(name="lm-eval/arc_easy"))
    cell: Any = SimpleNamespace(row="lm-eval.arc_easy/naive", body=body)
    suite = suite_with("local/chat").with_folders_of(Path("/there"))
    fault = _planned(cell, suite, Registry.load(), Documents({}), {})
    assert isinstance(fault, ModelError)
    assert str(fault).endswith("say so: --model local//there/chat=FOLDER (for local//there/chat)")
