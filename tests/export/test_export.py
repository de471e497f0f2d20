from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from recruiter import export as module
from recruiter.errors import ExportError, HubError
from recruiter.evaluation.blind import make_sheet, with_sheet
from recruiter.evaluation.estimates import Estimate
from recruiter.evaluation.records import Mark, Reading
from recruiter.export import describe, plan_export
from recruiter.export.manifest import Manifest
from recruiter.export.verify import verify
from recruiter.prompts import PROMPT_HASH
from recruiter.rubric import load_rubric
from tests import REPOSITORY
from tests.conftest import MakeRole, known
from tests.export.conftest import Train
from tests.fake_hub import FakeHub
from tests.report_data import make_results


def plan(
    trained: Any,
    name: str = "out",
    length: Any = None,
    dtype: str = "float32",
    base: Any = None,
    overwrite: bool = False,
) -> Any:
    return plan_export(trained.adapter, trained.base.parent / name, length, dtype, base, overwrite)


def write(trained: Any, **options: Any) -> Any:
    made = plan(trained, **options)
    made.write(lambda _: None)
    return made


def test_the_same_export_is_recognised_and_another_refused(train: Train) -> None:
    trained = train()
    assert plan(trained).existing is None
    write(trained)
    assert plan(trained).existing is not None
    with pytest.raises(ExportError, match=r"out holds another export: --overwrite replaces it"):
        plan(trained, dtype="bfloat16")
    assert plan(trained, dtype="bfloat16", overwrite=True).existing is None


def test_a_changed_or_missing_file_is_named(train: Train) -> None:
    trained = train()
    folder = write(trained).folder
    (folder / "config.json").write_text("{}")
    with pytest.raises(
        ExportError, match=r"config\.json is changed since it was exported: export again with --overwrite"
    ):
        plan(trained)
    (folder / "config.json").unlink()
    with pytest.raises(ExportError, match=r"config\.json is missing"):
        plan(trained)


def test_folders_that_cannot_be_the_output(train: Train) -> None:
    trained = train()
    with pytest.raises(ExportError, match="is the base model of this adapter"):
        plan(trained, name="base", overwrite=True)
    (trained.base.parent / "file").write_text("x")
    with pytest.raises(ExportError, match="file is a file"):
        plan(trained, name="file")
    (trained.base.parent / "full").mkdir()
    (trained.base.parent / "full/notes").write_text("x")
    with pytest.raises(ExportError, match="full holds no export, so nothing in it is replaced"):
        plan(trained, name="full")


def test_overwrite_replaces_exports_and_nothing_else(train: Train) -> None:
    trained = train()
    other = trained.base.parent / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("years of work")
    with pytest.raises(ExportError, match="thesis holds no export, so nothing in it is replaced: choose another"):
        plan(trained, name="thesis", overwrite=True)
    folder = write(trained).folder
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"out also holds notes\.txt"):
        plan(trained, overwrite=True)
    (folder / "notes.txt").unlink()
    export = plan(trained, dtype="bfloat16", overwrite=True)
    (folder / "notes.txt").write_text("came while it was merged")
    with pytest.raises(ExportError, match=r"out also holds notes\.txt"):
        export.write(lambda _: None)
    assert (other / "chapter.txt").read_text() == "years of work"
    assert (folder / "notes.txt").read_text() == "came while it was merged"
    (folder / "notes.txt").unlink()
    export.write(lambda _: None)
    assert known(Manifest.read(folder)).dtype == "bfloat16"


