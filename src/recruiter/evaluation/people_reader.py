"""People as blind readers on a feedback server: the sheet's roles are handed in as groups, and readings come back as a table.

Raters see the questions shuffled, without letters, and nothing of who wrote them. The server is asked as in training
(`recruiter.judges.feedback_client`); handing the same sheet in again asks nobody twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from recruiter.config import HumanFeedbackConfig
from recruiter.evaluation.blind import SheetRole
from recruiter.evaluation.readings import COLUMNS, read_readings
from recruiter.evaluation.records import Reading, Sheet
from recruiter.files import csv_text
from recruiter.judges.feedback_client import FeedbackClient
from recruiter.llm.loop_thread import run_async


class PeopleReader:
    """Has a sheet read by people.

    Attributes:
        url: of the feedback server.
    """

    def __init__(self, settings: HumanFeedbackConfig) -> None:
        """Raises: ConfigError: FEEDBACK_API_KEY is nothing that could be a key."""
        self._settings, self._client = settings, FeedbackClient(settings, "--people {}")
        self.url = self._client.url

    def hand_in(self, roles: Iterable[SheetRole], sheet: Sheet) -> int:
        """Put the sheet's roles into the raters' queue, each once; return how many there are.

        Raises:
            JudgeError: the server cannot be used.
        """

        async def submit() -> int:
            await self._client.check()
            count = 0
            for each in roles:
                body = {
                    "group_id": f"sheet-{sheet.hash[:16]}-{each.number}",
                    "run": f"blind sheet {sheet.hash[:8]}",
                    "policy_step": 0,
                    "role": each.role.model_dump(mode="json"),
                    "questions": list(each.questions.values()),
                    "overlap": self._settings.overlap,
                    "task": self._settings.task,
                    "sheet": sheet.hash,
                }
                await self._client.call("POST", "/api/groups", body)
                count += 1
            return count

        return run_async(submit())

    def readings(self, sheet: Sheet, path: Path) -> dict[str, Reading]:
        """What people have read so far, by reader; the table that holds it is kept at `path`.

        Raises:
            JudgeError: the server cannot be used.
        """
        answer = run_async(self._client.call("GET", f"/api/sheets/{sheet.hash}/readings"))
        if not answer["readings"]:
            return {}
        path.write_bytes(csv_text((*COLUMNS, "reader", "kind", "sheet"), answer["readings"]).encode())
        return read_readings(path, sheet)
