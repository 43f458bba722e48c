"""The log of a job on Hugging Face as it comes: lines into `log.txt`, marked ones into status and metrics as well.

The service replays the log from its beginning whenever it is asked. What an earlier connection wrote is counted and
passed over; what an earlier process wrote is looked for in `log.txt`, in order, among what was said about it here.
"""

import json
import math
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from servers.core.disk import append_jsonl, now, open_or_create
from servers.core.hub import FAILURES, first_wait_s, status_of
from servers.core.job_files import LOG, METRICS, STATUS, read_progress, write_wire
from servers.core.redaction import redacted
from servers.core.services import Services
from servers.core.words import cleaned
from training_jobs.aboard import MARK

if TYPE_CHECKING:
    from huggingface_hub import HfApi

OURS = "hf: "  # how the lines in `log.txt` begin that the one who follows says
LINE_CHARS, MOST_LINES = 2000, 50_000
MESSAGE_CHARS = 200
MOST_WAIT_S = 30.0
ABSENT = 3  # times that a log is not found: once may be too early


def say_line(folder: Path, words: str) -> None:
    """Add a line of our own to a job's log."""
    _append(folder, OURS + words)


def tell(folder: Path, message: str, step: int | None = None, of: int | None = None) -> None:
    """Say in a job's status what it is doing."""
    update: dict[str, object] = {"message": cleaned(message, MESSAGE_CHARS), "updated_at": now()}
    if step is not None and of is not None:
        update |= {"step": step, "of": of}
    write_wire(folder / STATUS, read_progress(folder).model_copy(update=update))


class RemoteLog:
    """Follows one log in a thread of its own until the job is over.

    Args:
        folder: Of the job here.
        job_id: Of the job there.
        namespace: Whose it is.
        api: The Hub.
        services: Say how long to wait, and which words are keys.
    """

    def __init__(self, folder: Path, job_id: str, namespace: str, api: "HfApi", services: Services) -> None:
        self._folder, self._job_id, self._namespace, self._api = folder, job_id, namespace, api
        self._services = services
        self._written = _lines_since(folder / LOG, f"{OURS}job {job_id} ")
        self._found = 0  # so many of them were replayed, or are none of the job's
        self._seen = 0
        self.over = threading.Event()
        """To be set once the job is over."""
        self.ended = threading.Event()
        """Set once the whole log was read."""
        self.stop = threading.Event()
        threading.Thread(target=self._follow, name=f"log of {job_id}", daemon=True).start()

    def _follow(self) -> None:
        wait_s, absent = first_wait_s(self._services), 0
        while not self.stop.is_set():
            before, number = self._seen, -1
            try:
                lines = self._api.fetch_job_logs(job_id=self._job_id, namespace=self._namespace, follow=True)
                for number, line in enumerate(lines):
                    if self.stop.is_set():
                        return
                    if number >= self._seen:
                        self._take(line)
                        self._seen += 1
                        wait_s = first_wait_s(self._services)
            except FAILURES as error:
                absent += status_of(error) == 404
                if self.over.is_set() and absent >= ABSENT:  # the job is gone, and its log with it
                    self.ended.set()
                    return
                self.stop.wait(wait_s)
                wait_s = min(2 * wait_s, MOST_WAIT_S)
            else:
                # A stream that breaks off once the job is over looks like one that ended: only a whole replay without
                # a new line shows that there is no more.
                if number + 1 == before:
                    self.ended.set()
                    return

    def _take(self, line: str) -> None:
        words = _one_line(redacted(line[:LINE_CHARS], self._services.environment))
        if not self._was_written(words) and self._seen < MOST_LINES:
            _append(self._folder, words)
        if line.startswith(MARK):
            try:
                said = json.loads(line.removeprefix(MARK))
                self._obey(said)
            except (ValueError, KeyError, TypeError, AttributeError):  # words of a job that look like ours
                return

    def _was_written(self, words: str) -> bool:
        for place in range(self._found, len(self._written)):
            if self._written[place] == words:
                self._found = place + 1
                return True
        return False

    def _obey(self, said: dict[str, dict[str, object]]) -> None:
        if "progress" in said:
            step, of = said["progress"]["step"], said["progress"]["of"]
            if isinstance(step, int) and isinstance(of, int):
                tell(self._folder, str(said["progress"]["message"]), step, of)
        elif "metrics" in said:
            row = {name: value for name, value in said["metrics"].items() if _is_number(value)}
            append_jsonl(self._folder / METRICS, row)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _one_line(words: str) -> str:
    """As it is written: what is no Unicode becomes a question mark."""
    return words.replace("\r", " ").replace("\n", " ").encode(errors="replace").decode()


def _append(folder: Path, words: str) -> None:
    handle = open_or_create(folder / LOG, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(handle, (_one_line(words) + "\n").encode())
    finally:
        os.close(handle)


def _lines_since(log: Path, start: str) -> list[str]:
    """The lines of a file behind the first that starts like this."""
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    first = next((number for number, line in enumerate(lines) if line.startswith(start)), len(lines))
    return lines[first + 1 :]
