"""Draw what training, evaluation and raters left behind; `--help` says how."""

from recruiter.cli.analyze import main

if __name__ == "__main__":
    main()
