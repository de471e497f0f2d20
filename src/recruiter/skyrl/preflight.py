"""Find out in seconds what would stop a run on SkyRL after minutes: `python -m recruiter.skyrl.preflight`.

It looks at the interpreter, package versions, the driver, the GPUs and their free memory, ports, and the run's folder; on
a cluster (RAY_ADDRESS) also at every node. Each finding is one sentence with what to do.
"""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from recruiter.cli.command import argument_parser, command
from recruiter.config import Config, require_model
from recruiter.config.loading import load_config
from recruiter.config.paths import WORKSPACE, command_line
from recruiter.errors import ConfigError, EngineError, RecruiterError
from recruiter.skyrl import SKYRL_VERSION, has_flash_attention, prepare_imports
from recruiter.train.checkpoints import check_free_space

PYTHON = (3, 12)
PACKAGES = {
    "skyrl": SKYRL_VERSION,
    "skyrl-gym": "0.4.0",
    "ray": "2.56.0",
    "vllm": "0.23.0",
    "vllm-router": "0.1.14",
    "peft": "0.18.1",
}
NEWEST_TRANSFORMERS = "5.8.0"
SAMPLER_PORT = 8000  # the first one that SkyRL tries for its servers; it takes the next free ones
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
MIN_SHARED_MEMORY = 2 * 1024**3  # bytes of /dev/shm for Ray's object store
ENOUGH_FREE = 0.9  # share of a GPU's memory that nobody else may hold


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        is_fine: whether a run can go on.
        text: what was found; where it is not fine, with what to do.
    """

    name: str
    is_fine: bool
    text: str


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, driver, and memory in MiB."""

    name: str
    driver: str
    total: int
    used: int


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """SkyRL's data types need Python 3.12."""
    found = ".".join(map(str, version))
    if version[:2] >= PYTHON:
        return Finding("Python", True, found)
    return Finding(
        "Python", False, f"SkyRL needs Python 3.12, this is {found}: make its environment with `make skyrl-env`."
    )


def installed(name: str) -> str | None:
    """The version of a package, if it is there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_packages(version_of: Callable[[str], str | None] = installed) -> Iterator[Finding]:
    """SkyRL fails late and unclearly on other versions of these."""
    remedy = "install the tested versions with `make skyrl-env`."
    for name, wanted in PACKAGES.items():
        found = version_of(name)
        if found is None:
            yield Finding(name, False, f"The package {name} is not installed; {remedy}")
        elif Version(found).base_version != wanted:
            yield Finding(name, False, f"{name} {found} is installed and {wanted} is tested; {remedy}")
        else:
            yield Finding(name, True, found)
    transformers = version_of("transformers")
    if transformers is None or Version(transformers) > Version(NEWEST_TRANSFORMERS):
        yield Finding("transformers", False, f"transformers {transformers} is too new for SkyRL; {remedy}")
    flash = "installed" if has_flash_attention() else "not installed; attention is torch's, sequences are padded"
    yield Finding("flash-attn", True, flash)


def query_gpus() -> list[Gpu]:
    """The GPUs as the driver lists them.

    Raises:
        EngineError: there is no driver that answers.
    """
    fields = "name,driver_version,memory.total,memory.used"
    query = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
    except FileNotFoundError:
        raise EngineError(
            "There is no nvidia-smi, so no NVIDIA driver; SkyRL needs one, engine=local does not."
        ) from None
    except (subprocess.SubprocessError, OSError) as error:
        raise EngineError(f"nvidia-smi does not answer ({error}); mend the driver first.") from None
    gpus = [[part.strip() for part in line.split(",")] for line in lines if line.count(",") == 3]
    return [Gpu(name, driver, int(float(total)), int(float(used))) for name, driver, total, used in gpus]


def check_gpus(query: Callable[[], list[Gpu]] = query_gpus) -> Iterator[Finding]:
    """Every GPU free, and torch able to use them."""
    try:
        gpus = query()
    except EngineError as error:
        yield Finding("driver", False, str(error))
        return
    if not gpus:
        yield Finding("GPU", False, "The driver lists no GPU; engine=local trains without one.")
        return
    yield Finding("driver", True, gpus[0].driver)
    for index, gpu in enumerate(gpus):
        free = gpu.total - gpu.used
        text = f"{gpu.name}, {free / 1024:.0f} of {gpu.total / 1024:.0f} GiB free"
        if free < ENOUGH_FREE * gpu.total:
            text += "; end what holds the rest (nvidia-smi lists it), or lower "
            text += "generator.inference_engine.gpu_memory_utilization."
        yield Finding(f"GPU {index}", free >= ENOUGH_FREE * gpu.total, text)
    yield _check_torch()


def _check_torch() -> Finding:
    import torch

    if torch.version.cuda is None:
        return Finding("torch", False, f"torch {torch.__version__} is built without CUDA; run `make skyrl-env` again.")
    if not torch.cuda.is_available():
        text = f"torch {torch.__version__} (CUDA {torch.version.cuda}) cannot use the driver: it is too old for it."
        return Finding("torch", False, f"{text} Update the driver.")
    return Finding("torch", True, f"{torch.__version__}, CUDA {torch.version.cuda}")


def check_machine() -> Iterator[Finding]:
    """Ports and shared memory."""
    with socket.socket() as probe:
        is_free = probe.connect_ex(("127.0.0.1", SAMPLER_PORT)) != 0
    taken = f"{SAMPLER_PORT} is taken; SkyRL takes the next free one"
    yield Finding("port", True, f"{SAMPLER_PORT} is free" if is_free else taken)
    if not SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    text = f"{free / 1024**3:.1f} GiB free in /dev/shm"
    if free < MIN_SHARED_MEMORY:
        text += "; give a container more with --shm-size=8g."
    yield Finding("shared memory", free >= MIN_SHARED_MEMORY, text)


def check_run(config: Config) -> Iterator[Finding]:
    """The model, and the folder that the run writes into."""
    model, folder = config.trainer.policy.model.path, WORKSPACE / config.trainer.ckpt_path
    checks: list[tuple[str, str, Callable[[], None]]] = [
        ("model", model, lambda: require_model(model)),
        ("run folder", str(folder), lambda: check_free_space(folder)),
    ]
    for name, text, check in checks:
        try:
            check()
        except RecruiterError as error:
            yield Finding(name, False, str(error))
        else:
            yield Finding(name, True, text)


def check_cluster(folder: Path) -> Iterator[Finding]:
    """The nodes of the cluster that RAY_ADDRESS names: all see the code and the run's folder, with the same Python."""
    from recruiter.skyrl.cluster import joined

    address = os.environ.get("RAY_ADDRESS")
    if not address:
        yield Finding("cluster", True, "RAY_ADDRESS is not set: this machine alone")
        return
    marker = folder / f".preflight-{uuid.uuid4().hex}"
    try:
        with joined():
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
            yield from _check_nodes(marker)
    except EngineError as error:
        yield Finding("cluster", False, str(error))
    finally:
        marker.unlink(missing_ok=True)


