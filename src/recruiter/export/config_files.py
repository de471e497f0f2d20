"""The small files of a model folder, readable by transformers 4.51 (which vLLM 0.8.5 uses) and by transformers 5.

| | transformers 4 | transformers 5 |
| --- | --- | --- |
| type of the weights | `torch_dtype` | `dtype` |
| rotary positions | `rope_theta`, `rope_scaling`, `partial_rotary_factor` | `rope_parameters` holds all of them |
| tokenizer class | `PreTrainedTokenizerFast` | `TokenizersBackend`, reads the old name |
| further special tokens | `additional_special_tokens`, a list | `extra_special_tokens`, reads the old name |
| chat template | in `tokenizer_config.json`, or `chat_template.jinja` | `chat_template.jinja` |

Both spellings are written wherever the readers differ.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from recruiter.engines.chat import prepare_template
from recruiter.errors import ExportError
from recruiter.export.base import BaseModel, refused
from recruiter.export.merge import MergePlan
from recruiter.files import write_json
from recruiter.prompts import generator_messages
from recruiter.roles import Role

_LENGTHS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "max_sequence_length", "n_ctx")
_LENGTH_INDEPENDENT_ROPE = ("default", "linear", "llama3")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "*.model",
)
_NOT_FOR_READERS = ("backend", "is_local", "local_files_only", "name_or_path")
PROBE = Role(
    id="probe",
    title="Backend Engineer",
    level="senior",
    focus="queues",
    stack=("Python", "PostgreSQL"),
    description="Own the job queue of a café booking service — 20% of its load is retries.",
    key_skills=("backpressure",),
)


def context_length(base: BaseModel, wanted: int | None) -> int:
    """The context length of the export, in tokens.

    Raises:
        ExportError: `wanted` is longer than the base's, or the base's positions depend on its length.
    """
    text = _text_config(base.config)
    own = next((int(text[key]) for key in _LENGTHS if text.get(key)), None)
    own = own or int(AutoConfig.from_pretrained(str(base.folder)).get_text_config().max_position_embeddings)
    if wanted is None or wanted == own:
        return own
    if not 1 <= wanted <= own:
        raise ExportError(f"--max_model_len {wanted} cannot work: {base.name} has positions for 1 to {own} tokens.")
    rope = _rope(base)
    if rope is None or rope.get("rope_type", "default") not in _LENGTH_INDEPENDENT_ROPE:
        raise ExportError(
            f"--max_model_len {wanted} cannot work: the positions of {base.name} depend on its length. Export it whole and "
            f"limit the server instead, for example with vllm serve --max-model-len {wanted}."
        )
    return wanted


def write_config_files(plan: MergePlan, folder: Path, length: int, sampling: dict[str, Any] | None) -> None:
    """Write configuration, generation settings, tokenizer and licence; read them back to be sure.

    Args:
        sampling: the settings that the questions of training were sampled with, if known.

    Raises:
        ExportError: the base has no chat template, or the written tokenizer is not the base's.
    """
    base = plan.base
    write_json(folder / "config.json", model_config(plan, length))
    tokenizer = AutoTokenizer.from_pretrained(str(base.folder))
    with refused():
        prepare_template(tokenizer, base.name)
    write_json(folder / "generation_config.json", _generation_config(base, tokenizer.eos_token_id, sampling))
    for pattern in (*_TOKENIZER_FILES, "LICENSE*", "NOTICE*"):
        for file in base.folder.glob(pattern):
            shutil.copy(file, folder / file.name)
    if not (folder / "tokenizer.json").is_file():
        tokenizer.save_pretrained(str(folder))
    write_json(folder / "tokenizer_config.json", _tokenizer_config(base, tokenizer.chat_template, length))
    template = tokenizer.chat_template
    if isinstance(template, str):
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    _check_tokenizer(folder, tokenizer)


def model_config(plan: MergePlan, length: int) -> dict[str, Any]:
    """`config.json`: the base's, with type, length and rotary positions in both spellings."""
    config: dict[str, Any] = json.loads(json.dumps(plan.base.config))
    text = _text_config(config)
    name = str(plan.dtype).removeprefix("torch.")
    for part in (config, text):
        part["dtype"] = part["torch_dtype"] = name
    for key in _LENGTHS:
        if text.get(key):
            text[key] = length
    if "max_position_embeddings" not in text and not any(text.get(key) for key in _LENGTHS):
        text["max_position_embeddings"] = length
    text["tie_word_embeddings"] = config["tie_word_embeddings"] = plan.is_tied
    text.update(_rope_spellings(plan.base))
    config.pop("_name_or_path", None)
    config.pop("_model_name_or_path", None)
    return config


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    """The part that describes the language model; of a multimodal model it is nested."""
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) else config


