"""One reply of a W&B MCP server, read: any form that its JSON may come in, and any way in which it may say no.

The server reports most failures inside a successful reply; texts hold JSON as a string inside JSON, words around it, or
a dict as Python writes it. Everything that asks W&B reads its replies here, and nowhere else. The servers, which import
nothing of the agent, have their own reader of the same forms (`servers/playbook/documents.py`).
"""

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent.words import one_line

MAX_CHARS = 2_000_000  # record_context takes no longer ones; twenty rows are a twentieth of it
MAX_REPR_CHARS = 1_000_000  # what Python wrote is read by Python's own parser, which takes a hundred times the memory
MAX_LAYERS = 4  # of JSON inside JSON
MAX_WAIT_S = 30.0
SHOWN_CHARS = 300

Kind = Literal["busy", "passing", "too much", "denied", "absent", "refused"]

_PAYLOAD = {"project", "viewer", "traces", "items", "item", "total_count", "root_traces_count"}
_TOO_MUCH = re.compile(
    r"query_too_large|quota_exceeded|out_of_memory|too[ _]large|too many (rows|traces)|limited to \d"
)
_BUSY = re.compile(r"server_busy|rate.?limit|too many requests|\b429\b|overloaded")
_DENIED = re.compile(
    r"\b40[13]\b|unauthori[sz]ed|forbidden|permission|access denied|api key|authenticat|authoriz|not allowed"
)
_PASSING = re.compile(
    r"\b5\d\d\b|time.?out|timed out|temporar|unavailable|bad gateway|internal server error|"
    r"connection (was )?(reset|refused|aborted|closed|error)|connection broken|max retries|incomplete"
)
HINT = (
    "check that WANDB_API_KEY is a valid key of an account that may read this project (wandb.ai/authorize shows it), "
    "and [tracking] entity and project"
)


@dataclass(frozen=True)
class Trouble:
    """Why a reply is no answer."""

    kind: Kind
    """busy: ask again after `wait_s`; passing: ask again; too much: ask for less; absent: there is none, perhaps not
    yet; denied and refused: asking again brings the same."""
    words: str
    wait_s: float = 1.0
    at_most: int | None = None
    """How many rows the server gives at once, where it says so."""


