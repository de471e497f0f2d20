"""Evaluation: the same roles, messages and settings for every model, every sample reported, nothing dropped.

`records.py` says what is kept of a run, `estimates.py` and `results.py` what is found out, `runner.py` finds it out.
`figures.py`, `text_figures.py`, `agreement.py`, `strengths.py` and `reads.py` compute the figures, `tables.py` shows them.
`blind.py` makes sheets for blind readers, `readings.py` reads what they say; `claims.py` says what may be claimed.
"""
