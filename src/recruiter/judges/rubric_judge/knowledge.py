"""Knowledge: which words show that a question is about a role's own problem.

`technologies.json` holds technologies: their kind, aliases, names that count only in this `exact` case ("Go"),
terms that belong to them, and technologies that come `with` them. `topics.json` holds domains and engineering concepts
with their terms, and the `common_words` that fit every backend role and so tie a question to none. A `RoleProfile`
turns both and the role's own text into weighted evidence, once per role.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from recruiter.judges.rubric_judge.language import FUNCTION_WORDS, phrases, stem, stem_phrase, tokens
from recruiter.roles import Role

Phrase = tuple[str, ...]
LONGEST_PHRASE = 3
WEIGHTS = {"skill": 1.2, "description": 0.9, "associated": 0.6}
# Of terms that the role itself does not use, only so much counts: another role's good question has some as well.
MAX_ASSOCIATED = 2.0


@dataclass(frozen=True)
class Technology:
    """One technology as the knowledge file describes it."""

    name: str
    kind: str
    terms: tuple[Phrase, ...]
    companions: frozenset[str]


class Knowledge:
    """The technologies and topics, indexed for look-up."""

    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        catalogue = json.loads((folder / "technologies.json").read_text(encoding="utf-8"))
        topics = json.loads((folder / "topics.json").read_text(encoding="utf-8"))
        self.minor_kinds = frozenset(catalogue["minor_kinds"])
        self.common_technologies = frozenset(catalogue["common"])
        self.common_words = frozenset(stem(word) for word in topics["common_words"].split())
        self.domains = {name: frozenset(map(stem_phrase, terms)) for name, terms in topics["domains"].items()}
        self.concepts = {name: frozenset(map(stem_phrase, terms)) for name, terms in topics["concepts"].items()}
        self.technologies: dict[str, Technology] = {}
        self._any_case: dict[str, str] = {}
        self._exact_case: dict[str, str] = {}
        for name, entry in catalogue["technologies"].items():
            terms = (*entry.get("terms", ()), *catalogue["kinds"][entry["kind"]])
            companions = frozenset(entry.get("with", ()))
            self.technologies[name] = Technology(name, entry["kind"], tuple(map(stem_phrase, terms)), companions)
            for alias in (name, *entry.get("aliases", ())):
                if alias in entry.get("exact", ()):
                    self._exact_case.setdefault(alias, name)
                else:
                    self._any_case.setdefault(alias.lower(), name)

    def find_technologies(self, words: list[str]) -> list[tuple[str, int, int]]:
        """Technologies named in `words`, the longest name at each place: (name, index of its first word, end)."""
        found: list[tuple[str, int, int]] = []
        i = 0
        while i < len(words):
            for n in range(min(LONGEST_PHRASE, len(words) - i), 0, -1):
                surface = " ".join(words[i : i + n])
                if name := self._any_case.get(surface.lower()) or self._exact_case.get(surface):
                    found.append((name, i, i + n))
                    break
            else:
                n = 1
            i += n
        return found

    def named(self, *texts: str) -> frozenset[str]:
        """Names of the technologies in `texts`."""
        return frozenset(name for text in texts for name, _, _ in self.find_technologies(tokens(text)))

    def is_common(self, phrase: Phrase) -> bool:
        """True if the phrase has only words of any backend role."""
        return all(s in self.common_words or s in _FUNCTION_STEMS for s in phrase)

    def topics_in(self, topics: dict[str, frozenset[Phrase]], text: set[Phrase], at_least: int) -> frozenset[str]:
        """Topics of which `text` has at least so many terms that are not common words."""
        return frozenset(
            name for name, terms in topics.items() if sum(not self.is_common(t) for t in terms & text) >= at_least
        )


@lru_cache(maxsize=1)
def knowledge() -> Knowledge:
    """The knowledge files, read at first use."""
    return Knowledge()


@dataclass(frozen=True)
class Evidence:
    """What ties a question to a role: where a phrase comes from, and how much it weighs."""

    source: str  # skill, description or associated
    weight: float


@dataclass(frozen=True)
class Grounding:
    """How a question is tied to a role: `weight` is saturated at 3.6, below 0.5 it fits any role; `terms` counts."""

    weight: float
    weight_without_names: float
    terms: int
    core: frozenset[str]
    minor: frozenset[str]
    unlisted: frozenset[str]


class RoleProfile:
    """Everything the judge needs to know of one role."""

    def __init__(self, role: Role, known: Knowledge) -> None:
        self._known = known
        own_texts = (role.title, role.focus, role.description, *role.key_skills)
        stacked = known.named(*role.stack)
        self.core = frozenset(name for name in stacked if known.technologies[name].kind not in known.minor_kinds)
        self.listed = stacked | known.named(*own_texts)
        companions = known.named(*(c for name in self.listed for c in known.technologies[name].companions))
        self.allowed = self.listed | companions | known.common_technologies
        self.unknown_stack = tuple(item.lower() for item in role.stack if not known.named(item))
        self.evidence: dict[Phrase, Evidence] = {}
        self._collect(role, own_texts)

    def _collect(self, role: Role, own_texts: tuple[str, ...]) -> None:
        known = self._known
        own = set().union(*(phrases(stem_phrase(text)) for text in own_texts))
        skills = set().union(*(phrases(stem_phrase(text)) for text in (role.focus, *role.key_skills)))
        concepts = known.topics_in(known.concepts, skills, 1) | known.topics_in(known.concepts, own, 3)
        for name in self.listed:
            self._add("associated", known.technologies[name].terms)
        for name in known.topics_in(known.domains, own, 3):
            self._add("associated", known.domains[name])
        for name in concepts:
            self._add("associated", known.concepts[name])
        self._add("description", phrases(stem_phrase(role.description), 1))
        self._add("skill", phrases(stem_phrase(f"{role.title} {role.focus}"), 1))
        for skill in role.key_skills:
            self._add("skill", phrases(stem_phrase(skill)))

    def _add(self, source: str, found: Iterable[Phrase]) -> None:
        for phrase in found:
            content = sum(s not in _FUNCTION_STEMS for s in phrase)
            if content == 0 or content < min(2, len(phrase)):
                continue
            weight = WEIGHTS[source] * (1.5 if content > 1 else 1.0)
            if self._known.is_common(phrase):
                weight *= 0.6 if content > 1 else 0.45 if source == "skill" else 0.2
            if phrase not in self.evidence or self.evidence[phrase].weight < weight:
                self.evidence[phrase] = Evidence(source, weight)

    def ground(self, words: list[str]) -> Grounding:
        """How the words of a question are tied to the role. Each phrase and at most two technologies count, once."""
        places = self._known.find_technologies(words)
        named = frozenset(name for name, _, _ in places)
        found: dict[Phrase, Evidence] = {}
        start = 0
        for _, name_start, name_end in (*places, ("", len(words), len(words))):
            found |= self._find(stem_phrase(" ".join(words[start:name_start])))
            start = name_end
        associated = sum(e.weight for e in found.values() if e.source == "associated")
        own = sum(e.weight for e in found.values() if e.source != "associated")
        bare = own + min(MAX_ASSOCIATED, associated)
        text = " ".join(words).lower()
        core, minor = named & self.core, (named & self.listed) - self.core
        unknown = sum(item in text for item in self.unknown_stack)
        weight = bare + 0.8 * min(2, len(core) + unknown) + 0.3 * min(1, len(minor))
        terms = sum(e.weight >= WEIGHTS["associated"] for e in found.values())
        return Grounding(weight, bare, terms, core, minor, named - self.allowed)

    def names_a_subject(self, text: str) -> bool:
        """True if `text` names a technology or a term that ties it to the role."""
        words = tokens(text)
        if self._known.find_technologies(words):
            return True
        return any(e.weight >= WEIGHTS["associated"] for e in self._find(stem_phrase(text)).values())

    def _find(self, stems: Phrase) -> dict[Phrase, Evidence]:
        """The evidence in an unbroken run of words, the longest phrase at each place."""
        found: dict[Phrase, Evidence] = {}
        i = 0
        while i < len(stems):
            for n in range(min(LONGEST_PHRASE, len(stems) - i), 0, -1):
                if evidence := self.evidence.get(stems[i : i + n]):
                    found[stems[i : i + n]] = evidence
                    break
            else:
                n = 1
            i += n
        return found


_FUNCTION_STEMS = FUNCTION_WORDS | {stem(word) for word in FUNCTION_WORDS}
