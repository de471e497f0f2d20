from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from recruiter.config import Config, SamplingParams
from recruiter.engines import TrainGroup
from recruiter.engines.head import token_logprobs
from recruiter.engines.loading import check_model, check_policy, pick_dtype
from recruiter.engines.local import LocalPolicy
from recruiter.engines.model import LocalModel, enable_group_attention, group_logprobs
from recruiter.engines.packing import common_prefix
from recruiter.engines.plain import generate_plain, plain_logprobs
from recruiter.engines.rollouts import generate_groups
from recruiter.errors import ModelError
from recruiter.prompts import Message
from tests.engines.conftest import tiny_model, tiny_tokenizer

PROMPT = [5, 9, 17, 33, 65, 129]
ANSWERS = [[7, 8, 2], [11, 12, 13, 14, 15], [19]]


def sequence_logprobs(model: torch.nn.Module, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """The oracle: one forward pass over one whole sequence, nothing shared."""
    logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(dim=-1).gather(1, torch.tensor(answer)[:, None]).squeeze(1)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "qwen2", "mistral", "gpt_neox", "olmo2", "qwen3_moe", "granite"])
def test_group_pass_equals_a_plain_forward_of_each_sequence(kind: str) -> None:
    changes = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16} if kind == "qwen3_moe" else {}
    model = tiny_model(kind, **changes)
    with torch.no_grad():
        expected = torch.cat([sequence_logprobs(model, PROMPT, answer) for answer in ANSWERS])
        assert enable_group_attention(model)
        got, entropies = group_logprobs(model, [PROMPT], [ANSWERS], 1.0)
    assert (got - expected).abs().max() <= 1e-5
    assert (entropies > 0).all()


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("mistral", {"sliding_window": 8}),
        ("cohere", {"logit_scale": 0.5}),
        ("gemma2", {"final_logit_softcapping": 5.0}),
    ],
)
def test_models_that_cannot_share_a_prompt_are_noticed_and_computed_as_they_are(
    kind: str, changes: dict[str, Any]
) -> None:
    model = tiny_model(kind, **changes)
    with torch.no_grad():
        expected = torch.cat([sequence_logprobs(model, PROMPT, answer) for answer in ANSWERS])
        assert not enable_group_attention(model)
        got, _ = plain_logprobs(model, [PROMPT], [ANSWERS], 1.0)
    assert (got - expected).abs().max() <= 1e-5


def test_groups_of_different_lengths_share_a_pass() -> None:
    model = tiny_model("qwen3")
    prompts, answers = [PROMPT, PROMPT[:2], PROMPT[1:]], [ANSWERS, ANSWERS[:1], [[3, 4], [9]]]
    with torch.no_grad():
        pairs = [(prompt, answer) for prompt, group in zip(prompts, answers, strict=True) for answer in group]
        expected = torch.cat([sequence_logprobs(model, prompt, answer) for prompt, answer in pairs])
        assert torch.allclose(plain_logprobs(model, prompts, answers, 1.0)[0], expected, atol=1e-5)
        enable_group_attention(model)
        assert torch.allclose(group_logprobs(model, prompts, answers, 1.0)[0], expected, atol=1e-5)


def test_the_same_pass_gives_the_same_gradients_bit_for_bit() -> None:
    """What begins several answers gets the gradients of all of them, added in a fixed order whatever the threads do."""
    model = tiny_model("llama")
    enable_group_attention(model)
    weight = model.get_decoder().layers[0].self_attn.q_proj.weight
    answers = [[[3 + (token + answer) % 90 for token in range(100)] for answer in range(16)]]
    assert 16 * 100 * model.config.hidden_size > 32768  # torch shares smaller ones among no threads
    torch.set_num_threads(max(2, torch.get_num_threads()))

    def gradient() -> torch.Tensor:
        model.zero_grad()
        group_logprobs(model, [PROMPT], answers, 1.0)[0].square().sum().backward()
        return weight.grad.clone()

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(20))


