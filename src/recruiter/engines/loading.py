"""Finding out whether a model can run here, and loading it."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import is_offline_mode
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from recruiter.config import QUICKSTART_OFFER, Config, require_model
from recruiter.config.paths import model_folder
from recruiter.engines.chat import prepare_template
from recruiter.engines.folder import make_skeleton, read_whole, readable
from recruiter.engines.lora import add_adapter
from recruiter.engines.quantised import quantise_layers
from recruiter.engines.sources import find_source
from recruiter.errors import ConfigError, ModelError
from recruiter.llm.transport import check_environment

# Settings of PEFT under which W' = W + scaling B A holds; all others must be unset.
_PLAIN_LORA = frozenset(
    "task_type peft_type auto_mapping peft_version base_model_name_or_path revision inference_mode r target_modules "
    "exclude_modules lora_alpha lora_dropout fan_in_fan_out bias use_rslora modules_to_save init_lora_weights "
    "layers_to_transform layers_pattern rank_pattern alpha_pattern megatron_core loftq_config eva_config "
    "qalora_group_size runtime_config ensure_weight_tying".split()
)
_STARTS_FROM_BASE = (True, False, None, "gaussian", "orthogonal", "eva")
LARGE_MODEL_BYTES = 3e9  # weights on disk above which a machine without a GPU is refused unless asked for


def adapter_base(adapter: Path) -> str:
    """The base model that an adapter was trained on.

    Raises:
        ModelError: the folder holds no adapter.
    """
    return str(read_adapter_settings(adapter)["base_model_name_or_path"])


def read_adapter_settings(adapter: Path) -> dict[str, Any]:
    """What `adapter_config.json` says of an adapter of plain LoRA; of another kind it would be misunderstood.

    Raises:
        ModelError: there is none, it is damaged, or of another kind.
    """
    with adapter_file(adapter, "adapter_config.json") as path:
        settings: dict[str, Any] = json.loads(path.read_bytes())
        kind, start = settings.get("peft_type"), settings.get("init_lora_weights")
        settings["base_model_name_or_path"]
    other = next((name for name, value in settings.items() if value and name not in _PLAIN_LORA), None)
    if kind == "LORA" and (other or start not in _STARTS_FROM_BASE):
        kind = f"{other}={settings[other]}" if other else f"init_lora_weights={start}, which changes the base"
        kind = "DoRA" if other == "use_dora" else kind
    if kind != "LORA":
        raise ModelError(f"The adapter at {adapter} is of the kind {kind}; only LoRA can be merged or read.")
    return settings


@contextmanager
def adapter_file(adapter: Path, name: str) -> Iterator[Path]:
    """The path of one of an adapter's files. What reading it raises becomes a sentence."""
    path = adapter / name
    try:
        yield path
    except PermissionError:
        raise ModelError(
            f"The adapter at {adapter} cannot be read by this user: {name} belongs to another; have its owner run "
            f"chmod -R a+rX on the folder."
        ) from None
    except FileNotFoundError:
        raise ModelError(f"There is no adapter at {adapter}: {name} is missing.") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        raise ModelError(f"The adapter at {adapter} is damaged ({type(error).__name__}: {error}).") from None


def check_model(path: str, device: str = "auto", spelled: str = "trainer.policy.model.path={}") -> None:
    """Find out from small files whether `path` can be used here, before anything heavy is loaded.

    Args:
        spelled: how the user wrote it.

    Raises:
        ModelError: a folder without a model, something that is no causal LM, or a model too large for a machine
            without a GPU.
    """
    require_model(path, spelled)
    folder = model_folder(path)
    if folder is None and not is_offline_mode():
        with readable(spelled.format(path)):
            check_environment()
    source = find_source(path, spelled)
    with readable(spelled.format(path)):
        config = AutoConfig.from_pretrained(source)
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(
            f"{spelled.format(path)} is a {config.model_type} model, not a causal language model; name one "
            f"such as Qwen/Qwen3-4B-Instruct-2507."
        )
    if getattr(config, "quantization_config", None):
        raise ModelError(
            f"{spelled.format(path)} is quantised, and adapters need the full weights; name the full model."
        )
    if folder and not any(folder.glob("*.bin")):
        with readable(spelled.format(path)):
            skeleton = make_skeleton(config)
        read_whole(folder, skeleton)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder else 0
    if device == "auto" and size > LARGE_MODEL_BYTES and not torch.cuda.is_available():
        raise ModelError(
            f"{path} has {size / 1e9:.1f} GB of weights and this machine has no GPU; name a smaller model"
            + (", or train with trainer.device=cpu if you insist" if spelled.startswith("trainer.") else "")
            + f". {QUICKSTART_OFFER}"
        )


def check_policy(config: Config) -> None:
    """Find out whether the model can be trained as configured, before anything is spent: as `check_model`, and whether its
    chat template takes our chats and its layers are those that shall get adapters.

    Raises:
        ModelError: it cannot.
    """
    model = config.trainer.policy.model
    check_model(model.path, config.trainer.device)
    source = find_source(model.path)
    with readable(model.path):
        prepare_template(AutoTokenizer.from_pretrained(source), model.path)
        skeleton = make_skeleton(AutoConfig.from_pretrained(source))
    add_adapter(skeleton, config.trainer.policy.lora, model.path)


def load_model(
    path: str, dtype: torch.dtype, device: torch.device, quantization: str | None = None
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Tokenizer and causal LM from a folder or the Hub.

    Args:
        quantization: int8: linear layers in 8 bits, rounded before they reach the device.

    Raises:
        ModelError: they cannot be read.
    """
    source = find_source(path)
    transformers_logging.disable_progress_bar()
    with readable(path):
        tokenizer = AutoTokenizer.from_pretrained(source)
        prepare_template(tokenizer, path)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, device_map=None)
    if quantization == "int8":
        quantise_layers(model)
    model = model.eval().to(device)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return tokenizer, model


def limit_memory(device: torch.device, share: float) -> None:
    """Let this process take no more than a share of a GPU; torch gives memory that it keeps back before it takes more."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(share, device)


def device_memory(device: torch.device) -> float:
    """Bytes of a GPU's memory that this process may take; see `limit_memory`."""
    index = torch.cuda.current_device() if device.index is None else device.index
    share = torch.cuda.get_per_process_memory_fraction(index)
    return share * torch.cuda.get_device_properties(index).total_memory


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
    """`auto` is bfloat16 on a GPU and on a CPU that multiplies it faster than float32; float32 on others.

    The processor decides, not a measurement: what else the machine does would decide which parameters a seed gives.
    """
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    if device == "cuda":
        return torch.bfloat16
    # Intel's AVX512-BF16 without AMX takes twice as long as its float32
    is_fast = torch.cpu._is_amx_tile_supported() or (torch.cpu._is_avx512_bf16_supported() and _is_amd())
    return torch.bfloat16 if is_fast else torch.float32


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "AuthenticAMD" in platform.processor()
