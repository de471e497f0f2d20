"""How much is decoded and trained on at a time on a GPU: what is fast, and fits the memory that the process may take.

All is bytes. The memory is the share of the card that `trainer.gpu_memory_utilization` leaves the policy's process.
"""

from __future__ import annotations

ROLLOUT_ROWS = {"cpu": 64, "cuda": 512}  # answers decoded together
KV_SHARE = 0.15  # of the memory, for the keys and values of rollouts
ACTIVATION_SHARE = 0.4  # of what the weights leave free, for one training pass
TOKENS_PER_PASS = {"cpu": 1024, "cuda": 16384}


def rollout_rows(memory: float, bytes_a_row: float, group_size: int) -> int:
    """Answers that a GPU decodes together: as many as pay, and as their keys and values leave memory for; a group at least."""
    return min(ROLLOUT_ROWS["cuda"], max(int(KV_SHARE * memory / bytes_a_row), group_size))


def pass_tokens(memory: float, weights: float, bytes_a_token: float) -> int:
    """Tokens of one training pass on a GPU: enough for fast matrix products, few enough for what layers keep of them."""
    return min(TOKENS_PER_PASS["cuda"], max(0, int(ACTIVATION_SHARE * (memory - weights) / bytes_a_token)))
