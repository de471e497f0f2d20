"""Settings of a training run: a typed schema, whose key names are SkyRL's, so that the same file drives both engines.

All that is known of a setting stands at its field, see `setting`; only what concerns several at once is in `checks`.
The documentation is made from here: `python -m recruiter.config.documentation`.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NotRequired, Self

from omegaconf import MISSING
from pydantic import Field, with_config
from typing_extensions import TypedDict

from recruiter.config.paths import QUICKSTART, command_line, is_hub_id, model_folder
from recruiter.config.setting import ADDRESS, OURS, SAME, Section, setting, settings
from recruiter.errors import ModelError

QUICKSTART_OFFER = f"To see the whole path run on any machine, without a GPU or a key: {QUICKSTART}"

# fmt: off


@dataclass
class DataConfig(Section):
    raw_dir: str = setting("data/raw", "the validated split, `train.parquet` and `test.parquet`")
    processed_dir: str = setting("data/processed",
        "chat prompts, made from `raw_dir` whenever it or the prompt changed")
    val_size: int = setting(16,
        "roles of the training split that validation uses instead, a third of it at most; 0: none", ge=0)


Dollars = Annotated[int | float, Field(ge=0, allow_inf_nan=False)]


@with_config(extra="forbid")
class ModelPrice(TypedDict):
    """USD per million tokens."""

    input: Dollars
    cached_input: NotRequired[Dollars]
    output: Dollars


# As the providers listed them in November 2026.
PRICES: dict[str, ModelPrice] = {
    "grok-4-1-fast-non-reasoning": {"input": 0.2, "cached_input": 0.05, "output": 0.5},
    "grok-4.3": {"input": 1.25, "cached_input": 0.2, "output": 2.5},
    "gpt-6-luna": {"input": 0.1, "cached_input": 0.01, "output": 0.5},
    "claude-haiku-5-5": {"input": 0.1, "cached_input": 0.01, "output": 0.5},
    "claude-haiku-4-5-20251001": {"input": 1.0, "cached_input": 0.1, "output": 5.0},
    "gpt-5-mini-2025-08-07": {"input": 0.25, "cached_input": 0.025, "output": 2.0},
}


@dataclass
class ApiConfig(Section):
    """A model behind an API, and how it is called. By itself: one that is named as `--model`."""

    provider: str = setting("xai",
        "who scores: `rubric` (offline), `local` (a model here), `simulated` (candidates), `human`, `xai`, `openai`, "
        "`anthropic`, `huggingface` or `openai_compatible`")
    model: str | None = setting(None,
        "the provider's model; null: its default, of xai `grok-4.3`. A retired one is replaced by its successor, with a "
        "note. Of `local` and `simulated` a folder or Hub id, null: the model that is trained, untrained; of `simulated` "
        "also `provider/model`")
    base_url: str | None = setting(None, "address of a server to ask instead of the provider's own",
        pattern=f"^{ADDRESS}$", instead="an address such as http://localhost:11434/v1", may_change=True)
    temperature: float | None = setting(None, "null: 0 where the provider's models take one (xai, openai_compatible)",
        ge=0, le=2)
    reasoning_effort: str | None = setting(None,
        "how long a reasoning model thinks, in the provider's words (`none`, `low`, …); null: the provider chooses, `none` "
        "for the default of xai")
    max_tokens: int = setting(4096, "most tokens of a reply, thinking included", ge=64)
    concurrency: int = setting(64, "calls at a time; fewer while the provider says that it is busy", ge=1, le=1000,
        may_change=True)
    attempt_timeout: float = setting(45.0, "seconds for one attempt at a question", gt=0, may_change=True)
    total_timeout: float = setting(100.0, "seconds for all attempts at a question and the pauses between them", gt=0,
        may_change=True)
    max_attempts: int = setting(6, "attempts at a question; refusals for want of capacity (429) are not counted", ge=1,
        may_change=True)
    budget_usd: float | None = setting(None,
        "what a run may spend on judging, over all its restarts; then it stops, saved", gt=0, may_change=True)
    prices: dict[str, ModelPrice] = setting(PRICES, "USD per million tokens, by model",
        instead="USD per million tokens as {input: 0.2, output: 0.5}, with cached_input where it is cheaper",
        may_change=True)

    place = ""  # the section that holds it, if a configuration does
    KEYLESS: ClassVar[str] = "models on this machine, such as starter, need none"
    OPTIONS: ClassVar[Mapping[str, str]] = {
        "provider": "--model {}",
        "model": "--model {provider}/{}",
        "base_url": "--base-url={}",
        "budget_usd": "--budget-usd",
        "prices": "--price {} INPUT OUTPUT (USD per million tokens)",
        "cache_path": "--cache {}",
    }

    def spelled(self, name: str, value: str = "") -> str:
        """A setting as the user writes it: on the command line that named this, or in a configuration.

        Args:
            value: of `prices` the model; `budget_usd` is spelled without one.
        """
        return self.OPTIONS[name].format(value, provider=self.provider, place=self.place)


@dataclass
class JudgeConfig(ApiConfig):
    """Providers, keys, cost, failures and the cache: [judges.md](judges.md)."""

    max_unscored: float = setting(0.2,
        "share of a step's samples without a score above which the run stops, saved; so do three steps in a row "
        "above half of it", ge=0, le=1, may_change=True)
    cache_path: str = setting("data/judge_cache.sqlite", "where judgements are kept, so that none is paid for twice",
        may_change=True)

    mode: Literal["single", "group", "pairs"] = setting("single",
        "how a language model behind an API judges the questions of a group: each by itself, all in one call, or two at a time "
        "in a tournament: [rewards.md](rewards.md)")
    rounds: int | None = setting(None,
        "of `group`: orders in which it is asked, scores are averaged; of `pairs`: others that each question is compared with; "
        "null: 1, and 3", ge=1, le=16)
    weak: str | None = setting(None,
        "of `simulated`: the model that plays the weak candidate, a folder, a Hub id or `provider/model`; null: `judge.model`, "
        "told to be one")
    strong: str | None = setting(None, "of `simulated`: the same for the strong candidate")
    answers: int = setting(4, "of `simulated`: answers of each candidate to a question", ge=1, le=32)
    examples: str | None = setting(None,
        "ratings, comparisons or edits that people gave, as the feedback server exports them, of which a few are shown to a "
        "language model behind an API as examples; null: none")

    place, does = "judge", "reward"  # what differs for one of several judges
    KEYLESS: ClassVar[str] = "the judge rubric needs none"
    OPTIONS: ClassVar[Mapping[str, str]] = {
        **{name: f"{{place}}.{name}={{}}" for name in ("provider", "model", "base_url", "cache_path")},
        "budget_usd": "{place}.budget_usd",
        "prices": "'{place}.prices={{{}: {{input: <USD per million tokens>, output: <USD>}}}}'",
    }

    @property
    def asks_people(self) -> bool:
        """Whether people score: groups are waited for as a whole, and there is no validation."""
        return self.provider == "human"


@dataclass
class ListedJudgeConfig(JudgeConfig):
    """One of several judges: the settings of `judge`, and these."""

    name: str | None = setting(None, "what metrics and logs call it; null: its provider", pattern=r"^[a-z][a-z0-9_]{0,39}$",
        instead="small letters, digits and underscores, such as grok")
    does: Literal["reward", "gate", "watch"] = setting("reward",
        "`reward`: its scores are the reward; `gate`: it may only lower it, for a defect; `watch`: it sees and never rewards")
    weight: float = setting(1.0, "of a rewarding judge, relative to the others", gt=0)
    share: float = setting(0.25, "share of a step's questions that a watching judge sees (of a validation it sees all), or of "
        "its groups that people are asked about", gt=0, le=1)

    @property
    def title(self) -> str:
        """Its name, given or not."""
        return self.name or self.provider

    def at(self, index: int) -> Self:
        """The same settings, which know their place in the list."""
        placed = copy.copy(self)
        placed.place = f"judges.{index}"
        return placed


class NamedJudgeConfig(JudgeConfig):
    """A judge that is named as `--judge`."""

    OPTIONS: ClassVar[Mapping[str, str]] = {
        **ApiConfig.OPTIONS,
        "provider": "--judge {}",
        "model": "--judge {provider}/{}",
        "base_url": "--judge-base-url={}",
    }


class NamedReaderConfig(JudgeConfig):
    """A language model that reads blind, named as `--reader`."""

    OPTIONS: ClassVar[Mapping[str, str]] = {
        **ApiConfig.OPTIONS,
        "provider": "--reader {}",
        "model": "--reader {provider}/{}",
    }


class NamedCandidateConfig(JudgeConfig):
    """Models that play and grade simulated candidates, named as `--simulate-candidates`."""

    OPTIONS: ClassVar[Mapping[str, str]] = {
        **ApiConfig.OPTIONS,
        "provider": "--simulate-candidates {}",
        "model": "--simulate-candidates {provider}/{}",
    }


@dataclass
class HumanFeedbackConfig(Section):
    """With `judge.provider=human`, or with people among `judges`."""

    api_url: str = setting("http://127.0.0.1:8000", "the feedback server; its key is taken from `FEEDBACK_API_KEY`",
        pattern=f"^{ADDRESS}$",
        instead="an address such as http://127.0.0.1:8000, without a user name: the key belongs in FEEDBACK_API_KEY",
        may_change=True)
    timeout: float = setting(86400.0,
        "seconds that a step waits for ratings; then it goes on with those there are, or stops, saved, if there are "
        "none", gt=0, may_change=True)
    poll_interval: float = setting(10.0,
        "seconds that one request waits for news; ratings are noticed at once in any case", gt=0, le=60,
        may_change=True)
    overlap: int = setting(1, "raters that each group is shown to", ge=1)
    task: Literal["score", "rank", "best_worst", "pairs"] = setting("score",
        "what raters do with a group: `score` each question by the criteria, put them in order (`rank`), name the best and "
        "the worst (`best_worst`), or compare two at a time (`pairs`); an order is a reward within the group")
    ask: Literal["uncertain", "random"] = setting("uncertain",
        "with people among `judges`, which groups they are asked about: those whose order the other judges leave most unclear, "
        "or any", may_change=True)
    max_staleness_steps: int = setting(0,
        "groups that are rated up to so many steps too late are still trained on; 0: late ratings are only kept", ge=0,
        may_change=True)


@dataclass
class RewardConfig(Section):
    """Shaping after judging: a question that repeats the wording of questions for other roles loses reward."""

    overlap_penalty: float = setting(0.8,
        "largest share of its reward that a question can lose so; 0 switches shaping off", ge=0, le=1)
    overlap_free: float = setting(0.3, "overlap, a share in [0, 1], that costs nothing", ge=0, le=1)
    overlap_window: int = setting(256, "questions of earlier steps that are compared with", ge=0)


def _lora(name: str) -> str:
    return f"trainer.policy.model.lora.{name}"


@dataclass
class LoraConfig(Section):
    rank: int = setting(8, "rank of the adapters", ge=1, skyrl=_lora("rank"))
    alpha: int = setting(16, "scale of the adapters; their output is multiplied by alpha / rank", ge=1,
        skyrl=_lora("alpha"))
    dropout: float = setting(0.0, "dropout on the adapters' input while training", ge=0, le=0.99,
        skyrl=_lora("dropout"))
    target_modules: str | Annotated[list[str], Field(min_length=1)] = setting("all-linear",
        "layers that get an adapter, in PEFT's words: `all-linear`, the ends of their names in a list, or a regular "
        "expression of whole names", instead="all-linear, a list such as [q_proj, v_proj], or a regular expression",
        skyrl=_lora("target_modules"))


@dataclass
class OptimizerConfig(Section):
    lr: float = setting(1e-5, "learning rate of AdamW after warm-up", gt=0, le=1, skyrl=SAME)
    adam_betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = setting(
        [0.9, 0.999], "AdamW's decay rates", instead="two numbers from 0 to below 1", skyrl=SAME)
    weight_decay: float = setting(0.0, "AdamW's weight decay", ge=0, le=1, skyrl=SAME)
    max_grad_norm: float = setting(1.0, "gradients with a larger norm are scaled down to it", gt=0, skyrl=SAME)
    num_warmup_steps: int = setting(0, "optimizer updates over which the learning rate rises to `lr`", ge=0, skyrl=SAME)


@dataclass
class ModelConfig(Section):
    path: str = setting(MISSING, "base model: a Hugging Face folder or Hub id of a causal LM with a chat template",
        skyrl=SAME)
    dtype: Literal["auto", "float32", "bfloat16"] = setting("auto",
        "what the model computes in; auto: what this processor is fast with", skyrl=OURS)
    quantization: Literal["int8"] | None = setting(None,
        "`int8`: the frozen linear weights take a byte each, with a scale for each output channel; less memory, slower: "
        "[performance.md](performance.md#a-card-with-16-gb)", skyrl=OURS)
    lora: dict[str, Any] = setting({}, "SkyRL's place for `trainer.policy.lora`; wins where both are given", skyrl=OURS)


@dataclass
class PolicyConfig(Section):
    model: ModelConfig = field(default_factory=ModelConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    optimizer_config: OptimizerConfig = field(default_factory=OptimizerConfig)


@dataclass
class AlgorithmConfig(Section):
    grpo_norm_by_std: bool = setting(True, "divide advantages by their group's spread; false as in Dr. GRPO",
        skyrl=SAME)
    eps_clip_low: float = setting(0.2, "probability ratios below 1 - this get no gradient that lowers them further",
        ge=0, le=1, skyrl=SAME)
    eps_clip_high: float = setting(0.2, "probability ratios above 1 + this get no gradient that raises them further",
        ge=0, skyrl=SAME)
    use_kl_loss: bool = setting(False, "penalise divergence from the base model (adapter off); one more forward pass",
        skyrl=SAME)
    kl_loss_coef: float = setting(0.001, "weight of that penalty", ge=0, skyrl=SAME)
    zero_variance_filter: bool = setting(True, "leave groups without spread out of the loss and of its denominator",
        skyrl=OURS)


@dataclass
class TrainerConfig(Section):
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    algorithm: AlgorithmConfig = field(default_factory=AlgorithmConfig)
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "where it trains; auto: on a GPU if there is one",
        may_change=True, skyrl=OURS)
    gpus: Literal["auto"] | Annotated[int, Field(ge=1, strict=True)] = setting(1,
        "GPUs that share each step, a process for each; without a GPU so many processes; `auto`: every visible GPU. Under "
        "torchrun its processes count: [training.md](training.md#several-gpus)", instead="1 or more, or auto",
        may_change=True, skyrl=OURS)
    gpu_memory_utilization: float = setting(0.8,
        "share of each GPU's memory that training takes at most, judges within its processes included; the rest is left to "
        "others, such as a judge's server; sizes of passes follow from it", gt=0, le=1, may_change=True, skyrl=OURS)
    seed: int = setting(42, "order of the roles, validation slice, LoRA start and sampling", skyrl=SAME)
    epochs: int = setting(5, "passes over the training roles", ge=1, may_change=True, skyrl=SAME)
    max_training_steps: int | None = setting(None, "end after so many steps, however many epochs are left", ge=1,
        may_change=True, skyrl=SAME)
    train_batch_size: int = setting(64, "roles a step; a last, smaller batch of an epoch is trained on too", ge=1,
        skyrl=SAME)
    policy_mini_batch_size: int | None = setting(None,
        "roles an optimizer update, divides `train_batch_size`; null: the whole step", ge=1, skyrl=SAME)
    micro_train_batch_size_per_gpu: int | None = setting(None,
        "samples a forward pass, whole groups; null: as many as are fast and fit in memory", ge=1, skyrl=SAME)
    update_epochs_per_batch: int = setting(1,
        "passes over a step's samples; above 1 they are off-policy, and clipping matters", ge=1, skyrl=SAME)
    max_staleness_steps: int = setting(0,
        "1: each step samples the next one's groups before it trains, so that they are judged meanwhile; questions then come "
        "from a policy one update old: [training.md](training.md#a-slow-judge)", ge=0, le=1, may_change=True,
        skyrl=OURS)
    gradient_checkpointing: bool | None = setting(None,
        "recompute activations in the backward pass: less memory; null: where a GPU has too little for passes of a "
        "good size", skyrl=SAME)
    eval_interval: int = setting(10, "steps between validations; 0 switches validation off", ge=0, may_change=True,
        skyrl=OURS)
    eval_before_train: bool = setting(True, "validate once before the first step", may_change=True, skyrl=OURS)
    early_stop_patience: int | None = setting(None, "stop after so many validations without a new best; null: never",
        ge=1, may_change=True, skyrl=OURS)
    ckpt_path: str = setting("checkpoints",
        "folder of the run: checkpoints, `metrics.jsonl`, `rollouts.jsonl`, `run.json`", may_change=True, skyrl=OURS)
    ckpt_interval: int = setting(10, "steps between checkpoints; the last step and every new best are saved as well",
        ge=1, may_change=True, skyrl=OURS)
    max_ckpts_to_keep: Literal[-1] | Annotated[int, Field(ge=1)] = setting(5,
        "newest checkpoints to keep, the best one beside these; -1 keeps all", instead="1 or more, or -1 to keep all",
        may_change=True, skyrl=OURS)
    resume_mode: Literal["none", "latest", "from_path"] = setting("latest",
        "`latest`: continue the run in `ckpt_path`; `none`: refuse to; `from_path`: continue `resume_path`",
        may_change=True, skyrl=OURS)
    resume_path: str | None = setting(None, "checkpoint folder for `resume_mode=from_path`", may_change=True,
        skyrl=OURS)
    tensorboard: bool = setting(False, "also write TensorBoard events (needs the `tensorboard` extra)",
        may_change=True, skyrl=OURS)


@dataclass
class SamplingParams(Section):
    """How answers are drawn. A temperature of 0, which training refuses, takes the likeliest token."""

    max_generate_length: int = setting(256, "most tokens of a question; longer ones are cut off", ge=1, skyrl=SAME)
    temperature: float = setting(1.0, "higher is more varied", gt=0, le=10, skyrl=SAME)
    top_p: float = setting(1.0, "draw from the likeliest tokens that hold this share of the probability; 1: from all",
        gt=0, le=1, skyrl=SAME)
    top_k: int = setting(-1, "draw from this many likeliest tokens; -1: from all", ge=-1, skyrl=SAME)


@dataclass
class GeneratorConfig(Section):
    n_samples_per_prompt: int = setting(4, "group size: questions a role in one step", ge=2,
        because="GRPO compares answers within a group", skyrl=SAME)
    sampling_params: SamplingParams = field(default_factory=SamplingParams)


@with_config(extra="forbid")
class Instance(TypedDict):
    """One GPU of an inference endpoint: USD an hour, GB of memory, and the type vLLM computes in there."""

    usd_per_hour: Annotated[int | float, Field(gt=0, allow_inf_nan=False)]
    memory_gb: Annotated[int | float, Field(gt=0, allow_inf_nan=False)]
    dtype: Literal["float16", "bfloat16", "float32"]


# Nvidia GPUs of Hugging Face Inference Endpoints, one of each, as listed in November 2026. A T4 has no bfloat16.
INSTANCES: dict[str, Instance] = {
    "nvidia-t4": {"usd_per_hour": 0.5, "memory_gb": 16, "dtype": "float16"},
    "nvidia-l4": {"usd_per_hour": 0.8, "memory_gb": 24, "dtype": "bfloat16"},
    "nvidia-a10g": {"usd_per_hour": 1.0, "memory_gb": 24, "dtype": "bfloat16"},
    "nvidia-l40s": {"usd_per_hour": 1.8, "memory_gb": 48, "dtype": "bfloat16"},
    "nvidia-a100": {"usd_per_hour": 2.5, "memory_gb": 80, "dtype": "bfloat16"},
}


@dataclass
class EndpointConfig(Section):
    """How `scripts/export_merged_model.py --create_endpoint` (`recruiter export`) deploys a model: [export.md](export.md)."""

    image: str = setting("vllm/vllm-openai:v0.8.5", "container image with a vLLM server", may_change=True)
    instance_type: str = setting("nvidia-t4", "one of `endpoint.instances`; `--instance_type` wins", may_change=True)
    vendor: str = setting("aws", "cloud that hosts it", may_change=True)
    region: str = setting("us-east-1", "region of that cloud", may_change=True)
    scale_to_zero_minutes: int = setting(60, "without a request, until it stops and costs nothing", ge=15,
        may_change=True)
    wait_minutes: int = setting(30, "how long to wait for a new endpoint to answer", ge=1, may_change=True)
    instances: dict[str, Instance] = setting(INSTANCES,
        "instance types with one GPU: price, memory, and the type vLLM computes in there",
        instead="{usd_per_hour: 0.5, memory_gb: 16, dtype: float16}, dtype one of float16, bfloat16, float32",
        may_change=True)


@dataclass
class Config(Section):
    engine: Literal["local", "skyrl"] = setting("local",
        "what trains: `local`, on a CPU or on GPUs; `skyrl`, on the GPUs of a Ray cluster")
    rubric: str | None = setting(None,
        "file of the criteria that questions are judged and rated by; null: `configs/rubric.yaml`", may_change=True)
    skyrl: dict[str, Any] = setting({},
        "SkyRL's own settings by dotted name; collected from `trainer` and `generator`, not written by hand",
        may_change=("trainer.placement.", "trainer.logger", "trainer.policy.fsdp_config.", "generator.inference_engine."))
    data: DataConfig = field(default_factory=DataConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    judges: list[ListedJudgeConfig] = setting([],
        "several judges instead of one, each with the settings of `judge` and a job: [judges.md](judges.md)",
        instead="a list such as [{provider: xai}, {provider: rubric, does: gate}]")
    human_feedback: HumanFeedbackConfig = field(default_factory=HumanFeedbackConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)

    @property
    def all_judges(self) -> list[JudgeConfig]:
        """The judges in use: `judges`, or `judge` alone."""
        return [entry.at(index) for index, entry in enumerate(self.judges)] or [self.judge]

    @property
    def asks_people(self) -> bool:
        """Whether people judge, alone or a share of the groups."""
        return any(judge.asks_people for judge in self.all_judges)


# fmt: on
SETTINGS = settings(Config)


def may_change(key: str) -> bool:
    """Whether a run may be continued with another value of a key, which may lead into a mapping or a list."""
    key = re.sub(r"^judges\.\d+\.", "judge.", key)
    above = [key.rsplit(".", depth)[0] for depth in range(key.count(".") + 1)]
    allowed = next((SETTINGS[name].may_change for name in (key, *above) if name in SETTINGS), False)
    return allowed if isinstance(allowed, bool) else key.split(".", 1)[-1].startswith(allowed)


def to_dict(config: Config) -> dict[str, Any]:
    """The resolved configuration as plain data, for metrics and checkpoints."""
    return dataclasses.asdict(config)


def require_model(path: str, spelled: str = "trainer.policy.model.path={}") -> None:
    """Refuse a model path that is neither a folder here nor could be a Hub id.

    Args:
        spelled: how the user wrote it.

    Raises:
        ModelError: nothing is there.
    """
    folder = model_folder(path)
    if not is_hub_id(path) and not (folder and (folder / "config.json").is_file()):
        fetch = f"`{command_line('download')}` fetches it; or " if Path(path).name == "qwen3-4b-question-gen" else ""
        raise ModelError(
            f"There is no model folder at {spelled.format(path)}: {fetch}name a folder with a model or a Hub id "
            f"such as Qwen/Qwen3-4B-Instruct-2507. {QUICKSTART_OFFER}"
        )
