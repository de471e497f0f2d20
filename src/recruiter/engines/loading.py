"""Finding out whether a model can run here, and loading it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from recruiter.config import QUICKSTART_OFFER, require_model
from recruiter.config.paths import model_folder, model_source
from recruiter.engines.chat import prepare_template
from recruiter.errors import ConfigError, ModelError

LARGE_MODEL_BYTES = 3e9  # weights on disk above which a machine without a GPU is refused unless asked for


def adapter_base(adapter: Path) -> str:
    """The base model that an adapter was trained on.

    Raises:
        ModelError: the folder holds no adapter.
    """
    try:
        return str(json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"])
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ModelError(f"There is no adapter at {adapter}: {error}.") from None


def check_model(path: str, device: str = "auto", spelled: str = "trainer.policy.model.path={}") -> None:
    """Find out from small files whether `path` can be used here, before anything heavy is loaded.

    Args:
        spelled: how the user wrote it.

    Raises:
        ModelError: a folder without a model, something that is no causal LM, or a model too large for a machine
            without a GPU.
    """
    require_model(path, spelled)
    try:
        config = AutoConfig.from_pretrained(model_source(path))
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(f"{spelled.format(path)} cannot be read as a model: {reason}") from None
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(
            f"{spelled.format(path)} is a {config.model_type} model, not a causal language model; name one "
            f"such as Qwen/Qwen3-4B-Instruct-2507."
        )
    folder = model_folder(path)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder else 0
    if device == "auto" and size > LARGE_MODEL_BYTES and not torch.cuda.is_available():
        raise ModelError(
            f"{path} has {size / 1e9:.1f} GB of weights and this machine has no GPU; name a smaller model, or train with "
            f"trainer.device=cpu if you insist. "
            f"{QUICKSTART_OFFER}"
        )


def load_model(path: str, dtype: torch.dtype, device: torch.device) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Tokenizer and causal LM from a folder or the Hub."""
    source = model_source(path)
    transformers_logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(source)
    prepare_template(tokenizer, path)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, device_map=None)
    model = model.eval().to(device)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return tokenizer, model


def device_memory(device: torch.device) -> float:
    """Bytes of a GPU's memory that this process may use."""
    share = torch.cuda.get_per_process_memory_fraction(device.index or 0)
    return share * torch.cuda.get_device_properties(device).total_memory


def stop_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends an answer: the tokenizer's and the generation config's."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({token for token in (*ids, tokenizer.eos_token_id) if token is not None})


def pick_device(wanted: str) -> str:
    """`auto` is the GPU where there is one.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("trainer.device=cuda, but torch sees no GPU on this machine; write auto or cpu.")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def pick_dtype(wanted: str, device: str) -> torch.dtype:
    """`auto` is bfloat16 on a GPU, and on a CPU that has instructions for it; float32 on others.

    It is never measured: what else the machine does would decide which parameters a seed gives.
    """
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    multiplies = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if device == "cuda" or multiplies else torch.float32
