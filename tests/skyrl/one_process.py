"""A run of SkyRL's training loop in one process, on a CPU."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from skyrl.backends.skyrl_train.distributed.dispatch import MeshRank
from skyrl.backends.skyrl_train.distributed.fsdp_strategy import FSDPStrategy
from skyrl.backends.skyrl_train.inference_servers.base import InferenceEngineInterface
from skyrl.backends.skyrl_train.inference_servers.remote_inference_client import RemoteInferenceClient
from skyrl.backends.skyrl_train.utils.ppo_utils import PolicyLossRegistry
from skyrl.backends.skyrl_train.workers.model_wrapper import HFModelWrapper
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator
from torch.distributed.device_mesh import init_device_mesh
from transformers import DynamicCache
from transformers.trainer import get_scheduler

from recruiter.config import Config
from recruiter.env import GroupKey, register_environment, special_tokens
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.metrics_logger import RunLog
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.skyrl.cluster import log_into
from recruiter.skyrl.data import StepLoader
from recruiter.skyrl.loss import register_loss
from recruiter.skyrl.run import chat_tokenizer, longest_prompt
from recruiter.skyrl.settings import Hardware, check_with_skyrl, skyrl_config
from recruiter.skyrl.trainer import QuestionTrainer
from recruiter.skyrl.worker import AdapterWorker
from recruiter.train.layout import Checkpoint
from recruiter.train.state import RunState
from tests.scoring import scored


class Worker(AdapterWorker):
    """SkyRL's policy worker without Ray and FSDP: the wrapped model, AdamW and the scheduler, in this process."""

    def __init__(self, settings: SkyRLTrainConfig, plain_sgd: bool) -> None:
        self.cfg = trainer = settings.trainer
        lora, optimizer = trainer.policy.model.lora, trainer.policy.optimizer_config
        torch.manual_seed(trainer.seed)
        self.model = HFModelWrapper(
            trainer.policy.model.path, bf16=False, lora_rank=lora.rank, lora_alpha=lora.alpha,
            target_modules=lora.target_modules, logprobs_chunk_size=trainer.logprobs_chunk_size,
        )  # fmt: skip
        self.strategy = FSDPStrategy(trainer.policy.fsdp_config, optimizer, trainer.policy.model)
        self.strategy.world_size = 1
        parameters, betas = self.model.model.parameters(), tuple(optimizer.adam_betas)
        adam = torch.optim.AdamW(parameters, optimizer.lr, betas, weight_decay=optimizer.weight_decay)
        self.optimizer = torch.optim.SGD(self.model.model.parameters(), optimizer.lr) if plain_sgd else adam
        self.scheduler = get_scheduler(optimizer.scheduler, self.optimizer, num_warmup_steps=0, num_training_steps=10)
        self.device_mesh = init_device_mesh("cpu", (1, 1), mesh_dim_names=("dp", "sp"))
        self.mesh_rank = MeshRank(dp=0, sp=0, tp=0, pp=0, world_size=1, dp_size=1, pp_size=1)
        self.policy_loss_fn = PolicyLossRegistry.get(trainer.algorithm.policy_loss_type)

    def adapter(self) -> dict[str, torch.Tensor]:
        named = self.model.model.named_parameters()
        return {name: parameter.detach().clone() for name, parameter in named if parameter.requires_grad}


