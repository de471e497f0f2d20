"""Asking a server for questions, to see whether it is well and how fast it is. One that scaled to zero is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recruiter.errors import EndpointError
from recruiter.llm.api_model import ApiModel, server_settings
from recruiter.llm.clients import Sampling
from recruiter.llm.failure import CallFailed
from recruiter.prompts import Message


@dataclass(frozen=True)
class Answer:
    """One call: the text, how long it took in seconds, and the tokens that the server counted."""

    text: str
    seconds: float
    tokens: int


async def ask_server(
    url: str,
    messages: Sequence[Message],
    max_tokens: int,
    calls: int,
    patience: float,
    say: Callable[[str], None] = lambda _: None,
    status: Callable[[str], None] = lambda _: None,
) -> tuple[str, list[Answer]]:
    """Have questions written one after the other, sampled as the model's generation settings say.

    Args:
        url: its address, with or without the path of its API. HF_TOKEN is sent to it, where it is set.
        patience: seconds that it may take to start.
        say, status: hear what is found, and what is waited for.

    Returns:
        What the server calls its model, and its answers.

    Raises:
        ApiError: it does not answer, or not as a chat model.
    """
    start = time.monotonic()

    def waiting(failure: CallFailed) -> None:
        if failure.is_retryable:
            status(f"waiting since {time.monotonic() - start:.0f} s: {failure.detail}")

    if not url.startswith(("http://", "https://")):
        raise EndpointError(f"HF_ENDPOINT_URL={url} is no address: the page of the endpoint shows it.")
    api = ApiModel(server_settings(url, is_hosted=True), on_failure=waiting)
    try:
        await api.find_model(patience)
        say(f"{api.address} is well (answered after {time.monotonic() - start:.1f} s)")
        answers = []
        for number in range(1, calls + 1):
            status(f"call {number} of {calls}")
            began = time.perf_counter()
            completion = await api.complete(messages, Sampling(max_tokens))
            answers.append(Answer(completion.text.strip(), time.perf_counter() - began, completion.tokens.output))
            if not answers[-1].text:
                raise EndpointError(
                    f"{api.address} answers, but without text: its model wrote nothing, or only thought."
                )
        return api.model, answers
    except CallFailed as failure:
        raise EndpointError(
            f"{api.address} gives no answer after {time.monotonic() - start:.0f} s ({failure.detail}): look at its log on its "
            f"page, or wait longer with --wait."
        ) from None
    finally:
        await api.close()
