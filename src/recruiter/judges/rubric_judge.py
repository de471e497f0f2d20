"""The rubric judge: the rubric as a deterministic check, offline and in about a millisecond.

It is a check, not a stand-in for an LLM's taste. It tells broken, bundled, off-role, generic and gamed questions from
sound ones; between two sound questions it has no opinion worth having. Because a policy is trained against it:

- every score saturates, so that more of the same words stops paying;
- what is not one sound question of natural prose loses on all criteria, not on one (`KEEPS`);
- defects are graded, so that half a step away from a defect shows in the reward.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from recruiter.judges.knowledge import Grounding, RoleProfile, knowledge
from recruiter.judges.prose import CHECKS, YES_NO, Defect, Text, check_copied, ramp
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.rubric import CRITERIA, CRITERION_NAMES, MAX_SCORE, Judgement, RedFlag, Scores

# The share of every score that is left when a red flag is there in full. 1 would be a matter of its criterion alone.
KEEPS = {
    "generic": 0.4,
    "minor_technology": 0.8,
    "unlisted_technology": 0.4,
    "copied": 0.4,
    "bundled": 0.45,
    "too_broad": 0.45,
    "broken": 0.25,
    "unnatural": 0.3,
    "repeated": 0.35,
    "extra_text": 0.35,
    "recall": 0.5,
    "one_word": 0.45,
    "manipulation": 0.1,
}
_FLAGS: dict[str, tuple[RedFlag, str]] = {f.name: (f, c.name) for c in CRITERIA for f in c.red_flags}

# What makes a question concrete. Each kind counts once, so that piling up words of one kind does not pay.
SITUATION: dict[str, tuple[float, re.Pattern[str]]] = {
    name: (weight, re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE))
    for name, weight, pattern in (
        (
            "a symptom", 2.0,
            r"fail(?:s|ed|ing|ure|ures)?|crash\w*|time[sd]?[- ]?out\w*|timing out|lag(?:s|ged|ging)?|spik\w+|drop(?:s|ped|ping)|"
            r"duplicat\w+|stale|corrupt\w*|leak\w*|deadlock\w*|slow\w*|error\w*|outage\w*|los(?:e|es|ing|t)|miss(?:es|ed|ing)|"
            r"inconsisten\w+|out of (?:order|memory)|exhaust\w*|saturat\w*|stuck|hang(?:s|ing)?|starv\w+|overtak\w+|overload\w*|"
            r"diverg\w+|drift\w*|double[ds]?|twice|climb\w*|grow(?:s|n|ing)|grew|jump\w*|rises?|rising|poorly|wrong|unreachable|"
            r"oversell\w*|overs?old|conflict\w*|bloat\w*|explo\w+|reject\w*|throttl\w+|restart\w*|dies|died|dead|breaks?|broke|"
            r"broken|disappear\w*|vanish\w*|differ\w*|disagree\w*|expired|too many|too late|late|impossible|collid\w+|swamp\w*|"
            r"block(?:s|ed)|evict\w*|mismatch\w*|unavailable|down|degrad\w+|flood\w*|storm\w*|stall\w*|bad|upset\w*|exceed\w*",
        ),
        (
            "a figure", 1.2,
            r"(?:\d[\d.,:]*\s*(?:%|ms|s|k|m|gb|mb|tb|kb|rps|qps|x)?|p9\d+|99th|two|three|four|five|six|seven|eight|nine|ten|"
            r"eleven|twelve|twenty|thirty|forty|fifty|sixty|ninety|hundreds?|thousands?|millions?|billions?|half|percentile|"
            r"median|per (?:second|minute|day|hour)|petabytes?)",
        ),
        (
            "a constraint", 1.4,
            r"without|while|must(?:n't)?|cannot|can't|only|at most|at least|no more than|within|budget|limit\w*|deadline|"
            r"zero[- ]downtime|until|before|so that|even (?:if|though|when)|although|though|yet|despite|still|regardless|"
            r"never|instead of|once|already|both|meanwhile|but|given|if",
        ),
        (
            "a decision", 1.4,
            r"trade[- ]?offs?|choos\w+|choice|decid\w+|priorit\w+|versus|vs|rather than|compar\w+|which|instead|why|justify|"
            r"balance|give up|accept\w*|willing|prefer\w*|pick|weigh|argu\w+|cost\w*|risk\w*|first|in which order|worth|"
            r"sacrifice|criteria|convince|settle|trust|authoritative|wins?|what would change|better",
        ),
        (
            "a diagnosis", 1.2,
            r"diagnos\w+|find|found|caus\w+|investigat\w+|rule out|verif\w+|measur\w+|prove|evidence|isolate|root cause|tell|"
            r"confirm|debug\w*|detect\w*|reproduc\w+|suspect\w*|look (?:at|for)|check\w*|trace|hunt|catch|test\w*|know|notice|"
            r"repair|recover\w*|prevent\w*|stop|avoid\w*|guarantee\w*|keep|protect|make sure|ensure\w*|fix\w*|rewrite|rework|"
            r"change|evolve|roll(?:ing)? (?:out|back)|back out|migrat\w+|happens?|estimate",
        ),
        (
            "circumstances", 1.2,
            r"when|after|during|as soon as|suddenly|under load|at peak|peaks?|since|each time|every time|whenever|overnight|"
            r"at the same (?:time|moment)|within the same|concurrently|simultaneous\w*|while|ago|today|now|later|last|"
            r"between|although|suppose|a (?:\w+ ){1,3}(?:has|is|was|takes|shows|starts|returns)",
        ),
    )
}  # fmt: skip
RECALL = re.compile(
    r"(?:^|[.:,]\s+)(?:and )?(?:what (?:is|are|does|do|was|were) (?!your\b|likely)(?!.{0,60}\byou\b)|what's (?!your)|define\b|"
    r"(?:who|which|what) (?:(?!should|would|could|might|must)\w+ ){0,3}(?:is|are|does|do|was|did|were|has)\b(?!.{0,80}\byou\b)|in which (?:year|version)|"
    r"name (?:the|three|two|four|five|some|all)\b|list (?:the|three|all|some)\b(?!.{0,80}\byou\b)|when was|who\b|"
    r"what (?:year|command|version|port|keyword)\b)|\bstands? for\b|\bdefault (?:port|value|size|setting)\b|"
    r"\bdifferences? between\b|\bdefinition of\b|\bwhat (?:\w+ )?(?:is|are) called\b|\bmain (?:features|benefits|advantages)\b|"
    r"\bkey (?:features|benefits|advantages|differences|components)\b|\badvantages and\b|\bbenefits of\b|\bpurpose of\b|"
    r"\brole of\b|\bfull form\b|\backronym\b|\bhow many\b|\bby default\b|\bexplain what (?:\w+ ){1,4}(?:is|are|means)\b",
    re.IGNORECASE,
)
SELF_REPORT = re.compile(
    r"\b(?:your|any) (?:\w+ ){0,2}(?:experience|background|expertise|understanding|knowledge|approach to|familiarity|opinion|"
    r"thoughts|view|strengths?|career)\b|\btell (?:me|us) about\b|\b(?:describe|share) (?:a|an|your|any) (?:\w+ ){0,3}"
    r"(?:time|project|experience|situation|example|challenge)\b|\bhow familiar\b|\bhave you (?:ever |used |worked )|"
    r"\bdo you (?:usually|typically|normally|generally|handle|keep|stay|approach|manage|ensure|deal)\b|\bup to date\b|"
    r"\bbest practices\b|\bhigh quality\b|\beasy to maintain\b|\bstakeholders?\b|\bnot technical\b|\bisn't technical\b|"
    r"\bcolleagues?\b.{0,30}\bdisagree|\bdisagreements?\b|\bchallenging (?:bug|project|problem)\b",
    re.IGNORECASE,
)
CHATTY = re.compile(
    r"^(?:can|could|would|will) you (?:please )?(?:explain|describe|walk|tell|outline|give|share|elaborate|discuss)|^please\b|"
    r"^as an? |^in your (?:opinion|experience|own words)|^imagine you are|^in this role|^for this role|^given your|"
    r"\bthis role\b|\bour (?:company|team)'s\b|\bin detail\b|\ba detailed\b",
    re.IGNORECASE,
)
YES_NO_PHRASE = re.compile(
    r"\byes or no\b|\btrue or false\b|\bagree\?|\b(?:isn't|doesn't|wouldn't|aren't) (?:it|you|that)\?", re.I
)


class RubricJudge:
    """Scores questions by the rubric's criteria and red flags. Offline, deterministic, safe to share between threads."""

    name = "rubric"

    async def score(self, role: Role, questions: Sequence[str]) -> list[Judgement]:
        """One judgement per question, in order. Nothing is ever unscored: there is nothing here that could fail."""
        return [self.judge(role, question) for question in questions]

    def judge(self, role: Role, question: str) -> Judgement:
        """Score one question from 0 to 10 on each criterion; the reasoning names every red flag that was found."""
        text, profile = Text(question), _profile(role)
        found = profile.ground(text.words)
        grounding = ramp(found.weight, 0.3, 3.6)
        defects = _relevance_defects(found)
        defects += [d for check in CHECKS for d in check(text)]
        defects += check_copied(text, profile.source)
        defects = [d for d in defects if d.severity > 0]
        concreteness, kinds = _concreteness(text)
        defects += _ask_defects(text, concreteness)
        points = {
            "relevance": grounding,
            "clarity": _clarity(text),
            "discriminative": 0.3 + 0.7 * concreteness * (0.3 + 0.7 * grounding),
        }
        return Judgement(_score(points, defects), _reasoning(defects, kinds, grounding))


