"""Sense: engineering words put together in ways that no engineer would ("cache the throughput", "the trade-off fails").

Grammatical nonsense is the cheapest way round a judge that looks for the right words. This check knows three things: a
property such as latency does not act, it cannot be handled like a thing, and some verbs take few objects.
"""

from __future__ import annotations

import re

from recruiter.judges.words import ARTICLES, FUNCTION_WORDS, stem, tokens

_PROPERTIES = frozenset(
    stem(word)
    for word in """
    latency throughput consistency idempotency contention durability availability cardinality scalability concurrency
    bottleneck trade-off tradeoff skew reliability isolation freshness overhead velocity observability redundancy fairness
    accuracy granularity backpressure correctness parallelism utilization saturation complexity compatibility jitter
    staleness determinism linearizability bandwidth atomicity visibility throttling ordering durability resilience
    """.split()
)
# What a property can do: it changes, matters, or is some way.
_PROPERTY_ACTS = frozenset(
    stem(word)
    for word in """
    grow grows rise rises fall falls drop drops spike spikes jump jumps double doubles climb climbs increase increases
    decrease decreases matter matters improve improves suffer suffers stay stays exceed exceeds vary varies hurt hurts
    cost costs depend depends come comes appear appears differ differs degrade degrades worsen worsens recover recovers
    change changes remain remains reach reaches go goes get gets become becomes mean means require requires need needs
    limit limits affect affects cause causes hold holds break breaks settle settles creep creeps return returns show
    shows look looks make makes keep keeps dominate dominates budget budgets target targets goal goals trade-off
    requirement requirements guarantee guarantees problem problems issue issues spike spikes metric metrics graph graphs
    histogram histograms percentile percentiles figure figures alert alerts limits bug bugs risks loss losses errors
    """.split()
)
_HANDLING = frozenset(
    stem(word)
    for word in """
    cache serve invalidate expire oversell rotate join rank shard encrypt decrypt replay enqueue deploy restart commit
    publish poll insert delete merge serialize deserialize compact flush reindex migrate partition subscribe authenticate
    authorize revoke tokenize lock unlock rollback refund reconcile reroute redeliver acknowledge evict truncate rename
    upload download upsert fork spawn persist replicate checkpoint install resend requeue backfill query store send
    """.split()
)
# Verbs that take few objects, in any case not those of another trade.
_OBJECTS = {
    stem(verb): frozenset(map(stem, objects.split()))
    for verb, objects in {
        "rotate": "key keys secret credential certificate token log password cert logs them it role staff",
        "oversell": "seat stock item inventory ticket room unit slot product place capacity ad event it drop",
        "rank": "result document candidate item option ad feed cause post page fix hypothesis hypotheses them it",
    }.items()
}  # fmt: skip
_NO_VERB_BEFORE = ARTICLES | {"of", "each", "this", "that", "these", "those"}


def oddities(sentence: str) -> list[str]:
    """Word groups of `sentence` that make no sense, as they stand there."""
    found: list[str] = []
    for part in re.split(r"[,;:?!.()\"]+(?:\s|$)", sentence):
        words = tokens(part)
        lower = [word.lower() for word in words]
        for i, word in enumerate(lower):
            if odd_end := _handles_property(lower, i) or _property_acts(lower, i):
                found.append(" ".join(words[i:odd_end]))
            elif word == "of" and 0 < i and stem(lower[i - 1]) in _PROPERTIES and _head(lower, i + 1)[0] in _PROPERTIES:
                found.append(" ".join(words[i - 1 : _head(lower, i + 1)[1]]))
    return found


def _head(lower: list[str], start: int) -> tuple[str, int]:
    """Stem of the last word of the noun group at `start`, and where the group ends."""
    end = start
    while end < len(lower) and end - start < 5 and (end == start or lower[end] not in FUNCTION_WORDS):
        if end == start and lower[end] in FUNCTION_WORDS and lower[end] not in ARTICLES:
            return "", start
        end += 1
    return (stem(lower[end - 1]) if end > start else ""), end


def _handles_property(lower: list[str], i: int) -> int:
    """End of "cache the throughput" at `i`, or 0."""
    verb = stem(lower[i].removesuffix("s") if lower[i].endswith("ies") is False else lower[i])
    if verb not in _HANDLING or i == 0 or lower[i - 1] in _NO_VERB_BEFORE:
        return 0
    start = i + 1
    has_article = start < len(lower) and lower[start] in ARTICLES
    if not has_article:
        return 0
    head, end = _head(lower, start)
    if head in _PROPERTIES or (verb in _OBJECTS and head and head not in _OBJECTS[verb]):
        return end
    return 0


def _property_acts(lower: list[str], i: int) -> int:
    """End of "the trade-off fails" at `i`, or 0."""
    if stem(lower[i]) not in _PROPERTIES or i + 1 >= len(lower):
        return 0
    verb = lower[i + 1]
    if verb in {"doesn't", "don't"} and i + 2 < len(lower):
        return i + 3 if stem(lower[i + 2]) in _HANDLING | {"scal", "fail"} else 0
    follows = lower[i + 2] if i + 2 < len(lower) else ""
    acts = verb.endswith("s") and not verb.endswith("ss") and (follows == "" or follows in FUNCTION_WORDS)
    known_verb = stem(verb) in _HANDLING or verb in {"scales", "fails", "crashes", "retries", "times"}
    return i + 2 if acts and known_verb and stem(verb) not in _PROPERTY_ACTS else 0
