"""Judge questions by the rubric; `--help` says how."""

from recruiter.cli.judge import main

if __name__ == "__main__":
    main()
