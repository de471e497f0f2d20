from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from recruiter.errors import ExportError
from recruiter.export import merge, plan_export
from tests.export.conftest import Train

IDS = torch.arange(5, 45)[None]


def export(trained: Any, dtype: str = "float32", **options: Any) -> Any:
    defaults = {"max_model_len": None, "base": None, "overwrite": False}
    return plan_export(trained.adapter, trained.base.parent / "out", dtype=dtype, **{**defaults, **options})


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits.float()


def reference(trained: Any) -> torch.Tensor:
    """What PEFT computes with the adapter beside the base."""
    base = AutoModelForCausalLM.from_pretrained(trained.base, dtype=torch.float32)
    return logits(PeftModel.from_pretrained(base, trained.adapter).eval())


def exported(folder: Any) -> torch.Tensor:
    found: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    model, info = found
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return logits(model)


LORAS = {
    "all linear layers": {},
    "rank and alpha by layer": {
        "rank_pattern": {"q_proj": 2, "layers.1.mlp.up_proj": 6}, "alpha_pattern": {"q_proj": 12, "down_proj": 3},
    },
    "rank-stabilised": {"use_rslora": True},
    "two kinds of layers": {"target_modules": ["q_proj", "v_proj"]},
    "some layers only": {"target_modules": ["q_proj"], "layers_to_transform": [1]},
    "chosen by expression": {"target_modules": r".*layers\.1\..*proj"},
    "embedding and output": {"target_modules": ["embed_tokens", "lm_head", "q_proj"]},
    "output trained whole": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "biases trained": {"target_modules": ["q_proj", "v_proj"], "bias": "all"},
}  # fmt: skip


@pytest.mark.parametrize(("kind", "tied"), [("llama", True), ("qwen3", False)])
@pytest.mark.parametrize("lora", LORAS.values(), ids=LORAS.keys())
def test_merged_model_computes_what_base_and_adapter_do(train: Train, kind: str, tied: bool, lora: Any) -> None:
    changes = {"tie_word_embeddings": tied, "attention_bias": "bias" in lora}
    trained = train(kind, changes, **lora)
    made = export(trained)
    merged = made.write(lambda _: None)
    difference = (exported(made.folder) - reference(trained)).abs().max()
    assert difference < 1e-4
    assert (exported(made.folder) - exported(trained.base)).abs().max() > 100 * difference
    assert merged.kept == pytest.approx(1, abs=1e-4)


def test_layers_that_store_their_weights_turned(train: Train) -> None:
    kind = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
    trained = train("gpt2", kind, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)
    made = export(trained)
    made.write(lambda _: None)
    assert (exported(made.folder) - reference(trained)).abs().max() < 1e-4


def test_an_adapter_on_the_output_unties_it(train: Train) -> None:
    trained = train("qwen3", {"tie_word_embeddings": True}, target_modules=["lm_head"])
    made = export(trained)
    made.write(lambda _: None)
    weights = load_file(made.folder / "model.safetensors")
    before = load_file(trained.base / "model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(weights["model.embed_tokens.weight"], before)
    assert not torch.equal(weights["model.embed_tokens.weight"], weights["lm_head.weight"])


def test_tied_weights_stay_tied_and_are_written_once(train: Train) -> None:
    trained = train("qwen3", {"tie_word_embeddings": True})
    weights = load_file(trained.base / "model.safetensors")
    save_file(
        {**weights, "lm_head.weight": weights["model.embed_tokens.weight"].clone()}, trained.base / "model.safetensors"
    )
    made = export(trained)
    made.write(lambda _: None)
    assert "lm_head.weight" not in load_file(made.folder / "model.safetensors")
    save_file(
        {**weights, "lm_head.weight": weights["model.embed_tokens.weight"] + 1}, trained.base / "model.safetensors"
    )
    with pytest.raises(
        ExportError, match=r"ties lm_head\.weight to model\.embed_tokens\.weight, and the files hold different"
    ):
        export(trained, overwrite=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_sums_in_float32_and_rounds_once(train: Train, dtype: str) -> None:
    trained = train()
    made = export(trained, dtype)
    merged = made.write(lambda _: None)
    base, adapter = (
        load_file(trained.base / "model.safetensors"),
        load_file(trained.adapter / "adapter_model.safetensors"),
    )
    name = "model.layers.1.mlp.up_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{factor}.weight"] for factor in "AB")
    wanted = (base[f"{name}.weight"].double() + 2 * b.double() @ a.double()).to(merge.DTYPES[dtype])
    stored = load_file(made.folder / "model.safetensors")
    assert (stored[f"{name}.weight"].float() - wanted.float()).abs().max() <= torch.finfo(merge.DTYPES[dtype]).eps
    assert {tensor.dtype for tensor in stored.values()} == {merge.DTYPES[dtype]}
    assert merged.parameters == sum(tensor.numel() for tensor in stored.values())


