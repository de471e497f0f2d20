"""Failed calls: one type for whatever SDKs and servers do, sorted by what can be done about it.

What failed is told by the status and by the fields of an error that hold codes. Its message may repeat the user's own text,
so of a message only the beginning counts, which is the provider's.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from recruiter.llm.providers import scrub

# Codes and types of errors, in lower case without marks between words.
_CODES = {
    "credit": (
        "insufficientquota", "insufficientcredits", "insufficientbalance", "insufficientfunds", "billingerror",
        "billingnotactive", "billinghardlimitreached", "paymentrequired",
    ),
    "rate_limit": (
        "ratelimiterror", "ratelimitexceeded", "ratelimit", "toomanyrequests", "overloadederror", "overloaded",
        "resourceexhausted", "quotaexceeded", "capacityexceeded", "enginerequestlimitreached", "serveroverloaded",
    ),
    "refusal": (
        "contentfilter", "contentfiltererror", "contentpolicyviolation", "responsibleaipolicyviolation", "moderation",
        "moderationblocked", "safety", "datainspectionfailed", "promptblocked", "invalidprompt", "cybersafety",
    ),
    "authentication": (
        "invalidapikey", "apikeyinvalid", "incorrectapikey", "authenticationerror", "invalidauthentication",
        "unauthenticated", "unauthorized", "permissionerror", "accountdeactivated",
    ),
    "unknown_model": ("modelnotfound", "notfounderror", "modelnotavailable", "modelnotsupported"),
}  # fmt: skip
_KIND_OF_CODE = {code: kind for kind, codes in _CODES.items() for code in codes}
# Beginnings of messages, for providers that give no code.
_BEGINNINGS = {
    "credit": r"insufficient (?:account )?(?:credit|balance|funds|quota)|your credit balance|your team has either used|"
    r"you exceeded your current quota|you have (?:run out of|insufficient) credits?",
    "rate_limit": r"quota exceeded|rate limit|too many requests|the model is overloaded",
    "refusal": r"content (?:violates|policy)|your (?:request|input|prompt) was (?:flagged|rejected|blocked)|"
    r"your chosen model requires moderation|the response was filtered",
    "authentication": r"api key not valid|(?:incorrect|invalid|wrong|missing) (?:x-)?api[ _-]?key|forbidden|"
    r"permission denied|access denied|you (?:have no|do not have) permission",
    "unknown_model": r"(?:the )?model [`'\"]?[\w./:@-]+[`'\"]? (?:does not exist|not found|was not found|is not found)|"
    r"unknown model|no such model",
    "paused": r"(?:bad request: )?endpoint is paused",
}  # fmt: skip
_KIND_OF_BEGINNING = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _BEGINNINGS.items()}
_BUSY = (429, 498, 529)
_WORTH_ANOTHER_TRY = (409, 425)
_KIND_OF_STATUS = {401: "authentication", 402: "credit", 403: "forbidden", 404: "unknown_model", 408: "timeout"}


class CallFailed(Exception):
    """One call to a model failed.

    Attributes:
        kind: a word for counting; those of `FATAL` will fail every call alike.
        detail: what was said, scrubbed of keys.
        retry_after: seconds that the server asked to wait, if it did.
        settings: names of parameters that the server found fault with.
        status: of the HTTP response; 0 if there was none.
    """

    FATAL = ("authentication", "unknown_model", "credit", "paused")
    RETRYABLE = ("timeout", "connection", "rate_limit", "server_error")

    def __init__(
        self,
        kind: str,
        detail: str,
        retry_after: float | None = None,
        settings: frozenset[str] = frozenset(),
        status: int = 0,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.retry_after, self.settings = kind, detail, retry_after, settings
        self.status = status

    @property
    def is_fatal(self) -> bool:
        """Whether every other call would fail in the same way."""
        return self.kind in self.FATAL

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may well succeed later."""
        return self.kind in self.RETRYABLE


@dataclass(frozen=True)
class _Error:
    """What an error's body says in its own fields; what it repeats of the request is left aside."""

    codes: frozenset[str]
    message: str
    settings: frozenset[str]
    is_flagged: bool


def read_error(status: int, body: object, headers: Mapping[str, str] | None = None) -> CallFailed:
    """What a response means that holds an error.

    Args:
        status: of the response. Where that is 200, the error's own code counts.
        body: its JSON; text if it is none.
    """
    error = _read(body)
    if status < 400:
        numbers = [int(code) for code in error.codes if re.fullmatch(r"[45]\d\d", code)]
        status = numbers[0] if numbers else status
    kind = _kind(status, error, is_json=not isinstance(body, (str, bytes)) and body is not None)
    said = f", {scrub(error.message)}" if error.message and kind not in CallFailed.RETRYABLE else ""
    return CallFailed(kind, f"HTTP {status}{said}", retry_after(headers or {}), error.settings, status)


def _kind(status: int, error: _Error, is_json: bool) -> str:
    found = {kind for code in error.codes if (kind := _KIND_OF_CODE.get(code))}
    found |= {kind for kind, pattern in _KIND_OF_BEGINNING.items() if pattern.match(error.message)}
    if status >= 500 and status not in _BUSY:  # whatever it says, it is the server's own trouble
        return "server_error"
    if status == 402 or "credit" in found:
        return "credit"
    if status in _BUSY:
        return "rate_limit"
    if error.is_flagged:
        return "refusal"
    for kind in ("refusal", "rate_limit", "authentication", "unknown_model", "paused"):
        if kind in found:
            return kind
    if status == 403 and not is_json:  # of something between here and the provider
        return "server_error"
    if status < 400 or status in _WORTH_ANOTHER_TRY:
        return "server_error"
    return _KIND_OF_STATUS.get(status, "bad_request")


def _read(body: object) -> _Error:
    """The fields of an error, in whichever of the usual forms it has."""
    if isinstance(body, list):
        body = body[0] if body else {}
    outer = body if isinstance(body, dict) else {}
    inner = outer.get("error")
    error: Mapping[str, Any] = inner if isinstance(inner, dict) else outer
    message = inner if isinstance(inner, str) else error.get("message")
    codes, settings = [error.get(name) for name in ("code", "type", "status")], [error.get("param")]
    for place in ("details", "errors"):
        codes += [part.get("reason") for part in _dicts(error.get(place))]
    codes += [part.get("code") for part in _dicts([error.get("innererror")])]
    for fault in _dicts(outer.get("detail")):  # FastAPI: where it stands, and what is wrong with it
        where = fault.get("loc")
        settings += [where[-1]] if isinstance(where, list) and where else []
        message = message or fault.get("msg")
    if isinstance(outer.get("detail"), str):
        message = message or outer["detail"]
    text = message if isinstance(message, str) else body if isinstance(body, str) else ""
    named = re.findall(r"['\"`](\w+)['\"`]|\A(\w+):|\b(\w+_\w+)\b|\bparameters?:? (\w+)", text)
    metadata = error.get("metadata")
    return _Error(
        frozenset(re.sub(r"[^a-z0-9]", "", str(code).lower()) for code in codes if isinstance(code, (str, int))),
        " ".join(text.split()),
        frozenset(
            name for name in [*settings, *(n for found in named for n in found)] if name and isinstance(name, str)
        ),
        isinstance(metadata, dict) and ("flagged_input" in metadata or "reasons" in metadata),
    )


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    yield from (part for part in (value if isinstance(value, list) else []) if isinstance(part, dict))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as a response's headers ask for, in milliseconds, seconds, or as a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit
            if 0 <= seconds < float("inf"):
                return seconds
    with contextlib.suppress(KeyError, ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    return None
