import json

import numpy as np
import pytest

from recruiter import evaluation
from recruiter.config import SamplingParams
from recruiter.errors import ConfigError, DataError, ModelError
from recruiter.evaluation import Contestant, evaluate, find_contestant, load_results, paired_difference, summarise
from recruiter.rubric import Judgement, Scores


def row(role_id: str, scores: tuple[float, float, float] | None, question="Why is it slow?", **changes) -> dict:
    named = None
    if scores:
        named = dict(zip(("relevance", "clarity", "discriminative"), scores, strict=True))
        named["composite"] = sum(scores) / 3
    base = {"role_id": role_id, "sample": 0, "question": question, "tokens": 10, "finished": True}
    return {**base, "scores": named, "unscored_reason": None if named else "timed out", **changes}


# ---- figures ---------------------------------------------------------------------------------------------------------


def test_summary_by_hand(role):
    roles = [role(0), role(1), role(2)]
    rows = [
        row("role-000", (9, 6, 3), "one two three four", tokens=20),
        row("role-001", (3, 3, 3), "zero one two three", finished=False),
        row("role-002", None, "alpha beta gamma", tokens=30),
    ]
    summary = summarise(roles, rows)
    means = {name: figure["mean"] for name, figure in summary["scores"].items()}
    assert means == pytest.approx({"relevance": 6.0, "clarity": 4.5, "discriminative": 3.0, "composite": 4.5})
    assert (summary["questions"], summary["unscored"], summary["cut_off"]) == (3, 1, 1)
    assert summary["share_below_5"] == 0.5
    assert summary["overlap_median"] == 0.5
    assert summary["tokens_mean"] == 20.0


def test_several_samples_count_once_a_role(role):
    rows = [
        row("role-000", (10, 10, 10)),
        row("role-000", (8, 8, 8), sample=1),
        row("role-000", (6, 6, 6), sample=2),
        row("role-001", (2, 2, 2)),
        row("role-001", None, sample=1),
        row("role-001", None, sample=2),
    ]
    summary = summarise([role(0), role(1)], rows)
    assert summary["scores"]["composite"]["mean"] == pytest.approx((8 + 2) / 2)
    assert (summary["questions"], summary["unscored"]) == (6, 2)


def test_nothing_scored_gives_no_numbers(role):
    summary = summarise([role(0)], [row("role-000", None)])
    assert set(summary["scores"].values()) == {None}
    assert summary["share_below_5"] is None
    assert summary["unscored"] == 1


def test_interval_is_deterministic_holds_the_mean_and_has_the_width_of_theory():
    values = np.random.default_rng(1).normal(5.0, 2.0, 100)
    figure = evaluation._mean_with_interval(values)
    assert figure == evaluation._mean_with_interval(values)
    assert figure["mean"] == pytest.approx(values.mean())
    assert figure["low"] < figure["mean"] < figure["high"]
    expected = 2 * 1.96 * values.std() / 10
    assert figure["high"] - figure["low"] == pytest.approx(expected, rel=0.05)


def test_interval_of_equal_values_is_a_point():
    figure = evaluation._mean_with_interval(np.full(10, 7.0))
    assert (figure["mean"], figure["low"], figure["high"]) == (7.0, 7.0, 7.0)


def test_interval_covers_the_truth_about_95_times_of_100():
    generator = np.random.default_rng(0)
    figures = [evaluation._mean_with_interval(generator.normal(0.0, 1.0, 50)) for _ in range(60)]
    covered = sum(figure["low"] <= 0.0 <= figure["high"] for figure in figures)
    assert 50 <= covered <= 60


def test_paired_difference_stands_on_common_roles_only():
    baseline = [row("a", (5, 5, 5)), row("b", (5, 5, 5)), row("c", (9, 9, 9)), row("d", (4, 4, 4)), row("e", None)]
    ours = [row("a", (8, 8, 8)), row("b", (5, 5, 5)), row("c", None), row("d", (3, 3, 3)), row("e", (9, 9, 9))]
    difference = paired_difference(ours, baseline)
    assert difference["mean"] == pytest.approx((3 + 0 - 1) / 3)
    assert (difference["roles"], difference["wins"], difference["ties"], difference["losses"]) == (3, 1, 1, 1)
    assert difference["low"] <= difference["mean"] <= difference["high"]


def test_no_common_role_gives_no_difference():
    assert paired_difference([row("a", None)], [row("a", (5, 5, 5))]) is None


# ---- which model -----------------------------------------------------------------------------------------------------


def test_names_mean_aliases_folders_or_hub_ids():
    assert find_contestant("starter", None) == Contestant("starter", "exports/starter")
    assert find_contestant("baseline", None).path == "Qwen/Qwen3-4B-Instruct-2507"
    assert find_contestant("exports/mine", None) == Contestant("exports/mine", "exports/mine")


def test_rl_needs_a_checkpoint():
    with pytest.raises(ConfigError, match="--model rl needs --checkpoint"):
        find_contestant("rl", None)


def test_rl_with_an_unknown_checkpoint_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no checkpoint at .*nowhere"):
        find_contestant("rl", str(tmp_path / "nowhere"))


def test_rl_takes_a_merged_model_folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert find_contestant("rl", str(tmp_path)) == Contestant("rl", str(tmp_path))