def test_what_rounding_takes_is_measured(train: Train) -> None:
    trained = train()
    base = trained.base / "model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(base).items()}, base, {"format": "pt"})
    path = trained.adapter / "adapter_model.safetensors"
    save_file({name: tensor * (0.002 if "lora_B" in name else 1) for name, tensor in load_file(path).items()}, path)
    kept = {dtype: export(trained, dtype, overwrite=True).write(lambda _: None).kept for dtype in merge.DTYPES}
    lost = {dtype: abs(1 - share) for dtype, share in kept.items()}
    assert lost["float32"] < lost["float16"] < lost["bfloat16"]
    assert kept["bfloat16"] < 0.95
    assert lost["float32"] < 1e-3


def test_shards_of_limited_size_with_an_index(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = train()
    monkeypatch.setattr(merge, "SHARD_BYTES", 40_000)
    made = export(trained)
    progress: list[int] = []
    merged = made.write(progress.append)
    shards = sorted(path.name for path in made.folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert shards[0] == f"model-00001-of-{len(shards):05d}.safetensors"
    assert all(path.stat().st_size <= 42_000 for path in made.folder.glob("model-*.safetensors"))
    assert progress == sorted(progress)
    assert progress[-1] == merged.bytes == made.plan.size
    assert (exported(made.folder) - reference(trained)).abs().max() < 1e-4


def test_sharded_base_and_its_missing_part(train: Train) -> None:
    trained = train()
    model = AutoModelForCausalLM.from_pretrained(trained.base)
    (trained.base / "model.safetensors").unlink()
    model.save_pretrained(trained.base, max_shard_size="40KB")
    made = export(trained)
    made.write(lambda _: None)
    assert (exported(made.folder) - reference(trained)).abs().max() < 1e-4
    part = sorted(trained.base.glob("model-*.safetensors"))[1]
    part.rename(trained.base / "elsewhere")
    with pytest.raises(ExportError, match=rf"is incomplete: {part.name} is missing"):
        export(trained, overwrite=True)


def test_adapter_and_base_that_do_not_belong_together(train: Train, tmp_path: Path) -> None:
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    trained = train("qwen3", {"num_hidden_layers": 2}, target_modules=targets)
    smaller = shutil.copytree(trained.adapter, tmp_path / "kept")
    wider = train("qwen3", {"hidden_size": 48})
    with pytest.raises(
        ExportError, match=r"does not fit .*base: model\.layers\.0\.\S+ has another shape there.*--base"
    ):
        plan_export(smaller, tmp_path / "out", None, "float32", str(wider.base), False)
    deeper = train("qwen3", {"num_hidden_layers": 3})
    with pytest.raises(ExportError, match=r"7 layers have no part in it, model\.layers\.2\."):
        plan_export(smaller, tmp_path / "out", None, "float32", str(deeper.base), False)
    shallower = train("qwen3", {"num_hidden_layers": 1})
    with pytest.raises(ExportError, match=r"it changes model\.layers\.1\.\S+, which is not there"):
        plan_export(smaller, tmp_path / "out", None, "float32", str(shallower.base), False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("value", "dtype", "reason"), [
    (math.nan, "bfloat16", "itself is not finite"), (1e6, "float16", "too large for float16, use --torch_dtype bfloat16"),
])  # fmt: skip
def test_values_that_are_not_finite_leave_nothing_behind(train: Train, value: Any, dtype: str, reason: str) -> None:
    trained = train()
    weights = load_file(trained.base / "model.safetensors")
    weights["model.norm.weight"][3] = value
    save_file(weights, trained.base / "model.safetensors")
    made = export(trained, dtype)
    with pytest.raises(ExportError, match=rf"model\.norm\.weight would hold NaN or infinite values: .*{reason}"):
        made.write(lambda _: None)
    assert sorted(path.name for path in made.folder.parent.iterdir()) == ["base", "run"]


def test_interrupted_export_leaves_nothing_and_an_earlier_one_stays(train: Train) -> None:
    trained = train()
    export(trained).write(lambda _: None)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    made = export(trained, "bfloat16", overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        made.write(interrupt)
    assert sorted(path.name for path in made.folder.parent.iterdir()) == ["base", "out", "run"]
    assert (exported(made.folder) - reference(trained)).abs().max() < 1e-4
