"""The data set itself: 500 roles that are distinct and coherent."""

import json
import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from recruiter.roles import LEVELS, Role, load_roles
from tests import REPOSITORY

PATH = REPOSITORY / "data/backend_roles.json"
# What a title may say of the level. "Lead" is used for senior and staff engineers.
TITLE_LEVELS = {
    "junior": {"junior"},
    "graduate": {"junior"},
    "intern": {"junior"},
    "associate": {"junior"},
    "i": {"junior"},
    "ii": {"mid"},
    "iii": {"senior"},
    "senior": {"senior"},
    "lead": {"senior", "staff"},
    "staff": {"staff"},
    "principal": {"principal"},
}


@pytest.fixture(scope="module")
def roles() -> list[Role]:
    return load_roles(PATH)


def test_there_are_500_roles_100_of_each_level(roles: list[Role]) -> None:
    assert len(roles) == 500
    assert Counter(role.level for role in roles) == dict.fromkeys(LEVELS, 100)


def test_there_are_at_least_40_focus_areas_and_none_dominates(roles: list[Role]) -> None:
    areas = Counter(role.focus for role in roles)
    assert len(areas) >= 40
    assert max(areas.values()) <= 500 / 40 * 2


def test_ids_and_descriptions_are_unique(roles: list[Role]) -> None:
    assert len({role.id for role in roles}) == 500
    assert len({(role.title, role.description) for role in roles}) == 500
    assert len({role.description for role in roles}) == 500


def test_every_record_uses_every_field_and_no_other() -> None:
    for record in json.loads(PATH.read_text(encoding="utf-8")):
        assert set(record) == set(Role.model_fields)
        assert all(record.values()), record["id"]


def test_stacks_and_skills_hold_several_different_items(roles: list[Role]) -> None:
    for role in roles:
        assert len({item.lower() for item in role.stack}) == len(role.stack) >= 4, role.id
        assert len({item.lower() for item in role.key_skills}) == len(role.key_skills) >= 3, role.id


def test_descriptions_are_two_or_three_whole_sentences_of_useful_length(roles: list[Role]) -> None:
    for role in roles:
        assert 20 <= len(role.description.split()) <= 60, role.id
        assert role.description.endswith("."), role.id


def test_no_two_descriptions_are_near_duplicates(roles: list[Role]) -> None:
    trigrams, holders = [], defaultdict(list)
    for index, role in enumerate(roles):
        words = re.findall(r"[a-z0-9']+", role.description.lower())
        trigrams.append(set(zip(words, words[1:], words[2:], strict=False)))
        for trigram in trigrams[-1]:
            holders[trigram].append(index)
    shared = Counter(pair for indices in holders.values() for pair in combinations(indices, 2))
    assert shared, "500 descriptions share a trigram somewhere, else the measure is broken"
    close = {
        (roles[a].id, roles[b].id): round(count / len(trigrams[a] | trigrams[b]), 3)
        for (a, b), count in shared.items()
        if count / len(trigrams[a] | trigrams[b]) >= 0.2
    }
    assert close == {}


def test_no_stack_is_repeated_inside_a_focus(roles: list[Role]) -> None:
    stacks = Counter((role.focus, frozenset(role.stack)) for role in roles)
    assert [key for key, count in stacks.items() if count > 1] == []


def test_title_agrees_with_the_level_where_it_names_one(roles: list[Role]) -> None:
    named = 0
    wrong = []
    for role in roles:
        for word in re.findall(r"[a-z]+(?:-[a-z]+)*", role.title.lower()):
            if word in TITLE_LEVELS:
                named += 1
                if role.level not in TITLE_LEVELS[word]:
                    wrong.append((role.id, role.title, role.level))
    assert wrong == []
    assert named > 300
