"""Which questions are much alike, found fast: MinHash over trigrams of letters (Broder 1997), in bands.

A text has `BANDS` numbers. Two texts that share half of their trigrams share a number in 96 of 100 cases, two that share a
tenth in 2, so an index of numbers finds the few worth comparing, in any language and on any database.
"""

from __future__ import annotations

import hashlib
import re
import zlib

import numpy as np

BANDS, ROWS = 24, 3
ALIKE = 0.5  # share of trigrams in common from which two questions are shown as alike
_SEEDS = np.frombuffer(hashlib.shake_256(b"bank").digest(BANDS * ROWS * 16), "<u8").reshape(2, -1, 1)


def trigrams(text: str) -> frozenset[str]:
    """The trigrams of a text's letters and figures, words apart; what stands between words does not count."""
    words = " ".join(("", "", *re.findall(r"[^\W_]+", text.casefold()), "", ""))
    return frozenset(words[i : i + 3] for i in range(len(words) - 2))


def bands(text: str) -> list[int]:
    """Numbers of 64 bits, one for each band, that much the same text has too."""
    hashes = np.array([zlib.crc32(gram.encode()) for gram in sorted(trigrams(text))], np.uint64)
    least = ((_SEEDS[0] | np.uint64(1)) * hashes + _SEEDS[1] >> np.uint64(32)).min(axis=1).astype("<u4")
    parts = least.reshape(BANDS, ROWS)
    keys = (hashlib.blake2b(bytes([i]) + part.tobytes(), digest_size=8).digest() for i, part in enumerate(parts))
    return [int.from_bytes(key, "little", signed=True) for key in keys]


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of the trigrams of both that both have, 0 to 1 (Jaccard)."""
    return len(one & other) / (len(one | other) or 1)
