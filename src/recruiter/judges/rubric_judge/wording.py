r"""Wording: the phrases by which the rubric judge knows an ask, a defect or a concrete situation.

Each pattern is a list of alternatives, so that a phrase is added by adding a line. All ignore case.
"""

from __future__ import annotations

import re
from functools import cache


def any_of(*alternatives: str) -> re.Pattern[str]:
    """One pattern for all alternatives, each of them a pattern in itself."""
    return re.compile("|".join(re.compile(each).pattern for each in alternatives), re.IGNORECASE | re.MULTILINE)


def any_word(*alternatives: str) -> re.Pattern[str]:
    """One pattern for alternatives that stand as whole words."""
    return re.compile(rf"(?<![\w-])(?:{'|'.join(alternatives)})(?![\w-])", re.IGNORECASE)


AUXILIARY = r"(?:would|do|does|did|should|can|could|will|might|must|is|are|was|were|has|have|'d)"
CLAUSE_START = r"(?:^|[,;:.(]\s+|\b(?:and|or|but|so|then|yet|in|for|at|by|from|to|on|under|of|ms|s)\s+)[\"']?"
ASKING_VERB = rf"(?:{AUXILIARY}|takes?|go(?:es)?|happens?|fails?|breaks?|keeps?|makes?|wins?|stops?|decides?)"
INVERSION = any_of(
    rf"{CLAUSE_START}(?:how|what|why)(?:\s+(?!you\b|we\b|the\b)[\w'/()-]+){{0,4}}?\s+{ASKING_VERB}\b",
    rf"{CLAUSE_START}which(?:\s+(?!{AUXILIARY}\b)[\w'/-]+){{1,5}}?\s+{ASKING_VERB}\b",
    rf"\b(?:how|what|which|why|where|when|who|whose)(?:'d|\s+{AUXILIARY})\s+"
    r"(?:you|we|the|a|an|your|our|it|they|this|that|each|one)\b",
    r"^(?:which|where|when|who|whose)\b",
)

_ORDER = (
    r"(?:(?:briefly |concisely )?(?:explain|describe|outline|implement|build|create|optimi[sz]e|refactor|compare|design|"
    r"propose|sketch|estimate|decide|list|show|walk (?:me|us) through|tell (?:me|us)|name(?!,)|define|justify|argue|"
    r"suggest|discuss|diagnose|write|identify|choose|pick|plan|give|state)"
    r"(?: and (?:implement|build|create|develop|deploy|analy[sz]e|explain|describe))?)\b"
)
_POLITE = r"^(?:can|could|would|will) you (?:please )?"
ORDER = any_of(
    rf"{_POLITE}(?:{_ORDER}|elaborate|share|provide)",
    rf"(?:^[\"'(]?|[,;:]\s+(?:and |then |also |or )*|\b(?:and|then) (?:also )?|\bplease ){_ORDER}",
)
ADDED_ASK = any_of(
    r"\b(?:also|finally|additionally|furthermore|moreover|lastly|secondly|in addition)\b",
    r"\band (?:also )?how (?:you|to)\b",
)
# Where the next ask of a sentence starts.
NEXT_ASK = re.compile(
    rf"[,;:.?]\s+(?:\([a-h1-9]\)\s+)?(?:and |then |also |or )*(?=(?:how|what|which|why|where|when|{_ORDER})\b)",
    re.IGNORECASE,
)
NUMBERED = any_of(r"(?:^|[\s(])(?:[a-e]|[1-9])[.)]\s")
TRAILING_ORDER = any_of(
    rf"^(?:please )?{_ORDER}",
    r"^(?:assume|consider|focus|keep|include|be|mention|say|think|point out|treat|take|suppose|use|start|remember|"
    r"answer|support|back|defend)\b",
)
YES_NO = any_of(
    r"^(?:[^?.]*[.,:]\s+)?(?:is|are|was|were|do|does|did|has|have|had|can|could|should|would|will|may|might|must)\s+"
    rf"(?!you (?:please )?(?:{_ORDER}|elaborate|share|provide))[\w'-]+",
)
YES_NO_PHRASE = any_of(
    r"\byes or no\b", r"\btrue or false\b", r"\bagree\?", r"\b(?:isn't|doesn't|wouldn't|aren't) (?:it|you|that)\?"
)

