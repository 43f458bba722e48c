"""Do a job in the container of a Hugging Face Job: `python -m training_jobs.aboard MOUNTED_JOB_DIR`.

The mounted folder is read-only, so the job is done in a copy of it, by the same program as on one's own machine. What
it says goes to the container's log, with its steps and metrics on marked lines. Checkpoints are saved in the repository
of the results and found there by the next attempt; the results replace them in one commit, so they are there whole or
not at all.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from servers.core.disk import read_json, read_jsonl
from servers.core.hub import LONG_PATIENCE_S, HubError, api_for, asked
from servers.core.job_files import (
    BASE_PREDICTIONS,
    LOG,
    METRICS,
    MODEL,
    PREDICTIONS,
    RESULT,
    STATUS,
    read_spec,
)
from servers.core.redaction import redacted
from servers.core.services import Services
from servers.core.settings import Settings
from training_jobs.cargo import BOARDING, Boarding, Place

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MARK = "@etude "
CHECKPOINTS, WHOLE = "checkpoints", "complete.json"  # a checkpoint without the second is not finished
LOOK_S = 0.2
LOG_CHARS = 1_000_000
RESULT_TRIES = 10  # some minutes: what was trained and paid for is not given up with a service that is down for two


class Aboard:
    """One job in its container.

    Args:
        mounted: The job's folder as it was uploaded.
        services: The token, and where the Hub is.
    """

    def __init__(self, mounted: Path, services: Services) -> None:
        self._services = services
        self._api: HfApi = api_for(services)
        self._boarding = Boarding.model_validate(read_json(mounted / BOARDING))
        self._spec = read_spec(mounted)
        self._folder = Path(tempfile.mkdtemp(prefix="etude-")) / self._spec.job_id
        shutil.copytree(mounted, self._folder, copy_function=shutil.copyfile)
        self._said, self._metrics = "", 0
        self._saved: str | None = None

    def work(self) -> int:
        """Do the job; the exit code.

        Raises:
            HubError: the results could not be uploaded.
        """
        place = self._boarding.results
        asked(
            self._services,
            f"make the repository {place.repo}",
            lambda: self._api.create_repo(place.repo, repo_type=place.type, private=True, exist_ok=True),
        )
        self._fetch_checkpoints()
        code = self._run()
        if code == 0 and not (self._folder / RESULT).exists():
            code = 1
        if code == 0:
            self._upload_results()
        else:
            self._upload_log()
        return code

    def _run(self) -> int:
        command = [sys.executable, "-P", "-m", f"training_jobs.{self._spec.kind}", str(self._folder)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            reader = threading.Thread(target=self._pass_on, args=(process,), daemon=True)
            reader.start()
            saved_at = time.monotonic()
            while True:
                try:
                    code = process.wait(LOOK_S)
                except subprocess.TimeoutExpired:
                    self._tell()
                    if time.monotonic() - saved_at >= self._boarding.checkpoint_s:
                        self._save_checkpoint()
                        saved_at = time.monotonic()
                else:
                    break
            reader.join()
        self._tell()
        return code

    def _pass_on(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with (self._folder / LOG).open("a", encoding="utf-8") as log:
            for line in process.stdout:
                print(line, end="", flush=True)
                log.write(line)

    def _tell(self) -> None:
        """Print what is new in the status and the metrics."""
        if (self._folder / STATUS).exists():
            status = read_json(self._folder / STATUS)
            said = json.dumps({"progress": {name: status[name] for name in ("step", "of", "message")}})
            if said != self._said:
                self._said = said
                print(MARK + said, flush=True)
        rows = list(read_jsonl(self._folder / METRICS))
        for row in rows[self._metrics :]:
            print(MARK + json.dumps({"metrics": row}), flush=True)
        self._metrics = len(rows)

    def _fetch_checkpoints(self) -> None:
        place = self._boarding.results
        try:
            asked(
                self._services,
                "hand over the checkpoints",
                lambda: self._api.snapshot_download(
                    place.repo,
                    repo_type=place.type,
                    allow_patterns=f"{place.folder}/{CHECKPOINTS}/*",
                    local_dir=self._folder / ".hub",
                ),
            )
        except HubError as error:
            if error.status != 404:
                raise
        found = self._folder / ".hub" / place.folder / CHECKPOINTS
        if found.is_dir():
            os.replace(found, self._folder / CHECKPOINTS)
            print(f"going on from {', '.join(sorted(one.name for one in (self._folder / CHECKPOINTS).iterdir()))}")

    def _save_checkpoint(self) -> None:
        """Upload the newest whole checkpoint, if it is not there yet; one that cannot be saved is no failure."""
        whole = sorted((self._folder / CHECKPOINTS).glob(f"*/{WHOLE}"), key=lambda file: file.stat().st_mtime)
        if not whole or whole[-1].parent.name == self._saved:
            return
        name, place = whole[-1].parent.name, self._boarding.results
        with tempfile.TemporaryDirectory(dir=self._folder.parent) as copy:
            try:
                # Linked, because the training takes old ones away while they are uploaded.
                shutil.copytree(whole[-1].parent, Path(copy) / name, copy_function=os.link)
                asked(
                    self._services,
                    "take a checkpoint",
                    lambda: self._api.upload_folder(
                        repo_id=place.repo,
                        repo_type=place.type,
                        folder_path=copy,
                        path_in_repo=f"{place.folder}/{CHECKPOINTS}",
                        delete_patterns="*",
                        commit_message=f"{name} of {self._spec.job_id}",
                    ),
                )
            except (OSError, HubError) as error:
                print(f"{name} is not saved: {redacted(str(error), self._services.environment)}", flush=True)
            else:
                self._saved = name
                print(f"saved {name}", flush=True)

    def _upload_results(self) -> None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        place = self._boarding.results
        files = [self._folder / name for name in (PREDICTIONS, BASE_PREDICTIONS, METRICS, RESULT)]
        files += sorted((self._folder / MODEL).rglob("*"))
        add = [
            CommitOperationAdd(f"{place.folder}/{file.relative_to(self._folder).as_posix()}", file)
            for file in files
            if file.is_file()
        ]
        checkpoints = f"{place.folder}/{CHECKPOINTS}"
        there = asked(
            self._services,
            "say what the repository holds",
            lambda: self._api.get_paths_info(place.repo, [checkpoints], repo_type=place.type),
            tries=RESULT_TRIES,
            patience_s=LONG_PATIENCE_S,
        )
        remove = [CommitOperationDelete(checkpoints, is_folder=True)] if there else []
        asked(
            self._services,
            "take the results",
            lambda: self._api.create_commit(
                place.repo,
                [*remove, *add],
                commit_message=f"results of {self._spec.job_id}",
                repo_type=place.type,
            ),
            tries=RESULT_TRIES,
            patience_s=LONG_PATIENCE_S,
        )

    def _upload_log(self) -> None:
        place = self._boarding.log
        words = (self._folder / LOG).read_text(encoding="utf-8", errors="replace")[-LOG_CHARS:]
        _upload_text(self._services, self._api, place, redacted(words, self._services.environment))


def _upload_text(services: Services, api: "HfApi", place: Place, words: str) -> None:
    asked(
        services,
        "take the log",
        lambda: api.upload_file(
            path_or_fileobj=words.encode(),
            path_in_repo=f"{place.folder}/{LOG}",
            repo_id=place.repo,
            repo_type=place.type,
            commit_message="log of a job that failed",
        ),
    )


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m training_jobs.aboard MOUNTED_JOB_DIR", file=sys.stderr)
        return 2
    try:
        return Aboard(Path(sys.argv[1]), Services.here(Settings())).work()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
