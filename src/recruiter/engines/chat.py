"""Chat templates as they are, made to take this project's chats: one text, changed once, for every reader of it.

What is added stands at the template's beginning, so that training, evaluation and the servers of an export agree.
"""

from __future__ import annotations

import re

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from recruiter.errors import ModelError

_SWITCHES = ("enable_thinking", "thinking")  # what templates call the switch of hybrids that think
_SYSTEM, _USER = "System text.", "User text."
_JOIN_SYSTEM = (
    "{%- if messages and messages[0]['role'] == 'system' and messages | length > 1 -%}"
    "{%- set messages = [{'role': messages[1]['role'], 'content': messages[0]['content'] + '\\n\\n' + "
    "messages[1]['content']}] + messages[2:] -%}{%- endif -%}"
)


def prepare_template(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Switch thinking off in a tokenizer's chat template, and put the system text before the user's where it has no place.

    Args:
        name: the model, as the user named it.

    Raises:
        ModelError: there is no template, it cannot be read, or its answers begin with thoughts in any case.
    """
    template = tokenizer.chat_template
    if not template:
        raise ModelError(f"{name} has no chat template; use an instruct model.")
    if not isinstance(template, str):
        return  # several, by name
    switches = [switch for switch in _SWITCHES if re.search(rf"\b{switch}\b", template)]
    off = "".join(f"{{%- set {switch} = false -%}}" for switch in switches)
    if off not in template:
        tokenizer.chat_template = template = off + template
    try:
        if not _takes_system(tokenizer):
            tokenizer.chat_template = _JOIN_SYSTEM + template
        rendered = _rendered(tokenizer)
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ModelError(f"The chat template of {name} cannot be used ({reason}); use another model.") from None
    if rendered.rpartition("</think>")[2].count("<think>"):
        raise ModelError(
            f"{name} begins every answer with its thoughts, which would be judged as the question; use an instruct model "
            f"that does not think, or whose template knows enable_thinking."
        )


def _takes_system(tokenizer: PreTrainedTokenizerBase) -> bool:
    try:
        return _SYSTEM in _rendered(tokenizer)
    except TemplateError:
        return False


def _rendered(tokenizer: PreTrainedTokenizerBase) -> str:
    chat = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER}]
    return str(tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