def test_token_logprobs_and_their_gradient_equal_autograd_through_the_logits() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(9, 16, requires_grad=True)
    weight, targets, upstream = torch.randn(40, 16), torch.randint(0, 40, (9,)), torch.randn(9)
    expected = (hidden @ weight.T / 0.7).log_softmax(dim=-1).gather(1, targets[:, None]).squeeze(1)
    (expected_grad,) = torch.autograd.grad((expected * upstream).sum(), hidden)
    got, entropies = token_logprobs(hidden, weight, None, targets, 0.7)
    (grad,) = torch.autograd.grad((got * upstream).sum(), hidden)
    assert torch.allclose(got, expected, atol=1e-6)
    assert torch.allclose(grad, expected_grad, atol=1e-5)
    probs = (hidden @ weight.T / 0.7).softmax(dim=-1)
    assert torch.allclose(entropies, -(probs * probs.log()).sum(dim=-1), atol=1e-5)


def test_token_logprobs_do_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, targets = torch.randn(10, 8), torch.randn(30, 8), torch.randint(0, 30, (10,))
    whole, _ = token_logprobs(hidden, weight, None, targets, 1.0)
    monkeypatch.setattr("recruiter.engines.head.CHUNK_ELEMENTS", 3 * 30)
    assert torch.allclose(token_logprobs(hidden, weight, None, targets, 1.0)[0], whole)


def test_greedy_rollouts_equal_transformers_generate(tiny_folder: Path) -> None:
    local = LocalModel(str(tiny_folder), device="cpu", dtype="float32")
    prompts = [PROMPT, PROMPT[:3], [200, 100, 50, 25]]
    groups = generate_groups(
        local.rollout_model, prompts, 2, SamplingParams(12, temperature=0.0), [2], torch.zeros(3, 2, 12)
    )
    local.causal_lm.set_attn_implementation("sdpa")
    for prompt, group in zip(prompts, groups, strict=True):
        ids = torch.tensor([prompt])
        expected = cast(Any, local.causal_lm).generate(
            ids, max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=2
        )
        assert group[0].token_ids == group[1].token_ids == expected[0, len(prompt) :].tolist()


def test_prompts_that_begin_alike_share_that_part(tiny_folder: Path) -> None:
    local = LocalModel(str(tiny_folder), device="cpu", dtype="float32")
    prompts = [[*PROMPT, 40, 41], [*PROMPT, 50], [*PROMPT, 60, 61, 62]]
    assert common_prefix(prompts) == len(PROMPT)
    assert common_prefix([PROMPT, PROMPT]) == len(PROMPT) - 1
    assert common_prefix([PROMPT]) == common_prefix([PROMPT, PROMPT[1:]]) == 0
    uniforms, sampling = torch.zeros(3, 2, 10), SamplingParams(10, temperature=0.0)
    together = generate_groups(local.rollout_model, prompts, 2, sampling, [2], uniforms)
    alone = [generate_groups(local.rollout_model, [p], 2, sampling, [2], uniforms[:1])[0] for p in prompts]
    assert [[c.token_ids for c in g] for g in together] == [[c.token_ids for c in g] for g in alone]


def test_rollout_logprobs_are_those_of_the_training_pass(tiny_folder: Path) -> None:
    local = LocalModel(str(tiny_folder), device="cpu", dtype="float32")
    sampling = SamplingParams(20, temperature=0.8)
    stop_ids = [2, *range(200, 300)]
    uniforms = torch.rand(2, 4, 20, generator=torch.Generator().manual_seed(0))
    groups = generate_groups(local.rollout_model, [PROMPT, PROMPT[:2]], 4, sampling, stop_ids, uniforms)
    assert len({len(c.token_ids) for group in groups for c in group}) > 1  # some ended early, the batch shrank
    for prompt, group in zip([PROMPT, PROMPT[:2]], groups, strict=True):
        with torch.no_grad():
            got, _ = group_logprobs(local.causal_lm, [prompt], [[c.token_ids for c in group]], 0.8)
        assert torch.allclose(got, torch.tensor([p for c in group for p in c.logprobs]), atol=1e-4)


