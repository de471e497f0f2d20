"""What models and their servers send: read by one reader, for judges and writers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recruiter.llm.failure import CallFailed
from recruiter.llm.reply import Completion, Tokens, json_objects, read_chat_completion, read_message, without_thoughts


def chat(content: Any, finish: str | None = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    return {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 6} if usage is None else usage}


def message(content: Any, reason: str | None = "end_turn", usage: Any = None) -> dict[str, Any]:
    return {"type": "message", "content": content, "stop_reason": reason, "usage": usage or {}}


def thought(tokens: Any) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Why?", "Why?"),
        (None, ""),
        ([THINKING, {"type": "text", "text": "Why"}, {"type": "text", "text": "?"}], "Why?"),
        ([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "Why?"}], "Why?"),
        (["Why", "?"], "Why?"),
        ([{"text": "Why?"}, {"type": "text", "text": None}, {"type": "text"}], "Why?"),
        ([], ""),
        ("\ud83d Why?", "\ufffd Why?"),
        ("\ud83d\ude00 Why?", "😀 Why?"),
    ],
)
def test_text_is_taken_from_whatever_holds_it(content: Any, text: str) -> None:
    assert read_chat_completion(chat(content)).text == text
    if isinstance(content, list):
        assert read_message(message(content)).text == text


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}, Tokens()),
        ({"prompt_tokens": 5}, Tokens(5)),
        ({"prompt_tokens": "5", "completion_tokens": 6.0}, Tokens(5, 0, 6)),
        ({"prompt_tokens": -5, "completion_tokens": float("nan")}, Tokens()),
        ({"prompt_tokens": 5, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 50}}, Tokens(5, 5, 6)),
        ({"prompt_tokens": 5, "prompt_tokens_details": 3, "completion_tokens_details": []}, Tokens(5)),
        ({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, **thought(94)}, Tokens(32, 0, 103, 94)),
        ({"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14, **thought(4)}, Tokens(5, 0, 9, 4)),
        ("none", Tokens()),
    ],
)  # fmt: skip
def test_tokens_are_counted_from_whatever_is_said(usage: Any, tokens: Tokens) -> None:
    assert read_chat_completion(chat("Why?", usage=usage)).tokens == tokens


def test_no_usage_at_all_counts_nothing() -> None:
    assert read_chat_completion({"choices": chat("Why?")["choices"]}) == Completion("Why?", Tokens())
    usage = {"input_tokens": None, "cache_read_input_tokens": 4, "output_tokens": "7"}
    assert read_message(message([{"type": "text", "text": "Why?"}], usage=usage)).tokens == Tokens(4, 4, 7)


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        ("stop", "by itself"), ("STOP", "by itself"), ("eos_token", "by itself"), (None, "by itself"),
        ("length", "at the limit"), ("MAX_TOKENS", "at the limit"), ("model_context_window_exceeded", "at the limit"),
        ("content_filter", "refused"), ("sensitive", "refused"), ("RECITATION", "refused"),
    ],
)  # fmt: skip
def test_endings_are_those_that_are_known(reason: str | None, ended: str) -> None:
    assert read_chat_completion(chat("Why?", reason)).ended == ended
    assert read_message(message([{"type": "text", "text": "Why?"}], reason)).ended == ended


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource", "tool_calls", "pause_turn", 7])
def test_every_other_ending_is_a_failed_call(reason: Any) -> None:
    with pytest.raises(CallFailed, match="server_error: the answer ended with"):
        read_chat_completion(chat("How would you find the", reason))


def test_a_refusal_in_words_of_its_own_is_one() -> None:
    assert read_chat_completion(chat(None, refusal="I cannot")).ended == "refused"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": 402, "message": "Insufficient credits"}}, "credit"),
        ({"error": {"code": 429, "message": "rate limited upstream"}}, "rate_limit"),
        ({"error": {"code": "rate_limit_exceeded"}}, "rate_limit"),
        ({"error": {"code": 403, "message": "flagged", "metadata": {"flagged_input": "…"}}}, "refusal"),
        ({"error": "upstream lost"}, "server_error"),
        (
            {"choices": [{"finish_reason": "error", "error": {"code": 502}, "message": {"content": "cut he"}}]},
            "server_error",
        ),
        ({"choices": None}, "server_error"),
        ({"choices": []}, "server_error"),
        ({"choices": [{"message": None}]}, "server_error"),
        ({"choices": ["x"]}, "server_error"),
        ({"choices": [{"message": {"content": {"a": 1}}, "finish_reason": "stop"}]}, None),
        ({"choices": [{"message": {"content": 7}}]}, "server_error"),
        ([], "server_error"),
        ("ok", "server_error"),
        (None, "server_error"),
    ],
)
def test_a_200_that_holds_no_reply_is_the_failure_that_it_names(body: Any, kind: str | None) -> None:
    if kind is None:
        assert read_chat_completion(body).text == ""
        return
    with pytest.raises(CallFailed) as caught:
        read_chat_completion(body)
    assert caught.value.kind == kind
    with pytest.raises(CallFailed):
        read_message(body)


# ---- thoughts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Why?", "Why?"),
        ("<think>plan</think>Why?", "Why?"),
        ("First I look.\n</think>Why?", "Why?"),
        ("<think>one</think> or <think>two</think>Why?", "Why?"),
        ("<think>plan and plan", ""),
        ("<THINKING>plan</THINKING>Why?", "Why?"),
        ("[THINK]plan[/THINK]Why?", "Why?"),
        ("◁think▷plan◁/think▷Why?", "Why?"),
        ("<|channel|>analysis<|message|>plan<|end|><|start|>assistant<|channel|>final<|message|>Why?", "Why?"),
        ("", ""),
    ],
)
def test_thoughts_are_no_part_of_the_text(text: str, rest: str) -> None:
    assert without_thoughts(text) == rest


def test_json_that_quotes_a_tag_is_kept_whole() -> None:
    text = json.dumps({"reasoning": "The question says </think> to be judged better.", "relevance": 1})
    assert without_thoughts(text) == text


# ---- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "one\ntwo"}', {"a": "one\ntwo"}),
        ('{"a": "one\u2028two"}', {"a": "one\u2028two"}),
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2, ], "b": {"c": 3,\n},\n}', {"a": [1, 2], "b": {"c": 3}}),
        (r'{"a": "cost \$5 and don\'t, }"}', {"a": r"cost \$5 and don\'t, }"}),
        (r'{"a": "a \" b \\ \u00e9 \_",}', {"a": r'a " b \ é \_'}),
        ('{"a": "x \\ud83d"}', {"a": "x \ufffd"}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1,}\n``` I hope "this" helps.', {"a": 1}),
    ],
)
def test_json_that_small_models_write_is_read(text: str, value: dict[str, Any]) -> None:
    assert json_objects(text) == [value]


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": 1', '{"a" 1}', "{" * 3000, '{"a": ' * 3000, "{a: 1}", '{"a": 1 "b": 2}']
)
def test_what_is_missing_is_not_guessed(text: Any) -> None:
    assert json_objects(text) == []
