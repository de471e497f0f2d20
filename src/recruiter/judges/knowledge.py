"""Knowledge: which words show that a question is about a role's own problem.

`technologies.json` holds technologies (kind, aliases, names that count only in exact case, terms that belong to them, and
technologies that come `with` them); `topics.json` holds domains and engineering concepts with their terms. A
`RoleProfile` turns both and the role's own text into weighted evidence, once per role.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from recruiter.judges.words import FUNCTION_WORDS, phrases, stem_phrase, tokens
from recruiter.roles import Role

Phrase = tuple[str, ...]
_HERE = Path(__file__).parent

# Words of any backend role: they fit, but ground nothing.
COMMON = frozenset(
    stem(word)
    for stem in (lambda word: stem_phrase(word)[0],)
    for word in """
    service team year test engineer lead product design review run group rule change write keep data share new feature
    standard build work minute time handle take mentor set call check request report develop cost code server day second
    hour week month decide define endpoint add include plan make bring limit answer support small system move percent
    fail learn fix implement cover live choose state read store path hold six stay sign level line operate open need
    cloud case end owner different local api late client correct break publish follow start common want use create
    update latency table field error business step see pass map get daily help log tool safe wait stage send way
    miss long come slow grow several point measure carry available direction database row view old score production
    response timeout retry load key version value application software backend engineering good best issue problem
    approach performance scale scalable reliable secure security quality project process technology technical design
    development environment number result user customer company high low large query queue message event job task job
    architecture solution strategy requirement experience skill role candidate question manage improve ensure optimize
    code component module infrastructure platform operation function method type list item page file record source
    deploy deployment failure crash incident memory worker throughput worker lock cache batch model traffic order
    """.split()
)


@dataclass(frozen=True)
class Technology:
    """One technology as the knowledge file describes it."""

    name: str
    kind: str
    terms: tuple[Phrase, ...]
    companions: frozenset[str]


class Knowledge:
    """The technologies and topics, indexed for look-up by phrase."""

    def __init__(self, folder: Path = _HERE) -> None:
        data = json.loads((folder / "technologies.json").read_text(encoding="utf-8"))
        topics = json.loads((folder / "topics.json").read_text(encoding="utf-8"))
        self.minor_kinds = frozenset(data["minor_kinds"])
        self.common = frozenset(data["common"])
        self.technologies: dict[str, Technology] = {}
        self._by_alias: dict[str, str] = {}
        self._by_exact_alias: dict[str, str] = {}
        kind_terms = {kind: [stem_phrase(term) for term in terms] for kind, terms in data["kinds"].items()}
        for name, entry in data["technologies"].items():
            own_terms = [stem_phrase(term) for term in entry.get("terms", ())]
            self.technologies[name] = Technology(
                name, entry["kind"], (*own_terms, *kind_terms[entry["kind"]]), frozenset(entry.get("with", ()))
            )
            for alias in (name, *entry.get("aliases", ())):
                if alias in entry.get("exact", ()):
                    self._by_exact_alias.setdefault(alias, name)
                else:
                    self._by_alias.setdefault(alias.lower(), name)
        self.domains = {name: frozenset(map(stem_phrase, terms)) for name, terms in topics["domains"].items()}
        self.concepts = {name: frozenset(map(stem_phrase, terms)) for name, terms in topics["concepts"].items()}

    def find_technologies(self, words: list[str]) -> list[tuple[str, int, int]]:
        """Technologies named in `words`, longest name first at each place: (name, first word, end)."""
        found: list[tuple[str, int, int]] = []
        i = 0
        while i < len(words):
            for n in (3, 2, 1):
                surface = " ".join(words[i : i + n])
                name = self._by_alias.get(surface.lower()) or self._by_exact_alias.get(surface)
                if name and len(words[i : i + n]) == n:
                    found.append((name, i, i + n))
                    i += n
                    break
            else:
                i += 1
        return found

    def named(self, text: str) -> list[str]:
        """Names of the technologies in `text`, in order, repeats included."""
        return [name for name, _, _ in self.find_technologies(tokens(text))]


@lru_cache(maxsize=1)
def knowledge() -> Knowledge:
    """The knowledge files, read at first use."""
    return Knowledge()


@dataclass(frozen=True)
class Evidence:
    """What ties a question to a role: where a phrase comes from, and how much it weighs."""

    source: str  # technology, skill, description, associated
    weight: float


class RoleProfile:
    """Everything the judge needs to know of one role."""

    WEIGHTS = {"skill": 1.2, "description": 0.9, "associated": 0.6}

    def __init__(self, role: Role, known: Knowledge) -> None:
        own_text = " . ".join((role.title, role.focus, role.description, *role.key_skills))
        stacked = known.named(" . ".join(role.stack))
        self.core = frozenset(n for n in stacked if known.technologies[n].kind not in known.minor_kinds)
        self.listed = frozenset(stacked) | frozenset(known.named(own_text))
        companions = {c for name in self.listed for c in known.technologies[name].companions}
        companion_names = frozenset(n for c in companions for n in known.named(c))
        self.allowed = self.listed | companion_names | known.common
        self.unknown_stack = frozenset(item.lower() for item in role.stack if not known.named(item))
        self.evidence: dict[Phrase, Evidence] = {}

        associated = [term for name in self.listed for term in known.technologies[name].terms]
        own_phrases = phrases(stem_phrase(own_text))
        skill_phrases = phrases(stem_phrase(" . ".join((role.focus, *role.key_skills))))
        self.domains = _matching(known.domains, own_phrases, at_least=3)
        self.topics = _matching(known.concepts, skill_phrases, at_least=1) | _matching(known.concepts, own_phrases, 3)
        for name in self.domains:
            associated.extend(known.domains[name])
        for name in self.topics:
            associated.extend(known.concepts[name])
        self._add("associated", associated)
        self._add("description", (p for p in phrases(stem_phrase(role.description), 1)))
        self._add("skill", (p for p in phrases(stem_phrase(" . ".join((role.title, role.focus))), 1)))
        for skill in role.key_skills:
            self._add("skill", phrases(stem_phrase(skill)))

    def _add(self, source: str, found: Iterable[Phrase]) -> None:
        for phrase in found:
            content = [s for s in phrase if s not in _FUNCTION_STEMS]
            if not content or (len(phrase) > 1 and len(content) < 2):
                continue
            weight = self.WEIGHTS[source] * (1.5 if len(content) > 1 else 1.0)
            if all(s in COMMON for s in content):
                weight *= 0.6 if len(content) > 1 else 0.2
            known = self.evidence.get(phrase)
            if known is None or known.weight < weight:
                self.evidence[phrase] = Evidence(source, weight)


_FUNCTION_STEMS = FUNCTION_WORDS | {stem_phrase(word)[0] for word in FUNCTION_WORDS if re.fullmatch(r"\w+", word)}


def _matching(topics: dict[str, frozenset[Phrase]], text: set[Phrase], at_least: int) -> frozenset[str]:
    """Topics of which at least `at_least` telling terms stand in the text."""
    return frozenset(
        name
        for name, terms in topics.items()
        if sum(1 for term in terms & text if len(term) > 1 or term[0] not in COMMON) >= at_least
    )
