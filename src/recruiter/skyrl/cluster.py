"""Ray: on this machine, or the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import ray
import torch
from loguru import logger
from ray.exceptions import RayError
from skyrl.backends.skyrl_train.utils.ppo_utils import sync_registries
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.utils.utils import prepare_runtime_environment

from recruiter.errors import EngineError
from recruiter.metrics_logger import RunLog
from recruiter.skyrl import has_flash_attention
from recruiter.skyrl.settings import Hardware

REACH_SECONDS = 5.0


def find_hardware() -> Hardware:
    """The GPUs of this machine, or of the cluster that RAY_ADDRESS names.

    Raises:
        EngineError: the cluster cannot be reached.
    """
    if not os.environ.get("RAY_ADDRESS"):
        return Hardware(1, torch.cuda.device_count(), has_flash_attention())
    with joined():
        gpus = [int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]]
    with_gpu = [count for count in gpus if count]
    return Hardware(len(with_gpu), min(with_gpu, default=0), has_flash_attention())


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Connected to the cluster that RAY_ADDRESS names, briefly."""
    address = os.environ["RAY_ADDRESS"]
    try:
        _reach(address)
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, RayError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise EngineError(
            f"There is no Ray cluster at RAY_ADDRESS={address} ({reason}); start it with `ray start --head`, or unset the "
            f"variable to train on this machine."
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """See in seconds whether somebody answers there; Ray itself would try for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()


@contextlib.contextmanager
def ray_for(settings: SkyRLTrainConfig, log: RunLog) -> Iterator[None]:
    """Ray as SkyRL needs it, on this machine or on the cluster that RAY_ADDRESS names."""
    folder = log.run.logs
    folder.mkdir(parents=True, exist_ok=True)
    log_into(folder)
    warnings.filterwarnings("ignore", module=r"skyrl|ray|vllm|torch")  # nothing that a user could act on
    names = ("PYTHONPATH", "VLLM_USE_FLASHINFER_SAMPLER", "HF_HUB_OFFLINE", "TQDM_DISABLE", "TRANSFORMERS_VERBOSITY")
    variables = {
        **prepare_runtime_environment(settings),
        **{name: os.environ[name] for name in names if name in os.environ},
        "SKYRL_LOG_FILE": str(folder / "workers.log"),
    }
    os.environ["SKYRL_LOG_FILE"] = variables["SKYRL_LOG_FILE"]
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    log.status("starting Ray")
    on_terminate = signal.getsignal(signal.SIGTERM)  # Ray puts its own in its place
    ray.init(runtime_env={"env_vars": variables}, logging_level=logging.ERROR, log_to_driver=False)
    signal.signal(signal.SIGTERM, on_terminate)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # this process only coordinates
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses the GPU
    try:
        sync_registries()
        yield
    finally:
        ray.shutdown()
        if visible is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible


def log_into(folder: Path) -> None:
    """Send what SkyRL says of its progress into a file; the terminal shows ours."""
    folder.mkdir(parents=True, exist_ok=True)
    logger.remove()
    logger.add(folder / "trainer.log", level="INFO", enqueue=True)
