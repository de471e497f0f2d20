"""The log of a run: its files, and what a person sees of it while it runs.

`metrics.jsonl` and `rollouts.jsonl` get one flushed line at a time; `run.json` says what made them. On a terminal a
progress bar shows the rest; elsewhere it is one line a step.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from recruiter.cli.terminal import make_console
from recruiter.config import Config
from recruiter.errors import ConfigError
from recruiter.files import JsonLines
from recruiter.judges import Judge
from recruiter.train.alarm import alarm
from recruiter.train.description import describe_run
from recruiter.train.layout import RunFolder
from recruiter.train.rows import MetricsRow, RolloutRow

MANY_CUT_OFF = 0.5  # a larger share of answers that did not end by themselves is worth a word


class RunLog:
    """The files of one run, and its progress line.

    Attributes:
        run: its folder.
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
        data_hash: str | None = None,
        dtype: str | None = None,
        origin: RunFolder | None = None,
    ) -> None:
        """Open the run's files; lines of steps after `resumed_from` are dropped, for those steps run again.

        Args:
            is_continued: whether the folder's run goes on although no step of it is done yet.
            data_hash: of the training split.
            dtype: what the model computes in.
            origin: the run whose checkpoint this one starts from, where it is another one.

        Raises:
            ConfigError: the folder holds a run with other settings, data, prompt or rubric.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.run = RunFolder(folder)
        goes_on = bool(resumed_from) or is_continued
        description, changes = describe_run(self.run, config, judge, goes_on, data_hash, dtype, origin)
        self.run_id = description["id"]
        before = (self.run.read_metrics(), self.run.read_rollouts()) if resumed_from else ([], [])
        self._rows = list(_until(resumed_from, before[0]))
        self._metrics = JsonLines(self.run.metrics, self._rows)
        self._rollouts = JsonLines(self.run.rollouts, _until(resumed_from, before[1]))
        self._tensorboard = _tensorboard(folder) if config.trainer.tensorboard else None
        self._console = make_console()
        self._start, self._first, self._total = time.perf_counter(), resumed_from, total_steps
        self._progress = Progress(
            TextColumn("[bold]training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_interactive,
        )
        self._task = self._progress.add_task("training", total=total_steps, completed=resumed_from, now="")
        for change in changes:
            self.say(change)

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
        self._progress.console.print(text, soft_wrap=True)

    def status(self, text: str) -> None:
        """Change what the progress bar says about the present moment."""
        self._progress.update(self._task, now=text)

    def step(self, metrics: MetricsRow) -> None:
        """Store one step's metrics and show them; if they raise the alarm, say so unless the step before did already."""
        if found := alarm([*self._rows, metrics]):
            if not (self._rows and "alarm" in self._rows[-1]):
                self.say(found)
            metrics = cast(MetricsRow, {**metrics, "alarm": found})
        self._rows.append(metrics)
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

    def rollouts(self, rows: Sequence[RolloutRow]) -> None:
        """Store sampled questions with what was made of them."""
        for row in rows:
            self._rollouts.write(row)


def _until(step: int, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of steps up to `step`."""
    return [row for row in rows if row.get("step", step + 1) <= step]


def _step_line(metrics: MetricsRow) -> str:
    reward, spread = metrics.get("reward_level", metrics["reward_mean"]), metrics["reward_std"]
    parts = [
        "reward none" if reward is None else f"reward {reward:.3f}" + ("" if spread is None else f" ±{spread:.2f}")
    ]
    cut_off = metrics["cut_off"] / metrics["samples"]
    parts.append(
        f"length {metrics['length_mean']:.0f}" + (f", {cut_off:.0%} cut off" if cut_off > MANY_CUT_OFF else "")
    )
    if metrics["unscored"]:
        parts.append(f"unscored {metrics['unscored']}/{metrics['samples']}")
    if skipped := metrics.get("updates_skipped"):
        parts.append(f"updates skipped for gradients that are not finite: {skipped}")
    if metrics["kl"] is not None:
        parts.append(f"KL {metrics['kl']:.4f}")
    parts += _judge_parts(metrics)
    parts.append(f"{metrics['seconds']:.1f} s")
    return "  ".join(parts)


def _judge_parts(metrics: MetricsRow) -> list[str]:
    """What a paid judge took, in short."""
    if "judge_calls" not in metrics:
        return []
    cost, hit_rate, slow = metrics["judge_cost_usd_total"], metrics["judge_hit_rate"], metrics["judge_latency_p95"]
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


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError("trainer.tensorboard=true needs the tensorboard package: pip install tensorboard.") from None
    return SummaryWriter(str(folder / "tensorboard"))
