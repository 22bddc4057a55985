"""The chat format of a domain: one template for all models of a suite, since they answer the same items."""

from __future__ import annotations

from typing import Any

from w2s_bench.domains.asked import Chat
from w2s_bench.errors import PluginError, said


def chat_of(template: str | None, system: str | None, who: str) -> Chat:
    """`template` is Jinja text, as in a tokenizer's `chat_template`; without one, a system prompt stands first as plain text."""
    if template is None:
        return Chat(None, system)
    from transformers.utils.chat_template_utils import render_jinja_template

    def render(messages: list[dict[str, Any]], add_generation_prompt: bool = True) -> str:
        try:
            texts: Any = render_jinja_template(
                conversations=[messages],
                chat_template=template,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
                bos_token="",
                eos_token="",
            )
        except Exception as error:  # a template raises anything
            raise PluginError(
                f"{who}: its chat_template cannot render a prompt ({type(error).__name__}: {said(error)}); give the text of a "
                "tokenizer's chat_template"
            ) from error
        return str(texts[0][0])  # (texts, where the assistant speaks)

    return Chat(render, system)
