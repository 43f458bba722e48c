"""Results of tool calls as the language model gets them: a JSON object each, bounded, and where the cycle stands now.

What does not fit is put aside in `loop/<cycle>/results/`, where read_evidence reads it by the page.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.lines import write_whole
from agent.mistral.data import as_json, typed
from agent.words import CUT, cleaned, one_line

RESULT_CHARS = 6_000
PAGE_CHARS = 5_000  # a page of evidence has 4,000, and is bounded by its server
BEGINNING_CHARS = 2_500
STRING_CHARS = 1_500  # of one string in a result
ERROR_CHARS = 1_500
READ = "read_evidence"
LEFT_OUT = "too long beside the other results of this answer; call it again, alone, to see it"

Payload = dict[str, Any]


class Shelf:
    """Long results of one cycle.

    Args:
        artifacts: The artifacts folder.
        cycle: Its id.
    """

    def __init__(self, artifacts: Path, cycle: str) -> None:
        self._folder = artifacts / "loop" / cycle / "results"
        self._cycle = cycle

    def put(self, tool: str, arguments: Mapping[str, Any], text: str) -> str:
        """Keep a result and give the reference to read it by; the same result again is kept once."""
        name = hashlib.sha256(json.dumps([tool, arguments, text], sort_keys=True).encode()).hexdigest()[:12]
        document = {"schema": 1, "tool": tool, "arguments": arguments, "text": text}
        write_whole(self._folder / f"{name}.json", json.dumps(document))
        return f"result:{self._cycle}:{name}"


def succeeded(shelf: Shelf, tool: str, arguments: Mapping[str, Any], result: Any, **notes: Any) -> Payload:
    """What is told of a call that worked, with what else there is to say of it."""
    if tool == READ:
        return {"ok": True, "result": typed(result, PAGE_CHARS)}
    payload = {"ok": True, **notes, "result": typed(result, STRING_CHARS)}
    shown = as_json(payload)
    if len(shown) <= RESULT_CHARS and CUT not in shown:  # a part that was cut is put aside as well, to be read whole
        return payload
    whole = json.dumps(result, ensure_ascii=False, default=str)
    return {
        "ok": True,
        **notes,
        "cut": True,
        "text": cleaned(whole, BEGINNING_CHARS),
        "total_chars": len(whole),
        "ref": shelf.put(tool, arguments, whole),
        "more": f"{READ} with this ref reads it by the page",
    }


def refused(words: str) -> Payload:
    """What is told of a call that did not work."""
    return {"ok": False, "error": one_line(words, ERROR_CHARS)}


def messages(payloads: Sequence[Payload], state: Mapping[str, Any], limit_chars: int) -> list[str]:
    """The messages for the calls of one answer; the last says where they left the cycle, which spares asking for it.

    What is too long beside the others is left out by name: dropped later, with its whole turn, nobody would know of it.
    """
    left = limit_chars - len(as_json(state))
    told = []
    for number, payload in enumerate(payloads):
        share = left // (len(payloads) - number)
        kept = payload if (size := len(as_json(payload))) <= share else {"ok": payload["ok"], "left_out": LEFT_OUT}
        left -= min(size, len(as_json(kept)))
        told.append(dict(kept))
    if told and told[-1].get("result") != state:
        told[-1]["cycle_now"] = state
    return [as_json(payload) for payload in told]
