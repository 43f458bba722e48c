"""Every figure that a claim could rest on, read through read_evidence like anybody else reads it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mcp import Client

from servers.core.disk import read_json
from servers.core.evaluations import EvaluationStore
from servers.core.workspace import Workspace
from tests.workshop import call

TRACES = 8  # of each evaluation


@dataclass(frozen=True)
class Figure:
    """A number in a document."""

    source: str
    path: tuple[str, ...]
    value: float


def evidence_of(workspace: Workspace) -> list[str]:
    """References to what the tools of all cycles wrote, besides playbooks: they change while they are written."""
    store = EvaluationStore(workspace)
    evaluations = store.all()
    refs = [f"evaluation:{found.evaluation_id}" for found in evaluations]
    refs += [
        f"compare:{a.evaluation_id}:{b.evaluation_id}"
        for a in evaluations
        for b in evaluations
        if a.cycle == b.cycle and a is not b
    ]
    for found in evaluations:
        refs += [f"trace:{row.trace_id}" for row in store.rows(found.evaluation_id)[:TRACES]]
    of_a_cycle = {"diagnosis": "diagnosis", "snapshot": "mcp_eval_snapshot", "gate": "gate", "summary": "summary"}
    of_a_plan = {"augmentation": "augmentation_spec", "retrain": "hparam_patch"}
    for folder in sorted((workspace.root / "loop").glob("*")):
        refs += [f"{kind}:{folder.name}" for kind, file in of_a_cycle.items() if (folder / f"{file}.json").exists()]
        plans = {kind: folder / f"{file}.json" for kind, file in of_a_plan.items()}
        refs += [f"{kind}:{read_json(file)['plan_id']}" for kind, file in plans.items() if file.exists()]
    cards = sorted((workspace.root / "datasets").glob("*/*/card.json"))
    refs += [f"dataset:{card.parent.parent.name}:{card.parent.name}" for card in cards]
    return refs + [f"job:{folder.name}" for folder in sorted((workspace.root / "jobs").glob("*"))]


async def figures_of(playbook: Client, ref: str) -> list[Figure]:
    """The numbers of one document."""
    text, offset = "", 0
    while offset is not None:
        page = await call(playbook, "read_evidence", ref=ref, offset=offset)
        text, offset = text + page["text"], page["next_offset"]
    return [Figure(ref, path, value) for path, value in _numbers(json.loads(text), ())]


def name_of(figure: Figure) -> str:
    """The metric's name: the last part of the path that is no position in a list, without a log's section."""
    return next(part for part in reversed(figure.path) if not re.fullmatch(r"\d+", part)).rpartition("/")[2]


def _numbers(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value
    elif isinstance(value, (dict, list)):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in inside:
            yield from _numbers(part, (*path, str(key)))
