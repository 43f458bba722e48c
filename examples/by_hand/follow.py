"""A whole cycle by any command-line MCP client: do what get_cycle says comes next, and show every command.

    .venv/bin/python examples/by_hand/follow.py demo

Each call is one run of the MCP Inspector's command line against one server over stdio, which anybody could have typed;
what is done here besides is to look up which server has a tool, and to pass the W&B replies on word for word.
"""

import argparse
import json
import shlex
import subprocess
import sys
from typing import Any

INSPECTOR = "npx -y @modelcontextprotocol/inspector --cli"
STAND_IN = {"name": "etude-wandb-local", "version": "unknown"}  # a command line does not show the handshake
SHOWN_CHARS = 160


class Hand:
    """Types commands.

    Args:
        client: The client's command; what follows it is the server's command and the Inspector's options.
        etude: The servers' command.
        options: What each server is told, such as `--artifacts`.
    """

    def __init__(self, client: str, etude: str, options: list[str]) -> None:
        self._client, self._etude, self._options = shlex.split(client), shlex.split(etude), options
        self._home: dict[str, str] = {}
        self._replies: list[dict[str, Any]] = []

    def look_around(self) -> None:
        """See which server has which tool."""
        listed = _json_from([*self._etude, "tools", "--json", *self._options])
        self._home = {tool["name"]: one["server"] for one in listed["servers"] for tool in one["tools"]}

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """One tools/call, and the typed result.

        Raises:
            SystemExit: the tool refused; its words.
        """
        if tool == "record_context":
            arguments = {**arguments, "server": STAND_IN, "calls": self._replies}
        given = [f"{name}={_as_text(value)}" for name, value in arguments.items() if value is not None]
        options = [word for one in given for word in ("--tool-arg", one)]
        reply = self._type(self._home[tool], "--method", "tools/call", "--tool-name", tool, *options)
        text = reply["content"][0]["text"] if reply["content"] else ""
        if reply.get("isError"):
            sys.exit(f"{tool} refused: {text}")
        if self._home[tool] == "wandb":
            self._replies.append({"tool": tool, "arguments": arguments, "text": text, "is_error": False})
        elif tool == "record_context":
            self._replies.clear()
        return dict(reply.get("structuredContent") or {})

    def _type(self, server: str, *words: str) -> dict[str, Any]:
        return _json_from([*self._client, *self._etude, "serve", server, *self._options, *words])


def _json_from(command: list[str]) -> dict[str, Any]:
    """Show a command, run it, and read what it prints."""
    shown = shlex.join(command)
    print(f"$ {shown[:SHOWN_CHARS]}{' …' if len(shown) > SHOWN_CHARS else ''}", flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        sys.exit(f"no JSON from {command[0]}: {(done.stderr or done.stdout).strip()[-500:]}")


def _as_text(value: Any) -> str:
    """A value as the Inspector takes it: JSON, except for plain words."""
    return value if isinstance(value, str) else json.dumps(value)


def _due(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is done before looking again: one step, with the reads that it is based on."""
    reading = [step for step in steps if step["tool"].endswith("_tool") or step["tool"] == "record_context"]
    return reading if steps[0] in reading else steps[: 2 if steps[0]["tool"] == "search_playbook" else 1]


def main() -> int:
    parser = argparse.ArgumentParser(description="Do one cycle, and the beginning before it where there is none yet.")
    parser.add_argument("dataset")
    parser.add_argument("--client", default=INSPECTOR, help=f"default: {INSPECTOR}")
    parser.add_argument("--etude", default=".venv/bin/etude", help="the servers' command")
    parser.add_argument("--artifacts", default="artifacts")
    parser.add_argument("--task", help="a task's name or file, for data of one's own")
    parser.add_argument("--until", metavar="TOOL", help="stop where this tool is due")
    given = parser.parse_args()
    options = [f"--artifacts={given.artifacts}", *([f"--task={given.task}"] if given.task else [])]
    hand = Hand(given.client, given.etude, options)
    hand.look_around()
    hand.call("prepare_dataset", {"dataset": given.dataset})
    kind = "begin"
    while kind == "begin":
        state = hand.call("open_cycle", {"dataset": given.dataset})
        kind = state["kind"]
        while not state["closed"]:
            if state["next_steps"][0]["tool"] == given.until:
                return 0
            for step in _due(state["next_steps"]):
                print(f"# {step['tool']}: {step['why']}", flush=True)
                hand.call(step["tool"], step["arguments"])
            state = hand.call("get_cycle", {"cycle": state["cycle"]})
        print(f"# {state['cycle']} is closed: {state['verdict']}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