def _check_nodes(marker: Path) -> Iterator[Finding]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0)(look_around)
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        python, sees_code, sees_run = ray.get(
            look.options(scheduling_strategy=here).remote(str(Path(__file__)), str(marker)), timeout=60
        )
        name, gpus = f"node {node['NodeManagerAddress']}", int(node["Resources"].get("GPU", 0))
        wrong = [
            *([f"has Python {python}, not {sys.version.split()[0]}"] if python != sys.version.split()[0] else []),
            *([] if sees_code else [f"does not see {WORKSPACE}"]),
            *([] if sees_run else [f"does not see the run folder {marker.parent}"]),
        ]
        text = f"{gpus} GPU(s)" if not wrong else f"It {' and '.join(wrong)}; use one path on a shared file system."
        yield Finding(name, not wrong, text)


def look_around(code: str, marker: str) -> tuple[str, bool, bool]:
    """What one node sees: its Python, whether the code is there, whether the run's folder is."""
    return sys.version.split()[0], Path(code).is_file(), Path(marker).is_file()


def findings(config: Config) -> Iterator[Finding]:
    """Everything, the quick things first."""
    yield check_python()
    yield from check_packages()
    yield from check_gpus()
    yield from check_machine()
    yield from check_run(config)
    try:
        prepare_imports()
    except ConfigError as error:
        yield Finding("SkyRL", False, str(error))
    else:
        yield from check_cluster(WORKSPACE / config.trainer.ckpt_path)


@command
def main() -> None:
    """Look at everything and say what is missing; the exit status is 1 if something is."""
    parser = argument_parser("Check what a run on SkyRL needs.")
    parser.prog = "python -m recruiter.skyrl.preflight"
    parser.add_argument("--config-name", default="train_config", help="a file of configs/, without .yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the run")
    options = parser.parse_intermixed_args()
    config = load_config(options.config_name.removesuffix(".yaml"), ["engine=skyrl", *options.overrides])
    problems = 0
    for finding in findings(config):
        problems += not finding.is_fine
        print(f"{'ok     ' if finding.is_fine else 'MISSING'} {finding.name}: {finding.text}", flush=True)
    if problems:
        sys.exit(f"{problems} of these would stop a run.")
    settings = [f"--config-name={options.config_name}", "engine=skyrl", *options.overrides]
    print(f"Nothing is missing.\nNext: {command_line('train')} {shlex.join(settings)}")


if __name__ == "__main__":
    main()