class Dispatch:
    """Calls the worker where SkyRL's dispatch calls Ray actors."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.forwards = self.updates = 0

    def get_lcm_dp_size(self) -> int:
        return 1

    def stage_data(self, model: str, data: Any, boundaries: Sequence[tuple[int, int]]) -> list[Any]:
        return [data[start:end] for start, end in boundaries]

    def forward(self, model: str, data: Any) -> Any:
        assert model == "ref"
        with self.worker.model.model.disable_adapter():
            return self.worker.forward(data)

    def forward_from_staged(self, model: str, chunk: Any) -> Any:
        self.forwards += 1
        return self.worker.forward(chunk)

    def forward_backward_from_staged(self, model: str, chunk: Any) -> Any:
        return self.worker.forward_backward(chunk)

    def optim_step(self, model: str) -> float:
        self.updates += 1
        return self.worker.optim_step()

    def set_algorithm_config(self, model: str, **settings: Any) -> None:
        self.worker.set_algorithm_config(**settings)

    def save_checkpoint(self, model: str, folder: str, tokenizer: Any) -> None:
        self.worker.save_checkpoint(folder, tokenizer)

    def load_checkpoint(self, model: str, folder: str) -> None:
        self.worker.load_checkpoint(folder)

    def empty_cache(self, model: str | None = None) -> None: ...

    def init_weight_sync_state(self, client: Any) -> None: ...

    async def save_weights_for_sampler(self) -> None: ...


class Engine(InferenceEngineInterface):
    """Samples from the worker's own model; what an answer is depends on its session and the weights alone.

    `replace` may change the tokens of an answer, given its session.
    """

    def __init__(self, worker: Worker, tokenizer: Any, replace: Callable[[str, list[int]], list[int]] | None) -> None:
        self.worker, self.tokenizer, self.replace = worker, tokenizer, replace

    @torch.no_grad()
    async def generate(self, input_batch: Any, model: str | None = None) -> Any:
        [prompt], [session] = input_batch["prompt_token_ids"], input_batch["session_ids"]
        sampling, network = input_batch["sampling_params"], self.worker.model.model.eval()
        draw = torch.Generator().manual_seed(int(hashlib.sha256(session.encode()).hexdigest()[:8], 16))
        answer: list[int] = []
        cache = DynamicCache(config=network.config)
        while len(answer) < sampling["max_tokens"] and (not answer or answer[-1] != self.tokenizer.eos_token_id):
            fed = torch.tensor([answer[-1:] or prompt])
            logits = network(fed, past_key_values=cache, use_cache=True).logits[0, -1]
            logits[self.tokenizer.eos_token_id] = -1e9 if not answer else logits[self.tokenizer.eos_token_id]
            answer.append(int(torch.multinomial((logits / sampling["temperature"]).softmax(-1), 1, generator=draw)))
            await asyncio.sleep(0)
        if self.replace is not None:
            answer = self.replace(session, answer)
        logits = network(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1] / sampling["temperature"]
        chosen = logits.log_softmax(-1).gather(-1, torch.tensor(answer)[:, None])[:, 0]
        return {
            "responses": await RemoteInferenceClient.detokenize(self, [answer]),  # the end token is in it
            "response_ids": [answer],
            "stop_reasons": ["stop" if answer[-1] == self.tokenizer.eos_token_id else "length"],
            "response_logprobs": [chosen.tolist()],
        }

    async def sleep(self, *_: Any, **__: Any) -> None: ...

    async def finish_session(self, session_id: str) -> None: ...

    async def _never(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a run on one question an episode never asks for this")

    model_name = "policy"
    get_endpoint_url = chat_completion = render_chat_completion = completion = wake_up = teardown = _never
    init_weight_update_communicator = update_named_weights = reset_prefix_cache = pause_generation = _never
    resume_generation = get_world_size = _never


def hashed_score(role: Role, question: str, group: GroupKey) -> Judgement:
    """A score that differs from question to question."""
    value = int(hashlib.sha256(f"{role.id}/{question}".encode()).hexdigest()[:6], 16) % 1000 / 100
    return Judgement(scored(value))


class DirectScorer:
    """A scorer in this process, with the face of `ClusterScorer`."""

    def __init__(self, score: Callable[[Role, str, GroupKey], Judgement]) -> None:
        self.score = score
        self.asked: list[tuple[str, str, str]] = []

    def __call__(self, role: Role, question: str, group: GroupKey) -> Judgement:
        self.asked.append((role.id, group.name, question))
        return self.score(role, question, group)

    def take_metrics(self) -> dict[str, Any]:
        return {}

    def usage_state(self) -> None:
        return None


class Run:
    """One run; `train()` goes through SkyRL's own loop."""

    def __init__(
        self,
        config: Config,
        roles: Sequence[Role],
        score: Callable[[Role, str, GroupKey], Judgement] = hashed_score,
        replace: Callable[[str, list[int]], list[int]] | None = None,
        validation_roles: Sequence[Role] = (),
        resume_from: Checkpoint | None = None,
        stop_requested: Callable[[], bool] = lambda: False,
        plain_sgd: bool = False,
    ) -> None:
        self.config, self.scorer = config, DirectScorer(score)
        self.folder = Path(config.trainer.ckpt_path)
        register_loss()
        tokenizer = chat_tokenizer(config.trainer.policy.model.path)
        register_environment(self.scorer, special_tokens(tokenizer))
        longest = longest_prompt(tokenizer, [*roles, *validation_roles])
        self.settings = skyrl_config(config, Hardware(1, 1, False), longest, self.folder)
        self.settings.trainer.eval_before_train = bool(validation_roles) and resume_from is None
        check_with_skyrl(self.settings)
        self.worker = Worker(self.settings, plain_sgd)
        self.dispatch = Dispatch(self.worker)
        engine = Engine(self.worker, tokenizer, replace)
        generator = SkyRLGymGenerator(
            self.settings.generator, self.settings.environment.skyrl_gym, engine, tokenizer, "policy"
        )
        resumed = resume_from.logged_step() if resume_from else 0
        steps = config.trainer.max_training_steps or 0
        self.log = RunLog(self.folder, config, RubricJudge(), steps, resumed)
        self.state = RunState(config)
        if resume_from:
            self.state.load(resume_from)
        self.trainer = QuestionTrainer(
            self.settings, None, tokenizer, None, engine, generator, config=config, loader=StepLoader(config, roles),
            validation_roles=validation_roles, scorer=self.scorer, log=self.log, state=self.state, resume_from=resume_from,
            stop_requested=stop_requested,
        )  # fmt: skip
        log_into(self.folder / "logs")
        self.trainer.dispatch = self.dispatch
        self.trainer.ref_model = object() if config.trainer.algorithm.use_kl_loss else None
        self.worker.cfg.algorithm = self.settings.trainer.algorithm

    def train(self) -> dict[str, torch.Tensor]:
        """Run to the end and return the adapter."""
        with self.log:
            asyncio.run(self.trainer.train())
        return self.worker.adapter()
