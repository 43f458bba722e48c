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

DIMENSIONS = ("alpha", "beta", "gamma", "delta")
ROOMS = ("eval", "augment", "retrain", "playbook", "wandb")
CONSTANT = {"alpha": 20.0, "beta": 20.0, "gamma": 10.0, "delta": 30.0}
FIRST = {"alpha": 10.0, "beta": 16.0, "gamma": 9.0, "delta": 30.0}
PAGE_CHARS = 50
GAIN = 2.0  # points on each focus dimension, for each cycle that made rows
READS, WRITES = ToolAnnotations(read_only_hint=True), ToolAnnotations(read_only_hint=False, destructive_hint=False)
BEGUN = {
    "outcome": "promote",
    "reason": "better on every count",
    "n": 60,
    "level": 0.025,
    "difference": -1.0,
    "ci": [-1.5, -0.5],
    "checks": [{"name": "json_valid_rate", "passed": True, "detail": "1.0, at least 0.98"}],
}
SETTINGS: dict[str, Any] = {
    "verdicts": ["promote", "promote"],  # of the gate, in the order of asking; the last one goes on
    "diagnosis": "train",
    "signals": {"alpha": "learnable", "beta": "learnable", "gamma": "weak", "delta": "none"},
    "added": 60,
    "refuse": {},  # tool -> words it refuses with
    "crash_in": None,  # tool that has a bug
    "die_in": None,  # tool that ends its server's process
    "sorts_by_error": True,  # whether the tracker can sort traces by output.mae_raw
    "busy": 0,  # how many trace counts are answered with server_busy
    "failures": 6,
    "job_polls": 1,  # get_job calls until the job has ended
    "job_end": "succeeded",
    "stands_still": None,  # a step after which get_cycle names the same next step for ever
}


