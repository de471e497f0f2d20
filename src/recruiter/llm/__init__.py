"""Language models behind an API: who offers them, how they are called, and what that took.

`endpoint.py` is what judges and writers use: one model of one provider, with slots, retries, counting and a budget.
`providers.py` says who offers models, `clients.py` speaks the two wire formats, `retry.py` has the only retries.
"""
