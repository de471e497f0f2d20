"""Replies: the one reader of what a model's server sends, and of what stands in a model's text.

Servers that speak the same wire format fill it differently: text as a list of parts, nulls where numbers belong, thoughts
before the answer, an error in a body that says 200. Whatever is not of the expected type is left aside, or makes the call
a failed one; nothing is guessed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from recruiter.llm.failure import CallFailed, read_error

Ending = Literal["by itself", "at the limit", "refused"]
# Reasons for which a reply may end, of all providers. Every other one is a failure.
_ENDINGS: dict[str, Ending] = {
    **dict.fromkeys(("", "stop", "eos", "eos_token", "end_turn", "stop_sequence"), "by itself"),
    **dict.fromkeys(("length", "max_tokens", "model_length", "model_context_window_exceeded"), "at the limit"),
    **dict.fromkeys(
        ("content_filter", "refusal", "sensitive", "safety", "recitation", "blocklist", "prohibited_content", "spii",
         "guardrail_intervened"), "refused"),
}  # fmt: skip
_NAMES = r"(?:think|thinking|thought|reasoning|seed:think)"
_THOUGHT_BEGINS = re.compile(
    rf"<{_NAMES}>|\[THINK\]|◁think▷|<\|channel\|>(?:analysis|commentary)<\|message\|>", re.IGNORECASE
)
_THOUGHT_ENDS = re.compile(rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>", re.IGNORECASE)
_STRING_OR_BRACE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)
_STRING_OR_LAST_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
_ESCAPE = re.compile(r'\\(u[0-9a-fA-F]{4}|["\\/bfnrt])|\\')
_DECODER = json.JSONDecoder(strict=False)  # line breaks within strings are taken
MOST_REPAIRS = 20  # of the objects in one text


@dataclass(frozen=True)
class Tokens:
    """What a call is billed for. `cached` are those of `input` that the provider had seen shortly before, `thinking` those of
    `output` that nobody sees."""

    input: int = 0
    cached: int = 0
    output: int = 0
    thinking: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.cached + other.cached,
            self.output + other.output,
            self.thinking + other.thinking,
        )


@dataclass(frozen=True)
class Completion:
    """A model's reply: its text without what it thought."""

    text: str
    tokens: Tokens
    ended: Ending = "by itself"


# ---- the two wire formats --------------------------------------------------------------------------------------------


def read_chat_completion(body: object) -> Completion:
    """The reply in the body of a chat completion (OpenAI).

    Raises:
        CallFailed: it holds an error, or none that can be read.
    """
    reply = _without_error(body)
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise CallFailed("server_error", "the answer is no chat completion")
    _without_error(choice)
    usage = _mapping(reply.get("usage"))
    thinking = _count(_mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    seen, output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if (
        thinking and _count(usage.get("total_tokens")) == seen + output + thinking
    ):  # xAI counts thinking beside the output
        output += thinking
    cached = _count(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    tokens = Tokens(seen, min(cached, seen), output, min(thinking, output))
    ended = "refused" if message.get("refusal") else _ending(choice.get("finish_reason"))
    return Completion(_text(message.get("content")), tokens, ended)


def read_message(body: object) -> Completion:
    """The reply in the body of a message (Anthropic).

    Raises:
        CallFailed: it holds an error, or none that can be read.
    """
    reply = _without_error(body)
    if "content" not in reply:
        raise CallFailed("server_error", "the answer is no message")
    usage = _mapping(reply.get("usage"))
    cached = _count(usage.get("cache_read_input_tokens"))
    seen = _count(usage.get("input_tokens")) + cached + _count(usage.get("cache_creation_input_tokens"))
    tokens = Tokens(seen, cached, _count(usage.get("output_tokens")))
    return Completion(_text(reply["content"]), tokens, _ending(reply.get("stop_reason")))


def read_models(body: object) -> list[str]:
    """The names in a list of models.

    Raises:
        CallFailed: it holds an error, or no list.
    """
    listed = _without_error(body).get("data")
    if not isinstance(listed, list):
        raise CallFailed("server_error", "the answer is no list of models")
    return [clean_text(str(model["id"])) for model in listed if isinstance(model, dict) and model.get("id")]


def _without_error(body: object) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise CallFailed("server_error", "the answer is no JSON object")
    if body.get("error"):
        raise read_error(200, body)
    return body


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    """A number of tokens; 0 for what is none."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) else 0.0
    except ValueError:
        return 0
    return int(number) if math.isfinite(number) and number > 0 else 0


def _text(content: object) -> str:
    """The text of a reply: a string, or those parts of a list that are text."""
    if content is None:
        return ""
    parts = content if isinstance(content, list) else [content]
    if not all(isinstance(part, (str, dict)) for part in parts):
        raise CallFailed("server_error", "the answer's content is no text")
    return without_thoughts(clean_text("".join(map(_part_text, parts))))


def _part_text(part: object) -> str:
    text = _mapping(part).get("text") if _mapping(part).get("type", "text") in ("text", "output_text") else None
    return part if isinstance(part, str) else text if isinstance(text, str) else ""


def _ending(reason: object) -> Ending:
    ending = _ENDINGS.get(str(reason or "").lower())
    if ending is None:
        raise CallFailed("server_error", f"the answer ended with {str(reason)[:40]!r}")
    return ending


# ---- the text --------------------------------------------------------------------------------------------------------


def clean_text(text: str) -> str:
    """Text that can be stored: halves of a surrogate pair are joined, lone ones replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_thoughts(text: str) -> str:
    """What follows a model's last thought; "" if it does not end. Text that is JSON as a whole holds none."""
    if text.lstrip().startswith("{"):
        try:
            json.loads(text, strict=False)
        except (ValueError, RecursionError):
            pass
        else:
            return text
    ends = list(_THOUGHT_ENDS.finditer(text))
    rest = text[ends[-1].end() :] if ends else text
    if begins := _THOUGHT_BEGINS.search(rest):
        rest = rest[: begins.start()]
    return rest


def json_objects(text: str) -> list[dict[str, Any]]:
    """What a model wrote, if it is one JSON object, else the outermost objects within it.

    Taken as well: line breaks within strings, a comma after the last entry, backslashes that escape nothing.
    """
    return [_clean(value) for value in _objects(without_thoughts(text))]


def _objects(text: str) -> Iterator[dict[str, Any]]:
    start, repairs = text.find("{"), 0
    while start >= 0:
        end = start + 1
        try:
            value, end = _DECODER.raw_decode(text, start)
            yield value
        except (ValueError, RecursionError):
            if repairs < MOST_REPAIRS and text[end:].lstrip().startswith('"'):
                repairs += 1
                closed = _object_end(text, start)
                try:
                    yield json.loads(_repaired(text[start:closed]), strict=False)
                    end = closed
                except (ValueError, RecursionError):
                    pass
        start = text.find("{", end)


def _object_end(text: str, start: int) -> int:
    """Where the object that begins at `start` ends; where it begins, if it does not end."""
    depth = 0
    for found in _STRING_OR_BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if depth == 0:
            return found.end()
    return start


def _repaired(text: str) -> str:
    def mend(found: re.Match[str]) -> str:
        part = found.group()
        return "" if part == "," else _ESCAPE.sub(lambda e: e.group() if e.group(1) else "\\\\", part)

    return _STRING_OR_LAST_COMMA.sub(mend, text)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return {clean_text(name): _clean(item) for name, item in value.items()} if isinstance(value, dict) else value
