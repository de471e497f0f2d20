"""Rule 1 and the rest of a step, through SkyRL's own training loop, generator, worker and loss."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recruiter.config import Config
from recruiter.env import GroupKey
from recruiter.errors import UnscoredError
from recruiter.files import read_jsonl
from recruiter.objective import group_advantages, token_losses
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.skyrl.trainer import QuestionTrainer
from recruiter.train.interruption import Interrupted
from recruiter.train.layout import Checkpoint, RunFolder
from tests.engines.conftest import tiny_tokenizer
from tests.scoring import scored
from tests.skyrl.one_process import Run, hashed_score

pytestmark = pytest.mark.usefixtures("process_group", "on_cpu")


class Dies(Exception):
    """What ends a run from outside."""


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: "cpu")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)


@pytest.fixture
def roles(role: Callable[..., Role]) -> list[Role]:
    return [role(index) for index in range(8)]


def failing(role: Role, question: str, group: GroupKey) -> Judgement:
    """Scores most questions; a third fails, all of one role and all but one of another among them."""
    judgement = hashed_score(role, question, group)
    assert judgement.scores is not None
    rank = int(role.id[-1])
    if rank == 1 or (rank == 2 and judgement.scores["relevance"] > 2.5) or judgement.scores["relevance"] > 7.5:
        return Judgement.unscored("timeout")
    return judgement


def reference_update(run: Run, role_of: dict[str, Role], step: int) -> dict[str, torch.Tensor]:
    """The adapter after one update in which unscored samples never existed: plain passes, one sequence at a time."""
    worker, network = run.worker, run.worker.model.model
    rows = [row for row in read_jsonl(run.folder / "rollouts.jsonl") if row["step"] == step]
    total, loss = 0, torch.zeros(())
    kl_coef = run.config.trainer.algorithm.kl_loss_coef if run.config.trainer.algorithm.use_kl_loss else 0.0
    divergences = []
    tokenizer = run.trainer.tokenizer
    for role_id in dict.fromkeys(row["role_id"] for row in rows):
        group = [row for row in rows if row["role_id"] == role_id and row["reward"] is not None]
        rewards = [row["reward"] for row in group]
        if len(group) < 2 or max(rewards) == min(rewards):
            continue
        prompt = tokenizer.apply_chat_template(
            generator_messages(role_of[role_id]), add_generation_prompt=True, return_dict=False
        )
        for row, advantage in zip(group, group_advantages(rewards), strict=True):
            answer = run.answers[row["role_id"], row["sample"], step]
            logits = network(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
            logprobs = logits.log_softmax(-1).gather(-1, torch.tensor(answer)[:, None])[:, 0]
            losses = token_losses(logprobs, logprobs.detach(), torch.full_like(logprobs, advantage), 0.2, 0.2)
            loss, total = loss + losses.loss_T.sum(), total + len(answer)
            if kl_coef:
                with torch.no_grad(), network.disable_adapter():
                    base = network(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
                difference = base.log_softmax(-1).gather(-1, torch.tensor(answer)[:, None])[:, 0] - logprobs
                divergences.append((difference.exp() - difference - 1).mean())
    objective = loss / total + (kl_coef * torch.stack(divergences).mean() if divergences else 0.0)
    worker.optimizer.zero_grad()
    objective.backward()
    worker.optim_step()
    return worker.adapter()


class RecordingRun(Run):
    """Remembers the tokens of every answer."""

    def __init__(self, *arguments: object, **named: object) -> None:
        self.answers: dict[tuple[str, int, int], list[int]] = {}
        super().__init__(*arguments, **named)
        self.replace = self.trainer.generator.inference_engine_client.replace
        self.trainer.generator.inference_engine_client.replace = self._record

    def _record(self, session: str, answer: list[int]) -> list[int]:
        answer = self.replace(session, answer) if self.replace else answer
        group, sample = session.rsplit("_", 1)
        step, role_id = group.removeprefix("step-").split("/", 1)
        self.answers[role_id, int(sample), int(step)] = answer
        return answer


@pytest.mark.parametrize("kl", [False, True])
def test_a_run_with_failing_judge_calls_equals_one_where_those_samples_never_existed(
    config: Config, roles: list[Role], kl: bool
) -> None:
    config.trainer.algorithm.use_kl_loss, config.trainer.algorithm.kl_loss_coef = kl, 0.3
    config.trainer.train_batch_size, config.trainer.max_training_steps = 8, 2
    config.trainer.policy.optimizer_config.lr, config.trainer.policy.optimizer_config.max_grad_norm = 0.1, 1e9
    run = RecordingRun(config, roles, failing, plain_sgd=True)
    before = copy.deepcopy(run.worker.adapter())
    after = run.train()
    rows = read_jsonl(run.folder / "metrics.jsonl")
    assert 4 <= rows[0]["unscored"] <= 28
    assert rows[0]["groups_without_spread"] >= 1
    assert any(not torch.equal(after[name], before[name]) for name in after)

    again = RecordingRun(_in_folder(config, "reference"), roles, failing, plain_sgd=True)
    again.folder, again.answers = run.folder, run.answers
    role_of = {role.id: role for role in roles}
    with again.log:
        for step in (1, 2):
            expected = reference_update(again, role_of, step)
    for name in expected:
        torch.testing.assert_close(after[name], expected[name], rtol=2e-3, atol=2e-5)


def test_what_an_unscored_answer_says_changes_nothing(config: Config, roles: list[Role]) -> None:
    def fails(role: Role, question: str, group: GroupKey) -> Judgement:
        is_marked = set(question.replace(" ", "")) in ({"z"}, {"y"})
        return Judgement.unscored("refusal") if is_marked else hashed_score(role, question, group)

    def said(letter: str) -> Callable[[str, list[int]], list[int]]:
        token = tiny_tokenizer().encode(letter, add_special_tokens=False)[0]

        def replace(session: str, answer: list[int]) -> list[int]:
            return [token] * 8 if session.endswith(("_0", "_3")) else answer

        return replace

    first = Run(_in_folder(config, "z"), roles, fails, said("z")).train()
    second = Run(_in_folder(config, "y"), roles, fails, said("y")).train()
    metrics = read_jsonl(Path(config.trainer.ckpt_path).with_name("y") / "metrics.jsonl")
    assert [row["unscored"] for row in metrics] == [8, 8]
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)


def test_a_step_without_a_single_score_updates_nothing(config: Config, roles: list[Role]) -> None:
    run = Run(config, roles, lambda *_: Judgement.unscored("timeout"))
    before = run.worker.adapter()
    after = run.train()
    assert all(torch.equal(after[name], before[name]) for name in after)
    assert run.dispatch.updates == 0
    assert [row["reward_mean"] for row in read_jsonl(run.folder / "metrics.jsonl")] == [None, None]


def test_too_many_unscored_samples_end_the_run_with_the_step_before_stored(config: Config, roles: list[Role]) -> None:
    config.judge.max_unscored = 0.2

    def dies(role: Role, question: str, group: GroupKey) -> Judgement:
        return (
            Judgement.unscored("timeout") if group.name.startswith("step-2/") else hashed_score(role, question, group)
        )

    run = Run(config, roles, dies)
    with pytest.raises(UnscoredError, match=r"16 of 16 samples of step 2 .* Everything up to step 1 is saved"):
        run.train()
    assert RunFolder(run.folder).steps == [1]
    assert [row["step"] for row in read_jsonl(run.folder / "metrics.jsonl")] == [1]


def test_one_update_a_step_needs_no_pass_for_old_logprobs_and_several_do(config: Config, roles: list[Role]) -> None:
    one = Run(_in_folder(config, "one"), roles)
    one.train()
    assert (one.dispatch.forwards, one.dispatch.updates) == (0, 2)
    config.trainer.policy_mini_batch_size = 2
    several = Run(_in_folder(config, "several"), roles)
    several.train()
    assert (several.dispatch.forwards, several.dispatch.updates) == (4, 4)


def test_the_judge_reads_questions_without_the_token_that_ends_them(config: Config, roles: list[Role]) -> None:
    tokenizer = tiny_tokenizer()
    ending = [*tokenizer.encode("?", add_special_tokens=False)[-1:], tokenizer.eos_token_id]
    run = RecordingRun(config, roles, replace=lambda _, answer: answer[:4] + ending)
    run.train()
    asked = {question for _, _, question in run.scorer.asked}
    written = {tokenizer.decode(answer, skip_special_tokens=True).strip() for answer in run.answers.values()}
    assert asked == written == {row["question"] for row in read_jsonl(run.folder / "rollouts.jsonl")}


def test_metrics_and_rollouts_are_those_of_the_local_engine(config: Config, roles: list[Role]) -> None:
    config.trainer.eval_interval = 1
    run = Run(config, roles, failing, validation_roles=roles[:2])
    run.train()
    first, second = read_jsonl(run.folder / "metrics.jsonl")
    assert (first["step"], first["groups"], first["samples"], second["step"]) == (1, 4, 16, 2)
    assert first["rollout_ratio_mean"] == pytest.approx(1.0, abs=1e-3)
    assert first["rollout_ratio_max"] == pytest.approx(1.0, abs=1e-2)
    assert first["trained_tokens"] > 0
    assert first["grad_norm"] > 0
    assert first["entropy"] > 0
    assert first["seconds"] >= first["seconds_sampling"] > 0
    assert first["validation_reward"] is not None
    rows = read_jsonl(run.folder / "rollouts.jsonl")
    assert len(rows) == 32
    assert {row["role_id"] for row in rows} <= {role.id for role in roles}
    assert all((row["reward"] is None) == (row["unscored_reason"] is not None) for row in rows)
    assert (run.folder / "run.json").is_file()


def test_a_resumed_run_equals_one_that_was_not_interrupted(config: Config, roles: list[Role]) -> None:
    config.trainer.max_training_steps, config.reward.overlap_window = 4, 64
    whole = Run(_in_folder(config, "whole"), roles).train()

    def dies(role: Role, question: str, group: GroupKey) -> Judgement:
        if group.name.startswith("step-3/"):
            raise Dies
        return hashed_score(role, question, group)

    killed = _in_folder(config, "killed")
    with pytest.raises(Dies):
        Run(killed, roles, dies).train()
    folder = Path(killed.trainer.ckpt_path)
    assert RunFolder(folder).steps[-1] == 2
    resumed = Run(killed, roles, resume_from=Checkpoint(folder / "global_step_2")).train()
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=1e-6, atol=1e-8)
    left_out = ("seconds", "unscored_reasons")
    kept = [
        [{k: v for k, v in row.items() if not k.startswith(left_out)} for row in read_jsonl(path / "metrics.jsonl")]
        for path in (folder, folder.with_name("whole"))
    ]
    assert [row["step"] for row in kept[0]] == [1, 2, 3, 4]
    for resumed_row, whole_row in zip(*kept, strict=True):
        assert resumed_row == {k: v if v is None else pytest.approx(v, rel=1e-5) for k, v in whole_row.items()}


def test_a_step_that_was_stored_but_not_logged_is_logged_when_the_run_continues(
    config: Config, roles: list[Role], monkeypatch: pytest.MonkeyPatch
) -> None:
    config.trainer.eval_interval = 2

    async def crash(*_: object, **__: object) -> None:
        raise OSError("the machine went away")

    with monkeypatch.context() as patched:
        patched.setattr(QuestionTrainer, "eval", crash)
        run = Run(config, roles, validation_roles=roles[:2])
        run.settings.trainer.eval_before_train = False
        with pytest.raises(OSError, match="went away"):
            run.train()
    assert [row["step"] for row in read_jsonl(run.folder / "metrics.jsonl")] == [1]
    assert Checkpoint(run.folder / "global_step_2").read_state()["unlogged"] is not None
    config.trainer.max_training_steps = 3
    again = Run(config, roles, validation_roles=roles[:2], resume_from=Checkpoint(run.folder / "global_step_2"))
    again.train()
    rows = read_jsonl(run.folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert rows[1]["validation_reward"] is not None


def test_checkpoints_between_the_interval_make_room_for_the_next(config: Config, roles: list[Role]) -> None:
    config.trainer.max_training_steps, config.trainer.ckpt_interval = 5, 2
    run = Run(config, roles)
    run.train()
    assert RunFolder(run.folder).steps == [2, 4, 5]
    adapter = run.folder / "global_step_5/policy/lora_adapter"
    assert (adapter / "adapter_config.json").is_file()
    assert (adapter / "adapter_model.safetensors").is_file()


def test_asked_to_stop_the_run_ends_after_what_is_stored(config: Config, roles: list[Role]) -> None:
    config.trainer.max_training_steps = 50
    run = Run(config, roles, stop_requested=lambda: run.state.step >= 2)
    with pytest.raises(Interrupted):
        run.train()
    assert run.state.step == RunFolder(run.folder).steps[-1] >= 2


def test_early_stop_ends_the_run(config: Config, roles: list[Role]) -> None:
    config.trainer.max_training_steps, config.trainer.eval_interval, config.trainer.early_stop_patience = 20, 1, 2

    def score(role: Role, question: str, group: GroupKey) -> Judgement:
        if not group.name.startswith("validation"):
            return hashed_score(role, question, group)
        worse = 9.0 if group.name.startswith("validation-0/") else 1.0
        return Judgement(scored(worse))

    run = Run(config, roles, score, validation_roles=roles[:2])
    run.train()
    assert [row["step"] for row in read_jsonl(run.folder / "metrics.jsonl")] == [1, 2]


def _in_folder(config: Config, name: str) -> Config:
    """The same settings with a folder of their own."""
    other = copy.deepcopy(config)
    other.trainer.ckpt_path = str(Path(config.trainer.ckpt_path).with_name(name))
    return other
