"""Follow a job that is done on Hugging Face: `python -m training_jobs.remote JOB_DIR`.

This process stands for the job here: it uploads what the job needs, submits it once, passes on what it says, and
fetches what it made. Killed, it leaves the job running there, and the next start goes on with that one (`remote.json`).
Told to stop by SIGTERM, it ends the job there first; `--cancel` does so for a job that nobody follows any more.

Rows, code and specification lie in the private dataset repository `<namespace>/etude-jobs`; a model's results in a
private repository of its own. The texts of a sampling lie in a repository that is deleted with all its history when the
job is over.
"""

import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from servers.core.hub import LONG_PATIENCE_S, HubError, api_for, asked, first_wait_s
from servers.core.job_files import (
    RESULT,
    CampaignSpec,
    RemoteSpec,
    RemoteUse,
    SampleSpec,
    TrainSpec,
    read_progress,
    read_spec,
    write_wire,
)
from servers.core.remote_note import (
    RemoteNote,
    note_for_next_attempt,
    open_folders,
    open_note,
    write_note,
)
from servers.core.services import HF_KEY, Services
from servers.core.settings import Settings
from servers.core.words import cleaned
from training_jobs.campaign import in_turn
from training_jobs.cargo import Boarding, Contents, Place, code_files, code_name, job_files
from training_jobs.job import Job, run
from training_jobs.remote_log import RemoteLog, say_line, tell
from training_jobs.remote_results import Useless, checked, download_results, put_in_place

if TYPE_CHECKING:
    from huggingface_hub import HfApi, JobInfo

JOBS_REPO = "etude-jobs"
CODE_MOUNT, JOB_MOUNT = "/etude-code", "/etude-job"
SUBMITTING, COMPLETED = "SUBMITTING", "COMPLETED"
ENDED = (COMPLETED, "ERROR", "CANCELED", "DELETED")
FETCHED = ".fetched-"
POLL_S = 5.0
LOG_REST_S = 15.0  # for what is left of a log when the job is over
CHECKPOINT_S = 300.0
SUBMITS, LOOKS, CANCEL_LOOKS, GONE_LOOKS = 4, 8, 10, 3
REASON_CHARS = 200
# What the container needs of this process's environment, besides the token.
PASSED_ON = ("HF_ENDPOINT", "HF_HUB_DISABLE_XET", "ETUDE_HUB_WAIT_S", "ETUDE_HUB_TIMEOUT_S")


class Stopped(BaseException):
    """SIGTERM came; no handler of errors may take it for one."""


