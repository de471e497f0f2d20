"""Write the chat prompts that training reads; `--help` says how."""

from recruiter.cli.format_prompts import main

if __name__ == "__main__":
    main()
