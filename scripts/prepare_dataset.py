"""Validate the role records and split them; `--help` says how."""

from recruiter.cli.prepare import main

if __name__ == "__main__":
    main()
