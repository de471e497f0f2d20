from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recruiter import evaluation, prompts
from recruiter.config import SamplingParams
from recruiter.dataset import format_prompts, load_split, write_raw
from recruiter.engines import model as engine_model
from recruiter.prompts import GENERATOR_SYSTEM, PROMPT_HASH, generator_messages


def changed_module(old: str, new: str) -> dict:
    """prompts.py as it would be after an edit."""
    source = Path(prompts.__file__).read_text()
    assert old in source
    namespace = {"__name__": "changed_prompts"}
    exec(compile(source.replace(old, new), "prompts.py", "exec"), namespace)
    return namespace


def test_messages_are_one_system_and_one_user_turn(role):
    messages = generator_messages(role())
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[0]["content"] == GENERATOR_SYSTEM
    assert all(set(message) == {"role", "content"} for message in messages)


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("title", "Tech Lead, Ledger", "Title: Tech Lead, Ledger\n"),
        ("level", "principal", "Level: principal\n"),
        ("focus", "core banking", "Focus: core banking\n"),
        ("stack", ["Go", "gRPC", "NATS"], "Stack: Go, gRPC, NATS\n"),
        ("key_skills", ["sagas", "index design"], "Key skills: sagas, index design\n"),
        ("description", "Braces {like} these stay.", "Description: Braces {like} these stay.\n"),
    ],
)
def test_prompt_holds_every_field_as_it_is(role, field, value, line):
    assert line in generator_messages(role(**{field: value}))[1]["content"]


def test_every_field_but_the_id_reaches_the_prompt(role):
    base = role()
    changes = {
        "title": "Other",
        "level": "staff",
        "focus": "other",
        "stack": ["Rust"],
        "description": "Other.",
        "key_skills": ["other"],
    }
    assert {"id", *changes} == set(type(base).model_fields)
    for field, value in changes.items():
        assert generator_messages(role(**{field: value})) != generator_messages(base), field
    assert generator_messages(role(id="other")) == generator_messages(base)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Reply with the question only.", "Reply with one question only."),
        ("Write one screening question for this role.", "Write a screening question for this role."),
        ("Key skills: ", "Skills: "),
        ('stack=", ".join(role.stack)', 'stack=" / ".join(role.stack)'),
    ],
    ids=["system text", "user text", "label", "way a list is written"],
)
def test_prompt_hash_changes_with_whatever_changes_the_messages(role, old, new):
    changed = changed_module(old, new)
    assert changed["generator_messages"](role()) != generator_messages(role())
    assert changed["PROMPT_HASH"] != PROMPT_HASH


def test_prompt_hash_stays_when_nothing_that_is_sent_changes():
    assert changed_module('"""One chat message, as', '"""A chat message, as')["PROMPT_HASH"] == PROMPT_HASH


def test_processed_data_and_evaluation_use_the_same_bytes_as_generator_messages(tmp_path, role, monkeypatch):
    roles = [role(i) for i in range(4)]
    expected = [generator_messages(r) for r in roles]
    write_raw(roles, [role(9)], tmp_path / "raw")
    format_prompts(tmp_path / "raw", tmp_path / "processed")
    stored = pq.read_table(tmp_path / "processed/train.parquet").column("prompt").to_pylist()
    assert stored == expected
    assert [generator_messages(r) for r in load_split(tmp_path / "processed", "train")] == expected

    asked = []

    class Recorder:
        def __init__(self, *_args, **_kwargs):
            pass

        def sample(self, prompts, group_size, sampling, seed):
            asked.extend(prompts)
            return iter([])

    monkeypatch.setattr(engine_model, "LocalModel", Recorder)
    with pytest.raises(ValueError, match="zip"):  # the recorder answers nothing
        evaluation.write_questions(
            evaluation.Contestant("x", "x"), roles, SamplingParams(), 0, 1, progress=lambda done: None
        )
    assert asked == expected
