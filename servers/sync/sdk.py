"""The W&B SDKs, tamed: told everything, asked for nothing, silent, and with an end to their patience.

They read dozens of variables of the environment, write into the home folder, print, and ask the terminal for a key.
Here they get the key and the address and nothing else of that, a folder that is thrown away, and a file for their
words: `tracking/sync.log` is not kept, a failure is told in one line.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from servers.core.words import cleaned

# What a person may set about the connection; everything else would change what is sent, or whether it is.
_LEFT_ALONE = ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_APP_URL", "WANDB_HTTP_TIMEOUT", "WANDB_X_EXTRA_HTTP_HEADERS")
RETRIES = 3
_STATUS = re.compile(r"\b(401|403|404|409|429|5\d\d)\b")
_UNREACHABLE = re.compile(
    r"refused|unreachable|timed? ?out|deadline|reset|disconnected|connection|EOF|resolve|no such host", re.IGNORECASE
)
_KEY_ERRORS = ("AuthenticationError", "UsageError")
_NOT_LET_IN = "not logged in"  # the words of W&B about a key that it does not know
_WHILE_ASKING = "Failed to verify credentials"  # the SDK's words when the service answered something else
SHOWN_CHARS = 240


class NotArrived(RuntimeError):
    """The SDK said it was done, and the service does not have it."""


class Sdk:
    """`with` sets the process up for the SDKs, and gives its streams and folders back.

    Args:
        environment: Where the key and the address are.
        patience_s: How long one step may take.
    """

    def __init__(self, environment: Mapping[str, str], patience_s: float) -> None:
        self.patience_s = patience_s
        self.stderr: TextIO = sys.stderr
        """The process's own, while the SDKs write elsewhere."""
        self._environment = environment
        self._wandb: Any = None
        self._weave: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> Self:
        sys.stdout.flush()
        sys.stderr.flush()
        self._folder = Path(tempfile.mkdtemp(prefix="etude-sync-"))
        for name in [name for name in os.environ if name.startswith(("WANDB_", "WEAVE_"))]:
            if name not in _LEFT_ALONE:
                del os.environ[name]
        os.environ.update(self._told())
        self._streams = [os.dup(1), os.dup(2)]
        self.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
        words = os.open(self._folder / "words.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(words, 1)
        os.dup2(words, 2)
        os.close(words)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._wandb is not None:
                self._wandb.teardown()  # ends the SDK's own process
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, stream in enumerate(self._streams, start=1):
                os.dup2(stream, number)
                os.close(stream)
            shutil.rmtree(self._folder, ignore_errors=True)

    def _told(self) -> dict[str, str]:
        home = str(self._folder)
        return {
            **{f"WANDB_{name}_DIR": f"{home}/{name.lower()}" for name in ("CACHE", "DATA", "CONFIG", "ARTIFACT")},
            "WANDB_DIR": home,
            "WANDB_MODE": "online",
            "WANDB_SILENT": "true",
            "WANDB_CONSOLE": "off",
            "WANDB_ERROR_REPORTING": "false",
            "WEAVE_PRINT_CALL_LINK": "false",
            "WEAVE_CAPTURE_CODE": "false",
            "WEAVE_USE_SERVER_CACHE": "false",
            "WEAVE_IMPLICITLY_PATCH_INTEGRATIONS": "false",
            "WEAVE_ENABLE_DISK_FALLBACK": "false",
            "WEAVE_RETRY_MAX_ATTEMPTS": str(RETRIES),
            "WEAVE_RETRY_MAX_INTERVAL": str(self._wait_s),
            "WEAVE_HTTP_TIMEOUT": str(self.patience_s),
        }

    @property
    def _wait_s(self) -> float:
        return self.patience_s / (RETRIES + 1)

    def default_entity(self) -> str:
        """Whose projects the key's are, if nobody says otherwise.

        Raises:
            ValueError: the account has no default.
        """
        entity = self._api().default_entity
        if not entity:
            raise ValueError("the key's account has no default entity; set [tracking] entity or WANDB_ENTITY")
        return str(entity)

    def problem_with(self, place: str, run_id: str) -> str | None:
        """Why the service does not have a run whole; None where it has. The SDK itself would not say so."""
        run = self._api().run(f"{place}/{run_id}")
        if run.state == "running":
            return "its end is not there"
        return None if _has_files_of_tables(run) else "its table is not there"

    def has_table(self, place: str, run_id: str) -> bool:
        """Whether the service has a table of this run, and the file that it stands in."""
        run = self._api().run(f"{place}/{run_id}")
        return any(map(_is_table, run.summary_metrics.values())) and _has_files_of_tables(run)

    def begin_run(self, *, anew: bool, **facts: Any) -> Any:
        """`wandb.init` under an id of ours.

        Args:
            anew: Whether the run replaces one of this id; else it goes on where an earlier try was cut short.
            facts: As `wandb.init` takes them.
        """
        wandb = self._wandb_used()
        settings = wandb.Settings(
            silent=True,
            console="off",
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
            save_code=False,
            disable_git=True,
            init_timeout=self.patience_s,
            x_file_stream_transmit_interval=0.2,
            **{
                f"x_{part}_{what}": value
                for part in ("graphql", "file_stream", "file_transfer")
                for what, value in {
                    "retry_max": RETRIES,
                    "retry_wait_min_seconds": min(1.0, self._wait_s),
                    "retry_wait_max_seconds": self._wait_s,
                    "timeout_seconds": self.patience_s,
                }.items()
            },
        )
        return wandb.init(resume=None if anew else "allow", settings=settings, **facts)

    def weave(self, entity: str, project: str) -> Any:
        """The Weave client of a project. The key is in the environment: without one, `weave.init` would ask for it."""
        if (entity, project) not in self._weave:
            import weave

            self._weave = {(entity, project): weave.init(f"{entity}/{project}")}
        return self._weave[entity, project]

    def _api(self) -> Any:
        return self._wandb_used().Api(timeout=max(1, round(self.patience_s)))

    def _wandb_used(self) -> Any:
        if self._wandb is None:
            import wandb

            self._wandb = wandb
        return self._wandb


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("_type") == "table-file"


def _has_files_of_tables(run: Any) -> bool:
    names = {value["path"] for value in run.summary_metrics.values() if _is_table(value)}
    return not names or names <= {file.name for file in run.files(names=sorted(names)) if file.size}


def in_words(error: BaseException, server: str, key: str) -> str:
    """What went wrong with the service, in one line that says what to do; the key is not in it."""
    said = cleaned(str(error) or type(error).__name__, SHOWN_CHARS)
    said = said.replace(key, "…") if key else said
    status = _status_in(error) or ((found := _STATUS.search(said)) and int(found[1])) or 0
    again = "what is left goes with the next etude sync"
    if isinstance(error, NotArrived):
        return f"{said}; {again}"
    refused = type(error).__name__ in _KEY_ERRORS and _WHILE_ASKING not in said
    if status == 401 or refused or _NOT_LET_IN in said:
        return f"W&B at {server} refused the key in WANDB_API_KEY ({said}); set another"
    if status in (403, 404):
        return f"W&B at {server} does not let this key write there ({said}); check [tracking] entity and project"
    if status:
        return f"W&B at {server} answered {status} ({said}); {again}"
    if _UNREACHABLE.search(said):
        return f"W&B at {server} cannot be reached ({said}); {again}"
    return f"W&B at {server}: {said}; {again}"


def _status_in(error: BaseException | None) -> int | None:
    while error is not None:
        for holder in (error, getattr(error, "response", None)):
            if isinstance(status := getattr(holder, "status_code", None), int):
                return status
        error = error.__cause__ or error.__context__
    return None
