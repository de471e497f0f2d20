"""People's ratings: groups of questions, leases on them, ratings, and what is made of them. See `app.py`."""