class _Profile(RoleProfile):
    """A role's profile and the text that a policy could copy: the whole prompt."""

    def __init__(self, role: Role) -> None:
        super().__init__(role, knowledge())
        self.source = " . ".join((role.description, role.title, generator_messages(role)[0]["content"]))


@lru_cache(maxsize=2048)
def _profile(role: Role) -> _Profile:
    return _Profile(role)


def _relevance_defects(found: Grounding) -> list[Defect]:
    """What speaks against the question being about this role's own problem."""
    defects = [
        Defect("generic", 1.0 - ramp(found.weight, 0.5, 2.2), "little in it belongs to this role"),
        Defect(
            "generic",
            0.8 - ramp(found.weight_without_names, 0.1, 1.1),
            "it names technologies but no problem of theirs",
        ),
    ]
    if found.unlisted:
        beside_own = len(found.unlisted) == 1 and found.core
        defects.append(Defect("unlisted_technology", 0.35 if beside_own else 1.0, ", ".join(sorted(found.unlisted))))
    count = len(found.core | found.minor | found.unlisted)
    defects.append(Defect("unnatural", ramp(count, 3, 5), f"it names {count} technologies"))
    if found.minor and not found.core and found.weight < 2.0:
        defects.append(Defect("minor_technology", 1.0, ", ".join(sorted(found.minor))))
    return defects


