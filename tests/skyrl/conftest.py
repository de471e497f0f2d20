"""SkyRL's own trainer, generator, worker and loss on a CPU: what a GPU would hold lives in this process.

Only three things are ours: the dispatch calls the worker directly instead of through Ray, the engine that samples is a
tiny model instead of vLLM, and "the current GPU" is the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from recruiter.config import Config
from tests.engines.conftest import tiny_model, tiny_tokenizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("llama").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def process_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One rank that talks to itself."""
    store = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture
def config(tiny: Path, tmp_path: Path) -> Config:
    settings = Config()
    settings.engine = "skyrl"
    settings.trainer.policy.model.path = str(tiny)
    settings.trainer.policy.optimizer_config.lr = 1e-2
    settings.trainer.ckpt_path = str(tmp_path / "run")
    settings.trainer.train_batch_size = 4
    settings.trainer.max_training_steps = 2
    settings.trainer.eval_interval = 0
    settings.data.val_size = 2
    settings.reward.overlap_window = 0
    settings.judge.provider = "rubric"
    settings.judge.max_unscored = 1.0
    settings.generator.n_samples_per_prompt = 4
    settings.generator.sampling_params.max_generate_length = 8
    return settings