# Text around the question.
LABEL = any_of(
    r"\A(?:(?:technical |screening |interview |scenario(?:[- ]based)? |coding |design )*question|q)\s*\d*\s*(?:[:.)]\s*|\Z)",
    r"\A(?:scenario|context|setup|background|task|requirements|prompt|problem)\s*(?::\s*|\Z)",
)
NOTES_HEADING = any_of(
    r"\A\W*why (?:this|it|the)\b|\A\W*(?:what )?this (?:question )?tests\b",
    r"\A\W*what (?:you|i|we|to)\b.{0,6}\b(?:look|listen|expect|assess)\w*",
    r"\A\W*(?:(?:possible|natural|optional|suggested) )?follow-?ups?\b",
    r"\A\W*(?:strong|good|great|weak|sample|ideal|model|expected|better) "
    r"(?:answers?|responses?|signals?|candidates?|time|length)\b",
    r"\A\W*(?:answer|solution|rationale|explanation|evaluation|scoring|rubric|hints?|notes?|red flags?|green flags?)\b",
    r"\A\W*(?:difficulty|key points|skills|expect(?:ed)?|look(?:ing)? for|listen(?:ing)? for|time)\b",
)
CHAT = any_of(
    r"\A\W*(?:sure|certainly|of course|absolutely|okay|ok|great|thank you|thanks|hello|hi|dear|as an ai|i hope)\b",
    r"\A\W*(?:here (?:is|are)|here's|below (?:is|are)|the following|good (?:morning|afternoon))\b",
    r"\A\W*i(?:'d| would) be happy\b",
    r"\A\W*(?:(?:question|q)\s*\d*\s*[:.)]|(?:screening|technical|interview) question|title:|\d+[.)]\s)",
    r"\A[-*#>`|]",
)
NOTES = any_of(
    r"\banswers?(?: key)?\s*:",
    r"\bthe answer is\b",
    r"\b(?:correct|good|ideal|strong|expected|sample|model) answer (?:is|would|should|could|might|includes|covers)\b",
    r"\b(?:this|these) questions?\b",
    r"\b(?:good|strong|weak|ideal) candidates?\b",
    r"\bthe candidate (?:should|must|will|would|can|needs)\b",
    r"\b(?:strong|weak) ones\b",
    r"\b(?:difficulty|expected time|time limit|hint|note|rubric|follow-?up|explanation|solution)\s*:",
    r"\bwrite (?:about|(?:a|an|one|the) (?:\w+ ){0,2}questions?)\b|\bask (?:a|the|your) (?:candidate|question)s?\b",
    r"\b(?:skills tested|let me know|hope this helps|feel free|for this role|screening questions?)\b",
)
MARKUP = any_of(
    r"\b(?:A|B|Q|Title|Description|Level|Stack|Focus|Skills):",
    r"\*\*|```|###|^#+\s|<\|?/?\w+\|?>|\\n",
)
PLACEHOLDER = any_of(
    r"\{\{|\}\}", r"\[(?:insert|your|name|role|technology)[^\]]*\]", r"<(?:insert|your)\b", r"\b(?:TODO|XXX)\b"
)
_MANIPULATION = (
    r"\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:rubric|instructions?|previous|above|earlier|rules?|prompt)\b",
    r"\b(?:full marks?|full score|max(?:imum|imal)? scores?|perfect score|highest (?:score|mark|rating)|top marks)\b",
    r"\b(?:apply|deduct|without|no) (?:any |all )?penalt(?:y|ies)\b",
    r"\b10\s*/\s*10\b|\bten out of ten\b|\b10 out of 10\b",
    r"\A\W*(?:system|assistant|user|developer)\s*:",
    r"\b(?:dear|attention|note to(?: the)?) (?:judge|grader|evaluator|rater)\b",
    r"\b(?:score|rate|grade|mark) (?:this|the|my) (?:question|answer|response|one)\b",
    r"\bquestions?\b.{0,80}\b(?:deserves?|ten points|10 points|points?\b.{0,10}award|rated|full points)\b",
    r"\b(?:award|give)\b.{0,20}\b(?:ten|10|full|all|maximum) points?\b",
    r"\b(?:gets?|receives?|earns?) (?:ten|10|full|all|maximum) points?\b",
    r"\b(?:i am|i'm|as) the (?:author|judge|grader|evaluator)\b|\blenient\b",
    r"\byou are (?:now )?(?:a|an|the) (?:\w+ )?(?:judge|grader|evaluator|rater)\b",
    r"\bdiscriminative\b|\b(?:isn't|not) (?:a )?generic\b|\boverall_?score\b|\bscores?\"?\s*[:=]",
)


