"""The part of Weave's trace server that the SDK writes to: completed calls, objects, tables and files."""

import base64
import hashlib
import json
import re
from typing import Any

from tests.doubles.wandb_store import CALL, WandbStore, moment

_COMPLETE = re.compile(r"/v2/([^/]+)/([^/]+)/calls/complete")
_NEEDED = ("id", "trace_id", "op_name", "started_at", "ended_at", "inputs", "attributes", "summary")


class TraceServer:
    """Answers by path.

    Args:
        store: Where calls and objects are kept.
    """

    def __init__(self, store: WandbStore) -> None:
        self._store = store

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any] | None:
        """Status and body of the answer; None for a path that is not known here."""
        if path == "/server_info":
            return 200, {"min_required_weave_python_version": "0.0.1", "trace_server_version": "0.1.0"}
        if method != "POST":
            return None
        if found := _COMPLETE.fullmatch(path):
            return self._complete(found[1], found[2], body)
        if path == "/obj/create":
            return self._object(body["obj"])
        if path in ("/file/create", "/files/create"):
            return 200, {"digest": _digest(body)}
        return None

    def _complete(self, entity: str, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        project = self._store.project(entity, name)
        for call in body["batch"]:
            missing = [key for key in _NEEDED if call.get(key) is None]
            unknown = sorted(set(call) - set(CALL) - {"otel_dump"})
            if missing or unknown or call["project_id"] != project.id:
                return 422, {"detail": f"call {call.get('id')!r}: missing {missing}, unknown {unknown}"}
        for call in body["batch"]:
            project.add_call(call["id"], **{key: value for key, value in call.items() if key in CALL and key != "id"})
        return 200, {}

    def _object(self, sent: dict[str, Any]) -> tuple[int, Any]:
        entity, _, name = sent["project_id"].partition("/")
        digest = sent.get("expected_digest") or _digest(sent["val"])
        self._store.project(entity, name).objects[sent["object_id"], digest] = sent["val"] | {"at": moment()}
        return 200, {"digest": digest, "object_id": sent["object_id"]}


def _digest(value: Any) -> str:
    words = json.dumps(value, sort_keys=True, default=str).encode()
    return (
        base64.urlsafe_b64encode(hashlib.sha256(words).digest())
        .decode()
        .rstrip("=")
        .replace("-", "X")
        .replace("_", "Y")
    )
