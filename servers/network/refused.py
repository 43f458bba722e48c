"""How a request is refused: an HTTP status, and one sentence that says what to do.

The body is a JSON-RPC error, because MCP clients show its message to their person; of any other body they say only that
the server returned an error.
"""

import json
from typing import Any

from mcp.types import INTERNAL_ERROR, INVALID_REQUEST
from starlette.responses import Response

from servers.core.words import refusal

Headers = dict[str, str]


class Refused(Exception):
    """A request that goes no further.

    Args:
        status: Of HTTP.
        words: What is wrong and what to do, bounded and cleaned before it is sent.
        headers: Added to the answer.
        request_id: Of the JSON-RPC request, where it was read.
    """

    def __init__(self, status: int, words: str, headers: Headers | None = None, request_id: Any = None) -> None:
        super().__init__(words)
        self.status, self.words, self.headers, self.request_id = status, refusal(words), headers or {}, request_id

    def response(self) -> Response:
        """What the client gets."""
        code = INTERNAL_ERROR if self.status >= 500 else INVALID_REQUEST
        document = {"jsonrpc": "2.0", "id": self.request_id, "error": {"code": code, "message": self.words}}
        body = json.dumps(document, ensure_ascii=False)
        return Response(body, self.status, self.headers, media_type="application/json")