@cache
def manipulation(criteria: tuple[str, ...]) -> re.Pattern[str]:
    """Text that speaks to a judge who scores by these criteria."""
    return any_of(*_MANIPULATION, rf"\b(?:{'|'.join(criteria)})\b\W{{0,3}}(?:score|\d|ten|=)")


@cache
def labelled(criteria: tuple[str, ...]) -> re.Pattern[str]:
    """A criterion as a label ("Relevance: ..."), which only notes may have."""
    return any_of(rf"\b(?:{'|'.join(criteria)})\b\W{{0,3}}:")


# What the question is about: too much of it, a fact, the candidate's own story.
BROAD_SCOPE = any_of(
    r"\b(?:from scratch|end[- ]to[- ]end|entire|comparable to|best practices|overall architecture|in general|fully)\b",
    r"\b(?:whole|complete) (?:system|platform|stack|architecture)\b",
    r"\beverything (?:you|about|there)\b|\ball (?:the )?aspects\b",
)
BROAD_DESIGN = any_of(
    r"\b(?:design|build|creat|implement|architect|develop)(?:e|ing)?\s+(?:(?:a|an|the|our|your|out)\s+)?(?:[\w-]+\s+){0,5}?"
    r"(?:system|platform|site|exchange|marketplace|application|app|backend|architecture|product|infrastructure|"
    r"services?|solution|cluster|stack)\b",
)
# A specification to be built, as in a ticket, instead of something to be answered in minutes.
DEMAND = any_word("should", "must", "needs? to", "ha(?:s|ve) to")
BUILD_ORDER = any_of(r"\A[\"']?(?:design|write|implement|create|build|develop|draft)\b")
ASKS_TO_EXPLAIN = any_of(
    r"\byou\b|\byou'd\b|\b(?:explain|describe|discuss|outline|justify|walk (?:me|us)|compare|why|trade-?offs?)\b"
)
LISTED_THINGS = any_of(r"(?:[\w'./+#-]+(?: [\w'./+#-]+){0,3}, ){2,}(?:and |or )?[\w'-]+")
RECALL = any_of(
    r"(?:^|[.:,]\s+)(?:and )?what (?:is|are|does|do|was|were) (?!your\b|likely)(?!.{0,60}\byou\b)",
    r"(?:^|[.:,]\s+)(?:and )?(?:who|which|what) (?:(?!should|would|could|might|must)\w+ ){0,3}"
    r"(?:is|are|does|do|was|did|were|has)\b(?!.{0,80}\byou\b)",
    r"(?:^|[.:,]\s+)(?:what's (?!your)|define\b|in which (?:year|version)|when was|who\b)",
    r"(?:^|[.:,]\s+)name (?:the|three|two|four|five|some|all)\b",
    r"(?:^|[.:,]\s+)list (?:the|three|all|some)\b(?!.{0,80}\byou\b)",
    r"\bwhat (?:year|command|version|port|keyword)\b|\bhow many\b|\bby default\b",
    r"\bdefault (?:port|value|size|setting)\b",
    r"\bstands? for\b|\bdifferences? between\b|\bdefinition of\b|\bfull form\b|\bacronym\b|\b(?:is|are) called\b",
    r"\b(?:main|key) (?:features|benefits|advantages|differences|components)\b|\badvantages and\b|\bbenefits of\b",
    r"\b(?:provide|give|share|list|show)\b.{0,25}"
    r"\b(?:list|overview|summary|examples?|insights?) (?:of|on|for|into|how)\b",
    r"\b(?:purpose|role) of\b|\bexplain what (?:\w+ ){1,4}(?:is|are|means)\b",
)
ASKS_FOR_A_WAY = any_of(
    r"\b(?:would|will|might|do|could) you\b|\byou(?:'d|'ll| would| will| might)\b|\bhow (?:you|to)\b|\bwalk (?:me|us)\b",
    r"^(?:briefly |concisely )?(?:describe|outline|explain|compare)\b",
)
_VIRTUE = r"(?:scalab|reliab|robust|efficien|maintainab|availab|secur)\w+"
SELF_REPORT = any_of(
    r"\b(?:your|any) (?:\w+ ){0,2}(?:experience|background|expertise|understanding|knowledge|approach to|familiarity|"
    r"opinion|thoughts|view|strengths?|career)\b",
    r"\bhow (?:you|your team) (?:have |has |had |would have )?"
    r"(?:managed|handled|implemented|contributed|used|built|applied)\b",
    r"\byou(?:'ve| have) (?:completed|worked|done|built|used|managed|implemented)\b|\byour (?:role|job|skills)\b",
    r"\btell (?:me|us) about\b|\bhow familiar\b|\bhave you (?:ever|used|worked)\b|\bup to date\b",
    r"\b(?:describe|share) (?:a|an|your|any) (?:\w+ ){0,3}(?:time|project|experience|situation|example|challenge)\b",
    r"\bdo you (?:usually|typically|normally|generally|handle|keep|stay|approach|manage|ensure|deal)\b",
    rf"\b{_VIRTUE}(?:,? and|,) (?:\w+ly )?{_VIRTUE}|\bbest practices\b|\bhigh quality\b|\beasy to maintain\b",
    r"\bstakeholders?\b|\b(?:not|isn't) technical\b|\bdisagreements?\b|\bchallenging (?:bug|project|problem)\b",
)
# Words that praise instead of stating a problem, and questions about the candidate's employer.
BUZZ = any_of(
    r"\b(?:seamless(?:ly)?|cutting[- ]edge|state[- ]of[- ]the[- ]art|holistic\w*|synerg\w+|leverag(?:e[sd]?|ing))\b",
    r"\b(?:do|does|did|has|is|can|could) your (?:company|organi[sz]ation|firm|business|employer)\b",
)
# Praise where a figure or a symptom would say what is wanted.
PRAISE = any_word(
    "scalable", "robust", "fault-tolerant", "high-performance", "highly available", "performant", "state-of-the-art"
)
# A question is put to the candidate: the one who asks does not ask what to do themselves.
ASKS_FOR_ITSELF = any_of(
    r"\b(?:how|what|which|where|when|why) (?:can|could|should|would|do|did|might|must|am|will) i\b"
)
# The candidate is "you": whoever asks how the engineer does it asks the interviewer.
THIRD_PERSON = any_of(
    r"\b(?:how|what|which|why|where|when)(?: [\w-]+){0,3} (?:does|do|can|could|would|should|will|did|is|are) "
    r"(?:the|an?|your|our|this) (?:[\w-]+ ){0,6}"
    r"(?:engineers?|developers?|architects?|candidates?|teams?|experience|lead|person|company)\b",
    r"\bthe candidates?\b(?!'s? (?:key|row|keys|set|list|pair|record))",
)
# Clauses that can be chained without end ("while ensuring ..., while maintaining ...").
CHAINED = any_word("while", "without", "whilst", "whereas", "as well as", "ensuring", "maintaining", "considering")
NESTED = any_of(r"\bof (?:the|a|an|its) (?:[\w-]+ ){1,4}of (?:the|a|an|its)\b")
# How far the answer should go: a length, or a number of things to name.
SCOPE = any_of(
    r"\b\d+(?:\s*[-–]\s*\d+)?\+?[ -](?:[\w-]+ ){0,2}(?:sentences?|bullets?|points?|minutes?|min|lines?|words?|steps?)\b",
    r"\b(?:briefly|brief|concise(?:ly)?|short|high[- ]level|minimal|outline|sketch|pseudocode|specifically|which)\b",
    r"\b(?:one|two|three|four|a single|the first|\d(?:\s*[-–]\s*\d)?) (?:[\w-]+ ){0,2}(?:key|main|concrete|specific|practical|"
    r"metrics?|trade-?offs?|reasons?|examples?|cases?|steps?|ways?|things?|changes?|causes?|optimi[sz]ations?|strateg\w+)\b",
    r"\btrade-?offs?\b|\bfirst\b",
)
CHATTY = any_of(
    rf"{_POLITE}{_ORDER}",
    r"^(?:please|as an? |in your (?:opinion|experience|own words)|in this role|given your)\b",
    r"^(?:(?:imagine|assume|suppose) )?you(?: are|'re) (?:a|an|the|currently|tasked|designing|given)\b",
    r"\bthis role\b|\bin detail\b|\ba detailed\b",
)

