"""Train: `python -m src.recruiter.main [--config-name=quickstart_config] [key=value …]`.

This module only connects the parts. It is run both as `src.recruiter.main` and as `recruiter.main`, so it defines no
classes; everything it uses is imported as `recruiter…`.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

from recruiter import __version__
from recruiter.cli.command import STOPPED, command
from recruiter.cli.next_step import next_evaluation
from recruiter.cli.options import OptionParser, text
from recruiter.config import Config, require_model
from recruiter.config.loading import load_config
from recruiter.config.paths import WORKSPACE, command_line
from recruiter.engines.ranks import Ranks, launched_rank
from recruiter.errors import ConfigError
from recruiter.files import free_beside, short_path
from recruiter.metrics_logger import RunLog
from recruiter.roles.dataset import format_prompts, load_split, roles_hash
from recruiter.roles.schedule import steps_per_epoch, total_steps, validation_slice
from recruiter.train.asked_groups import AskedGroups
from recruiter.train.checkpoints import check_free_space
from recruiter.train.description import check_same_run
from recruiter.train.find_checkpoint import find_checkpoint
from recruiter.train.interruption import Interrupted
from recruiter.train.layout import Checkpoint, RunFolder
from recruiter.train.lock import sole_owner

if TYPE_CHECKING:
    from recruiter.judges import Judge
    from recruiter.roles import Role
    from recruiter.skyrl.run import ClusterTrainer
    from recruiter.train.grpo import Trainer


@command
def main() -> None:
    """Parse the command line and train."""
    parser = OptionParser(prog=command_line("train"), description="Train a question writer with GRPO.")
    parser.add_argument("--config-name", type=text, default="train_config", help="a file of configs/, without .yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change, e.g. trainer.epochs=1")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_intermixed_args()
    if launched_rank():
        from recruiter.engines.parallel import serve_launched

        serve_launched()
        return
    try:
        run(load_config(options.config_name.removesuffix(".yaml"), options.overrides))
    except Interrupted:
        sys.exit(STOPPED)


def run(config: Config) -> None:
    """Train as configured, from the start or from where an earlier run of the same folder stopped.

    Raises:
        Interrupted: asked to stop; everything up to the last finished step is stored.
    """
    with Ranks.of_run(config) as ranks:
        _run(config, ranks)


def _run(config: Config, ranks: Ranks) -> None:
    require_model(config.trainer.policy.model.path)
    from recruiter.judges.llm.estimate import ask_for_probe
    from recruiter.judges.making import training_judge

    judge = training_judge(config)
    if config.judge.asks_people:
        ask_for_probe(judge)  # costs nothing, so it comes before anything is made
    if config.engine == "skyrl":
        from recruiter.skyrl import prepare_imports

        prepare_imports()
    from recruiter.engines.loading import check_policy

    folder = WORKSPACE / config.trainer.ckpt_path
    check_policy(config)
    check_free_space(folder)
    with sole_owner(RunFolder(folder)):
        _train(config, judge, folder, ranks)


def _train(config: Config, judge: Judge, folder: Path, ranks: Ranks) -> None:
    from recruiter.judges.llm.estimate import probe_and_estimate

    raw, processed = WORKSPACE / config.data.raw_dir, WORKSPACE / config.data.processed_dir
    format_prompts(raw, processed)
    split = load_split(processed, "train")
    roles, held_back = validation_slice(split, config.data.val_size, config.trainer.seed)
    start = _start_from(config, RunFolder(folder))
    steps = total_steps(config, len(roles))
    resumed_step = start.logged_step() if start else 0
    if start is not None:
        check_same_run(RunFolder(folder), config, judge, roles_hash(split))
    if resumed_step >= steps:
        print(
            f"{short_path(folder)} already holds all {steps} steps of this run. To train it further, add "
            f"{_further(config, len(roles), resumed_step)}; "
            f"trainer.ckpt_path={short_path(free_beside(folder))} starts a new one."
        )
        print(_next_command(config, folder))
        return

    if estimate := probe_and_estimate(config, judge, roles, len(held_back), resumed_step):
        print(estimate)
    stop_requested = _stop_on_interrupt()
    is_continued = start is not None or bool(AskedGroups(RunFolder(folder)).steps)
    run_before = (start.run if start else RunFolder(folder)).read_description() if is_continued else None
    dtype = (run_before.get("dtype") if run_before else None) or _dtype(config)
    origin = start.run if start else None
    with RunLog(folder, config, judge, steps, resumed_step, is_continued, roles_hash(split), dtype, origin) as log:
        log.say(
            f"GRPO on {config.trainer.policy.model.path}: {steps} steps of "
            f"{min(config.trainer.train_batch_size, len(roles))} roles × {config.generator.n_samples_per_prompt} questions, "
            f"judge {judge.name}; {len(roles)} roles train, {len(held_back)} others validate"
            + (" (at most a third of the training split)" if len(held_back) < config.data.val_size else "")
        )
        if dtype and config.trainer.policy.model.dtype == "auto":
            log.say(
                f"dtype=auto: {dtype}, " + ("as the run began" if run_before else "which this machine is fast with")
            )
        for part in judge.usage.parts:
            for note in part.notes:
                log.say(f"judge {part.name}: {note}")
        if ranks.world > 1:
            log.say(f"{ranks.world} processes share each step")
        log.status("loading the model")
        with _open_trainer(config, judge, roles, held_back, log, stop_requested, dtype, ranks) as trainer:
            if start is not None:
                trainer.resume(start)
                log.say(f"continuing after step {trainer.state.step}")
            try:
                trainer.train()
            except Interrupted:
                log.say(
                    f"Stopped after step {trainer.state.step}; it is saved. Run the same command again to continue."
                )
                raise
            finally:
                if usage := judge.usage.summary():
                    log.say(f"judge {judge.name}: {usage}")
    print(
        f"Trained {trainer.state.step} steps; checkpoints, metrics.jsonl and rollouts.jsonl are in {short_path(folder)}."
    )
    print(_next_command(config, folder))


@contextlib.contextmanager
def _open_trainer(
    config: Config,
    judge: Judge,
    roles: Sequence[Role],
    held_back: Sequence[Role],
    log: RunLog,
    stop_requested: Callable[[], bool],
    dtype: str | None,
    ranks: Ranks,
) -> Iterator[Trainer | ClusterTrainer]:
    """The training loop of the configured engine."""
    if config.engine == "skyrl":
        from recruiter.skyrl.run import ClusterTrainer

        yield ClusterTrainer(config, judge, roles, held_back, log, stop_requested)
        return
    from recruiter.engines.parallel import open_policy
    from recruiter.train.groups import GroupsAhead, GroupSource, JudgedGroups
    from recruiter.train.grpo import Trainer

    source: GroupSource
    total = total_steps(config, len(roles))
    if config.asks_people:
        from recruiter.human_feedback import HumanJudge, PeopleAndJudges
        from recruiter.train.rated_groups import RatedGroups

        source = RatedGroups(config, cast(HumanJudge | PeopleAndJudges, judge), log, total, stop_requested)
    elif config.trainer.max_staleness_steps:
        source = GroupsAhead(judge, log.run, total)
    else:
        source = JudgedGroups(judge)
    with open_policy(config, dtype, ranks) as policy:
        yield Trainer(config, policy, source, roles, held_back, log, stop_requested)


def _dtype(config: Config) -> str | None:
    """What the local engine computes in; None where SkyRL decides."""
    from recruiter.engines.loading import pick_device, pick_dtype

    if config.engine == "skyrl":
        return None
    device = pick_device(config.trainer.device)
    return str(pick_dtype(config.trainer.policy.model.dtype, device)).removeprefix("torch.")


def _start_from(config: Config, run: RunFolder) -> Checkpoint | None:
    """The checkpoint to continue from, if any.

    Raises:
        ConfigError: the folder holds a run and the configuration says not to continue it.
        ModelError: files are damaged.
    """
    from recruiter.train.damage import check_whole

    trainer = config.trainer
    run.best_step  # noqa: B018 (damage shows before anything is spent)
    if trainer.resume_mode == "from_path":
        named = find_checkpoint(str(WORKSPACE / str(trainer.resume_path)), WORKSPACE / "checkpoints")
        check_whole(named, is_named=True)
        return named
    steps = run.steps
    if trainer.resume_mode == "none" and (steps or AskedGroups(run).steps):
        raise ConfigError(
            f"trainer.ckpt_path={trainer.ckpt_path} already holds a run up to step {steps[-1] if steps else 0}: continue "
            f"it with trainer.resume_mode=latest, or name another folder."
        )
    if run.latest is not None:
        check_whole(run.latest, is_named=False)
    return run.latest


def _further(config: Config, roles: int, step: int) -> str:
    """The settings that let a finished run go on, for twice as many steps."""
    wanted, changes = 2 * step, []
    epochs = ceil(wanted / steps_per_epoch(config, roles))
    if config.trainer.max_training_steps is not None:
        changes.append(f"trainer.max_training_steps={wanted}")
    if epochs > config.trainer.epochs:
        changes.append(f"trainer.epochs={epochs}")
    return " ".join(changes)


def _next_command(config: Config, folder: Path) -> str:
    base = config.trainer.policy.model.path
    return next_evaluation(
        [base, "rl"],
        "--checkpoint",
        short_path(folder),
        raw=WORKSPACE / config.data.raw_dir,
        rubric=config.rubric,
        judge_model=base,
        is_offline={judge.provider for judge in config.all_judges} <= {"rubric", "local"},
    )


def _stop_on_interrupt() -> Callable[[], bool]:
    """Make the first Ctrl-C (or SIGTERM) a request to stop after what is under way; the second one is immediate.

    A terminal that hangs up asks for the same, perhaps more than once, and is not there to print to. `nohup` goes on.
    """
    requested, hang_up = threading.Event(), getattr(signal, "SIGHUP", None)

    def handle(number: int, _frame: FrameType | None) -> None:
        if requested.is_set() and number != hang_up:
            raise KeyboardInterrupt
        requested.set()
        with contextlib.suppress(OSError):
            print("\nStopping and saving; press Ctrl-C again to stop at once.", file=sys.stderr)

    for asks in (signal.SIGINT, signal.SIGTERM, hang_up):
        if asks is not None and not (asks == hang_up and signal.getsignal(asks) == signal.SIG_IGN):
            signal.signal(asks, handle)
    return requested.is_set


if __name__ == "__main__":
    main()