def document_in(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, or holds; None where there is none, or only half of one."""
    value: Any = text
    for _ in range(MAX_LAYERS):
        if isinstance(value, str):
            value = _value(value)
        elif isinstance(value, dict) and isinstance(inner := _inner(value), (dict, str)):
            value = inner
        else:
            break
    return value if isinstance(value, dict) else None


def trouble_in(document: Mapping[str, Any] | None, text: str, is_error: bool) -> Trouble | None:
    """Why a reply is no answer, or None where it is one.

    Args:
        document: What `document_in` found.
        text: The reply's words.
        is_error: Whether the protocol calls it a failure.
    """
    if document is None:
        if is_error:
            return _judged(text, {})
        if len(text) > MAX_CHARS:
            return Trouble("too much", f"its reply has {len(text):,} characters, and {MAX_CHARS:,} are read at most")
        return Trouble("passing", f"not a JSON object: {one_line(text, 200)!r}")
    said = next((document[key] for key in ("error", "errors", "exception") if document.get(key)), None)
    if said is not None or is_error or _says_failed(document):
        message = document.get("message") or document.get("detail") or said or text
        inner = said if isinstance(said, Mapping) else {}
        if message is said:
            message = _told(said)
        words = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False, default=str)
        code = said if isinstance(said, str) and said not in words else ""
        return _judged(f"{code}: {words}" if code else words, {**inner, **document})
    if "project" in document and document["project"] is None:
        return Trouble("absent", "the project does not exist, or the key may not see it; " + HINT)
    return None


def _told(said: Any) -> Any:
    """The words in an error, which may be an object, or a list of them as GraphQL has it."""
    parts = said if isinstance(said, list) else [said]
    words = [part["message"] for part in parts if isinstance(part, dict) and isinstance(part.get("message"), str)]
    details = [part["details"] for part in parts if isinstance(part, dict) and isinstance(part.get("details"), str)]
    return "; ".join([*words, *details]) if len(words) == len(parts) else said


def is_answer(document: Mapping[str, Any] | None) -> bool:
    """Whether an object holds what a W&B tool is asked for, and no remark beside it."""
    return document is not None and bool(document.keys() & _PAYLOAD)


def rows_in(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The traces of a reply."""
    for key in ("traces", "calls", "items", "results"):
        value = document.get(key)
        value = _value(value) if isinstance(value, str) else value
        if isinstance(value, list):
            return [row for row in value if isinstance(row, dict)]
    return []


def is_cut(document: Mapping[str, Any]) -> bool:
    """Whether a reply says that it left something out to be shorter."""
    metadata = mapping(document.get("metadata"))
    signs = (
        "truncation_applied",
        "truncation_dropped_count",
        "truncation_note",
        "truncated",
        "sampled",
        "limit_clamped",
    )
    return any(bool(part.get(sign)) for part in (metadata, document) for sign in signs)


def runs_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a reply that describes a run, whatever stands around it."""
    if isinstance(value, list):
        for item in value:
            yield from runs_in(item)
    elif isinstance(value, dict):
        if value.keys() & {"summaryMetrics", "jobType", "job_type", "summary"} and value.keys() & {"name", "id"}:
            yield value
        else:
            for item in value.values():
                yield from runs_in(item)


def mapping(value: Any) -> dict[str, Any]:
    """A dict, the text of one, or nothing."""
    value = document_in(value) if isinstance(value, str) else value
    return value if isinstance(value, dict) else {}


def number(value: Any) -> float | None:
    """A number, or the text of one; None where it is none that counts."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _inner(value: dict[str, Any]) -> Any:
    """What stands in structured content, or in a GraphQL answer, and is the thing itself."""
    said = {key for key, part in value.items() if part is not None and key != "extensions"}
    return value[said.pop()] if said in ({"result"}, {"data"}) else None


def _says_failed(document: Mapping[str, Any]) -> bool:
    if document.get("isError") is True or document.get("is_error") is True:
        return True
    if document.keys() & _PAYLOAD:
        return False
    return document.get("success") is False or document.get("status") in ("error", "failed")


def _judged(words: str, document: Mapping[str, Any]) -> Trouble:
    """What kind of no this is."""
    shown, lower = one_line(words, SHOWN_CHARS) or "an error without words", words[:2000].lower()
    wait_ms, wait_s = number(document.get("retry_after_ms")), number(document.get("retry_after"))
    asked_s = wait_ms / 1000 if wait_ms is not None else wait_s
    wait = min(max(1.0 if asked_s is None else asked_s, 0.0), MAX_WAIT_S)
    if document.get("retryable") is True or asked_s is not None:
        return Trouble("busy", shown, wait)
    if _TOO_MUCH.search(lower):
        most = number(document.get("max_limit"))
        return Trouble("too much", shown, at_most=int(most) if most is not None and most >= 1 else None)
    if _BUSY.search(lower):
        return Trouble("busy", shown, wait)
    if _DENIED.search(lower):
        return Trouble("denied", f"{shown}; {HINT}")
    if _PASSING.search(lower):
        return Trouble("passing", shown)
    if re.search(r"not.?found|does not exist|could not find", lower):
        return Trouble("absent", shown)
    return Trouble("refused", shown)


def _value(text: str) -> Any:
    """The value that a text is in JSON, or as Python writes it; the text itself is no value."""
    if len(text) > MAX_CHARS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    # Only where an object may begin: inside half an object, a smaller one would pass for the whole.
    starts = [at for at in (text.find("{"), *_line_starts(text)) if at >= 0]
    for at in dict.fromkeys(starts):
        try:
            return json.JSONDecoder().raw_decode(text, at)[0]
        except (ValueError, RecursionError):
            continue
    return _as_python_writes(text)


def _line_starts(text: str) -> list[int]:
    return [match.start() for match, _ in zip(re.finditer(r"^\{", text, re.MULTILINE), range(20), strict=False)]


def _as_python_writes(text: str) -> Any:
    start = text.find("{")
    if start < 0 or len(text) > MAX_REPR_CHARS:
        return None
    try:
        value = ast.literal_eval(text[start : text.rfind("}") + 1])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, dict) else None
