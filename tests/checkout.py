"""A checkout of its own for commands that write beside the code, or are not allowed to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests import REPOSITORY

ANCHORS = "src/recruiter/judges/local/anchors.json"


def make_checkout(root: Path, anchors: int | None = 20) -> Path:
    """Copy the code, the settings and the shipped roles.

    Args:
        anchors: roles whose anchors the local judge learns from; None: all 286, for which the starter's head
            is shipped.
    """
    for name in ("configs", "scripts", "src"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("*.egg-info"))
    (root / "data").mkdir()
    shutil.copy(REPOSITORY / "data/backend_roles.json", root / "data")
    if anchors is not None:
        kept = json.loads((root / ANCHORS).read_text(encoding="utf-8"))[:anchors]
        (root / ANCHORS).write_text(json.dumps(kept), encoding="utf-8")
    return root
