"""What a job costs that has a model answer or write: set aside for each attempt, put right when the attempt has ended.

Such a job asks an endpoint, whose journal counts all attempts together, or answers on Hugging Face, where each attempt
is paid for by itself. An attempt that failed or was cancelled cost what it took, and what was set aside beyond that is
given back; one that may go on elsewhere keeps its reservation.
"""

import re
from pathlib import Path

from servers.core.budget import Budget
from servers.core.disk import read_json, read_jsonl
from servers.core.job_files import ANSWERS, RESULT, SPEC, EndpointSpec, RemoteUse, SampleSpec, TeachSpec, read_spec
from servers.core.jobs import ENDED, JobStore
from servers.core.remote_note import open_note, read_note

KEY = re.compile(r"(?P<job>(?:sample|teach)-[0-9a-f]+)#(?P<attempt>[0-9]+)")


def reserve_next(budget: Budget, jobs: JobStore, folder: Path, most: float, what: str) -> None:
    """Set aside what a job's next attempt can cost. What earlier ones took is settled before.

    Args:
        budget: The artifacts folder's.
        jobs: Where the job lies.
        folder: The job's.
        most: USD, of all attempts at an endpoint together, or of one elsewhere.
        what: In words.

    Raises:
        ValueError: the budget does not allow it.
    """
    settle_ended(budget, jobs, folder.parent)
    if most <= 0:
        return
    attempt = 1 + (jobs.status(folder.name).attempt if jobs.exists(folder.name) else 0)
    if (note := open_note(folder)) is not None:  # it goes on with what runs elsewhere
        attempt = note.attempt
    if _endpoint(folder) is not None:
        most = max(0.0, most - _settled_before(budget, folder.name, attempt))
    budget.reserve(f"{folder.name}#{attempt}", most, what)


def settle_ended(budget: Budget, jobs: JobStore, root: Path) -> None:
    """Put the reservations of attempts right that have ended, well or not.

    Args:
        budget: The artifacts folder's.
        jobs: The jobs of `root`; what was set aside for others stays as it is.
        root: The folder that the jobs' folders lie in.
    """
    for key, most in budget.reservations().items():
        match = KEY.fullmatch(key)
        if match is None or not jobs.exists(match["job"]):
            continue
        job, attempt, folder = jobs.status(match["job"]), int(match["attempt"]), root / match["job"]
        note = open_note(folder)
        goes_on = note is not None and note.attempt == attempt
        if not goes_on and (job.attempt > attempt or (job.attempt == attempt and job.state in ENDED)):
            budget.settle(key, _used(budget, folder, attempt, most))


def _used(budget: Budget, folder: Path, attempt: int, most: float) -> float:
    """USD that an attempt took; the most that it could where nobody says."""
    if _endpoint(folder) is not None:
        by_number: dict[int, float] = {
            row["number"]: row["usd"] for row in read_jsonl(folder / ANSWERS) if "note" not in row
        }
        return max(0.0, sum(by_number.values()) - _settled_before(budget, folder.name, attempt))
    note = read_note(folder)
    use = note.use if note is not None and note.attempt == attempt else None
    if (folder / RESULT).exists() and (remote := read_json(folder / RESULT).get("remote")) is not None:
        use = RemoteUse.model_validate(remote)
    return use.usd if use is not None and use.usd >= 0 else most


def _settled_before(budget: Budget, job_id: str, attempt: int) -> float:
    settled = budget.settled()
    return sum(settled.get(f"{job_id}#{earlier}", 0.0) for earlier in range(1, attempt))


def _endpoint(folder: Path) -> EndpointSpec | None:
    spec = read_spec(folder) if (folder / SPEC).exists() else None
    return spec.endpoint if isinstance(spec, (SampleSpec, TeachSpec)) else None
