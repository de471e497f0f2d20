"""Every line of README and docs works as written.

Each line is read by the command it names: an option, a setting, a file or a configuration that isn't there fails. `make soak`
also runs the lines, page by page, in a copy of the project, where what they would reach elsewhere is replaced by the servers of
this folder and large models by tiny ones (`REPLACED`). What can't run is marked in the page: `<!-- not run: the reason -->`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from recruiter.cli import COMMANDS
from recruiter.config.loading import load_config
from recruiter.files import sha256_of
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.roles import load_roles
from recruiter.rubric import load_rubric
from tests import REPOSITORY
from tests.engines.conftest import tiny_model, tiny_tokenizer
from tests.fake_endpoint import FakeEndpoint
from tests.fake_hub import TOKEN, FakeHub
from tests.fake_judge import FakeJudge
from tests.train.online.people import Crowd

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))]
MARK = re.compile(r"^ *<!-- not run(?:: *(?P<reason>.*?))? *-->$")
FENCE = re.compile(r"^ *```(\w*)$")
SPAN = re.compile(r"`((?:[A-Z_]+=\S+ )*(?:python|\S*/python|pip|make|uvicorn|cd|recruiter) [^`…]+)`")
MARKED = 9  # blocks and tables that are marked as not run; one more needs a good reason
FOLDERS = ("checkpoints/quickstart", "feedback-ui", "FOLDER")
FILES = (
    "anna.csv", "ben.csv", "job_ad.txt", "my_role.json", "my_rubric.yaml", "questions.csv", "ratings.jsonl", "roles.csv",
    "results/quickstart.json", "results/roles.json", "data/roles/test.parquet", "xai.json", "FILE",
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A command, Python program or YAML file of a page; `why_not` says why it isn't run."""

    page: str
    line: int
    kind: str
    text: str
    why_not: str | None = None
    block: int = 0  # the line before its block

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read_page(page: str) -> Iterator[Command]:
    """Everything that a page tells its reader to type, in order."""
    lines = enumerate((REPOSITORY / page).read_text(encoding="utf-8").split("\n"), 1)
    reason: str | None = None
    for number, line in lines:
        if mark := MARK.match(line):
            assert mark["reason"], f"{page}:{number}: why is it not run?"
            reason = mark["reason"]
        elif fence := FENCE.match(line):
            kind, block = fence[1], list[str]()
            assert kind in ("bash", "python", "yaml", "text"), f"{page}:{number}: say bash, python, yaml or text"
            for _, text in lines:
                if FENCE.match(text):
                    break
                block.append(text)
            whole = textwrap.dedent("\n".join(block))
            yield from (
                commands(whole, page, number + 1, reason)
                if kind == "bash"
                else [Command(page, number + 1, kind, whole, reason, number)]
            )
            reason = None
        elif line.startswith("|"):
            yield from (Command(page, number, "bash", span, reason, number) for span in SPAN.findall(line))
        elif line.strip():
            assert reason is None, f"{page}:{number}: a mark stands before the block or table that is not run"
            yield from (Command(page, number, "named", span) for span in SPAN.findall(line))
        else:
            reason = None


def commands(block: str, page: str, fence: int, reason: str | None) -> Iterator[Command]:
    """The commands of a block; one may take several lines."""
    text, start = "", fence
    for number, part in enumerate(block.split("\n"), fence + 1):
        text, start = (f"{text}\n{part}", start) if text else (part, number)
        with contextlib.suppress(ValueError):  # a quotation goes on in the next line
            if shlex.split(text, comments=True) and not text.endswith("\\"):
                yield Command(page, start, "bash", text, reason, fence)
                text = ""
    assert not text.strip(), f"{page}:{start}: it doesn't end"


DOCUMENTED = [command for page in PAGES for command in read_page(page)]


def test_what_is_not_run_is_little_and_has_a_reason() -> None:
    marks = [mark for page in PAGES for mark in re.findall(r"<!-- not run.*?-->", (REPOSITORY / page).read_text())]
    assert len(marks) == MARKED
    assert all(MARK.match(mark) for mark in marks)
    reasons = {command.why_not for command in DOCUMENTED if command.why_not}
    assert reasons
    assert all(len(reason.split()) >= 3 for reason in reasons)


