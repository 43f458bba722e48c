"""Verdicts as runs: what `gate.json` may show of one, with the models that it compared."""

from typing import Any

from servers.core.disk import digest, read_json
from servers.core.tracking.local import LocalTracker
from servers.core.tracking.records import Run
from servers.core.workspace import Workspace

GATE_RUN_CHARS = 16


def save_decisions(workspace: Workspace, tracker: LocalTracker, entity: str, project: str) -> None:
    """Keep a run for each verdict that left the sealed folder, in the place where its cycle's other runs are."""
    runs = tracker.runs(entity, project)
    cycles, known = {run.group for run in runs if run.job_type != "gate"}, {run.id for run in runs}
    for file in sorted((workspace.root / "loop").glob("*/gate.json")):
        if file.parent.name not in cycles:
            continue
        run = _decision(read_json(file), entity, project)
        if run.id not in known:
            tracker.save_run(run)


def _decision(gate: dict[str, Any], entity: str, project: str) -> Run:
    """The run of a verdict. `gate.json` is what may leave the sealed folder; nothing else is read here."""
    # A candidate that was unfit may be judged again under the same verdict id, and that is another decision.
    id = f"gate-{digest([gate['verdict_id'], gate['asked_at'], gate['outcome']])[:GATE_RUN_CHARS]}"
    figures = {name: gate[name] for name in ("n", "clusters", "level", "difference") if gate.get(name) is not None}
    return Run(
        id=id,
        name=f"gate-{gate['cycle']}-{gate['candidate']}",
        entity=entity,
        project=project,
        group=gate["cycle"],
        job_type="gate",
        tags=[gate["outcome"], gate["dataset"]],
        config={
            "verdict_id": gate["verdict_id"],
            "cycle": gate["cycle"],
            "dataset": gate["dataset"],
            "candidate": gate["candidate"],
            "champion": gate["champion"],
            "focus_dimensions": gate["focus_dimensions"],
        },
        summary={
            "gate/outcome": gate["outcome"],
            "gate/reason": gate["reason"],
            **{f"gate/{name}": value for name, value in figures.items()},
            **{f"gate/check/{check['name']}": check["passed"] for check in gate["checks"]},
        },
        state="finished",
        created_at=gate["asked_at"],
        updated_at=gate["asked_at"],
    )
