"""Which tools the language model is offered, under which names, with which arguments.

Names are `<server>__<tool>`. What a cycle needs is offered and nothing that takes something away; the W&B tools, whose
schemas are long, only while the replies are wanted. Arguments that the program fills in itself are taken out of the
schemas: the W&B replies, which nobody should retype, and what a text must not decide.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from mcp.types import Tool
from referencing import Registry
from referencing.exceptions import Unresolvable

from agent.desk import StepFailed
from agent.sessions import Server
from agent.wandb_names import READS
from agent.wandb_reads import RECORD
from agent.words import cleaned

GET_CYCLE = "get_cycle"
SEARCH = "search_playbook"
READING_BACK = READS
NEEDED = {
    "sample_model", "evaluate_model", "diagnose_dataset", "gate_candidate", "compare_models", "get_evaluation",
    "list_failures", "choose_candidate",
    "plan_augmentation", "plan_campaign", "augment_dataset",
    "plan_retrain", "start_retrain", "get_job", "promote_model",
    GET_CYCLE, RECORD, "read_evidence", "search_playbook", "write_playbook", "write_report",
    *READING_BACK,
}  # fmt: skip
FILLED_IN = {
    RECORD: ("server", "calls"),
    "write_report": ("stop_reason", "wandb_report"),
    "get_job": ("wait_s",),
    "plan_augmentation": ("new_rows", "replay_rows"),
    "plan_campaign": ("seeds", "ways"),
    "start_retrain": ("approve_usd",),  # a person types it, never a model
    "sample_model": ("approve_usd",),
}
SHOWN_CHARS = 300
DESCRIPTION_CHARS = 1_500  # of a W&B tool: the official server says 22,000 of one


@dataclass(frozen=True)
class Offered:
    """A tool as the model knows it."""

    name: str
    tool: Tool
    schema: dict[str, Any]
    """Of the arguments that the model gives."""

    @property
    def function(self) -> dict[str, Any]:
        """As the API takes it."""
        description = self.tool.description or self.tool.name
        if self.tool.name in READING_BACK:
            description = cleaned(description, DESCRIPTION_CHARS)
        return {
            "type": "function",
            "function": {"name": self.name, "description": description, "parameters": self.schema},
        }

    @property
    def changes_something(self) -> bool:
        """Whether it says that it only reads; a tool that says nothing may do anything."""
        hints = self.tool.annotations
        return hints is None or not hints.read_only_hint

    def problem_with(self, arguments: Mapping[str, Any]) -> str | None:
        """Why these arguments will not do; None where they will."""
        known = self.schema.get("properties", {})
        if unknown := sorted(set(arguments) - set(known)):
            by_program = FILLED_IN.get(self.tool.name, ())
            why = ", which the program fills in" if unknown[0] in by_program else ""
            return f"{self.name} takes no argument {unknown[0]!r}{why}; it takes {', '.join(known) or 'none'}"
        try:
            Draft202012Validator.check_schema(self.schema)
            # An empty registry: a schema that points elsewhere is not followed there.
            validator = Draft202012Validator(self.schema, registry=Registry())
            error: ValidationError | None = best_match(validator.iter_errors(arguments))
        # The server's own mistake, or a pattern that is none in Python; it will judge the arguments itself.
        except (SchemaError, Unresolvable, RecursionError, re.error):
            return None
        if error is None:
            return None
        where = error.json_path.removeprefix("$").lstrip(".") or "the arguments"
        return f"{self.name}: {where}: {error.message[:SHOWN_CHARS]}"


class Offer:
    """All tools that the model may be offered.

    Args:
        servers: The connected servers.
        allowed: By server, the tools that the settings name for it.

    Raises:
        StepFailed: the settings name a server or tool that is not there, two would have one name, or there is no
            get_cycle.
    """

    def __init__(self, servers: Sequence[Server], allowed: Mapping[str, Sequence[str]]) -> None:
        for name in allowed:
            if name not in (known := [server.name for server in servers]):
                raise StepFailed(f"[agent.mistral] tools: no server {name!r}; connected: {', '.join(known)}")
        everything = [offered for server in servers for offered in _of(server, allowed.get(server.name))]
        self._by_name = {offered.name: offered for offered in everything}
        if len(self._by_name) < len(everything):
            twice = next(name for name, count in Counter(one.name for one in everything).items() if count > 1)
            raise StepFailed(f"two tools would both be called {twice!r}; name one of them in [agent.mistral.tools]")
        self._names = {offered.tool.name: offered.name for offered in self._by_name.values()}
        if GET_CYCLE not in self._names:
            raise StepFailed(f"the model needs the tool {GET_CYCLE}, which no connected server offers to it")

    def name_of(self, tool: str) -> str:
        """What the model calls a tool; the bare name where it is not offered."""
        return self._names.get(tool, tool)

    def now(self, next_tools: Sequence[str]) -> list[Offered]:
        """The tools that can be needed at this step."""
        reads = any(tool in READING_BACK or tool == RECORD for tool in next_tools)
        return [one for one in self._by_name.values() if reads or one.tool.name not in (*READING_BACK, RECORD)]

    def find(self, name: str, offered: Sequence[Offered]) -> Offered | str:
        """The tool of this name, or why there is none."""
        if found := next((one for one in offered if one.name == name), None):
            return found
        if name in self._by_name:
            return f"{name} is not needed at this step; {self._names[GET_CYCLE]} says what is"
        names = [one.name for one in offered]
        by_tool = [one.name for one in offered if one.tool.name == name.rpartition("__")[2]]
        close = by_tool or difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the tools are {', '.join(names)}"
        return f"there is no tool {name[:80]!r}; {hint}"


def _of(server: Server, listed: Sequence[str] | None) -> list[Offered]:
    tools = {tool.name: tool for tool in server.tools}
    for name in listed or ():
        if name not in tools:
            raise StepFailed(f"[agent.mistral] tools: server {server.name!r} has no tool {name!r}")
    wanted = NEEDED if listed is None else set(listed)
    prefix = re.sub(r"[^A-Za-z0-9-]+", "_", server.name)[:20]
    return [Offered(_function(prefix, name), tool, _schema(tool)) for name, tool in tools.items() if name in wanted]


def _function(prefix: str, tool: str) -> str:
    """A name that the API takes: MCP lets a tool's name have dots and slashes as well."""
    return f"{prefix}__{re.sub(r'[^A-Za-z0-9_-]', '_', tool)}"[:64]


def _schema(tool: Tool) -> dict[str, Any]:
    """The tool's own schema without what the program fills in."""
    schema = deepcopy(dict(tool.input_schema))
    for name in FILLED_IN.get(tool.name, ()):
        schema.get("properties", {}).pop(name, None)
        if name in schema.get("required", []):
            schema["required"] = [other for other in schema["required"] if other != name]
    used = json.dumps({key: value for key, value in schema.items() if key != "$defs"})
    if "$defs" in schema and "#/$defs/" not in used:
        del schema["$defs"]
    return schema
