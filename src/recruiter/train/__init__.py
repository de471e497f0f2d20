"""Training with GRPO. `grpo.py` is to be read first; `examples/loop.py` at the repository's root is its short form.

`groups.py` says who judges, `rated_groups.py` that people do; `rollout.py` is a group on its way through a step; `state.py`
what is kept between steps; `layout.py` and `rows.py` what a run's folder holds.
"""
