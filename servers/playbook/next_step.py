"""A call that moves a cycle on."""

from typing import Any

from servers.core.wire import Wire


class NextStep(Wire):
    """A call, with arguments that can be used as they stand."""

    tool: str
    arguments: dict[str, Any]
    why: str


def step(tool: str, why: str, **arguments: Any) -> NextStep:
    """A step; the arguments by name."""
    return NextStep(tool=tool, arguments=arguments, why=why)
