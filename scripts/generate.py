"""Write screening questions for a role, or for many; `--help` says how."""

from recruiter.cli.generate import main

if __name__ == "__main__":
    main()
