"""What the preflight says of machines that lack something, and of a real Ray of this machine."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from recruiter.config import Config
from recruiter.errors import EngineError
from recruiter.skyrl.preflight import (
    PACKAGES,
    Finding,
    Gpu,
    check_cluster,
    check_gpus,
    check_machine,
    check_packages,
    check_python,
    check_run,
)  # fmt: skip
from tests import REPOSITORY


def wrong(findings: object) -> list[str]:
    found: list[Finding] = list(findings)
    for finding in found:
        assert "\n" not in finding.text
        assert finding.is_fine or re.search(r"[.]$|make quickstart$", finding.text), finding.text
    return [f"{finding.name}: {finding.text}" for finding in found if not finding.is_fine]


def test_an_old_python_is_named() -> None:
    assert wrong([check_python((3, 11, 7))])[0].startswith("Python: SkyRL needs Python 3.12, this is 3.11.7")
    assert not wrong([check_python((3, 12, 1))])


def test_missing_and_other_versions_are_named_with_the_remedy() -> None:
    versions = {**PACKAGES, "vllm-router": "0.1.17", "transformers": "5.23.0"}
    del versions["vllm"]
    said = wrong(check_packages(versions.get))
    assert [line.split(":")[0] for line in said] == ["vllm", "vllm-router", "transformers"]
    assert all("make skyrl-env" in line for line in said)
    assert not wrong(check_packages({**PACKAGES, "transformers": "5.8.0", "vllm": "0.23.0+cu130"}.get))


def test_a_gpu_that_somebody_uses_is_named_with_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [Gpu("NVIDIA H100", "575.1", 81920, 500), Gpu("NVIDIA H100", "575.1", 81920, 40960)]
    said = wrong(check_gpus(lambda: gpus))
    assert said[0].startswith("GPU 1: NVIDIA H100, 40 of 80 GiB free; end what holds the rest")


def test_a_machine_without_a_driver_is_one_sentence() -> None:
    def no_driver() -> list[Gpu]:
        raise EngineError("There is no driver.")

    assert wrong(check_gpus(no_driver)) == ["driver: There is no driver."]
    assert "engine=local" in wrong(check_gpus(list))[0]


def test_the_port_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("recruiter.skyrl.preflight.SAMPLER_PORT", taken.getsockname()[1])
        assert next(check_machine()).text.endswith("is taken; SkyRL takes the next free one")


def test_model_and_run_folder_are_looked_at(config: Config) -> None:
    assert not wrong(check_run(config))
    config.trainer.policy.model.path, config.trainer.ckpt_path = "exports/nothing", "/dev/full/run"
    said = wrong(check_run(config))
    assert [line.split(":")[0] for line in said] == ["model", "run folder"]


def test_every_node_of_a_cluster_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two Ray nodes on one machine, as two machines with a shared file system would look."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY}/src")
    try:
        found = list(check_cluster(tmp_path / "run"))
        assert len(found) == 2
        assert not wrong(found)
        assert not any((tmp_path / "run").iterdir())
        monkeypatch.setattr("recruiter.skyrl.preflight.__file__", "/nowhere/preflight.py")
        assert all("does not see" in line for line in wrong(check_cluster(tmp_path / "run")))
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_a_cluster_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    [said] = wrong(check_cluster(tmp_path))
    assert "There is no Ray cluster at RAY_ADDRESS=127.0.0.1:9" in said


def test_the_command_ends_with_what_is_missing(tiny: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "recruiter.skyrl.preflight", f"trainer.policy.model.path={tiny}",
        f"trainer.ckpt_path={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.fullmatch(r"\d+ of these would stop a run\.\n", done.stderr)
    assert "MISSING vllm: The package vllm is not installed" in done.stdout
