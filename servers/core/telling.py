"""A job's failure is told once: whoever calls again then means it, and the next attempt may begin."""

from pathlib import Path

from servers.core.disk import read_json, write_json
from servers.core.jobs import JobStatus

TOLD = "told.json"


def tell_failure_once(folder: Path, job: JobStatus, sealed: bool = False) -> None:
    """Refuse with the reason of an attempt that failed, unless it was told before.

    Args:
        folder: The job's.
        job: What it came to.
        sealed: Whether it works on sealed rows: its last words may quote them, and are not told.

    Raises:
        ValueError: the attempt failed, and nobody was told yet.
    """
    told = folder / TOLD
    if job.state != "failed" or (told.exists() and read_json(told)["attempt"] == job.attempt):
        return
    write_json(told, {"schema": 1, "attempt": job.attempt})
    why = f"its log is in {folder}" if sealed else job.error or "no reason given"
    raise ValueError(f"{job.job_id} failed: {why}; calling again goes on from what it has")
