"""What a tracker keeps, in the words of W&B and Weave: runs with their history, and traces; and how they are saved.

Ids are the caller's, so that repeating a save finds the same record. Times are UTC and are kept in one spelling,
microseconds and a final Z, so that sorting them as text sorts them as times. Numbers come back exactly as they went
in; NaN and the infinities, which JSON cannot hold, come back as the texts "NaN", "Infinity" and "-Infinity".
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, Field

from servers.core.wire import Wire

_NOT_IN_A_NAME = frozenset("/\\#?%:")  # what W&B refuses in the names of entities, projects and runs


def utc_timestamp(text: str) -> str:
    """Return an ISO-8601 time in UTC in the spelling that sorts as text: `2026-01-31T08:00:00.000000Z`.

    Raises:
        ValueError: text is no time, has no offset, or is not in UTC.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() != timedelta(0):
        raise ValueError(f"{text!r} is not a time in UTC; write it like 2026-01-31T08:00:00Z")
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def accepted_name(text: str) -> str:
    """Return the name of an entity, a project or a run; ValueError where W&B would refuse it."""
    if not text or not _NOT_IN_A_NAME.isdisjoint(text):
        raise ValueError(f"{text!r} cannot name an entity, a project or a run; it must have none of / \\ # ? % :")
    return text


Name = Annotated[str, AfterValidator(accepted_name)]
Timestamp = Annotated[str, AfterValidator(utc_timestamp)]


class Run(Wire):
    """One piece of work with a configuration and a result: an evaluation, a training job."""

    id: Name
    """Unique within the project, chosen by the caller."""
    name: str
    """The display name."""
    entity: Name
    project: Name
    group: str | None = None
    """What the run belongs to, such as a cycle."""
    job_type: str
    """What kind of work it was, such as "eval" or "train"."""
    tags: list[str] = Field(default_factory=list)
    config: dict[str, Any] = Field(default_factory=dict)
    """What went in."""
    summary: dict[str, Any] = Field(default_factory=dict)
    """What came out, under flat names such as "eval/mae_raw"."""
    state: Literal["running", "finished", "failed", "crashed"]
    created_at: Timestamp
    updated_at: Timestamp


class Trace(Wire):
    """One traced call: what went in, what came out, how long it took."""

    id: Annotated[str, Field(min_length=1)]
    """Unique within the project, chosen by the caller."""
    trace_id: str
    """Shared by a root and everything called under it."""
    parent_id: str | None = None
    """The call that made this one; None for a root."""
    op_name: str
    """The short name of what was called, such as "evaluate_row"."""
    display_name: str | None = None
    started_at: Timestamp
    ended_at: Timestamp | None = None
    """None while the call is under way."""
    inputs: dict[str, Any] = Field(default_factory=dict)
    output: Any = None
    attributes: dict[str, Any] = Field(default_factory=dict)
    """What the call belongs to; the place for ids that traces are found by, such as "evaluation_id"."""
    exception: str | None = None
    run_id: str | None = None
    """The run this call was part of."""

    @property
    def status(self) -> Literal["success", "error", "running"]:
        if self.exception is not None:
            return "error"
        return "running" if self.ended_at is None else "success"

    @property
    def latency_ms(self) -> int | None:
        """Whole milliseconds between start and end; None while under way."""
        if self.ended_at is None:
            return None
        took = datetime.fromisoformat(self.ended_at) - datetime.fromisoformat(self.started_at)
        return took // timedelta(milliseconds=1)


class Tracker(Protocol):
    """Where a server records what it did. Every save may be repeated without effect."""

    def save_run(self, run: Run) -> None:
        """Keep the run, in place of an earlier one of the same entity, project and id."""

    def log_history(self, entity: str, project: str, run_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep metrics by step; each row has an integer "_step", and rows of one step are merged key by key."""

    def save_traces(self, entity: str, project: str, traces: Sequence[Trace]) -> None:
        """Keep all of the traces or, on an error, none; each in place of an earlier one of the same id."""

    def publish(self, entity: str, project: str) -> str | None:
        """Bring what was saved to where others look for it. Never fails and may take a while; what could not be brought
        stays here and goes with the next one.

        Returns:
            None once it is there; else why it is not yet, on one line.
        """
        ...

    def run_url(self, entity: str, project: str, run_id: str) -> str:
        """Where a person or a program finds this run again."""
        ...

    def trace_url(self, entity: str, project: str, trace_id: str) -> str:
        """Where a person or a program finds this trace again; takes the id of the call."""
        ...
