"""Steps of stock SkyRL beside our engine, same work: `python -m benchmarks.peers.skyrl_step stock model=… key=value …`.

`stock` runs SkyRL's own entry point, trainer, data set, loss and checkpoint code with a reward that costs nothing; `ours`
runs `python -m src.recruiter.main engine=skyrl` with the rubric judge. Both get the same settings from the same mapping,
and neither checkpoints while it is timed unless asked to. The median step after the first two is printed and appended to
`results/skyrl_steps.jsonl`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import REPOSITORY
from recruiter.config.loading import load_config
from recruiter.files import read_jsonl
from recruiter.roles import load_roles
from recruiter.roles.dataset import prompt_row
from recruiter.skyrl import prepare_imports

prepare_imports()

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import ray  # noqa: E402
import skyrl_gym  # noqa: E402
from skyrl.train.config import SkyRLTrainConfig  # noqa: E402
from skyrl.train.entrypoints.main_base import BasePPOExp  # noqa: E402
from skyrl.train.utils import validate_cfg  # noqa: E402
from skyrl.train.utils.utils import initialize_ray  # noqa: E402
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput  # noqa: E402

from recruiter.skyrl.cluster import find_hardware  # noqa: E402
from recruiter.skyrl.run import chat_tokenizer, longest_prompt  # noqa: E402
from recruiter.skyrl.settings import skyrl_config  # noqa: E402

WARM_UP = 2
SETTINGS = (
    "engine=skyrl",
    "judge.provider=rubric",
    "trainer.train_batch_size=64",
    "trainer.max_training_steps=6",
    "trainer.eval_interval=0",
    "generator.n_samples_per_prompt=4",
    "generator.sampling_params.max_generate_length=96",
)


class InstantEnv(BaseTextEnv):  # type: ignore[misc]
    """A reward by a hash of the text."""

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def step(self, action: str) -> BaseTextEnvStepOutput:
        reward = hashlib.sha256(action.encode()).digest()[0] / 255
        return BaseTextEnvStepOutput(observations=[], reward=reward, done=True, metadata={})


class LinesTracker:
    """Keeps the time of each step."""

    backend = "lines"

    def __init__(self, path: str) -> None:
        self.path = path

    def log(self, data: dict[str, Any], step: int, **_: Any) -> None:
        timings = {key: value for key, value in data.items() if key.startswith("timing/")}
        with Path(self.path).open("a") as file:
            file.write(json.dumps({"step": step, "seconds": data.get("timing/step"), **timings}) + "\n")

    def finish(self) -> None: ...

    def log_exception(self, error: BaseException, step: int = 0) -> None: ...


class StockExperiment(BasePPOExp):  # type: ignore[misc]
    """SkyRL's experiment; only its tracker writes into a file."""

    def get_tracker(self) -> LinesTracker:
        return LinesTracker(f"{self.cfg.trainer.export_path}/steps.jsonl")


@ray.remote(num_cpus=1)  # type: ignore[untyped-decorator]
def stock_entrypoint(settings: SkyRLTrainConfig) -> None:
    """What SkyRL's `main_base.skyrl_entrypoint` does."""
    skyrl_gym.register(id="instant", entry_point=InstantEnv)
    StockExperiment(settings).run()


def stock_settings(overrides: list[str], folder: Path) -> SkyRLTrainConfig:
    """Our mapping with SkyRL's own loss and data set."""
    config = load_config("offline_config", [*SETTINGS, *overrides])
    roles = load_roles(REPOSITORY / "data/backend_roles.json")
    rows = [{**prompt_row(role, index, "train"), "env_class": "instant"} for index, role in enumerate(roles)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    longest = longest_prompt(chat_tokenizer(config.trainer.policy.model.path), roles)
    settings = skyrl_config(config, find_hardware(), longest, folder)
    settings.data = dataclasses.replace(settings.data, train_data=[str(folder / "train.parquet")], val_data=[])
    settings.trainer.algorithm.policy_loss_type = "regular"
    settings.trainer.ckpt_interval = settings.trainer.eval_interval = -1
    settings.trainer.resume_mode = "none"
    settings.environment.env_class = "instant"
    return settings


def run_stock(overrides: list[str], folder: Path) -> list[dict[str, Any]]:
    settings = stock_settings(overrides, folder)
    validate_cfg(settings)
    initialize_ray(settings)
    ray.get(stock_entrypoint.remote(settings))
    return read_jsonl(folder / "logs/steps.jsonl")


def run_ours(overrides: list[str], folder: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "src.recruiter.main", "--config-name=offline_config", *SETTINGS]
    subprocess.run([*command, f"trainer.ckpt_path={folder / 'run'}", *overrides], cwd=REPOSITORY, check=True)
    return read_jsonl(folder / "run/metrics.jsonl")


def main() -> None:
    side, *overrides = sys.argv[1:]
    overrides = [f"trainer.policy.model.path={item[6:]}" if item.startswith("model=") else item for item in overrides]
    with tempfile.TemporaryDirectory() as folder:
        rows = {"stock": run_stock, "ours": run_ours}[side](overrides, Path(folder))
    timed = rows[WARM_UP:] or rows
    parts = {key for row in timed for key in row if key.startswith(("seconds", "timing/"))}
    medians = {key: round(statistics.median(row[key] for row in timed if row.get(key) is not None), 2) for key in parts}
    result = {"side": side, "steps": len(timed), "overrides": overrides, **dict(sorted(medians.items()))}
    target = REPOSITORY / "results/skyrl_steps.jsonl"
    target.parent.mkdir(exist_ok=True)
    with target.open("a") as file:
        file.write(json.dumps(result) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