def _clarity(text: Text) -> float:
    """Form alone, from 0 to 1: long enough to set up a problem, short enough to take in, not chatty."""
    count = len(text.words)
    value = 0.35 + 0.65 * ramp(count, 3, 14)
    value -= 0.25 * ramp(count, 50, 85)
    if CHATTY.search(text.raw):
        value -= 0.2
    return value


def _concreteness(text: Text) -> tuple[float, list[str]]:
    """How concrete the situation is, from 0 to 1, and which kinds of detail it has."""
    kinds = [name for name, (_, pattern) in SITUATION.items() if pattern.search(text.raw)]
    total = sum(SITUATION[name][0] for name in kinds)
    return ramp(total, 0.0, 6.0), kinds


def _ask_defects(text: Text, concreteness: float) -> list[Defect]:
    """Recall, yes/no and self-report questions: they ask what a weak candidate can say as well."""
    defects: list[Defect] = []
    last = text.sentences[-1] if text.sentences else ""
    if found := RECALL.search(last) or RECALL.search(text.raw):
        defects.append(Defect("recall", 1.0 - 0.3 * ramp(concreteness, 0.7, 1.0), f"'{found.group().strip(' .,:')}'"))
    asks_openly = text.asks > 0
    if YES_NO_PHRASE.search(text.raw) or (YES_NO.search(last) and not asks_openly):
        defects.append(Defect("one_word", 1.0, "it can be answered with yes or no"))
    if found := SELF_REPORT.search(text.raw):
        severity = 0.8 * (1.0 - ramp(concreteness, 0.3, 0.6))
        defects.append(Defect("generic", severity, f"'{found.group().strip()}' asks for a story, not for a solution"))
    return defects


def _score(points: dict[str, float], defects: list[Defect]) -> Scores:
    """Points from 0 to 1 per criterion, less the penalties of its red flags, times what all red flags leave."""
    worst: dict[str, float] = {}
    for defect in defects:
        worst[defect.flag] = max(worst.get(defect.flag, 0.0), defect.severity)
    left = 1.0
    for flag, severity in worst.items():
        left *= 1.0 - severity * (1.0 - KEEPS[flag])
    scores = {}
    for name in CRITERION_NAMES:
        penalty = sum(_FLAGS[f][0].penalty * severity for f, severity in worst.items() if _FLAGS[f][1] == name)
        scores[name] = round(min(MAX_SCORE, max(0.0, points[name] * MAX_SCORE - penalty)) * left, 2)
    return Scores(**scores)


def _reasoning(defects: list[Defect], kinds: list[str], grounding: float) -> str:
    """Readable sentences: every red flag with what was seen, or what was found to be sound."""
    parts = [f"Red flag: {_FLAGS[d.flag][0].text} ({d.detail})." for d in defects]
    tie = "closely" if grounding > 0.8 else "partly" if grounding > 0.4 else "hardly"
    parts.append(
        f"It is {tie} tied to the role" + (f" and gives {', '.join(kinds)}." if kinds else " and names no situation.")
    )
    return " ".join(parts)
