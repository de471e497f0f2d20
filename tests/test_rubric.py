from __future__ import annotations

import math
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from feedback.export import schema
from recruiter.errors import ConfigError
from recruiter.roles import Role
from recruiter.rubric import RESERVED, RESERVED_BEGINNINGS, Judgement, load_rubric, rating_to_score
from recruiter.train.rows import MetricsRow
from tests import REPOSITORY
from tests.scoring import RUBRIC, scored

BUILT_IN = (REPOSITORY / "configs/rubric.yaml").read_text(encoding="utf-8")
FOUR = """
criteria:
  - {name: depth, question: "How deep does it go?", weight: 3}
  - {name: tone, question: "Is it polite?", red_flags: [{name: rude, text: it is rude, penalty: 2.5}]}
  - {name: length, question: "Is it short?", anchors: {1: a page, 3: a paragraph, 5: a sentence}, checks: ["Is it short?"]}
  - name: fairness
    question: |
      Is it fair
      to everybody?
    weight: 0.5
"""


def written(folder: Any, text: str) -> Any:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_criteria_and_penalties_are_those_of_the_rubric() -> None:
    assert RUBRIC.names == ("relevance", "clarity", "discriminative")
    penalties = {flag.name: (c.name, flag.penalty) for c in RUBRIC.criteria for flag in c.red_flags}
    given = {
        "generic": ("relevance", 3),
        "minor_technology": ("relevance", 2),
        "unlisted_technology": ("relevance", 2),
        "bundled": ("clarity", 2),
        "too_broad": ("clarity", 2),
        "recall": ("discriminative", 3),
        "one_word": ("discriminative", 2),
    }
    assert {name: penalties[name] for name in given} == given


def test_red_flag_names_are_unique() -> None:
    names = [flag.name for criterion in RUBRIC.criteria for flag in criterion.red_flags]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("penalty: 6", "penalty: 5"),
        ("text: repeats itself", "text: says it twice"),
        ("weight: 1", "weight: 2"),
        ("1: one cannot tell what is asked", "1: nobody can tell what is asked"),
        ("- Does this question make sense as a whole?", "- Does it make sense?"),
        ("Is the question unambiguous", "Is it unambiguous"),
        ("name: clarity", "name: clearness"),
    ],
)
def test_hash_changes_with_the_content(tmp_path: Path, old: str, new: str) -> None:
    assert old in BUILT_IN
    assert load_rubric(written(tmp_path, BUILT_IN.replace(old, new, 1))).hash != RUBRIC.hash


def test_no_criterion_can_take_the_name_of_a_column_that_stands_beside_it() -> None:
    ratings = set(schema(()).names)
    sheet = {"question", *Role.model_fields, "role_id", "composite", "reasoning", "unscored_reason"}
    taken = ratings | sheet | set(MetricsRow.__annotations__)
    assert {name for name in taken if not name.startswith(RESERVED_BEGINNINGS)} <= RESERVED


def test_hash_stays_when_only_the_file_changes(tmp_path: Path) -> None:
    path = written(tmp_path, yaml.safe_dump(yaml.safe_load(BUILT_IN)))
    assert load_rubric(path).hash == RUBRIC.hash


def test_a_rubric_of_ones_own_is_read_with_its_defaults(tmp_path: Path) -> None:
    rubric = load_rubric(written(tmp_path, FOUR))
    assert rubric.names == ("depth", "tone", "length", "fairness")
    assert [criterion.weight for criterion in rubric.criteria] == [3, 1, 1, 0.5]
    assert rubric.criteria[3].question == "Is it fair to everybody?"
    assert rubric.criteria[2].anchors == {1: "a page", 3: "a paragraph", 5: "a sentence"}
    assert (rubric.criteria[0].red_flags, rubric.criteria[0].anchors, rubric.criteria[0].checks) == ((), {}, ())


