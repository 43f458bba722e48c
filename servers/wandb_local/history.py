"""The shape of `get_run_history_tool`: a run's metrics by step, thinned to what was asked for."""

import json
from collections.abc import Sequence
from typing import Any

from servers.core.tracking import Compare, LocalTracker
from servers.wandb_local.bounds import MAX_REPLY_CHARS

MAX_SAMPLES = 2000


def run_history(
    tracker: LocalTracker,
    entity: str,
    project: str,
    run_id: str,
    keys: Sequence[str] | None,
    samples: int,
    min_step: int | None,
    max_step: int | None,
) -> dict[str, Any]:
    """Return `{rows, run_id, run_name, total_steps, sampled_points, keys_returned, truncation_note?}`.

    Every row has "_step". With keys, a row needs one of them, not all. Where there are more rows than samples, those
    returned are evenly spaced and hold the first and the last. total_steps is the last step that was logged.

    Raises:
        ValueError: no such run, or samples is not positive.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    found = tracker.runs(entity, project, Compare("id", "=", run_id))
    if not found:
        raise ValueError(f"Run not found: {entity}/{project}/{run_id}. Ask query_wandb_tool for the names of runs")
    logged = tracker.history(entity, project, run_id)
    asked = [row for row in logged if _within(row["_step"], min_step, max_step)]
    rows = [row for row in (_kept(row, keys) for row in asked) if len(row) > 1]
    shown = _spaced(rows, min(samples, MAX_SAMPLES))
    while len(json.dumps(shown)) > MAX_REPLY_CHARS and len(shown) > 1:
        shown = _spaced(rows, len(shown) // 2)
    reply = {
        "rows": shown,
        "run_id": run_id,
        "run_name": found[0].name,
        "total_steps": logged[-1]["_step"] if logged else 0,
        "sampled_points": len(shown),
        "keys_returned": sorted({key for row in shown for key in row if key != "_step"}),
    }
    if len(shown) < min(len(rows), samples):
        reply["truncation_note"] = f"{len(shown)} of {len(rows)} rows, to bound the reply; use keys or a step range"
    return reply


def _within(step: int, min_step: int | None, max_step: int | None) -> bool:
    return (min_step is None or step >= min_step) and (max_step is None or step <= max_step)


def _kept(row: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    return {
        key: value for key, value in row.items() if key == "_step" or (value is not None and (not keys or key in keys))
    }


def _spaced(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    if count >= len(rows):
        return list(rows)
    if count == 1:
        return [rows[-1]]
    return [rows[round(place * (len(rows) - 1) / (count - 1))] for place in range(count)]
