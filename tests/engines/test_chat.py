"""Templates as models bring them: without a system role, with a switch for thoughts, broken, without an end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recruiter.engines.chat import prepare_template
from recruiter.engines.model import LocalModel
from recruiter.errors import ModelError
from recruiter.prompts import Message
from tests.engines.conftest import CHAT_TEMPLATE, tiny_model, tiny_tokenizer

CHAT: Any = [Message(role="system", content="Rules."), Message(role="user", content="Which index?")]
REFUSES = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
DROPS = "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}{% endif %}{% endfor %}"
HYBRID = (
    CHAT_TEMPLATE + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
)
OPTIONAL = CHAT_TEMPLATE + "{% if thinking %}<think>{% else %}</think>{% endif %}"


def rendered(template: str, **given: Any) -> str:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    prepare_template(tokenizer, "a model")
    once = tokenizer.chat_template
    prepare_template(tokenizer, "a model")
    assert tokenizer.chat_template == once
    return str(tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, tokenize=False, **given))


def test_a_template_that_takes_the_chat_stays_as_it_is() -> None:
    tokenizer = tiny_tokenizer()
    prepare_template(tokenizer, "a model")
    assert tokenizer.chat_template == CHAT_TEMPLATE


@pytest.mark.parametrize("template", [REFUSES + CHAT_TEMPLATE, DROPS])
def test_system_text_goes_before_the_user_s_where_there_is_no_place_for_it(template: str) -> None:
    assert "Rules.\n\nWhich index?" in rendered(template)


@pytest.mark.parametrize("template", [HYBRID, OPTIONAL, REFUSES + HYBRID])
def test_hybrids_do_not_think_whoever_asks(template: str) -> None:
    for given in ({}, {"enable_thinking": True, "thinking": True}):
        assert rendered(template, **given).rstrip().endswith("</think>")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (CHAT_TEMPLATE + "<think>\n", "begins every answer with its thoughts"),
        ("{% for m in messages %}", "cannot be used"),
        ("{{ raise_exception('no chats') }}", "no chats"),
        ("", "has no chat template"),
    ],
)
def test_templates_that_cannot_work_are_refused_in_a_sentence(template: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        rendered(template)
    assert "\n" not in str(caught.value)


def test_a_model_without_an_end_token_is_refused(tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        path = tmp_path / name
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if not k.startswith("eos")}))
    with pytest.raises(ModelError, match="no token that ends an answer"):
        LocalModel(str(tmp_path), "cpu", "float32")
