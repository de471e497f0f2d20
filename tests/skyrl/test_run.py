"""Ray around a run, on this machine: what reaches other processes, what is said when one of them ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import ray

from recruiter.config import Config
from recruiter.env import GroupKey
from recruiter.errors import ConfigError, EngineError
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.metrics_logger import RunLog
from recruiter.skyrl.cluster import find_hardware, ray_for
from recruiter.skyrl.data import StepLoader
from recruiter.skyrl.loss import register_loss
from recruiter.skyrl.run import ClusterTrainer, chat_tokenizer, longest_prompt
from recruiter.skyrl.scorer import ClusterScorer
from recruiter.skyrl.settings import LOSS_NAME, Hardware, skyrl_config
from tests.conftest import MakeRole


@ray.remote(num_cpus=0.1)
def in_another_process() -> tuple[str, str]:
    from skyrl.backends.skyrl_train.utils.ppo_utils import PolicyLossRegistry

    return PolicyLossRegistry.get(LOSS_NAME).__module__, os.environ["SKYRL_LOG_FILE"]


def test_workers_get_the_loss_and_the_log_file_and_nothing_is_left_running(
    config: Config, tmp_path: Path, role: MakeRole
) -> None:
    register_loss()
    settings = skyrl_config(config, Hardware(1, 1, False), 600, tmp_path)
    on_terminate = signal.getsignal(signal.SIGTERM)
    with RunLog(tmp_path, config, RubricJudge(), 1) as log, ray_for(settings, log):
        assert ray.get(in_another_process.remote()) == ("recruiter.skyrl.loss", f"{tmp_path}/logs/workers.log")
        scorer = ClusterScorer(config)
        assert scorer(role(), "How would you keep the queue short?", GroupKey("g", 1)).scores is not None
        scorer.close()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
        assert signal.getsignal(signal.SIGTERM) is on_terminate
    assert not ray.is_initialized()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert (tmp_path / "logs/trainer.log").is_file()


def test_the_gpus_of_a_cluster_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False})
    cluster.add_node(num_cpus=1, num_gpus=4)
    cluster.add_node(num_cpus=1, num_gpus=4)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    try:
        assert find_hardware() == Hardware(2, 4, False)
    finally:
        cluster.shutdown()


def test_roles_come_in_the_local_engines_order_and_the_rest_of_an_epoch_is_left_out(
    config: Config, role: MakeRole
) -> None:
    from recruiter.roles.schedule import step_roles

    roles = [role(index) for index in range(10)]
    loader = StepLoader(config, roles)
    assert len(loader) == 2
    seen = [[row["uid"] for row in batch] for _ in range(2) for batch in loader]
    local = Config(engine="local", trainer=config.trainer)
    assert seen[0] == [f"step-1/{role.id}" for role in step_roles(local, roles, 1)]
    assert len(seen) == 4
    assert [names[0].split("/")[0] for names in seen] == ["step-1", "step-2", "step-3", "step-4"]
    again = StepLoader(config, roles)
    again.step = 3
    assert [[row["uid"] for row in batch] for batch in again] == seen[3:]


def test_fewer_roles_than_a_step_takes_is_one_sentence(config: Config, role: MakeRole) -> None:
    with pytest.raises(ConfigError, match=r"^trainer.train_batch_size=4 is more than the 3 roles"):
        len(StepLoader(config, [role(index) for index in range(3)]))


def test_prompts_are_measured_as_the_policy_sees_them(tiny: Path, role: MakeRole) -> None:
    from recruiter.prompts import generator_messages
    from tests.engines.conftest import tiny_tokenizer

    roles = [role(0), role(1, description="long " * 40)]
    tokens = tiny_tokenizer().apply_chat_template(
        generator_messages(roles[1]), add_generation_prompt=True, return_dict=False
    )
    assert longest_prompt(chat_tokenizer(str(tiny)), roles) == len(tokens)


def test_a_run_may_continue_on_other_gpus_but_not_with_another_optimizer(config: Config, tmp_path: Path) -> None:
    config.skyrl = {"trainer.placement.policy_num_gpus_per_node": 2}
    RunLog(tmp_path, config, RubricJudge(), 4).__exit__()
    config.skyrl = {"trainer.placement.policy_num_gpus_per_node": 1, "generator.inference_engine.enforce_eager": True}
    RunLog(tmp_path, config, RubricJudge(), 4, resumed_from=2).__exit__()
    config.skyrl = {"trainer.policy.optimizer_config.scheduler": "cosine"}
    with pytest.raises(ConfigError, match=r"skyrl\.trainer\.policy\.optimizer_config\.scheduler=None, not cosine"):
        RunLog(tmp_path, config, RubricJudge(), 4, resumed_from=2)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RuntimeError("Traceback\n  torch.OutOfMemoryError: CUDA out of memory. Tried"), "gradient_checkpointing=true"),
        (ray.exceptions.ActorDiedError(), "run the same command again to continue"),
    ],
)
def test_a_process_that_ends_is_one_sentence(
    error: Exception, advice: str, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: MakeRole
) -> None:
    monkeypatch.setattr("recruiter.skyrl.run.find_hardware", lambda: Hardware(1, 1, False))
    roles = [role(index) for index in range(4)]

    def fail(self: ClusterTrainer, scorer: ClusterScorer) -> None:
        scorer.close()
        raise error

    monkeypatch.setattr(ClusterTrainer, "_train", fail)
    with RunLog(tmp_path, config, RubricJudge(), 1) as log:
        trainer = ClusterTrainer(config, RubricJudge(), roles, roles[:1], log)
        with pytest.raises(EngineError) as caught:
            trainer.train()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("A process of the run has failed after step 0, which is stored (")
    assert advice in message
