"""The name that vLLM imports wherever it finds a flash_attn."""

from flash_attn.bert_padding import missing

apply_rotary = missing