def test_composite_is_the_weighted_mean(tmp_path: Path) -> None:
    rubric = load_rubric(written(tmp_path, FOUR))
    scores = rubric.scores({"fairness": 10.0, "depth": 2.0, "tone": 8.0, "length": 5.0})
    assert scores.composite == pytest.approx((3 * 2 + 8 + 5 + 0.5 * 10) / 5.5)
    assert (list(scores.values), scores["tone"]) == (["depth", "tone", "length", "fairness"], 8.0)
    assert rubric.scores(dict.fromkeys(rubric.names, 10.0)).composite == 10.0


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("weight: 3", "weight: 0", "weight of criterion 'depth' cannot be 0; write a number above 0"),
        ("weight: 3", "weight: heavy", "weight of criterion 'depth' cannot be heavy; write a number above 0"),
        (
            "weight: 3",
            "wieght: 3",
            "criterion 'depth' has an unknown key 'wieght'; the keys are name, question, weight",
        ),
        (
            "penalty: 2.5",
            "penalty: -1",
            "penalty of red flag 'rude' of criterion 'tone' cannot be -1; write the points",
        ),
        ("penalty: 2.5", "points: 1", "red flag 'rude' of criterion 'tone' has no penalty; write the points"),
        ("name: depth", "name: Depth!", "name of criterion 'Depth!' cannot be Depth!; write small letters"),
        ("name: depth", "name: tone", "there are two of the criterion 'tone'"),
        ("name: depth", "name: loss", "a criterion cannot be called 'loss'"),
        (
            'question: "How deep does it go?"',
            "question: ",
            "question of criterion 'depth' cannot be None; write the question",
        ),
        (', question: "How deep does it go?"', "", "criterion 'depth' has no question; write the question"),
        ("3: a paragraph, ", "", "the anchors of 'length' must say what 1, 3 and 5 mean"),
        ("1: a page", "one: a page", "anchors of criterion 'length' cannot be"),
        ('["Is it short?"]', "short", "checks of criterion 'length' cannot be short; write a list"),
        ("criteria:", "criterions:", "the rubric has no criteria; write a list of criteria"),
        ("\ncriteria:", "\ncriteria: []\nx:", "criteria of the rubric cannot be"),
        ("criteria:", "- criteria:", "is no rubric: write `criteria:`"),
        ("weight: 3}", "weight: 3", "line 4: it cannot be read as YAML"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_place_and_remedy(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert old in FOUR
    path = written(tmp_path, FOUR.replace(old, new, 1))
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        load_rubric(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_rubric_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no rubric at nowhere\.yaml"):
        load_rubric("nowhere.yaml")


def test_reward_is_composite_over_ten() -> None:
    assert Judgement(scored(10)).reward == 1.0
    assert Judgement(scored(0)).reward == 0.0
    assert Judgement(scored(9.0, 6.0, 4.5)).reward == pytest.approx(0.65)


@pytest.mark.parametrize("bad", [-0.1, 10.1, math.nan, math.inf])
@pytest.mark.parametrize("name", RUBRIC.names)
def test_score_outside_the_scale_is_refused_by_name(name: Any, bad: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be between 0 and 10"):
        RUBRIC.scores({**dict.fromkeys(RUBRIC.names, 5.0), name: bad})


@pytest.mark.parametrize("names", [(), ("relevance", "clarity"), ("relevance", "clarity", "depth")])
def test_scores_by_other_criteria_are_refused(names: Any) -> None:
    with pytest.raises(ValueError, match="no scores by relevance, clarity, discriminative"):
        RUBRIC.scores(dict.fromkeys(names, 5.0))


def test_scores_travel_between_processes() -> None:
    assert pickle.loads(pickle.dumps(scored(9, 6, 3))) == scored(9, 6, 3) != scored(9, 6, 2)


def test_unscored_judgement_has_a_reason_and_no_number() -> None:
    judgement = Judgement.unscored("timed out")
    assert (judgement.scores, judgement.reward, judgement.unscored_reason) == (None, None, "timed out")


def test_judgement_has_either_scores_or_a_reason() -> None:
    with pytest.raises(ValueError, match="either scores or a reason"):
        Judgement(None)
    with pytest.raises(ValueError, match="either scores or a reason"):
        Judgement(scored(5), unscored_reason="timed out")


@pytest.mark.parametrize(("rating", "score"), [(1, 0.0), (2, 2.5), (3, 5.0), (4.5, 8.75), (5, 10.0)])
def test_human_rating_maps_linearly_from_1_to_5(rating: float, score: float) -> None:
    assert rating_to_score(rating) == pytest.approx(score)


@pytest.mark.parametrize("rating", [0, 0.99, 5.01, 6, math.nan])
def test_rating_outside_1_to_5_is_refused(rating: Any) -> None:
    with pytest.raises(ValueError, match="a rating must be between 1 and 5"):
        rating_to_score(rating)


def test_what_only_helps_people_changes_no_hash(tmp_path: Path) -> None:
    """Runs and judgements of the same criteria go on when labels, examples and the meaning of 2 and 4 are added."""
    assert RUBRIC.hash == "3335229cf283fcce"  # as it was before there were any of these
    for old, new in (
        ("label: Tells", "label: Says"),
        ("2: it touches", "2: it hardly touches"),
        ("why: The role", "why: A role"),
    ):
        assert old in BUILT_IN
        assert load_rubric(written(tmp_path, BUILT_IN.replace(old, new, 1))).hash == RUBRIC.hash
    assert all(set(one.anchors) == {1, 2, 3, 4, 5} for one in RUBRIC.criteria)
    assert len(RUBRIC.examples) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "ratings: [5, 5, 5]",
            "ratings: [5, 5]",
            "has 2 ratings; write one for each of relevance, clarity, discriminative",
        ),
        ("ratings: [5, 5, 5]", "ratings: [5, 5, 6]", "example 1 cannot be 6; write a list of whole numbers"),
        ("label: Tells strong from weak", "label: ''", "label of criterion 'discriminative' cannot be empty"),
    ],
)
def test_a_wrong_example_or_label_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_rubric(written(tmp_path, BUILT_IN.replace(old, new, 1)))
