"""Where a model's files are: a folder, or the Hub, which may be out of reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import constants, errors, get_session, hf_hub_download, is_offline_mode, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from recruiter.config import QUICKSTART_OFFER
from recruiter.config.paths import model_folder
from recruiter.errors import ModelError

NetworkError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # of the client that huggingface_hub uses
HUB_SECONDS = 5.0  # within which the Hub says something


def find_source(path: str, spelled: str = "{}") -> str:
    """What a loader is given for a model's name: its folder, or its id at the Hub; where the Hub does not answer, the folder in
    which a model was kept that was fetched before.

    Args:
        spelled: how the user wrote it.

    Raises:
        ModelError: the model is not on this machine, and the Hub cannot be reached.
    """
    if folder := model_folder(path):
        return str(folder)
    is_off = is_offline_mode()
    if not is_off and _hub_answers():
        return path
    try:
        return snapshot_download(path, local_files_only=True)
    except LocalEntryNotFoundError:
        why = "HF_HUB_OFFLINE is set" if is_off else f"{constants.ENDPOINT} cannot be reached"
        raise ModelError(
            f"{spelled.format(path)} is not on this machine, and {why}: connect to the network, or name a folder with a model. "
            f"{QUICKSTART_OFFER}"
        ) from None
    except HFValidationError:
        return path  # said by whoever loads it


def read_generation_config(path: str) -> dict[str, Any]:
    """What `generation_config.json` of a folder or Hub id says; empty where there is none.

    Raises:
        ModelError: see `find_source`.
    """
    source = find_source(path)
    try:
        file = Path(source) if Path(source).is_dir() else Path(hf_hub_download(source, "generation_config.json")).parent
        found: dict[str, Any] = json.loads((file / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, HfHubHTTPError):
        return {}
    return found


def _hub_answers() -> bool:
    """Whether the Hub answers at all. Its own client asks six times, over half a minute, before it gives up."""
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except NetworkError:
        return False
    return True