def _rope(base: BaseModel) -> dict[str, Any] | None:
    """Rotary parameters as transformers 5 understands the base's configuration."""
    rope = getattr(AutoConfig.from_pretrained(str(base.folder)).get_text_config(), "rope_parameters", None)
    return dict(rope) if rope else None


def _rope_spellings(base: BaseModel) -> dict[str, Any]:
    rope = _rope(base)
    if rope is None:
        return {}
    spellings: dict[str, Any] = {"rope_parameters": rope}
    if "rope_theta" not in rope:  # one set for each kind of layer
        local = rope.get("sliding_attention") or {}
        spellings |= {"rope_local_base_freq": local["rope_theta"]} if "rope_theta" in local else {}
        rope = rope.get("full_attention") or {}
    if "rope_theta" in rope:
        spellings["rope_theta"] = rope["rope_theta"]
    if "partial_rotary_factor" in rope:
        spellings["partial_rotary_factor"] = rope["partial_rotary_factor"]
    scaling = {key: value for key, value in rope.items() if key not in ("rope_theta", "partial_rotary_factor")}
    spellings["rope_scaling"] = scaling if scaling.get("rope_type", "default") != "default" else None
    return spellings


def _generation_config(base: BaseModel, eos: int | None, sampling: dict[str, Any] | None) -> dict[str, Any]:
    """Stop tokens of base and tokenizer; questions are drawn as they were in training."""
    path = base.folder / "generation_config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    text = _text_config(base.config)
    for key in ("bos_token_id", "pad_token_id", "eos_token_id"):
        if config.get(key) is None and text.get(key) is not None:
            config[key] = text[key]
    stops = config.get("eos_token_id")
    stops = stops if isinstance(stops, list) else [stops]
    config["eos_token_id"] = sorted({stop for stop in (*stops, eos) if stop is not None})
    for key in (
        "_from_model_config",
        "transformers_version",
        "max_length",
        "output_attentions",
        "output_hidden_states",
    ):
        config.pop(key, None)
    if sampling:
        config = {
            key: value for key, value in config.items() if key.endswith("token_id")
        }  # no penalty, no other filter
        draws = {"do_sample": True, "temperature": sampling["temperature"], "top_p": sampling["top_p"]}
        every = text.get(
            "vocab_size"
        )  # "all tokens" is spelled -1, 0 or null, depending on the reader; this they all read
        draws["top_k"] = sampling["top_k"] if sampling["top_k"] > 0 else every
        config.update({key: value for key, value in draws.items() if value is not None})
    return config


def _tokenizer_config(base: BaseModel, template: str | dict[str, str], length: int) -> dict[str, Any]:
    path = base.folder / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for key in _NOT_FOR_READERS:
        config.pop(key, None)
    if config.get("tokenizer_class") in (None, "TokenizersBackend"):
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(config.get("extra_special_tokens"), list):
        extra = config.pop("extra_special_tokens")
        config["additional_special_tokens"] = [*config.get("additional_special_tokens", []), *extra]
    config["model_max_length"] = length
    named = (
        [{"name": name, "template": text} for name, text in template.items()] if isinstance(template, dict) else None
    )
    config["chat_template"] = named or template
    return config


def _check_tokenizer(folder: Path, original: Any) -> None:
    written = AutoTokenizer.from_pretrained(str(folder))
    messages: Any = generator_messages(PROBE)
    mine, theirs = (
        tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        for tokenizer in (written, original)
    )
    if mine != theirs or written.eos_token_id != original.eos_token_id:
        raise ExportError("The exported tokenizer reads the prompt differently from the base's; nothing was written.")
