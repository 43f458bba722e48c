"""Where a cycle of the scripted house stands, what comes next in it, and what it brought when it is closed."""

from typing import Any

from tests.doubles.house_world import metrics_of


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
    whose: dict[str, Any] = {"trace_roots_only": True, "attributes": {"evaluation_id": f"eval-{name}-{champion}"}}
    return [
        _call("query_wandb_tool", query="{ viewer { entity } }"),
        _call("query_wandb_tool", query=f'{{ project {{ run(name: "{whose["attributes"]["evaluation_id"]}") }} }}'),
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
