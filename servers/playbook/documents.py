"""The JSON in a reply of a W&B MCP server, in any form that it may come in; half of one is none.

Known forms: JSON, with words around it, JSON as a string inside JSON, a dict as Python writes it, wrapped in `result`
or `data`. Numbers may come as texts. The agent, which imports nothing of ours, reads the same forms
(`agent/wandb_words.py`).
"""

import ast
import json
import math
import re
from typing import Any

MAX_LAYERS = 4  # of JSON inside JSON
MAX_REPR_CHARS = 1_000_000  # Python's own parser takes a hundred times the memory
MAX_STARTS = 20
UNMEASURED = {"NaN", "nan", "None", "null", "inf", "-inf", "Infinity", "-Infinity", ""}  # spellings of "nothing"


def document_in(text: str) -> dict[str, Any] | None:
    """The object that a text is, or holds; None where there is none."""
    value: Any = text
    for _ in range(MAX_LAYERS):
        if isinstance(value, str):
            value = _value(value)
        elif isinstance(value, dict) and isinstance(inner := _inner(value), (dict, str)):
            value = inner
        else:
            break
    return value if isinstance(value, dict) else None


def mapping(value: Any) -> dict[str, Any]:
    """A dict, the text of one, or nothing."""
    value = document_in(value) if isinstance(value, str) else value
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[dict[str, Any]]:
    """The objects in a list, or in the text of one."""
    value = _value(value) if isinstance(value, str) else value
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number(value: Any) -> float | None:
    """A number, or the text of one; None where it is none, or none that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def is_unmeasured(value: Any) -> bool:
    """Whether a value says, in any spelling, that there is none."""
    if isinstance(value, str):
        return value.strip() in UNMEASURED
    return value is None or value == {} or (isinstance(value, float) and not math.isfinite(value))


def _inner(value: dict[str, Any]) -> Any:
    """What stands in structured content, or in a GraphQL answer, and is the thing itself."""
    said = {key for key, part in value.items() if part is not None and key != "extensions"}
    return value[said.pop()] if said in ({"result"}, {"data"}) else None


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_nothing, parse_float=_number, parse_int=_number)
    except (ValueError, RecursionError):
        pass
    decoder = json.JSONDecoder(parse_constant=_nothing, parse_float=_number, parse_int=_number)
    # Only where an object may begin: inside half an object, a smaller one would pass for the whole.
    lines = [
        match.start() for match, _ in zip(re.finditer(r"^\{", text, re.MULTILINE), range(MAX_STARTS), strict=False)
    ]
    for start in dict.fromkeys([text.find("{"), *lines]):
        if start >= 0:
            try:
                return decoder.raw_decode(text, start)[0]
            except (ValueError, RecursionError):
                continue
    return _as_python_writes(text)


def _as_python_writes(text: str) -> Any:
    start = text.find("{")
    if start < 0 or len(text) > MAX_REPR_CHARS:
        return None
    try:
        value = ast.literal_eval(text[start : text.rfind("}") + 1])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, dict) else None


def _nothing(_: str) -> None:
    """NaN and the infinities: nothing measured."""


def _number(digits: str) -> float | int | None:
    """A number that no float can hold counts as nothing measured."""
    value = float(digits)
    if not math.isfinite(value):
        return None
    return int(digits) if digits.lstrip("-").isdigit() else value
