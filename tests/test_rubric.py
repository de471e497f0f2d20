import hashlib
import json
import math
from dataclasses import asdict, replace

import pytest

from recruiter.rubric import CRITERIA, CRITERION_NAMES, RUBRIC_HASH, Judgement, Scores, rating_to_score


def test_criteria_and_penalties_are_those_of_the_rubric():
    assert CRITERION_NAMES == ("relevance", "clarity", "discriminative")
    penalties = {flag.name: (criterion.name, flag.penalty) for criterion in CRITERIA for flag in criterion.red_flags}
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


def test_red_flag_names_are_unique():
    names = [flag.name for criterion in CRITERIA for flag in criterion.red_flags]
    assert len(names) == len(set(names))


def test_rubric_hash_changes_when_a_penalty_changes():
    def digest(criteria):
        return hashlib.sha256(json.dumps([asdict(c) for c in criteria], sort_keys=True).encode()).hexdigest()[:16]

    first = CRITERIA[0]
    changed = replace(first, red_flags=(replace(first.red_flags[0], penalty=99), *first.red_flags[1:]))
    assert digest(CRITERIA) == RUBRIC_HASH != digest((changed, *CRITERIA[1:]))


def test_composite_is_the_mean_of_the_three_criteria():
    assert Scores(9.0, 6.0, 3.0).composite == pytest.approx(6.0)


def test_reward_is_composite_over_ten():
    assert Judgement(Scores(10, 10, 10)).reward == 1.0
    assert Judgement(Scores(0, 0, 0)).reward == 0.0
    assert Judgement(Scores(9.0, 6.0, 4.5)).reward == pytest.approx(0.65)


@pytest.mark.parametrize("bad", [-0.1, 10.1, math.nan, math.inf])
@pytest.mark.parametrize("name", CRITERION_NAMES)
def test_score_outside_the_scale_is_refused_by_name(name, bad):
    with pytest.raises(ValueError, match=f"{name} must be between 0 and 10"):
        Scores(**{**dict.fromkeys(CRITERION_NAMES, 5.0), name: bad})


def test_unscored_judgement_has_a_reason_and_no_number():
    judgement = Judgement.unscored("timed out")
    assert (judgement.scores, judgement.reward, judgement.unscored_reason) == (None, None, "timed out")


def test_judgement_has_either_scores_or_a_reason():
    with pytest.raises(ValueError, match="either scores or a reason"):
        Judgement(None)
    with pytest.raises(ValueError, match="either scores or a reason"):
        Judgement(Scores(5, 5, 5), unscored_reason="timed out")


@pytest.mark.parametrize(("rating", "score"), [(1, 0.0), (2, 2.5), (3, 5.0), (4.5, 8.75), (5, 10.0)])
def test_human_rating_maps_linearly_from_1_to_5(rating, score):
    assert rating_to_score(rating) == pytest.approx(score)


@pytest.mark.parametrize("rating", [0, 0.99, 5.01, 6, math.nan])
def test_rating_outside_1_to_5_is_refused(rating):
    with pytest.raises(ValueError, match="a rating must be between 1 and 5"):
        rating_to_score(rating)
