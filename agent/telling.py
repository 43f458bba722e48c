"""What a tool call is called on the screen and in the ledger, and what came of it in a few words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.replies import in_points

STEPS = {
    "sample_model": "measure",
    "evaluate_model": "measure",
    "record_context": "read back",
    "diagnose_dataset": "diagnose",
    "search_playbook": "augment",
    "plan_augmentation": "augment",
    "augment_dataset": "augment",
    "plan_campaign": "augment",
    "plan_retrain": "train",
    "start_retrain": "train",
    "get_job": "train",
    "compare_models": "judge",
    "choose_candidate": "choose",
    "gate_candidate": "judge",
    "promote_model": "promote",
    "write_playbook": "write",
    "write_report": "write",
}


def step_of(tool: str) -> str:
    """The step of a cycle that a tool belongs to; the W&B tools, whatever they are, read back."""
    return STEPS.get(tool, "read back" if tool.endswith("_tool") else "look")


def told(tool: str, result: Mapping[str, Any]) -> str:
    """What came of a call; empty where there is nothing worth a word. A server that says less is told of less."""
    try:
        return _told(tool, result)
    except (KeyError, TypeError, ValueError, AttributeError):
        return ""


def _told(tool: str, result: Mapping[str, Any]) -> str:
    match tool:
        case "evaluate_model":
            return f"{result['model']} {in_points(result['metrics']['vector_mae'])}"
        case "sample_model":
            return str(result["message"]) if result["state"] == "needless" else ""
        case "record_context":
            return f"{len(result['eval_summary'])} models, {len(result['failures'])} failures"
        case "diagnose_dataset":
            return _diagnosis(result)
        case "plan_augmentation":
            return f"aims at {', '.join(result['focus_dimensions']) or 'more of the same'}"
        case "augment_dataset":
            if result.get("why_nothing"):
                return f"no rows added: {result['why_nothing']}"
            dropped = ", ".join(f"{count} {reason}" for reason, count in result["dropped"].items() if count)
            return f"{result['added']} rows added, {result['replayed']} replayed; dropped: {dropped or 'none'}"
        case "plan_campaign":
            return f"{', '.join(result['ways'])}: {result['candidates']} candidates" + _priced(result)
        case "search_playbook":
            return _counted(result["total"], "way known", "ways known")
        case "choose_candidate":
            return str(result["reason"])
        case "plan_retrain":
            changes = ", ".join(f"{change['name']} {change['value']}" for change in result["changes"])
            return (changes or "the recipe as it is") + _priced(result)
        case "start_retrain":
            return f"{result['job_id']}, attempt {result['attempt']}"
        case "get_job":
            made = result["models"]
            if result["state"] == "succeeded" and not made and not result["model"]:
                return f"{result['job_id']} succeeded"
            return str(
                (f"{len(made)} candidates" if len(made) > 1 else next(iter(made), result["model"]))
                or f"{result['job_id']} {result['state']}: {result['error'] or 'no reason given'}"
            )
        case "compare_models":
            return "; ".join(map(_compared, result["candidates"])) + " on diagnose, no proof"
        case "gate_candidate":
            return f"{result['outcome']}: {result['reason']}"
        case "promote_model":
            return str(result["champion"])
        case "write_playbook":
            counts = _counted(result["remedies"], "remedy", "remedies"), _counted(result["lessons"], "lesson")
            return ", ".join(filter(None, counts))
        case "write_report":
            return _from_here(str(result["report"]))
    return ""


def _from_here(path: str) -> str:
    """A path as it is reached from the folder that the run was started in, where it lies below it."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path


def _priced(result: Mapping[str, Any]) -> str:
    """What a plan costs; nothing where it is free, or where the server has no word of it."""
    quote = result.get("quote") or {}
    if not quote.get("approve_usd"):
        return ""
    return (
        f"; {quote['minutes_low']:.0f} to {quote['minutes_high']:.0f} minutes on {quote['hardware']}, "
        f"about {quote['usd']:.2f} USD and at most {quote['approve_usd']:.2f}"
    )


def _compared(candidate: Mapping[str, Any]) -> str:
    low, high = candidate["overall"]["ci"]
    return f"{candidate['model']} {candidate['overall']['difference']:+.2f} points ({low:+.2f} to {high:+.2f})"


def _diagnosis(result: Mapping[str, Any]) -> str:
    return "; warning: ".join([f"{result['verdict']}: {result['reason']}", *result["warnings"]])


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}" if count else ""
