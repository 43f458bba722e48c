"""The report of a closed cycle at W&B: handed to the W&B MCP server word for word, once, and its address noted.

What is handed over is the playbook server's (`report:<cycle>`), and so is the note of where it is. Writing is not
repeatable, so the attempt is noted before it is made: where its reply was lost, W&B is asked for a report of
that title, and it is written again only if W&B has none.

A report that cannot be written fails no cycle: it is said, and the same run tries again when it goes on.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict

from agent.desk import Desk, StepFailed
from agent.lines import write_whole
from agent.replies import CycleState
from agent.sessions import ServerProblem
from agent.wandb_names import REPORT, RUNS
from agent.wandb_reads import Schema
from agent.wandb_server import pages
from agent.wandb_words import Trouble, document_in, trouble_in
from agent.words import one_line

MAX_REPORTS = 50  # in one reply
WORDS_CHARS = 300
_ADDRESS = re.compile(r"https?://[^\s\"'<>\\`]+/reports/[^\s\"'<>\\`]+")
_REPORTS = (
    "query Reports($entity: String!, $project: String!) { project(name: $project, entityName: $entity) { "
    f'allViews(viewType: "runs", first: {MAX_REPORTS}) {{ edges {{ node {{ id displayName }} }} '
    "pageInfo { hasNextPage endCursor } } } }"
)


class _Arguments(BaseModel):
    """What the report tool takes; all of it is handed on."""

    model_config = ConfigDict(frozen=True, extra="allow")

    entity_name: str
    project_name: str
    title: str


@dataclass(frozen=True)
class Published:
    """What became of a cycle's report."""

    url: str | None
    problem: str | None
    """Why W&B has none, or none that is known."""


async def publish(desk: Desk, cycle: str, artifacts: Path) -> Published:
    """Write a closed cycle's report at W&B, and note where it is; a report that is noted already is not written again.

    Raises:
        ServerProblem: one of our own servers is gone.
    """
    state = await desk.ask("get_cycle", CycleState, cycle=cycle)
    if state.wandb_report is not None:
        return Published(state.wandb_report, None)
    if not any(tool.name == REPORT for server in desk.sessions.servers for tool in server.tools):
        return Published(None, f"the W&B MCP server that is connected has no {REPORT}")
    try:
        report = await desk.document(f"report:{cycle}", _Arguments)
        url = await _written(desk, report, artifacts / "loop" / cycle / "wandb_report_asked.json")
        await desk.do("write_report", {"cycle": cycle, "wandb_report": url})
    except StepFailed as error:
        return Published(None, str(error))
    return Published(url, None)


async def _written(desk: Desk, report: _Arguments, mark: Path) -> str:
    """The address of the report, which is written unless an earlier attempt already did."""
    if mark.exists() and (url := await _found(desk, report)) is not None:
        return url
    write_whole(mark, json.dumps({"schema": 1, "title": report.title}))
    arguments = Schema(desk.sessions.input_schema(REPORT)).fitted(report.model_dump())
    for _ in range(desk.patience.busy_tries):
        try:
            reply = await desk.call(REPORT, arguments)
        except ServerProblem as error:
            raise desk.failure(REPORT, f"{error}; whether W&B has the report is not known") from error
        if address := _ADDRESS.search(reply.text):
            return _at_wandb(address[0].rstrip(".,;)"))
        trouble = trouble_in(document_in(reply.text), reply.text, reply.is_error)
        if trouble is None or trouble.kind != "busy":
            break
        desk.saying(f"{REPORT} is busy; asking again in {trouble.wait_s:g} s")
        await desk.patience.sleep(trouble.wait_s)
    raise desk.failure(REPORT, f"it came back without an address: {one_line(reply.text, WORDS_CHARS)!r}")


async def _found(desk: Desk, report: _Arguments) -> str | None:
    """The address of a report of this title; None where W&B has none.

    Raises:
        StepFailed: W&B does not say, so another one might be a second one.
    """
    takes = Schema(desk.sessions.input_schema(RUNS))
    where = {"entity_name": report.entity_name, "project_name": report.project_name}
    structured = {**where, "resource": "reports", "limit": MAX_REPORTS}
    graphql = {
        "query": _REPORTS,
        "variables": {"entity": report.entity_name, "project": report.project_name},
        "max_items": MAX_REPORTS,
        "items_per_page": MAX_REPORTS,
    }
    words = "it takes no question about reports"
    for name, arguments in (("resource", structured), ("query", graphql)):
        if (takes.names and name not in takes.names) or not takes.accepts("resource", arguments.get("resource")):
            continue
        answer = await desk.read(RUNS, takes.fitted(arguments))
        if isinstance(answer, Trouble):
            words = answer.words
            continue
        reports = list(_reports_in(answer.document))
        same = [found for found in reports if report.title in (found.get("display_name"), found.get("displayName"))]
        if same:
            return _address(same[0], report)
        if len(reports) < MAX_REPORTS:
            return None
        words = f"it lists {len(reports)} reports, and there may be more"
    raise desk.failure(
        REPORT,
        f"an earlier attempt may have written {report.title!r}, and W&B does not say: {words}; look at the project's "
        "reports, and note the address with write_report",
    )


def _reports_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a reply that describes a report, whatever stands around it."""
    if isinstance(value, list):
        for item in value:
            yield from _reports_in(item)
    elif isinstance(value, dict):
        if value.keys() & {"displayName", "display_name"} and "id" in value:
            yield value
        else:
            for item in value.values():
                yield from _reports_in(item)


def _at_wandb(url: str) -> str:
    """The address on the host that shows W&B's pages: a reply may name any other, and a link would lead there."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return url  # the playbook refuses it, and says why
    return f"{pages(os.environ)}{path}"


def _address(found: Mapping[str, Any], report: _Arguments) -> str:
    """Where a report is; W&B finds it by its id, whatever words stand before it."""
    if isinstance(url := found.get("url"), str):
        return _at_wandb(url)
    place = f"{quote(report.entity_name)}/{quote(report.project_name)}"
    return f"{pages(os.environ)}/{place}/reports/{quote('-'.join(report.title.split()))}--{str(found['id']).strip('=')}"
