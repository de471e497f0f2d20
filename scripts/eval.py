"""Evaluate models on held-out roles; `--help` says how."""

from recruiter.cli.evaluate import main

if __name__ == "__main__":
    main()
