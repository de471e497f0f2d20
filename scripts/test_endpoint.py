"""Ask an inference endpoint for questions; `--help` says how."""

from recruiter.cli.endpoint_test import main

if __name__ == "__main__":
    main()
