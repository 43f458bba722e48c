"""A job's folder as the job sees it: what it was told, and where it says how far it is."""

import os
from pathlib import Path
from typing import Any

from servers.core.disk import append_jsonl, now, read_json, write_json
from servers.core.jobs import hold_lock


class JobFolder:
    """The folder of a running job; while this lives, the job counts as alive.

    Args:
        path: The folder, with a `spec.json` in it.
        steps: How many steps `say` will count.
    """

    def __init__(self, path: Path, steps: int) -> None:
        self.path = path
        self.spec: dict[str, Any] = read_json(path / "spec.json")
        self._steps = steps
        self._step = 0
        self._started_at = now()
        self._lock = hold_lock(path)  # let go by the end of the process, whatever ends it

    def say(self, message: str) -> None:
        """Note that the next step begins."""
        self._step += 1
        print(f"{now()} {self._step}/{self._steps} {message}", flush=True)
        write_json(
            self.path / "status.json",
            {
                "schema": 1,
                "pid": os.getpid(),
                "started_at": self._started_at,
                "updated_at": now(),
                "step": self._step,
                "of": self._steps,
                "message": message,
            },
        )

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Add one row to `metrics.jsonl`."""
        append_jsonl(self.path / "metrics.jsonl", {"_step": step, **metrics})

    def finish(self, result: dict[str, Any]) -> None:
        """Write `result.json`, which makes the job a success; nothing is written after it."""
        write_json(self.path / "result.json", {"schema": 1, "job_id": self.spec["job_id"], **result})