class World:
    """Everything the tools know, kept in one file so that five processes share it.

    Args:
        folder: Where the file is; a world that is there already goes on.
        begun_already: Whether there is a champion, `student-begin_demo`.
        settings: What differs from SETTINGS.
    """

    def __init__(self, folder: Path, begun_already: bool = False, **settings: Any) -> None:
        self.file = folder / "world.json"
        if not self.file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            begun = {"kind": "begin", "champion": "constant", "closed": True, "done": ["released"], "gate": BEGUN}
            begun |= {"candidate": "student-begin_demo", "after": "student-begin_demo", "seconds": 1.0}
            empty = {
                "settings": SETTINGS | settings,
                "calls": [],
                "cycles": {"begin_demo": begun} if begun_already else {},
                "champion": "student-begin_demo" if begun_already else None,
                "models": {"student-begin_demo": FIRST},
                "version": 0,
                "asked": 0,
                "polls": 0,
            }
            self._write(empty)
        elif settings:
            state = self.read()
            state["settings"] |= settings
            self._write(state)

    def read(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.file.read_text())
        return state

    def _write(self, state: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(state))

    @property
    def calls(self) -> list[str]:
        """The tools that were called, in order."""
        return [tool for tool, _ in self.read()["calls"]]

    def arguments(self, tool: str) -> list[dict[str, Any]]:
        """What a tool was called with, call by call."""
        return [given for called, given in self.read()["calls"] if called == tool]

    def called(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Note a call, and do what the script says about this tool."""
        state = self.read()
        state["calls"].append([tool, arguments])
        self._write(state)
        if state["settings"]["die_in"] == tool:
            print(f"{tool} hit the wall", file=sys.stderr, flush=True)
            os._exit(3)
        if state["settings"]["crash_in"] == tool:
            raise ZeroDivisionError("a bug")
        if words := state["settings"]["refuse"].get(tool):
            raise ToolError(words)
        return state

    def save(self, state: dict[str, Any]) -> None:
        self._write(state)

    def done(self, state: dict[str, Any], cycle: str, step: str) -> None:
        """Note that a cycle has a step behind it."""
        if step not in (done := state["cycles"][cycle]["done"]):
            done.append(step)
        self._write(state)


def errors_of(state: dict[str, Any], model: str) -> dict[str, float]:
    """Mean absolute error by dimension."""
    return CONSTANT if model in ("constant", "rule") else state["models"][model]


def metrics_of(state: dict[str, Any], model: str) -> dict[str, float | None]:
    errors = errors_of(state, model)
    mean = sum(errors.values()) / len(errors)
    return {"vector_mae": mean, **{f"mae_raw_{name}": error for name, error in errors.items()}, "json_valid_rate": 1.0}


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


def state_of(state: dict[str, Any], name: str) -> dict[str, Any]:
    """Where a cycle stands."""
    cycle = state["cycles"][name]
    known = {key: cycle[key] for key in ("kind", "champion", "closed", "done")}
    return {"cycle": name, "dataset": "demo", **known, "next_steps": next_steps(state, name)}


def next_steps(state: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """What comes next, in the order of the design."""
    cycle, settings = state["cycles"][name], state["settings"]
    done = cycle["done"]
    if settings["stands_still"] in done:
        return [_call("diagnose_dataset", cycle=name)]
    if cycle["closed"]:
        return [_call("open_cycle", dataset="demo")]
    models = dict.fromkeys(["constant", "rule", cycle["champion"]])
    if unmeasured := [model for model in models if f"measured {model}" not in done]:
        return [_call("evaluate_model", cycle=name, model=model) for model in unmeasured]
    if "recorded" not in done:
        return _reading(name, cycle["champion"])
    if "diagnosed" not in done:
        return [_call("diagnose_dataset", cycle=name)]
    if cycle["kind"] == "cycle":
        if settings["diagnosis"] != "train":
            return _ending(done, name, stop_reason="the labels are noise")
        if "aimed" not in done:
            return [_call("plan_augmentation", cycle=name, focus_dimensions=["gamma", "beta"])]
        if "augmented" not in done:
            return [_call("augment_dataset", plan_id=f"augment-{name}")]
        if not cycle["added"]:
            return _ending(done, name, stop_reason="no new row survived the filters")
        if "remedied" not in done:
            remedy = {"trace_id": f"{0:032x}", "dimension": "beta", "change": f"new rows of augment-{name}"}
            return [_call("write_playbook", cycle=name, remedies=[remedy], lessons=[])]
    if "planned" not in done:
        return [_call("plan_retrain", cycle=name, changes=[])]
    if (job := cycle.get("job")) in ("queued", "running"):
        return [_call("get_job", job_id=f"train-{name}", wait_s=20)]
    if job != "succeeded":
        if job is None or (job == "failed" and cycle["attempts"] < 3):
            return [_call("start_retrain", plan_id=f"retrain-{name}")]
        return _ending(done, name, stop_reason=f"train-{name} {job}: out of memory")
    if "measured again" not in done:
        return [_call("evaluate_model", cycle=name, model=f"student-{name}")]
    if "gate" not in cycle:
        return [_call("gate_candidate", cycle=name, candidate=f"student-{name}")]
    if "released" not in done and (cycle["gate"]["outcome"] == "promote" or cycle["kind"] == "begin"):
        best = cycle["candidate"] if cycle["gate"]["outcome"] == "promote" else "constant"
        return [_call("promote_model", cycle=name, candidate=best)]
    return _ending(done, name)


def summary_of(state: dict[str, Any], name: str) -> dict[str, Any]:
    """What a closed cycle brought."""
    cycle = state["cycles"][name]
    gate, stopped = cycle.get("gate"), cycle.get("stop_reason")
    roles = {"constant": "constant", "rule": "rule", "champion": cycle["champion"], "candidate": cycle.get("candidate")}
    return {
        "cycle": name,
        "kind": cycle["kind"],
        "verdict": "stopped" if stopped else gate["outcome"],
        "reason": stopped or gate["reason"],
        "focus_dimensions": cycle.get("focus", []),
        "rows_added": cycle.get("added"),
        "champion_before": cycle["champion"],
        "champion_after": cycle["after"],
        "diagnose": {role: model and metrics_of(state, model) for role, model in roles.items()},
        "gate": gate,
        "seconds": 1.5,
        "report": "wandb/report.html",
    }


def _reading(name: str, champion: str) -> list[dict[str, Any]]:
    where = {"entity_name": "local", "project_name": "etude-double"}
    whose = {"trace_roots_only": True, "attributes": {"evaluation_id": f"eval-{name}-{champion}"}}
    return [
        *(_call("query_wandb_tool", query="{ viewer { entity } }") for _ in range(3)),
        _call("count_weave_traces_tool", **where, filters=whose),
        _call("query_weave_traces_tool", **where, filters=whose),
        _call("record_context", cycle=name),
    ]


def _ending(done: list[str], name: str, **stop_reason: str) -> list[dict[str, Any]]:
    lessons = [{"title": "A lesson", "text": "without a figure", "claims": []}]
    written = [] if "written down" in done else [_call("write_playbook", cycle=name, remedies=[], lessons=lessons)]
    return [*written, _call("write_report", cycle=name, **stop_reason)]


def _call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments, "why": "it comes next"}


def _wandb_tools(server: MCPServer[Any], world: World) -> None:
    @server.tool()
    def query_wandb_tool(
        query: str, variables: dict[str, Any] | None = None, max_items: int = 100, items_per_page: int = 20
    ) -> str:
        """Ask W&B in GraphQL."""
        world.called("query_wandb_tool", query=query, variables=variables)
        if "viewer" in query:
            return json.dumps({"viewer": {"username": "double", "entity": "local"}})
        return json.dumps({"project": {"runs": {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}}})

    @server.tool()
    def count_weave_traces_tool(entity_name: str, project_name: str, filters: dict[str, Any] | None = None) -> str:
        """Count traces."""
        state = world.called("count_weave_traces_tool", filters=filters)
        if world.calls.count("count_weave_traces_tool") <= state["settings"]["busy"]:
            return json.dumps({"error": "server_busy", "retryable": True, "retry_after_ms": 1})
        return json.dumps({"total_count": 40, "root_traces_count": 40})

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
        return json.dumps(
            {"metadata": {}, "traces": [_trace(number) for number in range(state["settings"]["failures"])]}
        )


def _trace(number: int) -> dict[str, Any]:
    errors = {name: 10.0 + number * (1 + place) for place, name in enumerate(DIMENSIONS)}
    return {"trace_id": f"{number:032x}", "mae_raw": sum(errors.values()) / len(errors), "abs_error_by_dim": errors}


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
