"""Get a model into exports/; `--help` says how."""

from recruiter.cli.download import main

if __name__ == "__main__":
    main()
