"""Stands in where flash-attn is not installed. SkyRL imports names from it at start; they are called only when
`trainer.flash_attn` or `trainer.remove_microbatch_padding` is on, which the engine then refuses.
"""
