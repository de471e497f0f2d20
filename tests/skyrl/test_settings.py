"""The mapping of the configuration, against SkyRL's own schema and checks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.config.config import InferenceEngineConfig

from recruiter.config import SETTINGS, Config
from recruiter.config.loading import load_config
from recruiter.config.paths import CONFIGS
from recruiter.config.setting import OURS
from recruiter.errors import ConfigError
from recruiter.skyrl.loss import register_loss
from recruiter.skyrl.settings import FIXED, TAKEN, Hardware, check_with_skyrl, skyrl_config, skyrl_keys

SAME_NAME = {ours for ours, theirs in TAKEN.items() if ours == theirs}
# Our trainer has its own schedule, folder and filter, whatever SkyRL has under these names.
KEPT = {
    f"trainer.{name}"
    for name in (
        "policy.model.lora", "algorithm.zero_variance_filter", "eval_interval", "eval_before_train", "ckpt_path",
        "ckpt_interval", "max_ckpts_to_keep",
        "resume_mode", "resume_path",
    )
}  # fmt: skip
ONE, TWO, CLUSTER = Hardware(1, 1, False), Hardware(1, 2, False), Hardware(2, 4, True)


def mapped(*overrides: str, name: str = "offline_config", hardware: Hardware = ONE) -> SkyRLTrainConfig:
    """SkyRL's configuration of a run, checked by SkyRL."""
    register_loss()
    made = skyrl_config(load_config(name, ["engine=skyrl", *overrides]), hardware, 200, Path("/runs/one"))
    check_with_skyrl(made)
    return made


def refusal(*overrides: str, hardware: Hardware = ONE) -> str:
    with pytest.raises(ConfigError) as caught:
        mapped(*overrides, hardware=hardware)
    assert re.fullmatch(r"[^\n]+[.?]", str(caught.value)), str(caught.value)
    return str(caught.value)


def value(made: Any, key: str) -> Any:
    for part in key.split("."):
        made = made[part] if isinstance(made, dict) else getattr(made, part)
    return made


def test_names_on_skyrls_side_exist_there() -> None:
    theirs = {key for key, _ in skyrl_keys()}
    assert set(TAKEN.values()) <= theirs
    assert set(FIXED) <= theirs


def test_a_setting_that_skyrl_has_under_the_same_name_is_given_to_it() -> None:
    ours = {key for key, entry in SETTINGS.items() if entry.skyrl == OURS}
    assert {key for key, _ in skyrl_keys()} & ours <= KEPT


@pytest.mark.parametrize("key", sorted(SAME_NAME - {"trainer.policy.model.path", "trainer.algorithm.use_kl_loss"}))
def test_a_key_of_the_same_name_arrives_with_its_value(key: str, config: Config) -> None:
    changed = {
        "trainer.policy.optimizer_config.adam_betas": [0.8, 0.95], "trainer.algorithm.grpo_norm_by_std": False,
        "trainer.gradient_checkpointing": True, "trainer.train_batch_size": 32, "trainer.policy_mini_batch_size": 16,
        "trainer.micro_train_batch_size_per_gpu": 8, "generator.n_samples_per_prompt": 8,
        "generator.sampling_params.top_p": 0.5, "generator.sampling_params.temperature": 0.7,
    }.get(key, 3)  # fmt: skip
    if key.endswith((".lr", "_decay", "_coef", "eps_clip_low", "eps_clip_high")):
        changed = 0.125
    assert value(mapped(f"{key}={changed}"), key) == changed


def test_lora_moves_to_skyrls_place_in_either_spelling() -> None:
    for prefix in ("trainer.policy.lora", "trainer.policy.model.lora"):
        lora = mapped(f"{prefix}.rank=32", f"{prefix}.alpha=64", f"{prefix}.dropout=0.1").trainer.policy.model.lora
        assert (lora.rank, lora.alpha, lora.dropout, lora.target_modules) == (32, 64, 0.1, "all-linear")
    assert mapped("trainer.policy.model.lora.init_method=gaussian").trainer.policy.model.lora.init_method == "gaussian"


