"""Benchmarks: ours and the peer in one run."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
