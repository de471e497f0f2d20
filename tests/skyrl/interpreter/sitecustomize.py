"""Runs at the start of every process of these tests, Ray's among them."""

import sys
import typing

if sys.version_info < (3, 12):
    import typing_extensions

    # pydantic reads SkyRL's typed dictionaries, and needs these below Python 3.12, which SkyRL is made for.
    typing.TypedDict = typing_extensions.TypedDict
