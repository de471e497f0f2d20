"""The names that SkyRL imports."""

from typing import Any, NoReturn


def missing(*_: Any, **__: Any) -> NoReturn:
    """Say what is missing."""
    raise ImportError(
        "flash-attn is not installed: set trainer.flash_attn and trainer.remove_microbatch_padding to false."
    )


pad_input = unpad_input = index_first_axis = missing
