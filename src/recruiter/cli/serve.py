"""Start the pages on which people rate, and through which training gets the ratings.

  recruiter serve
  FEEDBACK_TRUSTED_PROXIES=127.0.0.1 recruiter serve --port 8080

What else can be set is read from environment variables or .env: docs/human_feedback.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys

from recruiter.cli.command import argument_parser, command
from recruiter.cli.options import text, whole
from recruiter.config.paths import PAGES
from recruiter.errors import ConfigError


@command
def main() -> None:
    """See above."""
    options = parse_options()
    make_importable()
    import uvicorn

    # The server itself decides which proxies it believes.
    uvicorn.run("app:app", host=options.host, port=options.port, proxy_headers=False)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--host", type=text, default="127.0.0.1", help="address to listen at (default 127.0.0.1: this machine only)"
    )
    parser.add_argument(
        "--port", type=whole(ge=0, le=65535), default=8000, metavar="N", help="default 8000; 0: a free one"
    )
    return parser.parse_args()


def make_importable() -> None:
    """Let the server's modules be imported from where they lie: beside the package, or inside it when it is installed.

    Raises:
        ConfigError: what the server needs is not installed.
    """
    missing = next((name for name in ("uvicorn", "fastapi", "alembic") if importlib.util.find_spec(name) is None), None)
    if missing:
        raise ConfigError(f"The server needs the package {missing}: pip install 'recruiter[feedback]'.")
    sys.path.insert(0, str(PAGES))
