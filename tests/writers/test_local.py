"""A model on this machine as a writer, and what names mean."""

from __future__ import annotations

import json
import multiprocessing
import threading
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, get_peft_model

from recruiter.config import Config, SamplingParams, paths, to_dict
from recruiter.engines import model as engine
from recruiter.engines.sizes import ROLLOUT_ROWS
from recruiter.errors import ConfigError, EngineError, ModelError
from recruiter.judges import local
from recruiter.judges.local import LocalJudge
from recruiter.judges.making import named_judge
from recruiter.prompts import generator_messages
from recruiter.rubric import load_rubric
from recruiter.writers import finding
from recruiter.writers.api import ApiWriter, EndpointWriter
from recruiter.writers.finding import default_writer, find_writer
from recruiter.writers.generate import BEST_OF, who_picks
from recruiter.writers.local import LocalWriter
from tests.conftest import MakeRole, known
from tests.engines.conftest import tiny_model

SAMPLING = SamplingParams(max_generate_length=12)


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few roles are decoded together, so that there are several portions."""
    monkeypatch.setitem(ROLLOUT_ROWS, "cpu", 4)


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_writer_folder: Path) -> Any:
    """A run with a checkpoint of two adapters that differ from their base."""
    run = tmp_path / "checkpoints/run"
    for step in (1, 2):
        adapter = run / f"global_step_{step}/policy/lora_adapter"
        base = tiny_model("llama")
        torch.manual_seed(step)
        tuned = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
        tuned.peft_config["default"].base_model_name_or_path = str(tiny_writer_folder)
        tuned.save_pretrained(str(adapter))
    settings = Config()
    settings.trainer.policy.model.path = str(tiny_writer_folder)
    settings.generator.sampling_params.temperature = 0.3
    (run / "run.json").write_text(json.dumps({"config": to_dict(settings)}))
    return run


def test_questions_are_those_of_the_model_and_skipping_changes_no_other(
    tiny_writer_folder: Path, role: MakeRole, small_portions: None
) -> None:
    roles, writer = [role(n) for n in range(5)], LocalWriter(str(tiny_writer_folder))
    everything = {(w.role_id, w.sample): w.text for w in writer.write(roles, 2, SAMPLING, seed=3)}
    assert len(everything) == 10
    prompts = [generator_messages(r) for r in roles]
    groups = engine.LocalModel(str(tiny_writer_folder)).sample(prompts, 2, SAMPLING, 3)
    assert list(everything.values()) == [sample.text for group in groups for sample in group]
    skip = set(list(everything)[:3])
    rest = {(w.role_id, w.sample): w.text for w in writer.write(roles, 2, SAMPLING, seed=3, skip=skip)}
    assert rest == {slot: text for slot, text in everything.items() if slot not in skip}
    assert not list(writer.write(roles, 2, SAMPLING, skip=set(everything)))


def test_progress_grows_within_a_portion_and_stops_it(
    tiny_writer_folder: Path, role: MakeRole, small_portions: None
) -> None:
    writer = LocalWriter(str(tiny_writer_folder))
    shares: list[Any] = []
    list(writer.write([role(n) for n in range(4)], 2, SAMPLING, progress=shares.append))
    assert (shares, shares[-1]) == (sorted(shares), 1.0)
    assert len(shares) > 4

    def stop(share: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(writer.write([role()], 2, SAMPLING, progress=stop))
    assert list(writer.write([role()], 1, SAMPLING))


def test_threads_take_turns_and_get_their_own(tiny_writer_folder: Path, role: MakeRole) -> None:
    writer, found = LocalWriter(str(tiny_writer_folder)), {}

    def write(seed: Any) -> None:
        found[seed] = [w.text for w in writer.write([role(), role(1)], 2, SAMPLING, seed)]

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        assert found[seed] == [w.text for w in writer.write([role(), role(1)], 2, SAMPLING, seed)]


def test_the_untrained_model_is_lent_to_the_judge(checkpoint: Any, tiny_writer_folder: Path, role: MakeRole) -> None:
    asked, answers = [generator_messages(role())], [["How?", "Why not?"]]
    bare, trained = LocalWriter(str(tiny_writer_folder)), cast(LocalWriter, find_writer(str(checkpoint)))
    written = [w.text for w in trained.write([role()], 2, SAMPLING)]
    with bare.base() as plain, trained.base() as lent:
        assert (lent.fingerprint, lent.parameters) == (plain.fingerprint, plain.parameters)
        assert lent.answer_logprobs(asked, answers) == plain.answer_logprobs(asked, answers)
    assert [w.text for w in trained.write([role()], 2, SAMPLING)] == written  # with its adapter again


def test_the_untrained_model_picks_where_its_head_is_fitted(
    tiny_writer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, rubric = LocalWriter(str(tiny_writer_folder)), load_rubric()
    monkeypatch.setattr(local, "WORKSPACE", tmp_path)
    assert who_picks(writer, None, None, rubric) == (1, None)
    assert who_picks(writer, 1, None, rubric) == (1, None)
    drawn, rules = who_picks(writer, 3, None, rubric)
    assert (drawn, known(rules).name) == (3, "rubric")
    assert who_picks(writer, None, rules, rubric) == (1, rules)
    with writer.base() as reader:
        head = tmp_path / local.CALIBRATIONS / LocalJudge(named_judge("local"), rubric).head_name(reader)
    head.parent.mkdir(parents=True)
    head.touch()
    picked = [who_picks(writer, best_of, None, rubric) for best_of in (None, 3)]
    assert [(drawn, known(judge).name) for drawn, judge in picked] == [(BEST_OF, "local"), (3, "local")]
    assert who_picks(find_writer("http://127.0.0.1:9/v1"), None, None, rubric) == (1, None)


def test_two_processes_write_together(checkpoint: Path, role: MakeRole) -> None:
    roles, writer = [role(n) for n in range(7)], cast(LocalWriter, find_writer(str(checkpoint)))
    slots = [(each.id, sample) for each in roles for sample in range(2)]

    def write(**more: Any) -> dict[Any, str]:
        found = {(w.role_id, w.sample): w.text for w in writer.write(roles, 2, SAMPLING, seed=3, **more)}
        writer.release()
        return found

    alone = write()
    writer.gpus, shares = 2, list[float]()
    with writer.base() as lent:
        assert lent.answer_logprobs([generator_messages(roles[0])], [["How?"]])
    together = write(progress=shares.append)
    assert sorted(together) == sorted(alone) == sorted(slots)
    assert sum(together[slot] == alone[slot] for slot in slots) >= 12  # the others differ by rounding in bfloat16
    assert (shares, shares[-1]) == (sorted(shares), 1.0)
    skip = {slot for slot in slots if slot[0] != roles[5].id}
    assert write(skip=skip) == {slot: text for slot, text in together.items() if slot not in skip}
    assert not multiprocessing.active_children()
    assert len(list(writer.write(roles[:1], 2, SAMPLING))) == 2  # fewer roles than processes
    writer.release()


def test_a_writer_s_process_that_is_killed_is_one_sentence(tiny_writer_folder: Path, role: MakeRole) -> None:
    writer = LocalWriter(str(tiny_writer_folder))
    writer.gpus = 2
    writer.prepare()
    (other,) = multiprocessing.active_children()
    other.kill()
    with pytest.raises(
        EngineError, match=r"^Process 2 of 2 has ended \(killed by SIGKILL\): run the same command again"
    ):
        list(writer.write([role(), role(1)], 1, SAMPLING))
    writer.release()


# ---- names -----------------------------------------------------------------------------------------------------------


def test_adapters_are_found_by_run_checkpoint_and_folder_and_write_otherwise(
    checkpoint: Any, tiny_writer_folder: Path, role: MakeRole
) -> None:
    base = find_writer(str(tiny_writer_folder))
    plain = [w.text for w in base.write([role()], 2, SAMPLING)]
    step, adapter = checkpoint / "global_step_2", checkpoint / "global_step_2/policy/lora_adapter"
    named = [find_writer(str(folder)) for folder in (checkpoint, step, adapter)] + [find_writer("rl", str(checkpoint))]
    texts = []
    writer: Any
    for writer in named:
        assert (writer.path, writer.adapter) == (str(tiny_writer_folder), adapter)
        assert writer.trained_with.temperature == 0.3
        texts.append([w.text for w in writer.write([role()], 2, SAMPLING)])
    assert texts == [texts[0]] * 4 != [plain] * 4
    assert len({writer.fingerprint for writer in named}) == 1
    assert base.fingerprint != named[0].fingerprint != find_writer(str(checkpoint / "global_step_1")).fingerprint
    assert base.trained_with is None


def test_latest_and_best_are_of_the_newest_run(
    checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "WORKSPACE", tmp_path)
    monkeypatch.setattr(finding, "WORKSPACE", tmp_path)
    assert cast(Any, find_writer("latest")).adapter.parents[1].name == "global_step_2"
    (checkpoint / "best.json").write_text('{"global_step": 1}')
    assert cast(Any, find_writer("best")).adapter.parents[1].name == "global_step_1"
    writer: Any = default_writer()
    assert (writer.name, writer.adapter.parents[1].name) == ("checkpoints/run/global_step_1", "global_step_1")
    export = tmp_path / finding.RL_EXPORT
    export.mkdir(parents=True)
    (export / "config.json").write_text("{}")
    assert cast(Any, default_writer()).path == str(export)
    assert cast(Any, find_writer("rl")).path == str(export)


def test_without_any_model_the_default_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "WORKSPACE", tmp_path)
    monkeypatch.setattr(finding, "WORKSPACE", tmp_path)
    with pytest.raises(ModelError, match="--model starter fetches"):
        default_writer()


def test_aliases_mean_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "WORKSPACE", tmp_path)
    monkeypatch.setattr(finding, "WORKSPACE", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cast(Any, find_writer("baseline")).path == "Qwen/Qwen3-4B-Instruct-2507"
    assert cast(Any, find_writer("rl")).path == "ash256/qwen3-4b-question-gen"
    for alias, model in (
        ("grok-4-1", "xai/grok-4.3"),
        ("claude-4-5-haiku", "anthropic/claude-haiku-4-5-20251001"),
        ("gpt-5-mini", "openai/gpt-5-mini-2025-08-07"),
    ):
        writer = find_writer(alias)
        assert isinstance(writer, ApiWriter)
        assert (writer.name, writer.api.name) == (alias, model)
    assert isinstance(find_writer("https://me.huggingface.cloud"), EndpointWriter)
    with pytest.raises(ConfigError, match="HF_ENDPOINT_URL"):
        find_writer("endpoint")
    monkeypatch.setenv("HF_ENDPOINT_URL", "https://me.huggingface.cloud")
    assert cast(Any, find_writer("endpoint")).api.address == "https://me.huggingface.cloud/v1"


@pytest.mark.parametrize("name", ["nowhere", "exports/nowhere", "./nowhere", "a/b/c"])
def test_a_name_that_means_nothing_lists_what_does(name: str) -> None:
    with pytest.raises(
        ModelError, match=r"There is no model .*starter, baseline, rl, .*provider/model.* Hub id"
    ) as caught:
        find_writer(name)
    assert "\n" not in str(caught.value)


def test_rl_with_an_unknown_checkpoint_lists_those_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no checkpoint at"):
        find_writer("rl", str(tmp_path / "nowhere"))


def test_fingerprint_changes_with_the_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"today")
    before = LocalWriter(str(tmp_path)).fingerprint
    assert before == LocalWriter(str(tmp_path)).fingerprint
    (tmp_path / "model.safetensors").write_bytes(b"later")
    assert before != LocalWriter(str(tmp_path)).fingerprint
