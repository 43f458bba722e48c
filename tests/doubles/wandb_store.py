"""What a double of W&B keeps: projects with runs, artifacts and Weave calls, as plain dicts in W&B's own words.

The backend double writes here what an SDK uploads; a double of the official MCP server reads from here. Or a test fills
it by hand: `store.project("ent", "proj").add_run("r1", jobType="eval")`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

CALL: dict[str, Any] = {
    "id": "", "project_id": "", "op_name": "", "display_name": None, "trace_id": "", "parent_id": None,
    "thread_id": None, "turn_id": None, "started_at": "", "ended_at": None, "attributes": {}, "inputs": {},
    "output": None, "exception": None, "summary": {}, "wb_user_id": None, "wb_run_id": None, "wb_run_step": None,
    "wb_run_step_end": None, "deleted_at": None, "storage_size_bytes": None, "total_storage_size_bytes": None,
}  # fmt: skip
"""Weave's CallSchema, every key; times are ISO 8601, `op_name` is a reference or a bare name."""


def moment() -> str:
    """Now, as W&B writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass
class Project:
    """One project of one entity."""

    entity: str
    name: str
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id, in the order of their making; keys as in `add_run`."""
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id, in the order of their arrival; keys as in CALL."""
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    """Every version that was made; keys as in `add_artifact`. PENDING ones were not finished."""
    objects: dict[tuple[str, str], Any] = field(default_factory=dict)
    """Weave objects by name and digest; ops are among them."""
    reports: list[dict[str, Any]] = field(default_factory=list)
    """Every report that was written; `id`, `displayName`, and what the report tool was given."""
    created_at: str = field(default_factory=moment)

    @property
    def id(self) -> str:
        return f"{self.entity}/{self.name}"

    def add_run(self, id: str, **facts: Any) -> dict[str, Any]:
        """Make a run, or change the one of this id.

        Args:
            id: Unique within the project; W&B calls it `name`.
            facts: Any of the keys below.
        """
        run = self.runs.setdefault(
            id,
            {
                "id": id,
                "displayName": id,
                "group": None,
                "jobType": None,
                "tags": [],
                "config": {},  # plain values, not {"value": …}
                "summaryMetrics": {},
                "history": [],  # one dict a step, with _step
                "state": "running",
                "createdAt": moment(),
                "heartbeatAt": moment(),
                "files": {},  # name to bytes
                "used": [],  # ids of artifacts that went in
                "logged": [],  # ids of artifacts that came out
            },
        )
        run.update(facts)
        return run

    def add_call(self, id: str, **facts: Any) -> dict[str, Any]:
        """Make a Weave call, or change the one of this id; without `trace_id` it is a root of its own."""
        fresh = CALL | {"id": id, "project_id": self.id, "trace_id": id, "attributes": {}, "inputs": {}, "summary": {}}
        call = self.calls.setdefault(id, fresh)
        call.update(facts)
        return call

    def add_artifact(self, name: str, type: str, **facts: Any) -> dict[str, Any]:
        """Make a version of an artifact."""
        versions = [one for one in self.artifacts if one["name"] == name and one["state"] == "COMMITTED"]
        made = {
            "id": f"artifact-{self.name}-{len(self.artifacts)}",
            "name": name,
            "type": type,
            "version": len(versions),
            "digest": "",
            "aliases": ["latest"],
            "metadata": {},
            "files": {},  # name to bytes
            "state": "COMMITTED",
            "createdAt": moment(),
        } | facts
        self.artifacts.append(made)
        return made

    def add_report(self, title: str, **given: Any) -> dict[str, Any]:
        """Write a report; W&B writes a second one of the same title as readily."""
        made = given | {"id": f"Vmlldzo{len(self.reports) + 1:07d}", "displayName": title}
        self.reports.append(made)
        return made


@dataclass
class WandbStore:
    """Everything that one W&B holds."""

    entity: str = "atelier"
    """The key's own default entity."""
    username: str = "tester"
    api_key: str = "k" * 40
    """What requests must carry."""
    projects: dict[tuple[str, str], Project] = field(default_factory=dict)

    def project(self, entity: str, name: str) -> Project:
        """A project, made where there is none."""
        return self.projects.setdefault((entity, name), Project(entity, name))

    def found(self, entity: str, name: str) -> Project | None:
        return self.projects.get((entity, name))
