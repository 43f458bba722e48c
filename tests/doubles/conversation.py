"""What a model sees in a request: the tools on offer, the newest state of the cycle, and what became of its calls."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Message = Mapping[str, Any]
Call = tuple[str, str | dict[str, Any]]
"""A function and its arguments; a text stands as it is on the wire, be it JSON or not."""


@dataclass(frozen=True)
class Said:
    """What a brain answers."""

    words: str = ""
    calls: list[Call] = field(default_factory=list)


@dataclass(frozen=True)
class Reply:
    """What became of one call."""

    tool: str
    """Without its server's prefix."""
    arguments: Any
    ok: bool
    result: Any
    """The tool's own result; where it was cut, its beginning as text; where it was refused, the words."""

    @property
    def state(self) -> dict[str, Any] | None:
        """Where the cycle stands, if the reply says so."""
        if not self.ok or self.tool not in ("get_cycle", "open_cycle"):
            return None
        return _beginning_of_state(self.result) if isinstance(self.result, str) else _state_in(self.result)


def text_of(message: Message) -> str:
    """A message's words, be they one text or several pieces."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(piece.get("text") or "") for piece in content)


class Conversation:
    """One request, read as a model reads it. Only the tools and the messages count; nothing is remembered here."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.messages: list[Message] = list(body.get("messages") or [])
        functions = [tool["function"] for tool in body.get("tools") or []]
        self.offered: dict[str, dict[str, Any]] = {f["name"]: f.get("parameters") or {} for f in functions}
        """The schema of every function on offer, by its whole name."""

    @cached_property
    def state(self) -> dict[str, Any] | None:
        """Where the cycle stands, by the newest message that says so."""
        return self._read[0]

    @cached_property
    def since(self) -> list[Reply]:
        """What became of the calls after the newest state."""
        return self._read[1]

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The calls that come next, by the newest state."""
        return list((self.state or {}).get("next_steps") or [])

    @property
    def cycle(self) -> str:
        return str((self.state or {}).get("cycle") or "cycle_1")

    @property
    def refusal(self) -> str | None:
        """The words of the newest refusal after the state, if there is one."""
        return next((str(reply.result) for reply in reversed(self.since) if not reply.ok), None)

    @cached_property
    def replies(self) -> list[Reply]:
        """What became of every call that can still be seen."""
        return [seen for seen in self._told() if isinstance(seen, Reply)]

    def result_of(self, tool: str) -> dict[str, Any]:
        """The newest result of a tool; an empty one if there is none to be seen."""
        results = (reply.result for reply in reversed(self.replies) if reply.ok and reply.tool == tool)
        return next((result for result in results if isinstance(result, dict)), {})

    def function(self, tool: str) -> str | None:
        """The function on offer that is this tool, with its server's prefix."""
        return next((name for name in self.offered if bare(name) == tool or name == tool), None)

    def fitting(self, function: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that the function's schema knows."""
        known = self.offered.get(function, {}).get("properties")
        return {key: value for key, value in arguments.items() if known is None or key in known}

    @cached_property
    def _read(self) -> tuple[dict[str, Any] | None, list[Reply]]:
        state: dict[str, Any] | None = None
        since: list[Reply] = []
        for told in self._told():
            found = told.state if isinstance(told, Reply) else told
            if found is not None:
                state, since = found, []
            elif isinstance(told, Reply):
                since.append(told)
        return state, since

    def _told(self) -> Iterator[Reply | dict[str, Any]]:
        """Replies to calls, and states told by the program, in their order."""
        calls: dict[str, Message] = {}
        for message in self.messages:
            if message["role"] == "assistant":
                calls |= {call["id"]: call["function"] for call in message.get("tool_calls") or []}
            elif message["role"] == "tool":
                call = calls.get(message.get("tool_call_id") or "", {})
                yield _reply(call.get("name") or message.get("name") or "", call.get("arguments"), text_of(message))
                if (told := _json(text_of(message))) and (state := _state_in(told.get("cycle_now"))):
                    yield state
            elif message["role"] == "user" and (state := _state_in(_json(text_of(message).strip().split("\n")[-1]))):
                yield state


def bare(function: str) -> str:
    """A tool's name without its server's prefix."""
    return function.rpartition("__")[2]


def _reply(function: str, arguments: Any, text: str) -> Reply:
    told = _json(text)
    given = _json(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(told, dict) or "ok" not in told:
        return Reply(bare(function), given, False, text)
    result = told.get("text") if told.get("cut") else told.get("result")
    return Reply(bare(function), given, bool(told["ok"]), result if told["ok"] else told.get("error"))


def _state_in(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and isinstance(value.get("next_steps"), list) else None


def _beginning_of_state(text: str) -> dict[str, Any] | None:
    """A state whose end was cut off, with those of its next steps that are whole."""
    cycle = re.search(r'"cycle":\s*"([^"]+)"', text)
    start = re.search(r'"next_steps":\s*\[', text)
    if start is None:
        return None
    decoder, place, steps = json.JSONDecoder(), start.end(), []
    while step := re.compile(r"[\s,]*(?=\{)").match(text, place):
        try:
            found, place = decoder.raw_decode(text, step.end())
        except ValueError:
            break
        steps.append(found)
    return {"cycle": cycle[1] if cycle else None, "next_steps": steps, "closed": False, "verdict": None}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
