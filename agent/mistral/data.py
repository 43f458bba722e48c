"""Text is data: how words of tools, traces, datasets and models reach a language model.

Everything goes as one JSON value: typed, bounded, without invisible characters, and with nothing in its strings that a
chat template could take for one of its own marks. So a text has no way out of the string that it stands in.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent.words import CUT, cleaned

KEY_CHARS = 100
MAX_ITEMS = 200
MAX_DEPTH = 12

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
# [INST], [/TOOL_RESULTS], <s>, </s>, <|im_start|>, <unused7> and their like; some have a fullwidth bar and blocks.
_MARK = re.compile(r"\[(?=/?[A-Z][A-Z_]*\])|<(?=[|/\uff5c]{0,2}[\w\u2581]+[|\uff5c]?>)")


def typed(value: Any, string_chars: int, depth: int = 0) -> Any:
    """`value` with every string cleaned and every list and nesting bounded."""
    if isinstance(value, str):
        return cleaned(value, string_chars)
    if depth > MAX_DEPTH:
        return CUT
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no such number
    if isinstance(value, Mapping):
        items = list(value.items())[:MAX_ITEMS]
        return {cleaned(str(key), KEY_CHARS): typed(item, string_chars, depth + 1) for key, item in items}
    if isinstance(value, Sequence):
        kept = [typed(item, string_chars, depth + 1) for item in value[:MAX_ITEMS]]
        return kept if len(value) <= MAX_ITEMS else [*kept, CUT]
    return value


def unmarked(text: str) -> str:
    """`text` without the first character of every mark of a chat template, for where there is no JSON around it."""
    return _MARK.sub("", text)


def as_json(value: Any) -> str:
    """One line of JSON in which no string holds a mark of a chat template."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    return _STRING.sub(lambda string: _MARK.sub(lambda mark: f"\\u{ord(mark[0]):04x}", string[0]), text)
