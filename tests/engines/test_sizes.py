"""What is decoded and trained on at a time, by the memory that a run may take."""

from __future__ import annotations

import pytest

from recruiter.engines.sizes import KV_SHARE, pass_tokens, rollout_rows

GB = 1e9
KEPT = 24 * 36 * 2560 * 2  # of a token of Qwen3-4B's shape in bfloat16, compiled
KEPT_CHECKPOINTED = 4 * 36 * 2560 * 2
ROW = (
    2 * 36 * 8 * 128 * 2 * (96 + 183 / 4)
)  # keys and values of an answer of 96 tokens, and its part of a prompt of 183


@pytest.mark.parametrize(("card", "weights", "kept"), [(141, 8.1, KEPT), (80, 8.1, KEPT), (24, 8.1, KEPT_CHECKPOINTED),
                                                       (17.2, 4.4, KEPT_CHECKPOINTED)])  # fmt: skip
@pytest.mark.parametrize("share", [0.25, 0.5, 0.8, 1.0])
def test_sizes_are_bounded_by_the_share_of_the_card(card: float, weights: float, kept: int, share: float) -> None:
    memory = share * card * GB
    tokens, rows = pass_tokens(memory, weights * GB, kept), rollout_rows(memory, ROW, 4)
    assert rows * ROW <= max(KV_SHARE * memory, 4 * ROW)
    if memory > weights * GB:
        assert weights * GB + tokens * kept + rows * ROW <= memory
    else:
        assert tokens == 0
    assert pass_tokens(memory / 2, weights * GB, kept) <= tokens
    assert rollout_rows(memory / 2, ROW, 4) <= rows


def test_a_share_halves_passes_where_memory_decides_and_changes_nothing_where_speed_does() -> None:
    assert [pass_tokens(share * 141 * GB, 8.1 * GB, KEPT) for share in (1.0, 0.8, 0.4)] == [12017, 9467, 4367]
    assert [pass_tokens(share * 141 * GB, 8.1 * GB, KEPT_CHECKPOINTED) for share in (1.0, 0.4)] == [16384, 16384]
    assert [rollout_rows(share * 141 * GB, ROW, 4) for share in (1.0, 0.8, 0.4)] == [512, 512, 404]
    assert rollout_rows(1.0, ROW, 16) == 16
