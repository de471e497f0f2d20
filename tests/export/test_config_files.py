from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from recruiter.errors import ExportError
from recruiter.export import plan_export
from recruiter.prompts import generator_messages
from tests.conftest import MakeRole
from tests.engines.test_chat import HYBRID, REFUSES
from tests.export.conftest import Train

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}  # fmt: skip


def export(trained: Any, length: Any = None, dtype: str = "bfloat16", **options: Any) -> Path:
    made = plan_export(trained.adapter, trained.base.parent / "out", length, dtype, None, True, **options)
    made.write(lambda _: None)
    return made.folder


def read(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_both_spellings_stand_in_the_config(train: Train, kind: str) -> None:
    config = read(export(train(kind)), "config.json")
    assert config["torch_dtype"] == config["dtype"] == "bfloat16"
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 10000.0
    assert config["rope_scaling"] is None
    assert "_name_or_path" not in config


def test_scaled_positions_in_both_spellings(train: Train) -> None:
    folder = export(train("llama", {"rope_parameters": LLAMA3}), 2048)
    config = read(folder, "config.json")
    assert config["rope_theta"] == 500000.0
    assert config["rope_scaling"] == {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
    assert dict(AutoConfig.from_pretrained(folder).rope_parameters) == LLAMA3


def test_a_base_in_the_old_spelling(train: Train, edit_json: Callable[..., None]) -> None:
    trained = train("llama", {"rope_parameters": LLAMA3})
    old = {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
    edit_json(
        trained.base / "config.json",
        rope_parameters=None,
        dtype=None,
        torch_dtype="float32",
        rope_theta=5e5,
        rope_scaling=old,
    )
    folder = export(trained)
    config = read(folder, "config.json")
    assert config["rope_parameters"] == LLAMA3
    assert (config["dtype"], config["torch_dtype"]) == ("bfloat16", "bfloat16")
    assert dict(AutoConfig.from_pretrained(folder).rope_parameters) == LLAMA3


def test_context_length_is_capped_in_every_file(train: Train) -> None:
    folder = export(train(), 1024)
    assert read(folder, "config.json")["max_position_embeddings"] == 1024
    assert read(folder, "tokenizer_config.json")["model_max_length"] == 1024
    assert read(folder, "export.json")["max_model_len"] == 1024
    assert "max_length" not in read(folder, "generation_config.json")
    assert AutoTokenizer.from_pretrained(folder).model_max_length == 1024


def test_uncapped_length_is_the_base_s(train: Train) -> None:
    folder = export(train())
    assert read(folder, "config.json")["max_position_embeddings"] == 4096
    assert read(folder, "tokenizer_config.json")["model_max_length"] == 4096


def test_lengths_that_cannot_work(train: Train) -> None:
    trained = train()
    for length in (0, 5000):
        with pytest.raises(
            ExportError, match=rf"--max_model_len {length} cannot work: .* positions for 1 to 4096 tokens"
        ):
            export(trained, length)
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 1024}
    with pytest.raises(ExportError, match=r"depend on its length.*vllm serve --max-model-len 1024"):
        export(train("qwen3", {"rope_parameters": yarn}), 1024)
    learned = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}
    with pytest.raises(ExportError, match="depend on its length"):
        export(train("gpt2", learned, target_modules=["c_attn"], fan_in_fan_out=True), 32)


def test_tokenizer_files_are_readable_by_both(train: Train, edit_json: Callable[..., None]) -> None:
    trained = train()
    edit_json(
        trained.base / "tokenizer_config.json", tokenizer_class="TokenizersBackend", backend="tokenizers", is_local=True,
        extra_special_tokens=["<|start|>"],
    )  # fmt: skip
    folder = export(trained)
    config = read(folder, "tokenizer_config.json")
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert config["additional_special_tokens"] == ["<|start|>"]
    assert not {"backend", "is_local", "extra_special_tokens"} & set(config)
    assert config["chat_template"] == (folder / "chat_template.jinja").read_text()
    assert "messages" in config["chat_template"]


def test_tokenizer_reads_the_prompt_as_the_base_s_does(train: Train, role: MakeRole) -> None:
    trained = train()
    prompts = [
        AutoTokenizer.from_pretrained(folder).apply_chat_template(
            cast(Any, generator_messages(role(4))), add_generation_prompt=True, return_dict=False
        )
        for folder in (trained.base, export(trained))
    ]
    assert prompts[0] == prompts[1]


def test_servers_of_an_export_get_a_template_that_takes_the_system_text_and_does_not_think(train: Train) -> None:
    trained = train()
    (trained.base / "chat_template.jinja").write_text(REFUSES + HYBRID)
    folder = export(trained)
    chat: Any = [{"role": "system", "content": "Rules."}, {"role": "user", "content": "Which index?"}]
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    shown = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert "Rules.\n\nWhich index?" in shown
    assert shown.rstrip().endswith("</think>")
    assert read(folder, "tokenizer_config.json")["chat_template"] == (folder / "chat_template.jinja").read_text()


def test_base_without_a_chat_template_is_refused(train: Train) -> None:
    trained = train()
    (trained.base / "chat_template.jinja").unlink()
    with pytest.raises(ExportError, match="has no chat template"):
        export(trained)
    assert not (trained.base.parent / "out").exists()


def test_questions_are_drawn_as_in_training(train: Train, edit_json: Callable[..., None]) -> None:
    trained = train()
    others = {
        "repetition_penalty": 1.1,
        "min_p": 0.05,
        "suppress_tokens": [9],
        "num_beams": 2,
        "no_repeat_ngram_size": 3,
    }
    edit_json(trained.base / "generation_config.json", **others)
    sampling = {"max_generate_length": 64, "temperature": 0.7, "top_p": 0.9, "top_k": -1}
    run = {"config": {"generator": {"sampling_params": sampling}}, "judge": "rubric", "version": "0.1.0"}
    (trained.run / "run.json").write_text(json.dumps(run))
    folder = export(trained)
    config = GenerationConfig.from_pretrained(folder)
    assert (config.do_sample, config.temperature, config.top_p) == (True, 0.7, 0.9)
    assert config.top_k == 300
    assert config.eos_token_id == [2]
    assert not set(others) & set(read(folder, "generation_config.json"))


def test_stop_tokens_of_base_and_tokenizer_are_joined(train: Train, edit_json: Callable[..., None]) -> None:
    trained = train()
    edit_json(trained.base / "generation_config.json", eos_token_id=[7, 9], temperature=0.6, do_sample=True)
    config = read(export(trained), "generation_config.json")
    assert config["eos_token_id"] == [2, 7, 9]
    assert config["temperature"] == 0.6


def test_licence_files_go_along(train: Train) -> None:
    trained = train()
    (trained.base / "LICENSE").write_text("Apache License")
    (trained.base / "README.md").write_text("---\nlicense: Apache-2.0\n---\n# base")
    folder = export(trained)
    assert (folder / "LICENSE").read_text() == "Apache License"
    assert read(folder, "export.json")["licence"] == "apache-2.0"
