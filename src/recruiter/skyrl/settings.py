"""From our configuration to SkyRL's, key by key.

What SkyRL calls a setting of ours stands at its field, see `recruiter.config.setting`. Keys under `trainer` and `generator`
that only SkyRL knows pass through, except those that would take back what this engine promises (`FIXED`). A key that
neither knows is refused by name.
"""

from __future__ import annotations

import dataclasses
import typing
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.config.config import build_nested_dataclass

from recruiter.config import SETTINGS, Config
from recruiter.config.setting import OURS, SAME, find
from recruiter.errors import ConfigError
from recruiter.roles.dataset import ENV_CLASS

LOSS_NAME = "question_gen"
TOKENS_PER_PASS = 4096  # of a training pass on one GPU, where the configuration names no size
LENGTH_STEP = 64  # the engine's longest sequence is a multiple of it

# SkyRL's name of each setting that it is given, by ours.
TAKEN = {
    key: key if entry.skyrl == SAME else entry.skyrl
    for key, entry in SETTINGS.items()
    if entry.skyrl not in (None, OURS)
}
# Keys of SkyRL that a user cannot set (a key, or all below it), and why.
_ESTIMATOR = "advantages come from the scored samples of a group"
_LOSS = "the loss is GRPO's mean over the tokens of scored answers"
_EPISODE = "an episode is one question"
FIXED = {
    "trainer.algorithm.advantage_estimator": _ESTIMATOR,
    "trainer.algorithm.advantage_batch_normalize": _ESTIMATOR,
    "trainer.algorithm.dynamic_sampling": _ESTIMATOR,
    "trainer.algorithm.use_kl_in_reward": _ESTIMATOR,
    "trainer.algorithm.policy_loss_type": _LOSS,
    "trainer.algorithm.loss_reduction": _LOSS,
    "trainer.algorithm.use_entropy_loss": _LOSS,
    "trainer.algorithm.off_policy_correction": _LOSS,
    "trainer.algorithm.temperature": "it is generator.sampling_params.temperature",
    "trainer.critic": "GRPO has no critic",
    "trainer.fully_async": "every step is on-policy",
    "trainer.mtp": "the whole model predicts one token at a time",
    "trainer.strategy": "checkpoints are written by FSDP workers",
    "generator.batched": "judging starts as soon as a question is there",
    "generator.max_turns": _EPISODE,
    "generator.step_wise_trajectories": _EPISODE,
    "generator.merge_stepwise_output": _EPISODE,
    "generator.vision_language_generator": _EPISODE,
    "generator.chat_template": "the prompt is the one of evaluation",
    "generator.chat_template_kwargs": "the prompt is the one of evaluation",
    "generator.sampling_params.stop": "an answer ends with the model's own end token",
    "generator.eval_sampling_params": "validation samples as training does",
    "generator.eval_n_samples_per_prompt": "validation writes one question a role",
    "generator.zero_reward_on_non_stop": "the judge scores what was written",
}


@dataclass(frozen=True)
class Hardware:
    """What trains: `nodes` machines with `gpus` GPUs each, and whether the real flash-attn is there."""

    nodes: int
    gpus: int
    flash_attention: bool


def skyrl_config(config: Config, hardware: Hardware, longest_prompt: int, folder: Path) -> SkyRLTrainConfig:
    """SkyRL's configuration of a run.

    Args:
        longest_prompt: tokens of the longest prompt.
        folder: where the run leaves what it makes; on a cluster every node must see it.

    Raises:
        ConfigError: a passed-through key that SkyRL does not know, that this engine fixes, or a value it refuses.
    """
    asked = {_skyrl_name(key): value for key, value in config.skyrl.items()}
    for key in asked:
        _check_key(key)
    placement = _placement(asked, hardware)
    settings = {**_defaults(config, longest_prompt, folder), **placement, **_mapped(config), **asked}
    settings.update(_batches(config, asked, placement, longest_prompt))
    if not hardware.flash_attention:
        _refuse_flash_attention(asked)
        settings.update({"trainer.flash_attn": False, "trainer.remove_microbatch_padding": False})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="LoRA is enabled but")  # says what is undone below
            made = build_nested_dataclass(SkyRLTrainConfig, _nested(settings))
        made.generator.eval_sampling_params = dataclasses.replace(
            made.generator.sampling_params, additional_kwargs={"seed": _seed(config)}
        )  # the same draws in every validation
        # SkyRL switches this off with LoRA; whoever asks for it has a reason.
        made.generator.inference_engine.enforce_eager = bool(asked.get(_EAGER, False))
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"SkyRL refuses these settings: {_one_line(error)}.") from None
    return made


