"""A scripted house: five real MCP servers with the tools of a cycle, over one small world instead of data and models.

`python -m tests.doubles.house ROOM FOLDER` serves one room over stdio, or with ROOM `all` every tool from one process;
all share the world in FOLDER/world.json.
`rooms(World(folder))` gives the same servers for use in memory. A test scripts the world by its settings.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from tests.doubles.house_steps import state_of, summary_of
from tests.doubles.house_world import BEGUN, DIMENSIONS, FIRST, World, metrics_of

ROOMS = ("eval", "augment", "retrain", "playbook", "wandb")
PAGE_CHARS = 50
GAIN = 2.0  # points on each focus dimension, for each cycle that made rows
READS, WRITES = ToolAnnotations(read_only_hint=True), ToolAnnotations(read_only_hint=False, destructive_hint=False)


def rooms(world: World) -> dict[str, MCPServer[Any]]:
    """The five servers."""
    servers = {name: MCPServer(f"double-{name}", version="1.0", log_level="ERROR") for name in ROOMS[:-1]}
    servers["wandb"] = MCPServer("etude-wandb-local", version="1.0", log_level="ERROR")
    _eval_tools(servers["eval"], world)
    _augment_tools(servers["augment"], world)
    _retrain_tools(servers["retrain"], world)
    _playbook_tools(servers["playbook"], world)
    _wandb_tools(servers["wandb"], world)
    return servers


def _eval_tools(server: MCPServer[Any], world: World) -> None:
    @server.tool(annotations=READS)
    def describe_task() -> dict[str, Any]:
        """Say what the task is.
        A second line."""
        world.called("describe_task")
        names = [{"name": name, "low": "little", "high": "much"} for name in DIMENSIONS]
        words = {"task": "double", "title": "A task of a double", "text_name": "text"}
        return {**words, "dimensions": names}

    @server.tool(annotations=WRITES)
    def prepare_dataset(dataset: str) -> dict[str, Any]:
        """Make a dataset ready."""
        state = world.called("prepare_dataset", dataset=dataset)
        version = f"{state['version']:016x}"
        backends = {"tracking": "local", "teacher": "demo-world", "model": "student", "jobs": "local"}
        rows = {"train": 100 + 60 * state["version"], "diagnose": 40, "gate": 60}
        return {"dataset": dataset, "dataset_version": version, "rows": rows, "synthetic": True, "backends": backends}

    @server.tool(annotations=WRITES)
    def diagnose_dataset(cycle: str) -> dict[str, Any]:
        """Say what the data can teach."""
        state = world.called("diagnose_dataset", cycle=cycle)
        settings = state["settings"]
        world.done(state, cycle, "diagnosed")
        dimensions = {name: {"signal": signal, "r2": 0.2} for name, signal in settings["signals"].items()}
        reason = "the text says what the labels say" if settings["diagnosis"] == "train" else "the labels are noise"
        return {"verdict": settings["diagnosis"], "reason": reason, "dimensions": dimensions, "warnings": []}

    @server.tool(annotations=WRITES)
    def evaluate_model(cycle: str, model: str) -> dict[str, Any]:
        """Measure a model."""
        state = world.called("evaluate_model", cycle=cycle, model=model)
        world.done(state, cycle, "measured again" if model == f"student-{cycle}" else f"measured {model}")
        return {"evaluation_id": f"eval-{cycle}-{model}", "model": model, "n": 40, "metrics": metrics_of(state, model)}

    @server.tool(annotations=WRITES)
    def gate_candidate(cycle: str, candidate: str) -> dict[str, Any]:
        """Judge a candidate."""
        state = world.called("gate_candidate", cycle=cycle, candidate=candidate)
        if state["champion"] == candidate:
            raise ToolError("the candidate is the champion itself")
        script = state["settings"]["verdicts"]
        outcome = script[min(state["asked"], len(script) - 1)]
        state["asked"] += 1
        gate = BEGUN | {"outcome": outcome}
        if outcome != "promote":
            gate |= {"reason": "the sealed rows do not show it", "difference": None, "ci": None}
        state["cycles"][cycle] |= {"gate": gate, "candidate": candidate}
        world.save(state)
        return gate


def _augment_tools(server: MCPServer[Any], world: World) -> None:
    @server.tool(annotations=WRITES)
    def plan_augmentation(cycle: str, focus_dimensions: list[str]) -> dict[str, Any]:
        """Plan new rows."""
        state = world.called("plan_augmentation", cycle=cycle, focus_dimensions=focus_dimensions)
        state["cycles"][cycle]["focus"] = focus_dimensions
        world.done(state, cycle, "aimed")
        return {"plan_id": f"augment-{cycle}", "focus_dimensions": focus_dimensions}

    @server.tool(annotations=WRITES)
    def augment_dataset(plan_id: str) -> dict[str, Any]:
        """Make the rows of a plan."""
        state = world.called("augment_dataset", plan_id=plan_id)
        cycle, added = plan_id.removeprefix("augment-"), state["settings"]["added"]
        if added and "augmented" not in state["cycles"][cycle]["done"]:
            state["version"] += 1
        state["cycles"][cycle]["added"] = added
        world.done(state, cycle, "augmented")
        dropped = {"near-copy": 4, "length": 0}
        return {"dataset_version": f"{state['version']:016x}", "added": added, "replayed": 0, "dropped": dropped}


def _retrain_tools(server: MCPServer[Any], world: World) -> None:
    @server.tool(annotations=WRITES)
    def plan_retrain(cycle: str, changes: list[dict[str, Any]]) -> dict[str, Any]:
        """Plan a training."""
        state = world.called("plan_retrain", cycle=cycle, changes=changes)
        world.done(state, cycle, "planned")
        return {"plan_id": f"retrain-{cycle}", "changes": changes}

    @server.tool(annotations=WRITES)
    def start_retrain(plan_id: str) -> dict[str, Any]:
        """Start a training."""
        state = world.called("start_retrain", plan_id=plan_id)
        cycle = plan_id.removeprefix("retrain-")
        opened = state["cycles"][cycle]
        before = state["models"].get(opened["champion"], {name: FIRST[name] for name in DIMENSIONS})
        errors = {name: before[name] - GAIN * (name in opened.get("focus", [])) for name in DIMENSIONS}
        state["models"][f"student-{cycle}"] = errors
        state["polls"] = 0
        opened["attempts"] = opened.get("attempts", 0) + 1
        opened["job"] = "queued"
        world.save(state)
        return {"job_id": f"train-{cycle}", "state": "queued", "attempt": opened["attempts"]}

    @server.tool(annotations=READS)
    async def get_job(job_id: str, wait_s: int = 0) -> dict[str, Any]:
        """Say how a job stands."""
        state = world.called("get_job", job_id=job_id, wait_s=wait_s)
        state["polls"] += 1
        ended = state["polls"] >= state["settings"]["job_polls"]
        end = state["settings"]["job_end"] if ended else "running"
        state["cycles"][job_id.removeprefix("train-")]["job"] = end
        world.save(state)
        model = job_id.replace("train-", "student-") if end == "succeeded" else None
        error = "out of memory" if end == "failed" else None
        if not ended:
            await anyio.sleep(wait_s / 1000)
        return {"job_id": job_id, "state": end, "message": "step 1 of 2", "model": model, "error": error}

    @server.tool(annotations=WRITES)
    def promote_model(cycle: str, candidate: str) -> dict[str, Any]:
        """Put a model into service."""
        state = world.called("promote_model", cycle=cycle, candidate=candidate)
        state["champion"] = candidate
        world.done(state, cycle, "released")
        return {"champion": candidate, "previous": None}


def _playbook_tools(server: MCPServer[Any], world: World) -> None:
    @server.tool(annotations=WRITES)
    def open_cycle(dataset: str) -> dict[str, Any]:
        """Open a cycle, or find the open one."""
        state = world.called("open_cycle", dataset=dataset)
        found = next((name for name, cycle in state["cycles"].items() if not cycle["closed"]), None)
        if found is None:
            begin = state["champion"] is None
            turns = sum(cycle["kind"] == "cycle" for cycle in state["cycles"].values())
            found = f"begin_{dataset}" if begin else f"cycle_{turns + 1}"
            kind, champion = ("begin", "constant") if begin else ("cycle", state["champion"])
            state["cycles"][found] = {"kind": kind, "champion": champion, "closed": False, "done": []}
            world.save(state)
        return state_of(world.read(), found)

    @server.tool(annotations=READS)
    def get_cycle(cycle: str) -> dict[str, Any]:
        """Say where a cycle stands."""
        return state_of(world.called("get_cycle", cycle=cycle), cycle)

    @server.tool(annotations=WRITES)
    def record_context(cycle: str, server: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
        """Take in what W&B said."""
        state = world.called("record_context", cycle=cycle, server=server, calls=calls)
        world.done(state, cycle, "recorded")
        models = ("constant", "rule", state["cycles"][cycle]["champion"])
        failures = json.loads(calls[-1]["text"])["traces"]
        return {"failures": failures, "eval_summary": {model: metrics_of(state, model) for model in models}}

    @server.tool(annotations=READS)
    def read_evidence(ref: str, offset: int = 0) -> dict[str, Any]:
        """Show a document, page by page."""
        state = world.called("read_evidence", ref=ref, offset=offset)
        cycle = ref.removeprefix("summary:")
        if not state["cycles"].get(cycle, {}).get("closed"):
            raise ToolError("no summary.json yet; call write_report first")
        text = json.dumps(summary_of(state, cycle))
        end = offset + PAGE_CHARS
        return {"ref": ref, "text": text[offset:end], "next_offset": end if end < len(text) else None}

    @server.tool(annotations=WRITES)
    def write_playbook(cycle: str, remedies: list[dict[str, Any]], lessons: list[dict[str, Any]]) -> dict[str, Any]:
        """Write remedies and lessons down."""
        state = world.called("write_playbook", cycle=cycle, remedies=remedies, lessons=lessons)
        world.done(state, cycle, "written down" if lessons else "remedied")
        return {"remedies": len(remedies), "lessons": len(lessons), "path": f"loop/{cycle}/playbook.json"}

    @server.tool(annotations=WRITES)
    def write_report(cycle: str, stop_reason: str | None = None) -> dict[str, Any]:
        """Write the report and close the cycle."""
        state = world.called("write_report", cycle=cycle, stop_reason=stop_reason)
        state["cycles"][cycle] |= {"closed": True, "stop_reason": stop_reason, "after": state["champion"] or "constant"}
        world.save(state)
        return {"verdict": "stopped" if stop_reason else "judged", "report": "somewhere/wandb/report.html"}


def _wandb_tools(server: MCPServer[Any], world: World) -> None:
    @server.tool()
    def query_wandb_tool(
        query: str, variables: dict[str, Any] | None = None, max_items: int = 100, items_per_page: int = 20
    ) -> str:
        """Ask W&B in GraphQL."""
        state = world.called("query_wandb_tool", query=query, variables=variables)
        if "viewer" in query:
            return json.dumps({"viewer": {"username": "double", "entity": "local"}})
        summary = json.dumps({"eval/vector_mae": 20.0, "eval/n": state["settings"]["failures"]})
        runs = [
            {"name": f"eval-{cycle}-{opened['champion']}", "jobType": "eval", "summaryMetrics": summary}
            for cycle, opened in state["cycles"].items()
        ]
        edges = [{"node": run} for run in runs]
        return json.dumps({"project": {"runs": {"edges": edges, "pageInfo": {"hasNextPage": False}}}})

    @server.tool()
    def count_weave_traces_tool(entity_name: str, project_name: str, filters: dict[str, Any] | None = None) -> str:
        """Count traces."""
        state = world.called("count_weave_traces_tool", filters=filters)
        if world.calls.count("count_weave_traces_tool") <= state["settings"]["busy"]:
            return json.dumps({"error": "server_busy", "retryable": True, "retry_after_ms": 1})
        rows = state["settings"]["failures"]
        return json.dumps({"total_count": rows, "root_traces_count": rows})

    @server.tool()
    def query_weave_traces_tool(
        entity_name: str,
        project_name: str,
        filters: dict[str, Any] | None = None,
        sort_by: str = "started_at",
        sort_direction: str = "desc",
        limit: int = 1000,
        include_costs: bool = True,
        include_feedback: bool = True,
        columns: list[str] | None = None,
        detail_level: str = "summary",
    ) -> str:
        """List traces."""
        state = world.called("query_weave_traces_tool", sort_by=sort_by, limit=limit)
        if sort_by != "started_at" and not state["settings"]["sorts_by_error"]:
            return json.dumps({"error": "api_error", "message": "cannot sort by output.mae_raw"})
        evaluation = (filters or {}).get("attributes", {}).get("evaluation_id")
        traces = [_trace(number, evaluation) for number in range(state["settings"]["failures"])]
        return json.dumps({"metadata": {}, "traces": traces[::-1] if sort_by == "started_at" else traces})


def _trace(number: int, evaluation: str | None) -> dict[str, Any]:
    errors = {name: 50.0 - number * (1 + place) for place, name in enumerate(DIMENSIONS)}
    row = {"mae_raw": sum(errors.values()) / len(errors), "abs_error_by_dim": errors, "target": errors}
    return {"trace_id": f"{number:032x}", **row, "attributes": {"evaluation_id": evaluation}, "output": row}


def whole_house(world: World) -> MCPServer[Any]:
    """One server with all tools."""
    server: MCPServer[Any] = MCPServer("etude-wandb-local", version="1.0", log_level="ERROR")
    for add in (_eval_tools, _augment_tools, _retrain_tools, _playbook_tools, _wandb_tools):
        add(server, world)
    return server


def main(name: str, folder: Path) -> None:
    """Serve one room, or all, and note the process."""
    world = World(folder)
    (folder / f"{name}.pid").write_text(str(os.getpid()))
    server = whole_house(world) if name == "all" else rooms(world)[name]
    server.run("stdio")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
