"""Run the fake judge by hand and point a judge at it:

python -m tests.fake_judge --port 8377 --latency 0.5 --fault server_error --fault cut --share 0.1
python scripts/judge.py --judge openai_compatible/fake --base-url http://127.0.0.1:8377/v1 …
"""

from __future__ import annotations

import argparse
import threading
from collections import Counter

from tests.fake_judge import FAULTS, FakeJudge, Faults


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fake_judge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8377, metavar="N", help="0 takes a free one (default 8377)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds before a good answer")
    parser.add_argument("--capacity", type=int, metavar="N", help="requests at a time beyond which it answers 429")
    parser.add_argument("--key", help="the only key that is accepted (default: any)")
    parser.add_argument("--model", help="the only model that exists (default: any)")
    parser.add_argument("--gullible", action="store_true", help="give 10 to whoever asks for it")
    parser.add_argument("--fenced", action="store_true", help="put text and a code fence around the JSON")
    parser.add_argument("--fault", action="append", default=[], choices=FAULTS, metavar="KIND",
                        help=f"may be repeated: {', '.join(FAULTS)}")  # fmt: skip
    parser.add_argument("--share", type=float, default=1.0, metavar="P", help="share of the messages hit (default 1)")
    parser.add_argument(
        "--times", type=int, metavar="N", help="faults per message before it is answered (default: all)"
    )
    parser.add_argument(
        "--after", type=int, default=0, metavar="N", help="requests answered well before the first fault"
    )
    parser.add_argument("--retry-after", type=float, default=1.0, metavar="S", help="what a 429 asks for (default 1)")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="how long `slow` takes (default 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which messages are hit")
    options = parser.parse_args()
    faults = Faults(
        options.fault, options.share, options.times, options.seed, options.after,
        seconds=options.seconds, retry_after=options.retry_after,
    )  # fmt: skip
    with FakeJudge(
        faults, options.latency, options.capacity, options.gullible, options.fenced, options.key, options.model,
        options.port,
    ) as server:  # fmt: skip
        print(f"OpenAI wire format: {server.openai_url}   Anthropic: {server.anthropic_url}   Ctrl-C ends it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            counts = Counter(request.fault or "answered well" for request in server.requests)
            print("\n" + ", ".join(f"{number} {name}" for name, number in counts.most_common()))


if __name__ == "__main__":
    main()