_EAGER = "generator.inference_engine.enforce_eager"


def check_with_skyrl(made: SkyRLTrainConfig) -> None:
    """Let SkyRL check its configuration.

    Raises:
        ConfigError: it refuses it.
    """
    from skyrl.train.utils import validate_cfg

    try:
        validate_cfg(made)
    except (AssertionError, NotImplementedError, TypeError, ValueError) as error:
        raise ConfigError(f"SkyRL refuses these settings: {_one_line(error)}.") from None


def skyrl_keys(schema: type = SkyRLTrainConfig, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Every key of SkyRL's configuration, and whether anything may stand below it (a mapping)."""
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        inner = next(
            (kind for kind in (hints[field.name], *typing.get_args(hints[field.name])) if _is_schema(kind)), None
        )
        if inner is not None:
            yield from skyrl_keys(inner, f"{prefix}{field.name}.")
        yield f"{prefix}{field.name}", inner is None and "dict" in str(hints[field.name]).lower()


def _is_schema(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _skyrl_name(key: str) -> str:
    """Our schema moves SkyRL's `trainer.policy.model.lora` to `trainer.policy.lora`; move the rest of it back."""
    return key.replace("trainer.policy.lora.", "trainer.policy.model.lora.", 1)


def _check_key(key: str) -> None:
    fixed = next((name for name in FIXED if key == name or key.startswith(name + ".")), None)
    if fixed is not None:
        raise ConfigError(f"{key} cannot be set: {FIXED[fixed]}; leave it out.")
    known = dict(skyrl_keys())
    parents = [key.rsplit(".", depth)[0] for depth in range(1, key.count(".") + 1)]
    if key not in known and not any(known.get(parent) for parent in parents):
        raise ConfigError(f"There is no setting '{key}', neither here nor in SkyRL; see docs/skyrl.md.")


def _mapped(config: Config) -> dict[str, Any]:
    settings = {theirs: find(config, key) for key, theirs in TAKEN.items()}
    settings["trainer.gradient_checkpointing"] = bool(config.trainer.gradient_checkpointing)  # null: see docs/skyrl.md
    settings["trainer.seed"] = _seed(config)
    return settings


def _seed(config: Config) -> int:
    """The seed as numpy takes it, with room for the ranks that are added to it."""
    return config.trainer.seed % 2**31


def _placement(asked: Mapping[str, Any], hardware: Hardware) -> dict[str, Any]:
    """All GPUs there are, each with training and sampling, unless the user placed them otherwise."""
    prefix = "trainer.placement."
    nodes = int(asked.get(prefix + "policy_num_nodes", hardware.nodes))
    gpus = int(asked.get(prefix + "policy_num_gpus_per_node", hardware.gpus))
    if nodes * gpus < 1:
        raise ConfigError("engine=skyrl needs a GPU, and none is visible; engine=local trains on a CPU.")
    if (nodes, gpus) > (hardware.nodes, hardware.gpus) and nodes * gpus > hardware.nodes * hardware.gpus:
        raise ConfigError(
            f"{prefix}policy_num_nodes={nodes} and {prefix}policy_num_gpus_per_node={gpus} ask for {nodes * gpus} GPUs; "
            f"{hardware.nodes} node(s) with {hardware.gpus} each are visible."
        )
    tensor = int(asked.get("generator.inference_engine.tensor_parallel_size", 1))
    return {
        **{f"{prefix}{model}_num_nodes": nodes for model in ("policy", "ref")},
        **{f"{prefix}{model}_num_gpus_per_node": gpus for model in ("policy", "ref")},
        "generator.inference_engine.num_engines": max(1, nodes * gpus // tensor),
        "generator.inference_engine.distributed_executor_backend": "mp" if tensor <= gpus else "ray",
    }


def _defaults(config: Config, longest_prompt: int, folder: Path) -> dict[str, Any]:
    """What we set and a user may change."""
    sampling = config.generator.sampling_params
    length = longest_prompt + sampling.max_generate_length
    return {
        "trainer.ckpt_path": str(folder),
        "trainer.export_path": str(folder / "logs"),
        "trainer.log_path": str(folder / "logs"),
        "trainer.policy.model.lora.lora_sync_path": str(folder / "logs" / "lora_sync"),
        "trainer.ckpt_interval": 1,
        "trainer.max_ckpts_to_keep": -1,
        "trainer.resume_mode": "latest",  # has SkyRL ask `QuestionTrainer.load_checkpoints`, which knows where from
        "trainer.eval_interval": config.trainer.eval_interval if config.data.val_size else -1,
        "trainer.eval_before_train": False,
        "trainer.logger": "console",
        "trainer.print_example_interval": 0,
        "trainer.dump_eval_results": False,
        "trainer.enable_ray_gpu_monitor": False,
        "trainer.algorithm.policy_loss_type": LOSS_NAME,
        "trainer.max_prompt_length": longest_prompt,
        "generator.max_input_length": longest_prompt,
        "generator.inference_engine.enable_ray_prometheus_stats": False,
        "generator.inference_engine.engine_init_kwargs.max_model_len": -(-length // LENGTH_STEP) * LENGTH_STEP,
        # By default vLLM reports log-probabilities as if the temperature were 1, and training's are at the temperature.
        "generator.inference_engine.engine_init_kwargs.logprobs_mode": (
            "raw_logprobs" if sampling.temperature == 1 else "processed_logprobs"
        ),
        "environment.env_class": ENV_CLASS,
        "environment.skyrl_gym.max_env_workers": _trajectories(config),  # threads that mostly wait for the judge
    }


def _trajectories(config: Config) -> int:
    return max(config.trainer.train_batch_size * config.generator.n_samples_per_prompt, config.data.val_size)


def _batches(
    config: Config, asked: Mapping[str, Any], placement: Mapping[str, Any], longest_prompt: int
) -> dict[str, Any]:
    """Sizes of updates and passes, of whole samples on every GPU.

    Raises:
        ConfigError: they do not divide.
    """
    trainer, samples = config.trainer, config.generator.n_samples_per_prompt
    gpus = placement["trainer.placement.policy_num_nodes"] * placement["trainer.placement.policy_num_gpus_per_node"]
    parallel = max(1, gpus // int(asked.get("trainer.policy.sequence_parallel_size", 1)))
    mini = trainer.policy_mini_batch_size or trainer.train_batch_size
    if mini * samples % parallel:
        raise ConfigError(
            f"The {mini * samples} samples of an update do not divide over {parallel} GPUs; change "
            f"trainer.policy_mini_batch_size={mini} (roles) or trainer.placement.policy_num_gpus_per_node."
        )
    share = mini * samples // parallel
    length = longest_prompt + config.generator.sampling_params.max_generate_length
    most = max(1, TOKENS_PER_PASS // length)
    fitting = max(size for size in range(1, min(most, share) + 1) if share % size == 0)
    micro = trainer.micro_train_batch_size_per_gpu or fitting
    if share % micro:
        raise ConfigError(
            f"trainer.micro_train_batch_size_per_gpu={micro} does not divide the {share} samples of an update on one "
            f"GPU; try {fitting}."
        )
    return {
        "trainer.policy_mini_batch_size": mini,
        "trainer.critic_mini_batch_size": mini,
        "trainer.micro_train_batch_size_per_gpu": micro,
        "trainer.micro_forward_batch_size_per_gpu": asked.get("trainer.micro_forward_batch_size_per_gpu", micro),
    }


def _refuse_flash_attention(asked: Mapping[str, Any]) -> None:
    for key in ("trainer.flash_attn", "trainer.remove_microbatch_padding"):
        if asked.get(key):
            raise ConfigError(f"{key}=true needs the package flash-attn, which is not installed; leave it out.")


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        *parents, name = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
