"""The bodies of the API: what is taken and what is given."""
