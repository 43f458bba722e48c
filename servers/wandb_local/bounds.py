"""How a reply about traces is kept short, and how it says so.

Long texts are cut (never ids, never numbers); and where all traces together are still too long, the last ones, in the
order that was asked for, are left out. Both set `truncation_applied` and a `truncation_note` in the metadata.
"""

import json
from collections.abc import Sequence
from typing import Any

from servers.core.words import escaped_unseen

MAX_REPLY_CHARS = 120_000
"""30,000 tokens at four characters each, as in the official server."""
SHORT_TEXT_CHARS = 100
"""Where texts are cut when not even one trace fits into the reply."""

_CUT_IN = ("inputs", "output", "attributes", "exception")


def compact(value: Any) -> str:
    """Return the value as JSON without a space too many."""
    return escaped_unseen(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


class TextCut:
    """Cuts the texts of traces, and counts them. A length of 0 keeps the keys and nulls the values."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.count = 0

    def trace(self, trace: dict[str, Any]) -> dict[str, Any]:
        return trace | {name: self._value(trace[name]) for name in _CUT_IN if name in trace}

    def noted(self) -> dict[str, Any]:
        if not self.count:
            return {}
        what = f"{self.count} values left out" if self.length == 0 else f"{self.count} texts cut at {self.length}"
        return {
            "truncation_applied": True,
            "truncation_note": f"{what}; ask for detail_level 'full' or a larger truncate_length to see all",
        }

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._value(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner) for inner in value]
        if self.length == 0:
            self.count += value is not None
            return None
        if isinstance(value, str) and len(value) > self.length:
            self.count += 1
            return value[: self.length] + "..."
        return value


def bounded(metadata: dict[str, Any], traces: list[dict[str, Any]]) -> dict[str, Any]:
    """Return as many of the traces, from the first on, as fit into one reply."""
    kept = _fitting(traces)
    if kept == len(traces):
        return {"metadata": metadata, "traces": traces}
    if kept == 0:
        short = TextCut(SHORT_TEXT_CHARS)
        traces = [short.trace(trace) for trace in traces]
        kept = _fitting(traces)
    note = f"the first {kept} of {len(traces)} traces fit; ask for fewer columns or a smaller limit"
    metadata |= {
        "truncation_applied": True,
        "truncation_dropped_count": len(traces) - kept,
        "truncation_note": "; ".join(filter(None, (metadata["truncation_note"], note))),
    }
    return {"metadata": metadata, "traces": traces[:kept]}


def _fitting(traces: Sequence[dict[str, Any]]) -> int:
    left = MAX_REPLY_CHARS
    for place, trace in enumerate(traces):
        left -= len(compact(trace)) + 1
        if left < 0:
            return place
    return len(traces)
