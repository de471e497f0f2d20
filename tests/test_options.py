"""Values that make no sense are refused in one sentence, before anything is loaded: of options, of settings, and of files."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from recruiter.cli.generate import roles_of
from recruiter.config.loading import load_config
from recruiter.errors import ConfigError, DataError, RecruiterError
from recruiter.roles.completing import read_roles

ROLE = "--title Engineer --stack Go"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a few files."""
    monkeypatch.chdir(tmp_path)
    for name in ("roles.csv", "results.json", "table.csv", "ad.pdf"):
        (tmp_path / name).write_text("question\nWhy?\n")
    (tmp_path / "ad.txt").write_text("Senior Backend Engineer\n\nYou work with Go, Kafka and PostgreSQL on the ledger.")
    (tmp_path / "train.parquet").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        # counts and shares
        ("generate", f"{ROLE} -n 0", "-n 0 cannot work; write a whole number, 1 or more and up to 1000."),
        ("generate", f"{ROLE} -n 2.5", "-n 2.5 cannot work"),
        ("generate", f"{ROLE} --modl starter", "There is no option --modl; did you mean --model? --help"),
        ("generate", f"{ROLE} --best-of -1", "--best_of -1 cannot work"),
        ("generate", f"{ROLE} --seed x", "--seed x cannot work; write a whole number."),
        ("evaluate", "--model rl --samples 100000", "--samples 100000 cannot work"),
        ("evaluate", "--model rl --gpus 0", "--gpus 0 cannot work; write a whole number, 1 or more, or auto."),
        ("evaluate", "--model rl --twice -1", "--twice -1 cannot work"),
        ("evaluate", "--model rl --show -1", "--show -1 cannot work"),
        ("evaluate", "--model rl --trim nan", "--trim nan cannot work"),
        ("prepare", "--test-size -3", "--test-size -3 cannot work"),
        ("endpoint_test", "--calls 0", "--calls 0 cannot work"),
        ("endpoint_test", "--wait inf", "--wait inf cannot work"),
        ("export", "--checkpoint best --max_model_len 0", "--max_model_len 0 cannot work"),
        ("serve", "--port 70000", "--port 70000 cannot work; write a whole number, 0 or more and up to 65535."),
        # a beginning of an option is none
        ("prepare", "--role roles.csv", "There is no option --role; did you mean --roles?"),
        ("generate", f"{ROLE} --temp 1", "There is no option --temp; did you mean --temperature?"),
        # temperatures and money
        (
            "generate",
            f"{ROLE} --temperature 1e9",
            "--temperature 1e9 cannot work; write a number, 0 or more and up to 10.",
        ),
        ("generate", f"{ROLE} --temperature nan", "--temperature nan cannot work"),
        ("generate", f"{ROLE} --temperature 0", "would all be the same; write 0.1, or -n 1"),
        ("generate", f"{ROLE} --budget-usd inf", "--budget-usd inf cannot work; write a number above 0."),
        ("generate", f"{ROLE} --price model nan 1", "--price takes a model and two numbers of 0 or more"),
        ("generate", f"{ROLE} --price model -1 1", "--price takes a model and two numbers of 0 or more"),
        # texts and addresses
        ("generate", "--title= --stack Go", "--title: it is empty; write something, or leave the option out."),
        ("evaluate", "--model=", "--model: it is empty"),
        (
            "evaluate",
            "--model rl --people 127.0.0.1:8000",
            "--people 127.0.0.1:8000 cannot work; write an address such as",
        ),
        (
            "judge",
            "--role r --judge-base-url localhost Why?",
            "--judge-base-url localhost cannot work; write an address",
        ),
        # files and folders
        ("generate", "--roles nobody.csv", "--roles: there is no file nobody.csv."),
        (
            "generate",
            "--roles roles.csv --output roles.csv",
            "--output roles.csv is what --roles names: write to ",
        ),
        (
            "generate",
            f"{ROLE} --output out.docx",
            "names no format; end it in .md, .json, .csv, .txt, or add --format.",
        ),
        (
            "generate",
            f"{ROLE} --kit --output out.txt",
            "names no format; end it in .md, .html, .json, .csv, or add --format.",
        ),
        ("generate", f"{ROLE} --output no/out.md", "--output: there is no folder no."),
        ("judge", "--file table.csv --output table.csv", "--output table.csv is what --file names"),
        ("judge", "--file table.csv --output .", "--output . cannot work; write a file; this is a folder."),
        (
            "judge",
            "--file table.csv --output out.xlsx",
            "names no format; end it in .txt, .csv, .json, or add --format.",
        ),
        ("judge", "--calibrate table.csv --judge rubric --output team.csv", "name a .json file"),
        ("judge", "--file table.csv --cache table.csv", "table.csv is what --file names"),
        (
            "evaluate",
            "--model rl --output results.docx",
            "--output results.docx cannot work; write the name of a .json file.",
        ),
        ("evaluate", "--model rl --blind-sheet results.json", "--blind-sheet results.json cannot work; write a folder"),
        ("analyze", "--run nowhere", "--run: there is no folder nowhere."),
        (
            "analyze",
            "--results results.json --output results.json",
            "--output results.json cannot work; write a folder",
        ),
        (
            "prepare",
            "--roles train.parquet --output .",
            "--output . would write over train.parquet, which --roles names",
        ),
        ("format_prompts", "--raw . --output .", "--output . is what --raw names"),
        ("download", "--output ad.txt", "--output ad.txt cannot work; write a folder"),
        ("export", "--checkpoint . --output .", "--output . is what --checkpoint names"),
        # what does not go together
        ("generate", f"{ROLE} --model starter --checkpoint best", "--checkpoint belongs to --model rl"),
        ("evaluate", "--model starter --checkpoint best", "--checkpoint belongs to --model rl"),
        ("evaluate", "--model starter --pairwise", "--pairwise compares models; name two or more"),
        ("export", "--checkpoint best --private", "--private belongs to --push_to_hub"),
        ("export", "--checkpoint best --instance_type nvidia-l4", "--instance_type belongs to --create_endpoint"),
    ],
)
def test_an_option_that_makes_no_sense(
    command: str, arguments: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [command, *arguments.split()])
    with pytest.raises(ConfigError) as refused:
        importlib.import_module(f"recruiter.cli.{command}").parse_options()
    assert said in f"{refused.value}"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("trainer.ckpt_path=", "trainer.ckpt_path= cannot work; write a text"),
        ("data.raw_dir=' '", "cannot work; write a text"),
        ("data.processed_dir=data/raw/", "the prompts would take the place of the roles in data.raw_dir"),
        ("trainer.policy.optimizer_config.max_grad_norm=.inf", "cannot work; write a number above 0"),
        ("trainer.algorithm.kl_loss_coef=.nan", "cannot work; write a number, 0 or more"),
        ("generator.sampling_params.temperature=0", "cannot work; write a number above 0 and up to 10"),
        ("generator.sampling_params.temperature=1e9", "cannot work; write a number above 0 and up to 10"),
        ("generator.sampling_params.top_k=-2", "cannot work; write a whole number, -1 or more"),
        ("human_feedback.timeout=.inf", "cannot work; write a number above 0"),
        ("judge.base_url=localhost:11434", "cannot work; write an address such as http://localhost:11434/v1"),
        ("trainer.resume_path=checkpoints/one", "is not read with trainer.resume_mode=latest"),
    ],
)
def test_a_setting_that_makes_no_sense(setting: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config("train_config", [setting])
    assert setting.partition("=")[0] in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--description ad.pdf", "ad.pdf is no text that can be read here; save it as .txt, .md or .html."),
        ("--description nowhere.txt", "There is no file nowhere.txt."),
        ("--description table.csv", "--description table.csv is a table; name it with --role or --roles."),
        ("--role ad.pdf", "ad.pdf is no text that can be read here"),
        ("--role table.csv", "table.csv, line 2 has no title"),
        ("--roles ad.pdf", "ad.pdf is no table that can be read here; save it as CSV, JSON or JSON lines."),
    ],
)
def test_a_file_that_is_no_role(arguments: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recruiter.cli.generate import parse_options

    monkeypatch.setattr(sys, "argv", ["generate", *arguments.split()])
    with pytest.raises(RecruiterError) as refused:
        roles_of(parse_options(), lambda text: {})
    assert said in str(refused.value)


@pytest.mark.parametrize("arguments", ["--description ad.txt", "--role ad.txt"])
def test_the_file_of_an_advertisement_is_read(arguments: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recruiter.cli.generate import parse_options

    monkeypatch.setattr(sys, "argv", ["generate", *arguments.split()])
    (completed,) = roles_of(parse_options(), lambda text: {})
    assert (completed.role.title, completed.role.level) == ("Senior Backend Engineer", "senior")
    assert list(completed.role.stack) == ["Go", "Kafka", "PostgreSQL"]


def test_every_command_reads_a_whole_role_as_it_is(tmp_path: Path) -> None:
    """A role with all its fields is the same to training, evaluation, generation and judging; advertisements are completed."""
    from recruiter.config.paths import ROLES
    from recruiter.judges.lists import find_role
    from recruiter.roles import load_roles

    role = load_roles(ROLES)[0]
    (tmp_path / "role.json").write_text(role.model_dump_json())
    assert read_roles(tmp_path / "role.json")[0].role == role
    assert find_role(str(tmp_path / "role.json"), {}) == role
    with pytest.raises(DataError, match="neither an id of the roles nor a file"):
        find_role("nobody", {})