def test_disk_is_checked_first(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = train()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(ExportError, match=r"needs 0\.1 GB and 0\.0 GB are free at .*choose another --output"):
        plan(trained)


def test_bases_that_cannot_be_used(train: Train, edit_json: Callable[..., None]) -> None:
    trained = train()
    with pytest.raises(
        ExportError, match=r"belongs to exports/none, which is not there: put it back, or say .* --base"
    ):
        plan(trained, base="exports/none")
    edit_json(trained.base / "config.json", quantization_config={"bits": 4})
    with pytest.raises(ExportError, match="is quantised"):
        plan(trained)
    edit_json(trained.base / "config.json", quantization_config=None, model_type="vit")
    with pytest.raises(ExportError, match="cannot be read as a causal language model"):
        plan(trained)
    (trained.base / "config.json").unlink()
    with pytest.raises(ExportError, match=r"its config\.json is missing"):
        plan(trained)


def test_incomplete_and_damaged_bases(train: Train, edit_json: Callable[..., None]) -> None:
    trained = train()
    path = trained.base / "model.safetensors"
    weights, whole = load_file(path), path.read_bytes()
    save_file({name: tensor for name, tensor in weights.items() if name != "model.norm.weight"}, path)
    with pytest.raises(ExportError, match=r"1 weights are missing, model\.norm\.weight for one"):
        plan(trained)
    path.write_bytes(whole[:-50])
    with pytest.raises(ExportError, match=r"model\.safetensors is damaged .*: get the model again"):
        plan(trained)
    path.write_bytes(whole)
    edit_json(trained.base / "config.json", intermediate_size=96)
    with pytest.raises(ExportError, match=r"contradicts itself: \S+ has shape"):
        plan(trained)


def test_base_on_the_hub_is_fetched(train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained = train()
    hub = FakeHub()
    hub.connect(monkeypatch, tmp_path / "cache")
    try:
        hub.add("org/base", {file.name: file.read_bytes() for file in trained.base.iterdir()})
        settings = trained.adapter / "adapter_config.json"
        settings.write_text(settings.read_text().replace(str(trained.base), "org/base"))
        made = write(trained)
        manifest = Manifest.read(made.folder)
        assert (known(manifest).base, known(manifest).hub_base) == ("org/base", "org/base")
        with pytest.raises(HubError, match="The Hub has no org/other"):
            plan(trained, base="org/other", name="b")
    finally:
        hub.close()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_verify_compares_with_base_and_adapter_and_asks_for_questions(train: Train, role: MakeRole, dtype: str) -> None:
    trained = train()
    made = write(trained, dtype=dtype)
    found = verify(made, [role(0), role(1)], lambda _: None)
    assert found.max_difference < (1e-4 if dtype == "float32" else 0.1)
    assert found.kl_lost < 0.05 * found.kl_adapter
    assert [asked.id for asked, _ in found.questions] == ["role-000", "role-001"]
    assert found.tokens > 2
    found.check(dtype)


def test_verify_notices_an_export_that_is_not_base_and_adapter(train: Train, role: MakeRole) -> None:
    trained = train()
    made = write(trained)
    base = load_file(trained.base / "model.safetensors")
    save_file({name: base[name].clone() for name in base}, made.folder / "model.safetensors", {"format": "pt"})
    found = verify(made, [role()], lambda _: None)
    with pytest.raises(ExportError, match=r"not base \+ adapter: a probability differs by"):
        found.check("float32")
    with pytest.raises(ExportError, match="no nearer to the trained model than its base"):
        found.check("bfloat16")


def run_of(trained: Any) -> None:
    """What a training run leaves beside its checkpoints."""
    config = {
        "generator": {"sampling_params": {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "max_generate_length": 64}},
        "trainer": {"policy": {"lora": {"rank": 4, "alpha": 8}}},
    }
    description = {
        "config": config, "judge": "xai/grok", "prompt_hash": "p1", "rubric_hash": "r1", "version": "0.1.0",
        "revision": "abc",
    }  # fmt: skip
    (trained.run / "run.json").write_text(json.dumps(description))
    criteria = {"relevance": 5.0, "clarity": 6.0, "discriminative": 4.0}
    rows = [
        {
            "step": step,
            "reward_mean": step / 10,
            "reward_std": 0.1,
            "length_mean": 30.0,
            "validation_reward": None,
            **criteria,
        }
        for step in range(1, 6)
    ]
    (trained.run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def results_of(adapter: Any, roles: Any, **changes: Any) -> dict[str, Any]:
    results = make_results(roles, {"rl": lambda *_: 6.25}, ["openai/judge"])
    results.models["rl"].adapter = str(adapter)
    figures = results.figures["openai/judge"]["rl"]
    figures.scores = dict.fromkeys(results.metrics, Estimate(mean=6.25, low=5.5, high=7.0, roles=2))
    figures.unscored, figures.questions = 1, 2
    return {**results.model_dump(mode="json"), **changes}


def test_card_tells_base_data_judge_hashes_curve_and_use(train: Train) -> None:
    trained = train()
    run_of(trained)
    (trained.base / "README.md").write_text("---\nlicense: mit\n---\n")
    folder = write(trained, length=2048).folder
    describe(folder, "user/writer")
    card = (folder / "README.md").read_text()
    for part in (
        "license: mit", "# writer", "| base model | base |", "rank 4, alpha 8", "xai/grok", "`p1`", "`r1`", "revision abc",
        "![Reward over the steps of training](training.png)", "| 3 | 0.3 | 5 | 6 | 4 |  |", 'model="user/writer"',
        "vllm serve user/writer --max-model-len 2048", "It was not evaluated on held-out roles", "mit, as its base model base",
    ):  # fmt: skip
        assert part in card
    assert "| 4 | 0.4" not in card
    assert (folder / "training.png").read_bytes()[:4] == b"\x89PNG"
    assert str(trained.base.parent) not in card


def test_card_shows_the_criteria_that_the_run_was_judged_by(train: Train) -> None:
    trained, rubric = train(), load_rubric(REPOSITORY / "tests/own_rubric.yaml")
    run_of(trained)
    path = trained.run / "run.json"
    described = {**json.loads(path.read_text()), "rubric": rubric.model_dump(mode="json"), "rubric_hash": rubric.hash}
    path.write_text(json.dumps(described))
    row = {"step": 1, "reward_mean": 0.5, "depth": 4.0, "tone": 6.5, "brevity": 7.0, "fairness": 2.0}
    (trained.run / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    folder = write(trained).folder
    manifest = describe(folder)
    card = (folder / "README.md").read_text()
    assert "| step | reward (0–1) | depth | tone | brevity | fairness | validation |\n" + "| --- " * 7 + "|\n" in card
    assert "| 1 | 0.5 | 4 | 6.5 | 7 | 2 |  |" in card
    assert "by a rubric (depth, tone, brevity, fairness)" in card
    assert "stays on the surface; needs two breaths." in card
    assert manifest.rubric_hash == rubric.hash


def test_card_without_a_run_and_without_a_licence(train: Train) -> None:
    folder = write(train()).folder
    manifest = describe(folder)
    card = (folder / "README.md").read_text()
    assert "license: other" in card
    assert "does not state one in its files" in card
    assert "## Training" not in card
    assert (manifest.prompt_hash, manifest.rubric_hash) == (PROMPT_HASH, load_rubric().hash)


def test_card_shows_evaluations_of_this_very_adapter(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: MakeRole
) -> None:
    trained, roles = train(), [role(0), role(1)]
    folder = write(trained).folder
    monkeypatch.setattr(module, "WORKSPACE", tmp_path)
    results = tmp_path / "results/eval.json"
    results.parent.mkdir()
    (tmp_path / "results/other.json").write_text(json.dumps(results_of("x", roles)))
    (tmp_path / "results/old.json").write_text(json.dumps(results_of(trained.adapter, roles, schema_version=1)))
    (tmp_path / "results/torn.json").write_text("{")
    describe(folder)
    assert "not evaluated" in (folder / "README.md").read_text()
    results.write_text(json.dumps(results_of(trained.adapter, roles)))
    describe(folder)
    card = (folder / "README.md").read_text()
    assert "## Evaluation, judge openai/judge" in card
    assert "| rl | 6.25 (5.50 to 7.00) |" in card
    assert "| 1 of 2 |" in card
    assert card.count("## Evaluation") == 1


def test_card_begins_with_blind_reads_and_takes_no_word_of_the_judge_that_trained_it(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: MakeRole
) -> None:
    trained = train()
    run_of(trained)
    folder = write(trained).folder
    monkeypatch.setattr(module, "WORKSPACE", tmp_path)
    models = {"base": lambda judge, n: 2.0, "rl": lambda judge, n: 9.0}
    results = make_results([role(i) for i in range(6)], models, ["xai/grok"])  # it doesn't know the run; the card does
    results.models["rl"].adapter = str(trained.adapter)
    (tmp_path / "results").mkdir()
    results.save(tmp_path / "results/eval.json")
    describe(folder)
    card = (folder / "README.md").read_text()
    first = card.split("---\n", 2)[2].strip().split("\n\n")[1]
    assert first.startswith(
        "**This model is rl. Only xai/grok has judged rl, and also rewarded its training: that is no"
    )
    assert "## Evaluation, judge xai/grok (*: this judge trained it: no evidence)" in card
    assert "| rl* | 9.00" in card

    sheet = make_sheet(results, 0)
    marks = {item.id: Mark(score=3 if item.samples[0][0] == "rl" else 5) for item in sheet.items}
    sheet.readings["anna"] = Reading(kind="person", marks=marks)
    with_sheet(results, sheet).save(tmp_path / "results/eval.json")
    describe(folder)
    card = (folder / "README.md").read_text()
    first = card.split("---\n", 2)[2].strip().split("\n\n")[1]
    assert first.startswith(
        "**This model is rl. Read blind by 1 person: rl is preferred to base in 0 of 6 decided pairs (0%"
    )
    assert card.index("## Read blind by 1 person, against base") < card.index("## Evaluation, judge xai/grok")


def test_card_outlives_its_checkpoint(train: Train) -> None:
    trained = train()
    run_of(trained)
    folder = write(trained).folder
    describe(folder)
    before = (folder / "README.md").read_text()
    shutil.rmtree(trained.run)
    describe(folder)
    assert (folder / "README.md").read_text() == before
    with pytest.raises(ExportError, match="There is no export at"):
        describe(trained.base)