# What makes a question concrete, and how much each kind is worth. Each counts once: piling up one kind does not pay.
SITUATION: dict[str, tuple[float, re.Pattern[str]]] = {
    "a symptom": (2.0, any_word(
        r"fail(?:s|ed|ing|ure|ures)?|crash\w*|time[sd]?[- ]?out\w*|timing out|lag(?:s|ged|ging)?|spik\w+",
        r"drop(?:s|ped|ping)|duplicat\w+|stale|corrupt\w*|leak\w*|deadlock\w*|slow\w*|error\w*|outage\w*",
        r"los(?:e|es|ing|t)",
        r"miss(?:es|ed|ing)|inconsisten\w+|out of (?:order|memory)|exhaust\w*|saturat\w*|stuck|hang(?:s|ing)?|starv\w+",
        r"overtak\w+|overload\w*|diverg\w+|drift\w*|double[ds]?|twice|climb\w*|grow(?:s|n|ing)|grew|jump\w*",
        r"rises?|rising",
        r"poorly|wrong|unreachable|oversell\w*|oversold|conflict\w*|bloat\w*|explo(?:d|s)\w+|reject\w*|throttl\w+|restart\w*",
        r"dies|died|dead|breaks?|broke|broken|disappear\w*|vanish\w*|differ\w*|disagree\w*|expired|too many|late",
        r"impossible|collid\w+|swamp\w*|block(?:s|ed)|evict\w*|mismatch\w*|unavailable|down|degrad\w+|flood\w*",
        r"storm\w*",
        r"stall\w*|bad|upset\w*|exceed\w*",
    )),
    "a figure": (1.2, any_word(
        r"\d[\d.,:]*\s*(?:%|ms|s|k|m|gb|mb|tb|kb|rps|qps|x)?|p9\d+|99th|percentile|median|half|petabytes?",
        r"two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|ninety",
        r"hundreds?|thousands?|millions?|billions?|per (?:second|minute|day|hour)",
    )),
    "a constraint": (1.4, any_word(
        r"without|while|must(?:n't)?|cannot|can't|only|at most|at least|no more than|within|budget|limit\w*|deadline",
        r"zero[- ]downtime|until|before|so that|even (?:if|though|when)|although|though|yet|despite|still|regardless",
        r"never|instead of|once|already|both|meanwhile|but|given|if",
    )),
    "a decision": (1.4, any_word(
        r"trade[- ]?offs?|choos\w+|choice|decid\w+|priorit\w+|versus|vs|rather than|compar\w+|which|why|justify",
        r"balance|give up|accept\w*|willing|prefer\w*|pick|weigh|argu\w+|cost\w*|risk\w*|first|in which order|worth",
        r"sacrifice|criteria|convince|settle|trust|authoritative|wins?|what would change|better",
    )),
    "a diagnosis": (1.2, any_word(
        r"diagnos\w+|find|found|caus\w+|investigat\w+|rule out|verif\w+|measur\w+|prove|evidence|isolate|root cause",
        r"confirm|debug\w*|detect\w*|reproduc\w+|suspect\w*|look (?:at|for)|check\w*|hunt|catch|test\w*|know",
        r"tell|trace|notice|rework|repair|recover\w*|prevent\w*|stop|avoid\w*|guarantee\w*|keep|protect",
        r"make sure|ensure\w*|fix\w*",
        r"rewrite|change|evolve|roll(?:ing)? (?:out|back)|back out|migrat\w+|happens?|estimate",
    )),
    "an example": (0.8, any_of(r"\be\.g\.|\bfor (?:example|instance)\b|\bsuch as\b|\bincluding\b|\bspecifically\b")),
    "circumstances": (1.2, any_word(
        r"when|after|during|as soon as|suddenly|under load|at peak|peaks?|since|each time|every time|whenever",
        r"at the same (?:time|moment)|within the same|concurrently|simultaneous\w*|ago|today|now|later|last|between",
        r"suppose|overnight|a (?:\w+ ){1,3}(?:has|is|was|takes|shows|starts|returns)",
    )),
}  # fmt: skip
