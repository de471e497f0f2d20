"""At equal numbers of ratings, asking people where judges are unsure teaches more than asking them anywhere.

A tiny random model writes words. The scripted rater likes one kind of word and dislikes another. One judge likes the first
kind, the other the second: where they contradict one another, only the rater knows. People rate a quarter of the groups.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from recruiter.config import Config, JudgeConfig, ListedJudgeConfig
from recruiter.engines.local import LocalPolicy
from recruiter.human_feedback import HumanJudge, PeopleAndJudges
from recruiter.judges import Judge
from recruiter.judges.panel import Panel
from recruiter.metrics_logger import RunLog
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.roles.schedule import total_steps
from recruiter.rubric import MAX_RATING, MIN_RATING, Judgement
from recruiter.train.grpo import Trainer
from recruiter.train.rated_groups import RatedGroups
from tests.conftest import MakeRole
from tests.engines.conftest import CHAT_TEMPLATE, VOCABULARY, tiny_model
from tests.scoring import RUBRIC
from tests.train.online.people import Crowd, Stars

SEEDS = range(20)
T_19 = 2.093  # Student's t of a 95% interval, 19 degrees of freedom
STEPS, GROUPS, SIZE, SHARE = 16, 16, 2, 0.25


def share(text: str, kind: int) -> float:
    words = [int(word[1:]) for word in text.split() if word[1:].isdigit()]
    return sum(word % 4 == kind for word in words) / max(1, len(words))


def taste(text: str) -> float:
    """What the rater likes, less what they dislike, in [-1, 1]."""
    return share(text, 0) - share(text, 1)


def stars_by_taste(text: str) -> Stars:
    return dict.fromkeys(RUBRIC.names, min(MAX_RATING, max(MIN_RATING, round(3 + 6 * taste(text)))))


class Liking(Judge):
    """A judge that likes two kinds of words, each so much."""

    version, rubric = "1", RUBRIC

    def __init__(self, name: str, *weights: float) -> None:
        self.name, self.weights = name, weights

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        composites = [
            10 * sum(weight * share(text, kind) for kind, weight in enumerate(self.weights)) for text in questions
        ]
        return [Judgement(RUBRIC.scores(dict.fromkeys(RUBRIC.names, value))) for value in composites]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model whose tokens are words."""
    folder = tmp_path_factory.mktemp("words")
    special = {"<|pad|>": 0, "<|start|>": 1, "<|end|>": 2}
    words = {**special, **{f"w{number}": number for number in range(3, VOCABULARY)}}
    tokenizer = Tokenizer(models.WordLevel(vocab=words, unk_token="w3"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        unk_token="w3",
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    tiny_model("llama").save_pretrained(folder)
    return folder


def trained(config: Config, ask: Any, seed: int, folder: Path, roles: Sequence[Role]) -> tuple[float, int]:
    """How well what the trained model writes suits the rater, and how many groups they rated."""
    config.trainer.seed, config.human_feedback.ask = seed, ask
    people, judges = HumanJudge(config.human_feedback), [Liking("first", 1.0, 0.0), Liking("second", 0.0, 1.0)]
    panel = Panel(config.judges[1:], judges, seed)
    judge = PeopleAndJudges(people, panel, {"human": people, "first": judges[0], "second": judges[1]})
    policy = LocalPolicy(config)
    total = total_steps(config, len(roles))
    with (
        Crowd(config.human_feedback.api_url, pause=0.1) as crowd,
        RunLog(folder, config, judge, total, 0, False) as log,
    ):
        crowd.person.opinion = stars_by_taste
        Trainer(config, policy, RatedGroups(config, judge, log, total), roles, [], log).train()
    prompts = [generator_messages(role) for role in roles[:8]]
    written = [
        sample.text for group in policy.sample(prompts, 64, config.generator.sampling_params, 99) for sample in group
    ]
    return statistics.fmean(map(taste, written)), len(crowd.handled)


@pytest.mark.soak
def test_at_equal_numbers_of_ratings_asking_where_judges_are_unsure_teaches_more(
    online: Config, writer: Path, role: MakeRole, tmp_path: Path
) -> None:
    trainer = online.trainer
    online.judge = JudgeConfig()
    online.judges = [
        ListedJudgeConfig(provider="human", share=SHARE),
        ListedJudgeConfig(provider="rubric", name="first"),
        ListedJudgeConfig(provider="rubric", name="second"),
    ]
    trainer.policy.model.path, trainer.device, trainer.policy.model.dtype = str(writer), "cpu", "float32"
    trainer.policy.optimizer_config.lr, trainer.train_batch_size = 3e-3, GROUPS
    trainer.max_training_steps, trainer.epochs, trainer.ckpt_interval = STEPS, STEPS, STEPS
    online.generator.n_samples_per_prompt = SIZE
    online.generator.sampling_params.max_generate_length = 16
    online.reward.overlap_penalty = 0.0
    roles = [role(index) for index in range(GROUPS)]
    differences, levels = [], []
    for seed in SEEDS:
        found = {ask: trained(online, ask, seed, tmp_path / f"{ask}-{seed}", roles) for ask in ("uncertain", "random")}
        ratings = {count for _, count in found.values()}
        assert ratings == {round(SHARE * GROUPS) * STEPS}
        levels.append((found["uncertain"][0], found["random"][0]))
        differences.append(found["uncertain"][0] - found["random"][0])
        print(f"seed {seed}: uncertain {levels[-1][0]:.3f}, random {levels[-1][1]:.3f}", flush=True)
    mean = statistics.fmean(differences)
    half = T_19 * statistics.stdev(differences) / len(differences) ** 0.5
    uncertain, anywhere = (statistics.fmean(values) for values in zip(*levels, strict=True))
    print(
        f"uncertain {uncertain:.3f}, random {anywhere:.3f}: difference {mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"
    )
    assert mean - half > 0
