"""What a run leaves behind and what a person sees of it while it runs.

`metrics.jsonl` and `rollouts.jsonl` get one flushed line at a time; `run.json` says what made them: the resolved
configuration, code revision, prompt and rubric hashes, judge. On a terminal a progress bar shows the rest; elsewhere it
is one line a step.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from recruiter import __version__
from recruiter.config import Config, may_change, to_dict
from recruiter.config.paths import IS_INSTALLED, WORKSPACE
from recruiter.errors import ConfigError
from recruiter.judges import Judge
from recruiter.prompts import PROMPT_HASH
from recruiter.rubric import RUBRIC_HASH
from recruiter.train.checkpoints import write_json

MANY_CUT_OFF = 0.5  # a larger share of answers that did not end by themselves is worth a word


class RunLog:
    """The folder of one run, its JSON lines, and its progress line.

    Attributes:
        run_id: what others know the run by; it stays when the run is continued.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        judge: Judge,
        total_steps: int,
        resumed_from: int = 0,
        is_continued: bool = False,
    ) -> None:
        """Open the run's files; lines of steps after `resumed_from` are dropped, for those steps run again.

        Args:
            is_continued: whether the folder's run goes on although no step of it is done yet.

        Raises:
            ConfigError: the folder holds a run with other settings.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        before = _description(folder) if resumed_from or is_continued else {}
        self.run_id: str = before.get("id") or f"{folder.name[:100]}-{secrets.token_hex(3)}"
        description = {
            "id": self.run_id,
            "config": to_dict(config),
            "judge": judge.name,
            "judge_version": judge.version,
            "prompt_hash": PROMPT_HASH,
            "rubric_hash": RUBRIC_HASH,
            "version": __version__,
            "revision": git_revision(),
        }
        if before:
            _check_same_run(folder, before, description)
        write_json(folder / "run.json", description)
        self._metrics = _JsonLines(folder / "metrics.jsonl", resumed_from)
        self._rollouts = _JsonLines(folder / "rollouts.jsonl", resumed_from)
        self._tensorboard = _tensorboard(folder) if config.trainer.tensorboard else None
        self._console = Console()
        self._start, self._first, self._total = time.perf_counter(), resumed_from, total_steps
        self._progress = Progress(
            TextColumn("[bold]training"), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.fields[now]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=self._console,
            disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("training", total=total_steps, completed=resumed_from, now="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._metrics.close()
        self._rollouts.close()
        if self._tensorboard is not None:
            self._tensorboard.close()

    def say(self, text: str) -> None:
        """Print a line above the progress bar."""
        self._progress.console.print(text, highlight=False, soft_wrap=True)

    def status(self, text: str) -> None:
        """Change what the progress bar says about the present moment."""
        self._progress.update(self._task, now=text)

    def step(self, metrics: dict[str, Any]) -> None:
        """Store one step's metrics and show them."""
        self._metrics.write(metrics)
        if self._tensorboard is not None:
            for name, value in metrics.items():
                if isinstance(value, (int, float)):
                    self._tensorboard.add_scalar(name, value, metrics["step"])
        line = _step_line(metrics)
        self._progress.update(self._task, completed=metrics["step"], now=line)
        if self._progress.disable:
            done = metrics["step"] - self._first
            if done == 1:  # what comes before the first step comes once
                self._start = time.perf_counter() - metrics.get("seconds", 0.0)
            left = (time.perf_counter() - self._start) / max(done, 1) * (self._total - metrics["step"])
            self.say(f"step {metrics['step']}/{self._total}  {line}  {_duration(left)} left")

    def rollouts(self, rows: list[dict[str, Any]]) -> None:
        """Store sampled questions with what was made of them."""
        for row in rows:
            self._rollouts.write(row)


class _JsonLines:
    """An append-only file of JSON objects, each flushed when written."""

    def __init__(self, path: Path, keep_until_step: int) -> None:
        before = read_jsonl(path) if keep_until_step and path.is_file() else []
        kept = [row for row in before if row.get("step", keep_until_step + 1) <= keep_until_step]
        beside = path.with_name(path.name + ".tmp")
        beside.write_text("".join(map(_json_line, kept)), encoding="utf-8")
        os.replace(beside, path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, row: dict[str, Any]) -> None:
        self._file.write(_json_line(row))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _json_line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a JSON-lines file; a torn last line is left out."""
    rows = []
    for line in filter(None, path.read_text(encoding="utf-8").split("\n")):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def _step_line(metrics: dict[str, Any]) -> str:
    reward, spread = metrics["reward_mean"], metrics["reward_std"]
    parts = [
        "reward none" if reward is None else f"reward {reward:.3f}" + ("" if spread is None else f" ±{spread:.2f}")
    ]
    cut_off = metrics["cut_off"] / metrics["samples"]
    parts.append(
        f"length {metrics['length_mean']:.0f}" + (f", {cut_off:.0%} cut off" if cut_off > MANY_CUT_OFF else "")
    )
    if metrics["unscored"]:
        parts.append(f"unscored {metrics['unscored']}/{metrics['samples']}")
    if metrics["kl"] is not None:
        parts.append(f"KL {metrics['kl']:.4f}")
    parts += _judge_parts(metrics)
    parts.append(f"{metrics['seconds']:.1f} s")
    return "  ".join(parts)


def _judge_parts(metrics: dict[str, Any]) -> list[str]:
    """What a paid judge took, in short."""
    if "judge_calls" not in metrics:
        return []
    cost, hit_rate, slow = (metrics[f"judge_{name}"] for name in ("cost_usd_total", "hit_rate", "latency_p95"))
    parts = [f"judge {metrics['judge_calls']} calls" + ("" if cost is None else f" ${cost:.3f}")]
    if hit_rate:
        parts.append(f"{hit_rate:.0%} cached")
    if slow is not None:
        parts.append(f"p95 {slow:.1f} s")
    if failed := sum(metrics["judge_errors"].values()):
        parts.append(f"{failed} failed attempts")
    return [", ".join(parts)]


def _duration(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def _description(folder: Path) -> dict[str, Any]:
    """What `run.json` says of the run in a folder."""
    path = folder / "run.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def _check_same_run(folder: Path, before: dict[str, Any], description: dict[str, Any]) -> None:
    old, new = _flatten(before["config"]), _flatten(description["config"])
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key) and not may_change(key):
            raise ConfigError(
                f"{folder} holds a run with {key}={old.get(key)}, not {new.get(key)}: set it back to continue that run, "
                f"or choose another trainer.ckpt_path to start a new one."
            )


def _flatten(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat.update(_flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat


def git_revision() -> str | None:
    """The revision of this code, with `-dirty` if it was changed; None outside a clone."""
    if IS_INSTALLED:
        return None
    try:
        command = ["git", "-C", str(WORKSPACE), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError("trainer.tensorboard=true needs the tensorboard package: pip install tensorboard.") from None
    return SummaryWriter(str(folder / "tensorboard"))  # type: ignore[no-untyped-call]