def test_the_defaults_are_the_local_engines_mathematics() -> None:
    algorithm = mapped().trainer.algorithm
    assert (algorithm.advantage_estimator, algorithm.loss_reduction) == ("grpo", "token_mean")
    assert (algorithm.use_kl_loss, algorithm.use_kl_in_reward, algorithm.use_entropy_loss) == (False, False, False)
    assert algorithm.policy_loss_type == "question_gen"
    assert mapped("generator.sampling_params.temperature=0.5").trainer.algorithm.temperature == 0.5


def test_validation_samples_as_training_does_with_the_same_draws() -> None:
    sampling = mapped("generator.sampling_params.temperature=0.5", "trainer.seed=7").generator.eval_sampling_params
    assert (sampling.temperature, sampling.max_generate_length) == (0.5, 256)
    assert sampling.additional_kwargs == {"seed": 7}


@pytest.mark.parametrize(("hardware", "nodes", "gpus", "engines"), [(ONE, 1, 1, 1), (TWO, 1, 2, 2), (CLUSTER, 2, 4, 8)])
def test_all_gpus_are_used_unless_told_otherwise(hardware: Hardware, nodes: int, gpus: int, engines: int) -> None:
    made = mapped(hardware=hardware)
    placement = made.trainer.placement
    assert (placement.policy_num_nodes, placement.policy_num_gpus_per_node) == (nodes, gpus)
    assert made.generator.inference_engine.num_engines == engines
    assert made.trainer.flash_attn is hardware.flash_attention
    assert made.trainer.remove_microbatch_padding is hardware.flash_attention


def test_fewer_gpus_and_tensor_parallel_sampling_can_be_asked_for() -> None:
    made = mapped("trainer.placement.policy_num_nodes=1", "trainer.placement.policy_num_gpus_per_node=2",
                  "generator.inference_engine.tensor_parallel_size=2", hardware=CLUSTER)  # fmt: skip
    assert made.generator.inference_engine.num_engines == 1
    assert made.trainer.placement.policy_num_gpus_per_node == 2


def test_a_pass_fits_without_being_told_and_divides_the_share_of_a_gpu() -> None:
    assert mapped().trainer.micro_train_batch_size_per_gpu == 8  # 4096 tokens of answers of 456
    assert mapped("trainer.train_batch_size=5").trainer.micro_train_batch_size_per_gpu == 5
    assert mapped("generator.sampling_params.max_generate_length=8000").trainer.micro_train_batch_size_per_gpu == 1


def test_the_engine_that_samples_knows_how_long_a_sequence_can_be() -> None:
    assert mapped().generator.inference_engine.engine_init_kwargs["max_model_len"] == 512
    kept = mapped("generator.inference_engine.engine_init_kwargs.max_model_len=4096").generator.inference_engine
    assert kept.engine_init_kwargs["max_model_len"] == 4096


@pytest.mark.parametrize(("temperature", "mode"), [("1.0", "raw_logprobs"), ("0.5", "processed_logprobs")])
def test_the_sampler_reports_log_probabilities_at_the_temperature(temperature: str, mode: str) -> None:
    made = mapped(f"generator.sampling_params.temperature={temperature}")
    assert made.generator.inference_engine.engine_init_kwargs["logprobs_mode"] == mode


def test_what_is_said_of_eager_mode_and_undone_is_not_shown(recwarn: pytest.WarningsRecorder) -> None:
    assert mapped("generator.inference_engine.enforce_eager=true").generator.inference_engine.enforce_eager
    assert not [warning for warning in recwarn if "enforce_eager" in str(warning.message)]


