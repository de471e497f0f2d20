"""The commands. `recruiter COMMAND …` runs them; in a checkout the scripts of `scripts/` are doors to the same functions."""

from __future__ import annotations

import difflib
import importlib
import sys

from recruiter import __version__

# Name, module, what it does. A module is imported when its command runs, for some take seconds.
COMMANDS = {
    "train": ("recruiter.main", "train a question writer with GRPO"),
    "prepare": ("recruiter.cli.prepare", "validate the roles and split them into training and held-out ones"),
    "format-prompts": ("recruiter.cli.format_prompts", "write the prompts that training reads; it does this by itself"),
    "eval": ("recruiter.cli.evaluate", "evaluate models on held-out roles"),
    "generate": ("recruiter.cli.generate", "write screening questions for a role, or for many"),
    "kit": ("recruiter.cli.generate", "make an interview kit: questions with guides, to print (generate --kit)"),
    "judge": ("recruiter.cli.judge", "judge questions"),
    "export": ("recruiter.cli.export", "make a model folder of a checkpoint, publish it, deploy it"),
    "download": ("recruiter.cli.download", "get a model into exports/"),
    "analyze": ("recruiter.cli.analyze", "draw what training, evaluation and raters left behind"),
    "serve": ("recruiter.cli.serve", "start the pages on which people rate"),
    "raters": ("recruiter.cli.raters", "make, list and end the links of raters"),
    "endpoint-test": ("recruiter.cli.endpoint_test", "ask an inference endpoint for questions"),
}


def main() -> None:
    """Run the command that `sys.argv` names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        print("usage: recruiter COMMAND …\n")
        print("\n".join(f"  {each:{width}}  {what}" for each, (_, what) in COMMANDS.items()))
        print("\nrecruiter COMMAND --help says more of one of them.")
    elif name == "--version":
        print(__version__)
    elif name in COMMANDS:
        sys.argv[:2] = [f"recruiter {name}"]
        importlib.import_module(COMMANDS[name][0]).main()
    else:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"write one of {', '.join(COMMANDS)}."
        print(f"There is no command {name}; {hint}", file=sys.stderr)
        sys.exit(2)
