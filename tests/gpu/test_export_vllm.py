"""An export of the size that is deployed, in vLLM. Needs a GPU with 24 GB, vllm, and 20 GB of disk:

python -m pytest -m gpu tests/gpu/test_export_vllm.py
"""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen3Config

from recruiter.export import plan_export
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from tests.engines.conftest import tiny_tokenizer

pytestmark = pytest.mark.gpu
QWEN3_4B: dict[str, Any] = {
    "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 262144, "rope_theta": 5_000_000,
    "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of Qwen3-4B's shape with a random adapter of rank 8, merged in bfloat16."""
    folder = tmp_path_factory.mktemp("qwen3-4b")
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(Qwen3Config(**QWEN3_4B), dtype=torch.bfloat16)
    model.config.architectures = ["Qwen3ForCausalLM"]
    model.save_pretrained(folder / "base")
    tiny_tokenizer().save_pretrained(folder / "base")
    peft = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM"))
    for name, parameter in peft.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    peft.peft_config["default"].base_model_name_or_path = str(folder / "base")
    adapter = folder / "run/global_step_100/policy/lora_adapter"
    peft.save_pretrained(str(adapter))
    del model, peft
    gc.collect()
    torch.cuda.empty_cache()
    plan = plan_export(adapter, folder / "export", 8192, "bfloat16", None, False)
    merged = plan.write(lambda _: None)
    assert merged.parameters == 4_022_468_096
    return plan.folder


def test_folder_is_sharded_and_whole(exported: Path) -> None:
    index = json.loads((exported / "model.safetensors.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    assert len(shards) == 5
    assert all((exported / shard).stat().st_size < 2.1e9 for shard in shards)
    assert "lm_head.weight" not in index["weight_map"]


def test_vllm_loads_it_and_says_what_transformers_says(exported: Path) -> None:
    from vllm import LLM, SamplingParams

    role = Role(
        id="r", title="Backend Engineer", level="senior", focus="queues", stack=("Go",), description="Own a queue.",
        key_skills=("backpressure",),
    )  # fmt: skip
    messages = generator_messages(role)
    server = LLM(str(exported), dtype="auto", gpu_memory_utilization=0.4, enforce_eager=True)
    assert server.llm_engine.model_config.max_model_len == 8192
    assert server.llm_engine.model_config.dtype == torch.bfloat16
    (answer,) = server.chat([messages], SamplingParams(temperature=0, max_tokens=8, logprobs=1, detokenize=False))
    completion = answer.outputs[0]
    assert len(completion.token_ids) == 8
    model: Any = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.bfloat16)
    model.to("cuda")
    ids = torch.tensor([[*answer.prompt_token_ids, *completion.token_ids]], device="cuda")
    with torch.no_grad():
        logprobs = model(ids).logits[0].float().log_softmax(-1)
    for place, (token, known) in enumerate(zip(completion.token_ids, completion.logprobs, strict=True)):
        mine = logprobs[len(answer.prompt_token_ids) - 1 + place, token].item()
        assert known[token].logprob == pytest.approx(mine, abs=0.15)