def test_every_trajectory_can_wait_for_its_judgement_at_once() -> None:
    assert mapped().environment.skyrl_gym.max_env_workers == 256


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("trainer.policy.fsdp_config.cpu_offload=true", True),
        ("trainer.max_tokens_per_microbatch=4096", 4096),
        ("trainer.policy.optimizer_config.scheduler=cosine", "cosine"),
        ("generator.inference_engine.gpu_memory_utilization=0.5", 0.5),
        ("generator.inference_engine.engine_init_kwargs.quantization=fp8", "fp8"),
        ("generator.sampling_params.min_p=0.1", 0.1),
        ("trainer.run_name=mine", "mine"),
    ],
)
def test_what_only_skyrl_knows_passes_through(override: str, wanted: object) -> None:
    assert value(mapped(override), override.split("=")[0]) == wanted


def test_it_passes_through_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "train_config.yaml").write_text((CONFIGS / "train_config.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(
        "defaults: [train_config, _self_]\nengine: skyrl\ntrainer: {epochs: 2, policy: {fsdp_config: {cpu_offload: true}}}\n"
    )
    config = load_config("mine", folder=tmp_path)
    assert config.skyrl == {"trainer.policy.fsdp_config.cpu_offload": True}
    assert skyrl_config(config, ONE, 100, tmp_path).trainer.policy.fsdp_config.cpu_offload is True


@pytest.mark.parametrize(
    "key", ["trainer.placment.policy_num_nodes", "generator.inference_engine.num_engine", "trainer.x"]
)
def test_a_key_that_neither_knows_is_refused_by_name(key: str) -> None:
    assert f"There is no setting '{key}', neither here nor in SkyRL" in refusal(f"{key}=2")


def test_without_the_engine_skyrls_keys_are_unknown() -> None:
    with pytest.raises(ConfigError, match=r"There is no setting 'trainer.placement.policy_num_nodes'"):
        load_config("offline_config", ["trainer.placement.policy_num_nodes=2"])


@pytest.mark.parametrize("key", sorted(FIXED))
def test_what_the_engine_promises_cannot_be_taken_back(key: str) -> None:
    assert refusal(f"{key}=1").startswith(f"{key} cannot be set: ")


@pytest.mark.parametrize(
    ("overrides", "hardware", "named"),
    [
        (["trainer.placement.policy_num_gpus_per_node=4"], TWO, "1 node(s) with 2 each"),
        ([], Hardware(1, 0, False), "engine=local"),
        (["trainer.train_batch_size=3"], Hardware(1, 8, False), "12 samples of an update do not divide over 8 GPUs"),
        (["trainer.micro_train_batch_size_per_gpu=7"], ONE, "trainer.micro_train_batch_size_per_gpu=7"),
        (["trainer.flash_attn=true"], ONE, "flash-attn"),
        (["trainer.device=cpu"], ONE, "engine=local"),
        (["trainer.policy.model.dtype=float32"], ONE, "bfloat16"),
        (["trainer.logprobs_chunk_size=0"], ONE, "logprobs_chunk_size"),
        (["generator.inference_engine.backend=x"], ONE, "vLLM"),
    ],
)
def test_what_cannot_work_is_one_sentence(overrides: list[str], hardware: Hardware, named: str) -> None:
    assert named in refusal(*overrides, hardware=hardware)


def test_eager_sampling_is_kept_where_it_is_asked_for() -> None:
    assert mapped().generator.inference_engine.enforce_eager is InferenceEngineConfig().enforce_eager is False
    assert mapped("generator.inference_engine.enforce_eager=true").generator.inference_engine.enforce_eager is True


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*_config.yaml")))
def test_every_mode_trains_with_skyrl(name: str) -> None:
    judge = (
        ["judge.provider=rubric"] if name in ("quickstart_config", "local_config") else []
    )  # `local` reads the policy's base
    assert isinstance(mapped(*judge, name=name, hardware=TWO), SkyRLTrainConfig)


def test_our_schedule_of_steps_is_kept_by_our_trainer() -> None:
    made = mapped("trainer.ckpt_interval=10", "trainer.max_ckpts_to_keep=3", "trainer.eval_interval=0")
    assert (made.trainer.ckpt_interval, made.trainer.max_ckpts_to_keep, made.trainer.eval_interval) == (1, -1, 0)
