"""The SkyRL engine: the same training on several GPUs or nodes, by SkyRL 0.3 (FSDP, vLLM, Ray).

SkyRL samples, computes and updates; what a score is, what an unscored sample is, the loss, the order of the data, the
checkpoints and the logs are this project's. `settings` maps the configuration, `trainer` is SkyRL's trainer with those
rules, `worker` and `loss` run on the GPUs, `scorer` is the one place that judges. `run` connects them on a `cluster`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

from recruiter.errors import ConfigError

SKYRL_VERSION = "0.3.0"
SOURCES = Path(__file__).resolve().parents[2]
SHIM = Path(__file__).resolve().parent / "shim"


def has_flash_attention() -> bool:
    """Whether the real flash-attn is installed."""
    spec = importlib.util.find_spec("flash_attn")
    return spec is not None and SHIM not in Path(str(spec.origin)).parents


def prepare_imports() -> None:
    """Make SkyRL importable, here and in the processes that start from here.

    Raises:
        ConfigError: SkyRL is not installed, or not with what it needs.
    """
    missing = [name for name in ("skyrl", "skyrl_gym", "ray") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"engine=skyrl needs the package {missing[0]}, which is not installed here; make its environment with "
            f"`make skyrl-env` and run the same command with .venv-skyrl/bin/python."
        )
    folders = [str(SOURCES), *([] if has_flash_attention() else [str(SHIM)])]
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    inherited = [item for item in os.environ.get("PYTHONPATH", "").split(os.pathsep) if item]
    os.environ["PYTHONPATH"] = os.pathsep.join([*inherited, *(item for item in folders if item not in inherited)])
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")  # the other one compiles kernels at start
    try:
        importlib.import_module("skyrl.train.trainer")
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ConfigError(
            f"SkyRL cannot be imported with Python {sys.version.split()[0]} and the packages that are here ({reason}); make "
            f"its environment with `make skyrl-env` and run the same command with .venv-skyrl/bin/python."
        ) from None