def test_what_a_prompt_gets_does_not_depend_on_its_neighbours(tiny_folder: Path) -> None:
    local = LocalModel(str(tiny_folder), device="cpu", dtype="float32")
    uniforms, sampling = torch.rand(3, 4, 16), SamplingParams(16)
    prompts = [PROMPT, PROMPT[1:], PROMPT[2:]]
    together = generate_groups(local.rollout_model, prompts, 4, sampling, [2], uniforms)
    alone = [
        generate_groups(local.rollout_model, [p], 4, sampling, [2], u[None])[0]
        for p, u in zip(prompts, uniforms, strict=True)
    ]
    assert [[c.token_ids for c in g] for g in together] == [[c.token_ids for c in g] for g in alone]


def test_plain_rollouts_stop_at_the_end_token_and_repeat_with_the_seed() -> None:
    model = tiny_model("llama")
    first = generate_plain(model, [PROMPT], 4, SamplingParams(30), [2, 3], [1])
    assert first == generate_plain(model, [PROMPT], 4, SamplingParams(30), [2, 3], [1])
    assert first != generate_plain(model, [PROMPT], 4, SamplingParams(30), [2, 3], [2])
    for completion in first[0]:
        assert completion.finished == (completion.token_ids[-1] in (2, 3))
        assert not {2, 3} & set(completion.token_ids[:-1])


def test_a_missing_folder_offers_the_quickstart() -> None:
    with pytest.raises(ModelError, match=r"exports/nothing.*make quickstart"):
        check_model("exports/nothing")


def test_a_model_that_is_no_causal_lm_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ModelError, match="vit model, not a causal language model"):
        check_model(str(tmp_path))


DAMAGES = {
    "a pointer of Git LFS": ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "git lfs pull"),
    "cut weights": ("model.safetensors", None, "model.safetensors is damaged .*get the model again"),
    "no weights": ("model.safetensors", b"", "model.safetensors is damaged"),
    "a lost shard": ("model.safetensors.index.json", b'{"weight_map": {"a": "model-00001-of-00002.safetensors"}}',
                     "incomplete: model-00001-of-00002.safetensors is missing"),
    "a cut index": ("model.safetensors.index.json", b'{"weight_map"', "index.json cannot be read"),
    "a broken template": ("chat_template.jinja", b"{% for m in messages %}{{ m ", "chat template of .* cannot be used"),
    "half a tokenizer": ("tokenizer.json", b'{"version": "1.0"}', "cannot be read"),
    "no tokenizer": ("tokenizer.json", b"", "cannot be read"),
    "no configuration": ("config.json", b"{", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_before_anything_is_spent(
    tiny_folder: Path, tmp_path: Path, config: Config, damage: str
) -> None:
    name, content, sentence = DAMAGES[damage]
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "model"))
    (folder / name).write_bytes((tiny_folder / name).read_bytes()[:-100] if content is None else content)
    config.trainer.policy.model.path = str(folder)
    with pytest.raises(ModelError, match=sentence) as caught:
        check_policy(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"quantization_config": {"quant_method": "awq", "bits": 4}},
            "is quantised, and adapters need the full weights",
        ),
        ({"hidden_size": 48}, r"contradicts itself: \S+ has shape"),
        ({"num_hidden_layers": 3}, r"is incomplete: \d+ weights are missing|`num_hidden_layers` \(3\)"),
        ({"model_type": "of-the-future"}, "cannot be read"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    tiny_folder: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "model"))
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, **changes}))
    with pytest.raises(ModelError, match=sentence):
        check_model(str(folder))


