"""A local server that speaks the HTTP of the Hugging Face Hub and of its inference endpoints, with faults on demand."""

from tests.fake_hub.server import TOKEN, FakeHub

__all__ = ["TOKEN", "FakeHub"]