class Following:
    """One job and the one that is done for it on Hugging Face.

    Args:
        folder: Of the job here.
        spec: What is to be done.
        services: The token, and where the Hub is.
    """

    def __init__(self, folder: Path, spec: TrainSpec | SampleSpec, services: Services) -> None:
        if spec.remote is None:
            raise ValueError(f"{spec.job_id} runs on this machine; run python -m training_jobs.{spec.kind}")
        self._folder, self._spec, self._services = folder, spec, services
        self._remote: RemoteSpec = spec.remote
        self._api: HfApi = api_for(services)
        self._note: RemoteNote = open_note(folder) or note_for_next_attempt(folder)

    def do(self) -> None:
        """Bring the job to its end, wherever an earlier start left it.

        Raises:
            ValueError: it failed, or the service did; the next start goes on, or begins anew where it failed.
        """
        if self._fetched.is_dir():  # cut short when all was here
            self._finish()
            return
        if self._note.stage == SUBMITTING:  # cut short: it may have begun
            self._adopt(self._started())
        if self._note.id is None:
            self._submit()
        note = self._note
        say_line(self._folder, f"job {note.id} of {self._remote.namespace} on {self._remote.flavor}, {note.url}")
        info = self._watch()
        if (stage := _stage(info)) != COMPLETED:
            self._close(self._use(info))
            message = cleaned(info.status.message or "", REASON_CHARS) if info is not None else ""
            raise ValueError(
                f"the job on Hugging Face ended as {stage}{': ' if message else ''}{message}; see {note.url}; "
                "start_retrain begins another"
            )
        tell(self._folder, "fetching what it made")
        use = self._use(info)
        try:
            self._fetch(use)
        except Useless as error:
            self._close(use)
            raise ValueError(f"the job on Hugging Face says that it succeeded, but {error}; see {note.url}") from error

    def cancel(self) -> None:
        """End the job there, if it may run.

        Raises:
            HubError: the service does not confirm it; the note stays open.
        """
        note = self._note
        found = self._started() if note.stage == SUBMITTING else None
        job_id = note.id or (found.id if found is not None else None)
        info = None
        if job_id is not None:
            try:
                asked(self._services, "cancel the job", lambda: self._api.cancel_job(**self._there(job_id)))
            except HubError as error:
                if error.status not in (400, 404, 409):  # over already
                    raise
            for _ in range(CANCEL_LOOKS):
                info = self._inspect(job_id)
                if _stage(info) in ENDED:
                    break
                time.sleep(first_wait_s(self._services))
            else:
                raise HubError(f"Hugging Face does not end the job {job_id}; try again", None, reached=True)
            say_line(self._folder, f"job {job_id} is {_stage(info)}")
        self._close(self._use(info))

    # Uploading and submitting.

    def _submit(self) -> None:
        tell(self._folder, "uploading its files")
        try:
            code, job = self._upload()
        except ValueError:
            self._close(RemoteUse(seconds=0.0, usd=0.0))  # nothing was submitted, so nothing is paid
            raise
        self._noted(stage=SUBMITTING)
        tell(self._folder, "submitting")
        reached = False
        for left in range(SUBMITS - 1, -1, -1):
            try:
                self._adopt(asked(self._services, "start the job", lambda: self._run_job(code, job), tries=1))
                if reached:  # an earlier one may have been slow, not lost, and runs beside it
                    self._adopt(self._started())
                return
            except HubError as error:
                reached = reached or error.reached
                is_last = left == 0 or not (error.reached or error.status is None)
                if not reached and is_last:
                    self._close(RemoteUse(seconds=0.0, usd=0.0))
                    raise
                time.sleep(max(first_wait_s(self._services), error.wait_s))
                # Accepted, and the answer was lost? Asked by its mark, never guessed.
                if reached and (found := self._started()) is not None:
                    self._adopt(found)
                    return
                if is_last:  # it may still turn up, so the note stays open, and the next start looks again
                    raise

    def _upload(self) -> tuple[str, str]:
        """Everything the job needs; the folder of the code and the repository's commit, and the same of the job."""
        namespace, spec = self._remote.namespace, self._spec
        shared = f"{namespace}/{JOBS_REPO}"
        self._private_repo(shared, "dataset")
        code = code_files()
        self._code_folder = f"code/{code_name(code)}"
        ready = asked(
            self._services,
            "say which code it has",
            lambda: self._api.get_paths_info(
                shared, [f"{self._code_folder}/training_jobs/cargo.py"], repo_type="dataset"
            ),
        )
        if not ready:
            self._commit(shared, self._code_folder, code, "code")
        if self._job_repo != shared:
            self._private_repo(self._job_repo, "dataset")
        self._private_repo(self._results.repo, self._results.type)
        boarding = Boarding(
            results=self._results,
            log=Place(type="dataset", repo=self._job_repo, folder=self._job_folder),
            checkpoint_s=CHECKPOINT_S,
        )
        job = self._commit(self._job_repo, self._job_folder, job_files(self._folder, spec, boarding), spec.job_id)
        sha = asked(
            self._services, "say its newest commit", lambda: self._api.repo_info(shared, repo_type="dataset").sha
        )
        return str(sha), job

    def _private_repo(self, name: str, kind: Literal["model", "dataset"]) -> None:
        asked(
            self._services,
            f"make the repository {name}",
            lambda: self._api.create_repo(name, repo_type=kind, private=True, exist_ok=True),
        )
        info = asked(
            self._services, f"describe the repository {name}", lambda: self._api.repo_info(name, repo_type=kind)
        )
        if not info.private:
            raise ValueError(f"{name} is public, and jobs use private repositories only; make it private")

    def _commit(self, repo: str, folder: str, files: dict[str, Contents], what: str) -> str:
        """Add files in one commit; its id, or the newest one's where nothing differs."""
        from huggingface_hub import CommitOperationAdd

        def commit() -> str:
            add = [CommitOperationAdd(f"{folder}/{name}", contents) for name, contents in files.items()]
            made = self._api.create_commit(repo, add, commit_message=f"etude: {what}", repo_type="dataset")
            return str(made.oid)

        return asked(self._services, "take the job's files", commit)

    def _run_job(self, code: str, job: str) -> "JobInfo":
        from huggingface_hub import Volume

        environment = self._services.environment
        return self._api.run_job(
            image=self._remote.image,
            command=[
                *("uv", "run", "--no-project", "--with-requirements", f"{JOB_MOUNT}/requirements.txt"),
                *("python", "-m", "training_jobs.aboard", JOB_MOUNT),
            ],
            env={
                "PYTHONPATH": CODE_MOUNT,
                "PYTHONUNBUFFERED": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                **{name: environment[name] for name in PASSED_ON if environment.get(name)},
            },
            secrets={HF_KEY: self._services.key(HF_KEY)},
            flavor=self._remote.flavor,
            timeout=self._remote.timeout_s,
            attempts=1,
            name=self._spec.job_id,
            labels={
                "etude-job": self._spec.job_id,
                "etude-attempt": str(self._note.attempt),
                "etude-start": self._note.mark,
            },
            volumes=[
                Volume(
                    type="dataset",
                    source=f"{self._remote.namespace}/{JOBS_REPO}",
                    revision=code,
                    path=self._code_folder,
                    mount_path=CODE_MOUNT,
                ),
                Volume(
                    type="dataset", source=self._job_repo, revision=job, path=self._job_folder, mount_path=JOB_MOUNT
                ),
            ],
            namespace=self._remote.namespace,
        )

    def _started(self) -> "JobInfo | None":
        """The job there that carries this note's mark; should there be several, the others are cancelled."""
        found = self._marked()
        for other in found[1:]:
            asked(self._services, "cancel a job", partial(self._api.cancel_job, **self._there(other.id)))
        return found[0] if found else None

    def _marked(self) -> "list[JobInfo]":
        """What the namespace lists under this note's mark."""

        def by_mark() -> "list[JobInfo]":
            return list(self._api.list_jobs(namespace=self._remote.namespace, labels={"etude-start": self._note.mark}))

        found = asked(self._services, "list its jobs", by_mark)
        # Looked at here as well: a list that is not narrowed down names jobs that are none of ours to cancel.
        ours = [info for info in found if (info.labels or {}).get("etude-start") == self._note.mark]
        return sorted(ours, key=lambda info: info.id)

    def _adopt(self, info: "JobInfo | None") -> None:
        if info is not None:
            self._noted(id=info.id, url=info.url, stage=_stage(info))

    # Following.

    def _watch(self) -> "JobInfo | None":
        """The job once it is over; None where the service has forgotten it."""
        job_id = self._note.id
        assert job_id is not None  # it was submitted
        log = RemoteLog(self._folder, job_id, self._remote.namespace, self._api, self._services)
        try:
            while _stage(info := self._inspect(job_id)) not in ENDED:
                assert info is not None
                if _stage(info) != self._note.stage:
                    self._noted(stage=_stage(info))
                if read_progress(self._folder).of == 0:
                    tell(self._folder, f"{_stage(info).lower()} on {self._remote.flavor} of Hugging Face Jobs")
                if log.ended.wait(POLL_S):  # the log is over, so the job is about to be
                    time.sleep(first_wait_s(self._services))
            self._noted(stage=_stage(info))
            log.over.set()
            log.ended.wait(LOG_REST_S)
        finally:
            log.stop.set()
        return info

    def _inspect(self, job_id: str) -> "JobInfo | None":
        """The job there; None where its namespace does not list it either.

        Not found is also what a service says of a job that it has just taken in, and to a token that may not see it: it
        alone is no reason to give up what may run and cost.
        """
        for left in range(GONE_LOOKS - 1, -1, -1):
            try:
                return asked(
                    self._services,
                    "say how the job is",
                    lambda: self._api.inspect_job(**self._there(job_id)),
                    tries=LOOKS,
                    patience_s=LONG_PATIENCE_S,
                )
            except HubError as error:
                if error.status != 404:
                    raise
            if found := [info for info in self._marked() if info.id == job_id]:
                return found[0]
            if left:
                time.sleep(first_wait_s(self._services))
        return None

    def _use(self, info: "JobInfo | None") -> RemoteUse:
        """What the job took, as the service counts it; its whole time limit where it does not say."""
        seconds: float = 0.0
        if info is None:
            seconds = self._remote.timeout_s if self._note.id is not None else 0.0
        elif info.durations is not None and info.durations.running_secs is not None:
            seconds = float(info.durations.running_secs)
        elif info.started_at is not None and info.finished_at is not None:
            seconds = max(0.0, (info.finished_at - info.started_at).total_seconds())
        elif info.started_at is not None:
            seconds = self._remote.timeout_s
        if not (math.isfinite(seconds) and seconds >= 0):  # no number that a file can hold, or that gives money back
            seconds = self._remote.timeout_s
        return RemoteUse(seconds=round(seconds, 3), usd=round(seconds / 60 * self._remote.usd_per_minute, 6))

    # Fetching.

    def _fetch(self, use: RemoteUse) -> None:
        """Bring the results here, `result.json` last.

        Raises:
            Useless: they are not what the job was for.
            HubError: they could not be had.
        """
        place = self._results
        for left in self._folder.glob(f"{FETCHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=f"{FETCHED}draft-") as draft:
            sha = download_results(self._services, self._api, place, Path(draft))
            fetched = Path(draft) / place.folder
            result = checked(fetched, self._spec)
            write_wire(fetched / RESULT, result.model_copy(update={"remote": use}))
            os.replace(fetched, self._fetched)
        say_line(self._folder, f"fetched from {place.repo} at {sha}; {use.seconds:.0f} s, {use.usd:.4f} USD")
        self._finish()

    def _finish(self) -> None:
        """Put the results that are here in their places. Until then they stay where no new attempt clears them away:
        the texts are deleted before, and with them goes the only other copy of the answers.
        """
        self._delete_texts()
        put_in_place(self._fetched, self._folder, self._spec)
        shutil.rmtree(self._fetched, ignore_errors=True)

    @property
    def _fetched(self) -> Path:
        """Where results lie that were fetched whole for this note."""
        return self._folder / f"{FETCHED}{self._note.mark}"

    # Where things lie.

    @property
    def _job_repo(self) -> str:
        name = JOBS_REPO if isinstance(self._spec, TrainSpec) else f"etude-sampling-{self._note.mark}"
        return f"{self._remote.namespace}/{name}"

    @property
    def _job_folder(self) -> str:
        return f"jobs/{self._spec.job_id}"

    @property
    def _results(self) -> Place:
        spec = self._spec
        if isinstance(spec, TrainSpec) and not spec.smoke:
            repo = f"{self._remote.namespace}/etude-{spec.task.name}-{spec.model_id}"
            return Place(type="model", repo=repo, folder="job")
        return Place(type="dataset", repo=self._job_repo, folder=f"{self._job_folder}/results")

    def _there(self, job_id: str) -> dict[str, str]:
        return {"job_id": job_id, "namespace": self._remote.namespace}

    # Noting.

    def _noted(self, **update: Any) -> None:
        self._note = write_note(self._folder, self._note.model_copy(update=update))

    def _close(self, use: RemoteUse) -> None:
        """Note what the job took. It is over, and another start submits another."""
        self._delete_texts()
        self._noted(use=use)

    def _delete_texts(self) -> None:
        if isinstance(self._spec, TrainSpec):
            return
        try:
            asked(
                self._services,
                f"delete the repository {self._job_repo}",
                lambda: self._api.delete_repo(self._job_repo, repo_type="dataset", missing_ok=True),
            )
        except HubError as error:
            if error.status != 404:
                raise


def _stage(info: "JobInfo | None") -> str:
    return "DELETED" if info is None else str(getattr(info.status.stage, "value", info.status.stage))


def _stop(number: int, frame: object) -> None:
    raise Stopped


def _work(services: Services) -> Callable[[Job[Any]], None]:
    def follow(job: Job[Any]) -> None:
        following = Following(job.folder, job.spec, services)
        try:
            following.do()
        except Stopped:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            following.cancel()
            raise

    return follow


def cancel(folder: Path, services: Services) -> None:
    """End what may run on Hugging Face for a job, or for a campaign's trainings.

    Raises:
        ValueError: the service does not confirm it.
    """
    for place in open_folders(folder):
        spec = read_spec(place)
        assert isinstance(spec, (TrainSpec, SampleSpec))  # others have no note of their own
        Following(place, spec, services).cancel()


def main() -> int:
    services = Services.here(Settings())
    if len(sys.argv) == 3 and sys.argv[2] == "--cancel":
        try:
            cancel(Path(sys.argv[1]).resolve(), services)
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return 0
    signal.signal(signal.SIGTERM, _stop)
    work = _work(services)
    try:
        folder = Path(sys.argv[1]).resolve() if len(sys.argv) == 2 else None
        spec = read_spec(folder) if folder is not None else None
        if isinstance(spec, CampaignSpec):
            return run(CampaignSpec, lambda job: in_turn(job, work, before=note_for_next_attempt))
        return run(SampleSpec, work) if isinstance(spec, SampleSpec) else run(TrainSpec, work)
    except Stopped:
        print("cancelled", file=sys.stderr)
        return 128 + signal.SIGTERM
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