@pytest.mark.parametrize(
    ("targets", "fault"),
    [
        ("q_proj", "not found"),
        ("q_proj,v_proj", "not found"),
        (["q_proj", "nope"], "no layer nope is trained"),
        (["lm_head"], "no layer lm_head is trained"),
        (".*(q_proj|lm_head)", "no layer lm_head is trained"),
        (["input_layernorm"], "is not supported"),
        (["self_attn"], "(Target module "),
        (["proj"], "not found"),
        ("(", "unterminated subpattern"),
    ],
)
def test_layers_that_would_not_be_trained_are_refused(
    tiny_folder: Path, config: Config, targets: str | list[str], fault: str
) -> None:
    config.trainer.policy.model.path = str(tiny_folder)
    config.trainer.policy.lora.target_modules = targets
    with pytest.raises(ModelError, match=r"write all-linear, or a list of some of down_proj, .* v_proj\.") as caught:
        check_policy(config)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("targets", "layers"),
    [("all-linear", 14), (["q_proj", "v_proj"], 4), (["layers.1.mlp.up_proj"], 1), (r".*layers\.0\..*_proj", 7),
     (["embed_tokens"], 1)],
)  # fmt: skip
def test_every_layer_that_is_asked_for_gets_a_gradient(
    tiny_folder: Path, config: Config, targets: str | list[str], layers: int
) -> None:
    config.trainer.policy.model.path, config.trainer.policy.model.dtype = str(tiny_folder), "float32"
    config.trainer.policy.lora.target_modules = targets
    check_policy(config)
    policy = LocalPolicy(config)
    messages: list[Message] = [{"role": "user", "content": "How?"}]
    (samples,) = policy.sample([messages], 2, SamplingParams(8), seed=1)
    policy.forward_backward([TrainGroup(messages, samples, [1.0, -1.0])])
    moved = [parameter.grad.abs().sum() > 0 for parameter in policy.parameters if parameter.grad is not None]
    assert sum(map(bool, moved)) == layers


def test_a_large_model_without_a_gpu_is_refused_unless_insisted(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recruiter.engines.loading.LARGE_MODEL_BYTES", 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ModelError, match=r"no GPU; name a smaller model, or train with trainer\.device=cpu"):
        check_model(str(tiny_folder), "auto")
    check_model(str(tiny_folder), "cpu")


@pytest.mark.parametrize(
    "changes",
    [{"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 1}, {"suppress_tokens": [5, 6, 7]}, {"num_beams": 2},
     {"min_p": 0.5}, {"min_new_tokens": 11}, {"typical_p": 0.2}],
)  # fmt: skip
def test_settings_beside_a_model_change_nothing_that_is_drawn(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = tmp_path / "gemma"
    tiny_model("gemma2", attn_logit_softcapping=50.0, query_pre_attn_scalar=8).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    drawn = []
    for settings in ({}, changes):
        path = folder / "generation_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
        model = LocalModel(str(folder), "cpu", "float32")
        assert not model.shares_prompts
        message = Message(role="user", content="Which index?")
        drawn.append(list(model.sample([[message]], 4, SamplingParams(12, temperature=1.0), 1)))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_a_prompt_gets_the_same_answers_whichever_others_are_wanted(tmp_path: Path, kind: str) -> None:
    tiny_model(kind).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    model = LocalModel(str(tmp_path), "cpu", "float32")
    assert model.shares_prompts == (kind == "llama")
    prompts = [[Message(role="user", content="Which index " * (index + 1))] for index in range(5)]
    everything = list(model.sample(prompts, 2, SamplingParams(12), 3))
    some = list(model.sample(prompts, 2, SamplingParams(12), 3, only=[1, 4]))
    assert [[s.text for s in group] for group in some] == [[s.text for s in everything[index]] for index in (1, 4)]
    assert len({s.text for group in everything for s in group}) == 10


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "amd", "wanted"),
    [
        (True, True, False, torch.bfloat16),
        (False, True, False, torch.float32),  # measured: half as fast as float32
        (False, True, True, torch.bfloat16),
        (False, False, True, torch.float32),
    ],
)
def test_the_processor_decides_the_type(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512_bf16: bool, amd: bool, wanted: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr("recruiter.engines.loading._is_amd", lambda: amd)
    assert pick_dtype("auto", "cpu") is wanted
    assert pick_dtype("auto", "cuda") is torch.bfloat16
    assert pick_dtype("bfloat16", "cpu") is torch.bfloat16
