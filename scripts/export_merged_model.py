"""Make a model folder of a checkpoint, publish it, deploy it; `--help` says how."""

from recruiter.cli.export import main

if __name__ == "__main__":
    main()