# ---- every line is understood ------------------------------------------------------------------------------------------


class ParsedError(Exception):
    """The command has read its options."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages expect in the current folder, empty."""
    root = tmp_path_factory.mktemp("folder")
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize("command", [each for each in DOCUMENTED if each.kind != "text"], ids=str)
def test_a_line_is_understood(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_REPO", "")
    try:
        if command.kind == "yaml":
            (folder / "my_rubric.yaml").write_text(command.text)
            load_rubric("my_rubric.yaml")
        elif command.kind == "python":
            compile(command.text, str(command), "exec")
        else:
            lexer = shlex.shlex(command.text.replace("\\\n", " "), posix=True, punctuation_chars="&<")
            lexer.whitespace_split = True
            words = list(lexer)
            while words:
                end = words.index("&&") if "&&" in words else len(words)
                understand(words[:end], monkeypatch)
                words = words[end + 1 :]
    except SystemExit as ended:
        pytest.fail(f"{command}: {command.text}\n{capsys.readouterr().err}{ended}")
    except Exception as error:
        pytest.fail(f"{command}: {command.text}\n{type(error).__name__}: {error}")


def understand(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a command read its options, and do nothing more."""
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if "<" in words:
        assert Path(words.pop()).is_file()
        words.pop()
    program, *rest = words
    monkeypatch.setattr(sys, "argv", [program, *rest])
    if program.endswith("python"):
        if rest[0] == "-m":
            name, *rest = rest[1:]
            read_by_module(name, rest, monkeypatch)
        else:
            path = REPOSITORY / rest[0]
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert path.is_file(), f"there is no {rest[0]}"
            assert spec
            assert spec.loader
            script = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(script)
            monkeypatch.setattr(sys, "argv", rest)
            sys.modules[script.main.__module__].parse_options()
    elif program == "recruiter":
        assert rest[0] in COMMANDS, f"there is no command {rest[0]}"
        if len(rest) == 1:
            return  # its name is all that the page says
        monkeypatch.setattr(sys, "argv", [f"recruiter {rest[0]}", *rest[1:]])
        read_by_module(COMMANDS[rest[0]][0], rest[1:], monkeypatch)
    elif program == "make":
        assert re.search(rf"^{rest[0]}: ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE), f"no target {rest[0]}"
    elif program == "pip":
        understand_pip(rest)
    elif program == "uvicorn":
        read_by_module("uvicorn", rest, monkeypatch)
    elif program == "cd":
        assert Path(rest[0]).is_dir()
    elif program.startswith("scripts/"):
        assert f"\n  {rest[0]})" in (REPOSITORY / program).read_text(), f"{program} has no {rest[0]}"
    else:
        assert program in ("source", "curl", "ssh"), f"what is {program}?"


def read_by_module(name: str, rest: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command in a module read its options."""
    name = name.removeprefix("src.")
    if name == "uvicorn":
        from uvicorn.main import main as uvicorn

        assert Path(REPOSITORY / "feedback-ui" / f"{rest[0].partition(':')[0]}.py").is_file()
        uvicorn.make_context("uvicorn", list(rest))
        return
    if name == "recruiter.main":
        named = [word.partition("=")[2] for word in rest if word.startswith("--config-name=")]
        changes = [word for word in rest if not word.startswith("--")]
        config = load_config(named[0] if named else "train_config", changes)
        assert config.rubric is None or Path(config.rubric).is_file()
        return
    if "skyrl" in name and not rest:
        assert importlib.util.find_spec(name)  # its options need SkyRL
        return
    module = importlib.import_module(name)
    if hasattr(module, "parse_options"):
        module.parse_options()
        return
    if not hasattr(module, "main"):
        module = importlib.import_module(f"{name}.__main__")
    parse = argparse.ArgumentParser.parse_known_args

    def only_parse(self: argparse.ArgumentParser, *arguments: Any) -> Any:
        parsed = parse(self, *arguments)
        if parsed[1]:
            self.error(f"unrecognized arguments: {' '.join(parsed[1])}")
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", only_parse)
    monkeypatch.setattr(sys, "argv", [name, *rest])
    with pytest.raises(ParsedError):
        module.main()


def understand_pip(rest: list[str]) -> None:
    """Extras that are asked for are declared, and a file of requirements is there."""
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert rest[0] == "install"
    for extra in re.findall(r"\[(.*?)\]", " ".join(rest)):
        assert set(extra.split(",")) <= declared.keys()
    if "-r" in rest:
        assert (REPOSITORY / "feedback-ui" / rest[rest.index("-r") + 1]).is_file()


@pytest.mark.parametrize(
    "text",
    [
        "python scripts/generate.py --title Engineer --stack Go --best 3.5",
        "python scripts/generate.py --roles nobody.csv",
        "python scripts/generate.py --description - < nothing.txt",
        "python scripts/nothing.py",
        "python -m src.recruiter.main --config-name=nowhere_config",
        "python -m src.recruiter.main --config-name=quickstart_config trainer.epoch=2",
        "python -m tests.fake_judge --fault sloth",
        "cd feedback-ui && uvicorn app:app --prot 8000",
        "make quickstrat",
        "pip install '.[everything]'",
        "recruiter trian --config-name=quickstart_config",
    ],
)
def test_a_line_that_is_wrong_is_found(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"^a page:7: "):
        test_a_line_is_understood(Command("a page", 7, "bash", text), folder, monkeypatch, capsys)


# ---- every line is run -------------------------------------------------------------------------------------------------

SERVER = re.compile(r"\buvicorn\b|-m tests\.fake_judge\b")
TRAINING = re.compile(r"-m src\.recruiter\.main\b|recruiter train\b")
# What makes training short; each run has a folder of its own.
SHORT = (
    "trainer.policy.model.dtype=float32 trainer.device=cpu trainer.max_training_steps=1 trainer.train_batch_size=2 "
    "trainer.eval_interval=0 data.val_size=2 generator.sampling_params.max_generate_length=8 "
    "trainer.algorithm.zero_variance_filter=false trainer.ckpt_path={run} human_feedback.api_url=http://{pages}"
)
ADVERTISEMENT = """Senior Backend Engineer, Payments

You keep our ledger of card payments correct while traffic doubles every year. You work with Go, Kafka and PostgreSQL, own
idempotency and reconciliation, and lead incident reviews. You need: event-driven design, SQL tuning, on-call experience.
"""
MODELS = {"starter": 0, "larger": 1}  # tiny ones, by folder
HUB = ("Qwen/Qwen3-4B-Instruct-2507", "Qwen/Qwen2.5-Coder-1.5B-Instruct", "ash256/qwen3-4b-question-gen")
QUESTIONS = (
    "A consumer dies after it charged a customer and before it acknowledged the message. How do you find out?",
    "What is Go?",
    "Queue backpressure Go Kafka latency throughput replication",
    "Tell us about yourself and Go and tests?",
)


@dataclass
class Checkout:
    """A copy of the project in which commands are run.

    Attributes:
        root: its folder.
        replaced: what is written instead of parts of a command.
        environment: of all commands.
        servers: what was started and still runs, by port.
        folder: where the next command runs.
    """

    root: Path
    replaced: dict[str, str]
    environment: dict[str, str]
    pages: str
    servers: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    folder: Path = Path()

    def run(self, command: Command) -> str | None:
        """Run a command; returns what went wrong."""
        text = command.text
        if command.kind == "yaml":
            (self.root / "my_rubric.yaml").write_text(text)
            return None
        if command.kind == "python":
            (self.root / "block.py").write_text(text)
            text = "python block.py"
        if TRAINING.search(text):
            run = f"runs/{Path(command.page).stem}-{command.line}"
            text = re.sub(r" +# .*$", "", text) + " " + SHORT.format(run=run, pages=self.pages)
            if "local_config" in text:
                self.replaced["checkpoints/local"] = run
        for part, instead in self.replaced.items():
            text = text.replace(part, instead)
        if text.startswith("cd ") and "&&" not in text:
            self.folder = self.folder / text.split()[1]
            return None
        if SERVER.search(text):
            return self.serve(text)
        if "backup restore" in text:
            self.stop()
        if self.pages in text:
            at_port = f"uvicorn app:app --port {self.pages.rpartition(':')[2]}"
            if wrong := self.serve(f"cd {self.root}/feedback-ui && {at_port}"):
                return wrong
        if "--readings" in text:
            self.read_sheet()
        with Crowd(f"http://{self.pages}") if "online_config" in text else contextlib.nullcontext():
            done = subprocess.run(["bash", "-c", text], cwd=self.folder, env=self.environment, capture_output=True,
                                  text=True, timeout=900, stdin=subprocess.DEVNULL)  # fmt: skip
        # 2: random models' questions lack something, which is not what is tested here.
        is_fine = done.returncode in (0, 2) and not re.search("--help lists|Traceback", done.stderr)
        if text.startswith("make quickstart"):
            self.mark_best()
        return None if is_fine else f"status {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-2500:]}"

    def serve(self, text: str) -> str | None:
        """Start a server and wait until it answers; one that has its port already goes on."""
        port = (re.findall(r"--port (\d+)", text) or [self.replaced["8377"]])[0]
        if (old := self.servers.get(port)) and old.poll() is None and "FEEDBACK_" not in text:
            return None
        self.stop(port)
        with (self.root / "server.log").open("w") as log:
            self.servers[port] = subprocess.Popen(["bash", "-c", text], cwd=self.folder, env=self.environment, text=True,
                                                  stdout=log, stderr=log, start_new_session=True)  # fmt: skip
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.servers[port].poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), timeout=1):
                return None
            time.sleep(0.2)
        return f"the server did not start\n{(self.root / 'server.log').read_text()[-2500:]}"

    def stop(self, port: str | None = None) -> None:
        """End servers: that of a port, or all."""
        for name in [port] if port else list(self.servers):
            if server := self.servers.pop(name, None):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGTERM)
                server.wait(timeout=30)

    def read_sheet(self) -> None:
        """Two readers read the sheet."""
        with (self.root / "sheets/first/sheet.csv").open(newline="") as file:
            ids = [row[0] for row in csv.reader(file) if row and re.fullmatch(r"\w+-?\w*", row[0]) and row[0] != "ID"]
        for name, shift in (("anna", 0), ("ben", 1)):
            marks = "\n".join(f"{item},{(number + shift) % 10}" for number, item in enumerate(ids))
            (self.root / f"{name}.csv").write_text(f"ID,score\n{marks}\n")

    def mark_best(self) -> None:
        """A random model hardly gets better; its last checkpoint counts as its best then."""
        run = self.root / "checkpoints/quickstart"
        if run.is_dir() and not (run / "best.json").is_file():
            (run / "best.json").write_text(json.dumps({"global_step": 12}))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A copy with tiny models, files as people have them, and servers instead of those of others."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("benchmarks", "configs", "data", "examples", "feedback-ui", "scripts", "src", "tests"):
        shutil.copytree(
            REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("*.egg-info", "*.db*", "*.sqlite*")
        )
    for name in ("Makefile", "pyproject.toml", "setup.py", "README.md", "MANIFEST.in", "LICENSE", "constraints"):
        (shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy)(REPOSITORY / name, root / name)
    (root / ".venv").mkdir()
    for name in ("bin", "lib", "include", "pyvenv.cfg"):
        (root / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    (root / ".venv/.installed").touch()
    for name, seed in MODELS.items():
        make_model(root / "exports" / name, seed)
    write_files(root)
    with FakeJudge() as judge, free_port() as pages, free_port() as drill:
        hub, endpoint = FakeHub(), FakeEndpoint()
        hub.states = ["running"]
        for name in HUB:
            hub.add(name, {file.name: file.read_bytes() for file in (root / "exports/starter").iterdir()})
        edit(root / "src/recruiter/llm/providers.py", {
            "https://api.x.ai/v1": judge.openai_url, "https://api.openai.com/v1": judge.openai_url,
            "https://api.anthropic.com": judge.anthropic_url})  # fmt: skip
        with (root / "src/recruiter/deploy/__init__.py").open("a") as file:
            file.write(
                f"from huggingface_hub import constants\n\nconstants.INFERENCE_ENDPOINTS_ENDPOINT = '{hub.url}/v2'\n"
            )
        keys = dict.fromkeys(("XAI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "not-a-real-key")
        environment = {
            **os.environ, **keys, "PYTHONPATH": f"{root / 'src'}:{root}", "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN,
            "HF_HOME": str(root / "hub"), "HF_HUB_DISABLE_XET": "1", "HF_ENDPOINT_URL": endpoint.url, "HF_REPO": "",
            "NO_PROXY": "localhost,127.0.0.1",
            "PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0",
        }  # fmt: skip
        replaced = {
            "localhost:8000": f"127.0.0.1:{pages}", "127.0.0.1:8000": f"127.0.0.1:{pages}", "--port 8000": f"--port {pages}",
            "http://localhost:8080": endpoint.url, "http://localhost:11434/v1": judge.openai_url,
            "--revision v2": "--revision main", "python -m tests.fake_judge": f"python -m tests.fake_judge --port {drill}",
            "8377": str(drill),
        }  # fmt: skip
        made = Checkout(root, replaced, environment, f"127.0.0.1:{pages}")
        made.folder = root
        fetched = made.run(Command("the test", 0, "bash", "python scripts/download_model.py"))
        assert fetched is None, fetched
        yield made
        made.stop()
        hub.close()
        endpoint.close()


def make_model(folder: Path, seed: int) -> None:
    """A tiny model that passes for the starter."""
    tiny_model("llama", seed, max_position_embeddings=8192).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    files = {path.name: sha256_of(path) for path in folder.iterdir()}
    (folder / "starter.json").write_text(json.dumps({"files": files}))


def write_files(root: Path) -> None:
    """Roles, questions and ratings as people have them."""
    roles = load_roles(REPOSITORY / "data/backend_roles.json")
    (root / "job_ad.txt").write_text(ADVERTISEMENT)
    (root / "my_role.json").write_text(json.dumps(roles[7].model_dump(mode="json")))
    own = [f'"Senior Engineer, Payments {n}","Go, Kafka"\nData Engineer {n},"Python, Spark"\n' for n in range(6)]
    (root / "roles.csv").write_text("".join(["Job title,Tech stack\n", *own]))
    with (root / "questions.csv").open("w", newline="") as table, (root / "ratings.jsonl").open("w") as ratings:
        rows = csv.writer(table)
        rows.writerow(["question", "role_id"])
        for role in roles[:30]:  # people think the opposite of the rubric judge on two criteria, so calibration helps
            judged = asyncio.run(RubricJudge().score(role, QUESTIONS))
            for question, judgement in zip(QUESTIONS, judged, strict=True):
                rows.writerow([question, role.id])
                assert judgement.scores
                said = {name: v if name == "clarity" else 10 - v for name, v in judgement.scores.values.items()}
                said |= {"depth": said["relevance"], "tone": said["clarity"]}
                stars = {name: round(1 + 0.4 * value) for name, value in said.items()}
                row = {"group_id": role.id, "role_id": role.id, "role": json.dumps(role.model_dump(mode="json")),
                       "question": question, "rater": "rater-1", "counts": True, **stars}  # fmt: skip
                ratings.write(json.dumps(row) + "\n")


def edit(path: Path, changes: dict[str, str]) -> None:
    """Replace parts of a file, each of which is there."""
    text = path.read_text()
    for part, instead in changes.items():
        assert part in text
        text = text.replace(part, instead)
    path.write_text(text)


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    yield port


@pytest.mark.soak
@pytest.mark.parametrize("page", PAGES)
def test_every_line_of_a_page_runs(page: str, checkout: Checkout) -> None:
    if not (checkout.root / "checkpoints/quickstart").is_dir() and page != "README.md":
        assert checkout.run(Command("README.md", 0, "bash", "make quickstart")) is None
    failed, block = [], 0
    name = page.replace("/", "-")
    checkout.environment["DATABASE_URL"] = f"sqlite:///{checkout.root / name}.db"
    for command in read_page(page):
        if command.kind in ("named", "text") or command.why_not:
            continue
        if command.block != block:
            checkout.folder, block = checkout.root, command.block
        if wrong := checkout.run(command):
            failed.append(f"{command}: {command.text}\n{wrong}")
    checkout.stop()
    assert not failed, "\n\n".join(failed)
