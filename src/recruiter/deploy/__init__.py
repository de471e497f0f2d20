"""The Hub, and endpoints that serve a model."""
