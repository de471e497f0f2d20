"""Language models behind an API: who offers them, how they are called, and what that took.

`api_model.py` is what judges and writers use: one model of one provider, with slots, retries, counting and a budget.
`providers.py` says who offers models, `clients.py` speaks the two wire formats, `reply.py` reads whatever comes back,
`failure.py` says what a failed call means, `retry.py` has the only retries.
"""
