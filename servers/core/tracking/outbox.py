"""What W&B does not have yet: the local tracker is the outbox, and `uploads.jsonl` beside it says what was sent.

A line is one thing that arrived, or several traces that arrived together: where, when, and the digest of what was sent.
A record whose digest is noted is not sent again; one that changed is. The notes lie in a file of their own, not in the
tracker's database: losing them costs repeats under the same ids and no record, and a person can read them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from servers.core.disk import append_jsonl, digest, now, read_jsonl
from servers.core.tracking.conditions import Compare
from servers.core.tracking.local import LocalTracker
from servers.core.tracking.records import Run, Trace

Kind = Literal["run", "trace", "artifact"]
LOCAL = "local"  # the entity of what was saved while nothing went to W&B


@dataclass(frozen=True)
class Place:
    """A project of W&B."""

    server: str
    """URL of the service, since a person may have two."""
    entity: str
    project: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}"


class Notes:
    """What was sent.

    Args:
        path: The file; the first note makes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sent: dict[tuple[Place, Kind, str], str] = {}
        for line in read_jsonl(path):
            place = Place(line["server"], line["entity"], line["project"])
            self._sent.update({(place, line["kind"], id): sent for id, sent in line["sent"].items()})

    def has(self, place: Place, kind: Kind, id: str, sent: str) -> bool:
        """Whether exactly this arrived there."""
        return self._sent.get((place, kind, id)) == sent

    def knows(self, place: Place, kind: Kind, id: str) -> bool:
        """Whether some state of it arrived there."""
        return (place, kind, id) in self._sent

    def add(self, place: Place, kind: Kind, sent: Mapping[str, str]) -> None:
        """Note that these arrived: id to digest."""
        line = {"at": now(), "server": place.server, "entity": place.entity, "project": place.project, "kind": kind}
        append_jsonl(self._path, line | {"sent": dict(sent)})
        self._sent.update({(place, kind, id): value for id, value in sent.items()})


@dataclass(frozen=True)
class Parcel:
    """One run that W&B does not have as it is here, with what belongs to it."""

    run: Run
    history: Sequence[Mapping[str, Any]]
    traces: Sequence[Trace]
    """Those that ended, oldest first."""

    @property
    def digest(self) -> str:
        return run_digest(self.run, self.history)


def run_digest(run: Run, history: Sequence[Mapping[str, Any]]) -> str:
    """What a note says of a run: its facts and its history. Its traces are noted one by one."""
    return digest([run, list(history)])


class Outbox:
    """What is left to send from one place of the local tracker.

    Args:
        tracker: The local tracker.
        notes: What was sent.
        here: Entity and project in the tracker.
        there: Where it goes.
    """

    def __init__(self, tracker: LocalTracker, notes: Notes, here: tuple[str, str], there: Place) -> None:
        self._tracker, self._notes, self._here, self._there = tracker, notes, here, there

    def is_empty(self) -> bool:
        """Whether W&B has everything that ended; reads the runs, and no trace."""
        return not any(True for _ in self._left())

    def parcels(self) -> Iterator[Parcel]:
        """What is to be sent, oldest run first. A run is noted last, so a noted one has its traces there."""
        for run, history in self._left():
            of_run = (
                Compare("attributes.evaluation_id", "=", run.config["evaluation_id"])
                if ("evaluation_id" in run.config)
                else Compare("run_id", "=", run.id)
            )
            traces = self._tracker.traces(*self._here, of_run, descending=False)
            yield Parcel(run, history, [trace for trace in traces if trace.ended_at is not None])

    def count(self) -> int:
        """Runs that W&B has as they are here."""
        return len(self._tracker.run_ids(*self._here)) - sum(1 for _ in self._left())

    def _left(self) -> Iterator[tuple[Run, list[dict[str, Any]]]]:
        for run in self._tracker.runs(*self._here, descending=False):
            history = self._tracker.history(*self._here, run.id)
            if run.state != "running" and not self._notes.has(self._there, "run", run.id, run_digest(run, history)):
                yield run, history
