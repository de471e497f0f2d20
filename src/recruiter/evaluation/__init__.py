"""Evaluation: the same roles, messages and settings for every model, every sample reported, nothing dropped.

`records.py` says what is kept of a run, `results.py` what is found out, `runner.py` finds it out, `figures.py`, `texts.py`,
`agreement.py` and `strengths.py` compute the figures from stored samples, `tables.py` shows them.
"""