def test_fingerprint_changes_with_everything_the_questions_depend_on(tmp_path, role):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"one")
    contestant, roles, sampling = Contestant("rl", "base", tmp_path), [role(0), role(1)], SamplingParams()
    base = contestant.fingerprint(roles, sampling, 0, 1)
    assert base == contestant.fingerprint(roles, sampling, 0, 1)
    others = [
        Contestant("rl", "other base", tmp_path).fingerprint(roles, sampling, 0, 1),
        Contestant("rl", "base").fingerprint(roles, sampling, 0, 1),
        contestant.fingerprint(roles[:1], sampling, 0, 1),
        contestant.fingerprint([role(0), role(1, description="Another.")], sampling, 0, 1),
        contestant.fingerprint(roles, SamplingParams(temperature=0.5), 0, 1),
        contestant.fingerprint(roles, sampling, 1, 1),
        contestant.fingerprint(roles, sampling, 0, 2),
    ]
    (tmp_path / "adapter_model.safetensors").write_bytes(b"two")
    others.append(contestant.fingerprint(roles, sampling, 0, 1))
    assert len({base, *others}) == len(others) + 1


def test_fingerprint_changes_when_other_weights_lie_in_the_same_folder(tmp_path, role):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights of today")
    contestant = Contestant("mine", str(tmp_path))
    before = contestant.fingerprint([role(0)], SamplingParams(), 0, 1)
    (tmp_path / "model.safetensors").write_bytes(b"weights of tomorrow, trained longer")
    assert contestant.fingerprint([role(0)], SamplingParams(), 0, 1) != before


# ---- the whole evaluation --------------------------------------------------------------------------------------------


class LengthJudge:
    """Scores a question by its number of words; a question without words is unscored."""

    name = "length"
    version = "1"

    async def score(self, role, questions):
        words = [len(question.split()) for question in questions]
        return [Judgement(Scores(n, n, n), f"{n} words") if n else Judgement.unscored("empty") for n in words]


@pytest.fixture
def run(tmp_path, role, monkeypatch):
    """Evaluate models that write the given questions for three roles; notes which models had to write."""
    roles, wrote = [role(i) for i in range(3)], []

    def start(questions: dict[str, list[str]], seed=0, roles=roles):
        def write_questions(contestant, roles, sampling, seed, samples, progress):
            wrote.append(contestant.name)
            texts = questions[contestant.name]
            return [row(r.id, None, text) for r, text in zip(roles, texts, strict=True)]

        monkeypatch.setattr(evaluation, "write_questions", write_questions)
        contestants = [Contestant(name, name) for name in questions]
        output = tmp_path / "results/eval.json"
        results = evaluate(contestants, LengthJudge(), roles, SamplingParams(), seed, 1, output, lambda who, done: None)
        return results, json.loads(output.read_text()), wrote

    return start


def test_every_question_is_judged_stored_and_compared_with_the_first_model(run):
    results, stored, _ = run({"before": ["a b", "a b c d", "a"], "after": ["a b c", "a b c d", ""]})
    before, after = results["models"]["before"], results["models"]["after"]
    assert [r["question"] for r in after["rows"]] == ["a b c", "a b c d", ""]
    assert [r["scores"] and r["scores"]["composite"] for r in after["rows"]] == [3.0, 4.0, None]
    assert [r["unscored_reason"] for r in after["rows"]] == [None, None, "empty"]
    assert before["summary"]["scores"]["composite"]["mean"] == pytest.approx((2 + 4 + 1) / 3)
    assert after["summary"]["scores"]["composite"]["mean"] == pytest.approx(3.5)
    assert after["summary"]["unscored"] == 1
    assert before["difference"] is None
    assert after["difference"]["mean"] == pytest.approx(0.5)
    assert after["difference"]["roles"] == 2
    assert stored["models"] == json.loads(json.dumps(results["models"]))
    assert (stored["schema_version"], stored["judge"], len(stored["roles"])) == (1, "length", 3)


def test_only_models_whose_questions_changed_write_again(run, role):
    questions = {"before": ["a", "a", "a"], "after": ["a b", "a b", "a b"]}
    run(questions)
    _, _, wrote = run(questions)
    assert wrote == ["before", "after"]
    _, _, wrote = run(questions, seed=1)
    assert wrote == ["before", "after"] * 2
    _, _, wrote = run({name: texts[:2] for name, texts in questions.items()}, seed=1, roles=[role(0), role(1)])
    assert wrote == ["before", "after"] * 3


def test_results_of_other_models_stay_in_the_file(run):
    run({"a": ["x", "x", "x"]})
    results, stored, _ = run({"b": ["x y", "x y", "x y"]})
    assert list(results["models"]) == ["b"]
    assert set(stored["models"]) == {"a", "b"}


def test_missing_results_are_an_empty_set(tmp_path):
    assert load_results(tmp_path / "none.json")["models"] == {}


def test_results_of_a_newer_version_are_refused_and_left_alone(run, tmp_path):
    path = tmp_path / "results/eval.json"
    path.parent.mkdir()
    path.write_text('{"schema_version": 99, "models": {}}')
    with pytest.raises(DataError, match=r"schema version 99, this code writes 1; name another --output"):
        run({"a": ["x", "x", "x"]})
    assert path.read_text() == '{"schema_version": 99, "models": {}}'


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', '{"schema_version": 1}'])
def test_file_that_holds_no_results_is_refused(tmp_path, text):
    path = tmp_path / "notes.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"notes.json is not a results file; name another with --output"):
        load_results(path)
