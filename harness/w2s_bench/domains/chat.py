"""The chat format of a domain: one template for all models of a suite, since they answer the same items."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from w2s_bench.domains.asked import Chat
from w2s_bench.errors import ModelError, PluginError, said
from w2s_bench.resolvers import resolver_of, resolvers_for, with_prefix
from w2s_bench.types import ChatTemplate

#: The day that templates are told, whenever a prompt is made. Llama 3's own template has it where nobody tells it any.
TODAY: Final = datetime(2024, 7, 26, tzinfo=UTC)
#: What `strftime` may be asked for, with shorthands that not every system has, as what they stand for.
_PARTS: Final = {f"%{part}": f"%{part}" for part in "aAwdbBmyYHIMSpfzZjUWGuVcxX"}
_SHORT: Final = {
    "%F": "%Y-%m-%d",
    "%T": "%H:%M:%S",
    "%R": "%H:%M",
    "%D": "%m/%d/%y",
    "%e": "%d",
    "%-d": "%d",
    "%-m": "%m",
}
#: What text pasted into a suite writes for tokens: whose they would be, nobody says.
_NO_TOKENS: Final = {"bos_token": "", "eos_token": ""}


def template_of(model: str, who: str) -> ChatTemplate:
    """The chat template of a model, by its name in a suite; no weights are read. Raises ModelError where there is none."""
    resolver = resolver_of("model", model)
    if resolver is None:  # it could be a plugin's, whose code a plan does not run
        ways = ", ".join(other.written for other in resolvers_for("model"))
        raise ModelError(
            f"{who}: apply_chat_template {model!r} is no model whose files can be read here; write {ways}, for a plugin's model the "
            "file or folder that it is made of, or give the template's text by chat_template"
        )
    try:
        template: ChatTemplate = pkgutil.resolve_name(resolver.factory)(with_prefix(resolver, model)).chat_template()
    except ModelError as error:
        raise ModelError(f"{who}: apply_chat_template: {error}") from error
    return template


def pasted(text: str) -> ChatTemplate:
    """A template whose text stands in the suite itself."""
    return ChatTemplate(text, _NO_TOKENS)


def chat_of(template: ChatTemplate | None, system: str | None, who: str) -> Chat:
    """How prompts are put to models; without a template, a system prompt stands first as plain text."""
    if template is None:
        return Chat(None, system)
    renderer = Renderer(template, who)
    return Chat(renderer, system, renderer.remarks)


class Renderer:
    """Messages → the text of a prompt, as `HFLM.apply_chat_template` makes it of them, in transformers' sandbox."""

    def __init__(self, template: ChatTemplate, who: str) -> None:
        self._text, self._tokens, self._who = _of_one_day(template.text), template.tokens, who
        #: What the user should know, said once however often it happens.
        self.remarks: list[str] = []
        if self._text != template.text:
            self._remark(f"its chat template writes the date; it is told {TODAY:%d %B %Y} every day")

    def __call__(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> str:
        """Without a generation prompt the last message is left open, for the answer to go on from it."""
        from jinja2.exceptions import TemplateError

        try:
            try:
                return self._rendered(messages, add_generation_prompt)
            except TemplateError:
                # Some templates, as Gemma's, refuse to be told anything by the system. lm-eval then leaves it out.
                spoken = [message for message in messages if message["role"] != "system"]
                if len(spoken) == len(messages):
                    raise
                text = self._rendered(spoken, add_generation_prompt)
        except Exception as error:  # a template raises anything
            raise PluginError(
                f"{self._who}: its chat_template cannot render a prompt ({type(error).__name__}: {said(error)}); give the text of a "
                "tokenizer's chat_template, or by apply_chat_template the name of a model that has one"
            ) from error
        self._remark(
            "its chat template refuses system messages, so that the system prompt and the task's description are left out"
        )
        return text

    def _rendered(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template

        tokens: dict[str, Any] = dict(self._tokens)
        texts: Any = render_jinja_template(
            conversations=[list(map(dict, messages))],
            chat_template=self._text,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            **tokens,
        )
        return str(texts[0][0])  # (texts, where the assistant speaks)

    def _remark(self, what: str) -> None:
        if what not in self.remarks:
            self.remarks.append(what)


def _of_one_day(text: str) -> str:
    """A template that asks for the date with a macro in the place of transformers' clock, so that its prompts are the same every day."""
    if "strftime_now" not in text:
        return text
    told = {part: TODAY.strftime(meant) for part, meant in (_SHORT | _PARTS).items()}
    filters = "".join(f" | replace({part!r}, {value!r})" for part, value in told.items())
    # Of the macro's own line the template sees nothing, not even its end: transformers trims blocks.
    return f"{{% macro strftime_now(format) %}}{{{{ format{filters} }}}}{{% endmacro %}}\n{text}"
