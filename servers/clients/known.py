"""The clients, as data: where each keeps its servers, in which form, and how it is told where a secret is.

What is said here was looked up in each client's own documentation, named in `sources`, in November 2026. A client that
changes is changed here and in the test of its entry.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Scope = Literal["user", "project"]
Format = Literal["json", "jsonc", "toml"]


@dataclass(frozen=True)
class Client:
    """One client."""

    name: str
    title: str
    sources: tuple[str, ...]
    then: tuple[str, ...]
    """What a person does next, one step a line."""
    format: Format | None = None
    """None where there is no file: the client is set up in its window."""
    key: str = ""
    """Under which its file keeps the servers."""
    places: Mapping[Scope, Mapping[str, str] | str] = field(default_factory=dict)
    """Where its file lies, by scope; by platform where that matters. The first scope is the usual one."""
    reference: str | None = None
    """How `env` and `headers` name a variable; None where they hold values only."""
    asks: bool = False
    """Whether the client asks for secrets itself, and keeps them."""
    takes_url: bool = True
    """Whether its file may name a server by URL."""
    typed: bool = False
    """Whether an entry says which transport it is."""
    skills: Mapping[Scope, str] = field(default_factory=dict)
    """Where it looks for agent skills."""

    def place(self, scope: Scope, environment: Mapping[str, str], platform: str = sys.platform) -> Path:
        """Where its file lies; a project's is relative to the folder where one stands."""
        told = self.places[scope]
        return _resolved(told if isinstance(told, str) else told[_family(platform)], environment)

    def skill_place(self, scope: Scope, environment: Mapping[str, str]) -> Path:
        """The folder for a skill of Étude's name, in a client that takes skills."""
        return _resolved(self.skills[scope], environment) / "etude"


# Beginnings of places that a variable moves elsewhere.
MOVED = {
    "~/.claude.json": "CLAUDE_CONFIG_DIR",
    "~/.claude/": "CLAUDE_CONFIG_DIR",
    "~/.config/": "XDG_CONFIG_HOME",
    "~/.copilot/": "COPILOT_HOME",
    "~/.vibe/": "VIBE_HOME",
    "%APPDATA%/": "APPDATA",
}


def _family(platform: str) -> str:
    return {"darwin": "darwin", "win32": "win32"}.get(platform, "linux")


def _resolved(told: str, environment: Mapping[str, str]) -> Path:
    for beginning, variable in MOVED.items():
        if told.startswith(beginning) and (folder := environment.get(variable)):
            return Path(folder).expanduser() / (told.removeprefix(beginning) or told.removeprefix("~/"))
    return Path(told.replace("%APPDATA%", "~/AppData/Roaming")).expanduser()


ASK = 'ask: "Run one cycle on the demo, step by step, and show me what came of it." (or use the prompt run_cycle)'

CLIENTS = {
    client.name: client
    for client in (
        Client(
            "claude-desktop",
            "Claude Desktop",
            format="json",
            key="mcpServers",
            places={
                "user": {
                    "darwin": "~/Library/Application Support/Claude/claude_desktop_config.json",
                    "win32": "%APPDATA%/Claude/claude_desktop_config.json",
                    "linux": "~/.config/Claude/claude_desktop_config.json",
                }
            },
            takes_url=False,
            then=(
                "quit Claude Desktop whole (not only its window) and start it again",
                "Settings, Developer shows the servers; in a chat, the tools are behind the plus sign",
                ASK,
            ),
            sources=(
                "https://modelcontextprotocol.io/docs/develop/connect-local-servers",
                "https://github.com/modelcontextprotocol/servers/issues/1039",  # ${…} is not expanded
                "https://npmjs.com/package/mcp-remote",
            ),
        ),
        Client(
            "claude-code",
            "Claude Code",
            format="json",
            key="mcpServers",
            places={"project": ".mcp.json", "user": "~/.claude.json"},
            reference="${{{name}}}",
            typed=True,
            skills={"project": ".claude/skills", "user": "~/.claude/skills"},
            then=(
                "start claude in this folder, and approve the servers of the project when it asks",
                "/mcp shows them and their tools",
                ASK,
            ),
            sources=("https://code.claude.com/docs/en/mcp", "https://code.claude.com/docs/en/skills"),
        ),
        Client(
            "cursor",
            "Cursor",
            format="jsonc",
            key="mcpServers",
            places={"user": "~/.cursor/mcp.json", "project": ".cursor/mcp.json"},
            reference="${{env:{name}}}",
            skills={"project": ".cursor/skills", "user": "~/.cursor/skills"},
            then=(
                "restart Cursor; in its settings, under MCP, switch the servers on",
                ASK.replace("ask:", "in the agent's chat, ask:"),
            ),
            sources=("https://cursor.com/docs/mcp", "https://cursor.com/docs/context/skills"),
        ),
        Client(
            "vscode",
            "Visual Studio Code",
            format="jsonc",
            key="servers",
            places={
                "project": ".vscode/mcp.json",
                "user": {
                    "darwin": "~/Library/Application Support/Code/User/mcp.json",
                    "win32": "%APPDATA%/Code/User/mcp.json",
                    "linux": "~/.config/Code/User/mcp.json",
                },
            },
            reference="${{input:{id}}}",
            asks=True,
            typed=True,
            skills={"project": ".github/skills", "user": "~/.copilot/skills"},
            then=(
                "open the folder in VS Code, run MCP: List Servers from the command palette, start and trust them",
                "in the chat, choose Agent; the tools are behind its tools button",
                ASK,
            ),
            sources=(
                "https://code.visualstudio.com/docs/agents/reference/mcp-configuration",
                "https://code.visualstudio.com/docs/copilot/customization/agent-skills",
            ),
        ),
        Client(
            "vibe",
            "Mistral Vibe",
            format="toml",
            key="mcp_servers",
            places={"user": "~/.vibe/config.toml", "project": ".vibe/config.toml"},
            typed=True,
            skills={"project": ".vibe/skills", "user": "~/.vibe/skills"},
            then=("start vibe anew; /mcp shows the servers", ASK),
            sources=(
                "https://docs.mistral.ai/vibe/code/cli/mcp-servers",
                "https://github.com/mistralai/mistral-vibe",  # vibe/core/config/models.py: the fields of a server
                "https://docs.mistral.ai/vibe/code/cli/skills",
            ),
        ),
        Client(
            "lechat",
            "Le Chat",
            then=(
                "in a chat, open Tools, switch the connectors on, and let it ask you before each function",
                ASK,
            ),
            sources=(
                "https://docs.mistral.ai/le-chat/knowledge-integrations/connectors/mcp-connectors",
                "https://help.mistral.ai/en/articles/393572-configuring-a-custom-connector",
            ),
        ),
    )
}
