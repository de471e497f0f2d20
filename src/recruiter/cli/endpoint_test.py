"""Ask an inference endpoint for questions: whether it is well, what it writes, and how fast it is.

Its address stands in HF_ENDPOINT_URL, a token of its owner in HF_TOKEN (both may stand in .env). An endpoint that was scaled
to zero is waited for.
"""

from __future__ import annotations

import argparse
import os

import numpy as np

from recruiter.cli.command import argument_parser, command
from recruiter.cli.options import number, text, whole
from recruiter.cli.terminal import make_console, shown_status
from recruiter.config.loading import load_config
from recruiter.config.paths import ROLES
from recruiter.deploy.asking import ask_server
from recruiter.errors import ConfigError
from recruiter.judges.lists import find_role
from recruiter.llm.loop_thread import run_async
from recruiter.prompts import Message, generator_messages
from recruiter.roles import load_roles


@command
def main() -> None:
    """See above."""
    options = parse_options()
    messages = _messages(options.prompt, options.role)
    console = make_console()
    limit = load_config("train_config").generator.sampling_params.max_generate_length
    with shown_status(console, "asking which model it has") as status:
        asked = ask_server(
            _address(), messages, limit, options.calls, 60 * options.wait, say=console.print, status=status
        )
        model, answers = run_async(asked)
    console.print(f"\n{answers[0].text}\n")
    seconds = [answer.seconds for answer in answers]
    tokens = sum(answer.tokens for answer in answers)
    p50, p90, p99 = np.percentile(seconds, [50, 90, 99], method="inverted_cdf")
    console.print(
        f"{len(answers)} calls of {model}: latency p50 {p50:.2f} s, p90 {p90:.2f} s, p99 {p99:.2f} s, "
        f"{tokens / sum(seconds):.1f} tokens a second",
        soft_wrap=True,
    )


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--role",
        type=text,
        default="caching-and-performance-08",
        metavar="ID|FILE",
        help="id of a role of data/backend_roles.json, or a JSON file with one role",
    )
    parser.add_argument("--prompt", type=text, metavar="TEXT", help="send this instead of the prompt of a role")
    parser.add_argument(
        "--calls", type=whole(ge=1, le=100_000), default=5, metavar="N", help="calls, one after the other (default 5)"
    )
    parser.add_argument(
        "--wait", type=number(ge=0, le=1440), default=15, metavar="MINUTES", help="for it to start (default 15)"
    )
    return parser.parse_args()


def _messages(prompt: str | None, role: str) -> list[Message]:
    if prompt:
        return [Message(role="user", content=prompt)]
    known = {entry.id: entry for entry in load_roles(ROLES)}
    return generator_messages(find_role(role, known))


def _address() -> str:
    url = os.environ.get("HF_ENDPOINT_URL", "")
    if url:
        return url
    hint = ""
    if "endpoints.huggingface" in os.environ.get("HF_ENDPOINT", ""):
        hint = " HF_ENDPOINT is something else, the address of the Hub: take it out."
    raise ConfigError(f"HF_ENDPOINT_URL is not set: write HF_ENDPOINT_URL=<address of the endpoint> into .env.{hint}")
