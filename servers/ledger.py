"""A server's own ledger: one line for every call that it answered, whoever asked, in `ledger/<server>.jsonl`.

Arguments stand as they came; of a result there are its digest and length, because what it says lies elsewhere on disk.
"""

import json
import secrets
from itertools import count
from pathlib import Path
from typing import Any

from servers.core.disk import append_jsonl, canonical, digest, now, plain

_REPLY = ("content", "structuredContent", "isError")


class ServerLedger:
    """The ledger of a server that starts now.

    Args:
        file: Lines are added to it; several processes may.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._start, self._numbers = secrets.token_hex(4), count(1)

    def add(self, tool: str, arguments: Any, result: Any, seconds: float) -> None:
        """Note a call.

        Args:
            tool: Its name, as it was asked for.
            arguments: As they came.
            result: What the client gets; None for a call that brought nothing, which counts as an error.
            seconds: From the call to its result.
        """
        reply = result.model_dump(mode="json", by_alias=True) if hasattr(result, "model_dump") else plain(result or {})
        content = {key: reply.get(key) for key in _REPLY}
        entry = {
            "call": f"{self._start}-{next(self._numbers)}",  # its own in all ledgers, so that a doubled line shows
            "at": now(),
            "tool": tool,
            # NaN and infinity, which the wire lets through and a JSON line cannot hold, stand as words.
            "arguments": json.loads(json.dumps(plain(arguments)), parse_constant=str),
            "is_error": result is None or bool(content["isError"]),
            "result_digest": digest(content),
            "result_chars": len(canonical(content)),
            "seconds": round(seconds, 4),
        }
        append_jsonl(self._file, entry)
