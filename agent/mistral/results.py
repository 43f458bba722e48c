"""Results of tool calls as the language model gets them: a JSON object each, bounded, and where the cycle stands now.

What does not fit is put aside in `loop/<cycle>/results/`, where read_evidence reads it by the page.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.mistral.data import as_json, typed
from agent.words import cleaned, one_line

RESULT_CHARS = 6_000
PAGE_CHARS = 5_000  # a page of evidence has 4,000, and is bounded by its server
BEGINNING_CHARS = 2_500
STRING_CHARS = 1_500  # of one string in a result
ERROR_CHARS = 1_500
READ = "read_evidence"

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
        path = self._folder / f"{name}.json"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}")
            document = {"schema": 1, "tool": tool, "arguments": arguments, "text": text}
            draft.write_text(json.dumps(document), encoding="utf-8")
            os.replace(draft, path)
        return f"result:{self._cycle}:{name}"


def succeeded(shelf: Shelf, tool: str, arguments: Mapping[str, Any], result: Any, **notes: Any) -> Payload:
    """What is told of a call that worked, with what else there is to say of it."""
    if tool == READ:
        return {"ok": True, "result": typed(result, PAGE_CHARS)}
    payload = {"ok": True, **notes, "result": typed(result, STRING_CHARS)}
    if len(as_json(payload)) <= RESULT_CHARS:
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


def messages(payloads: Sequence[Payload], state: Mapping[str, Any]) -> list[str]:
    """The messages for the calls of one answer; the last says where they left the cycle, which spares asking for it."""
    told = [dict(payload) for payload in payloads]
    if told and told[-1].get("result") != state:
        told[-1]["cycle_now"] = state
    return [as_json(payload) for payload in told]
