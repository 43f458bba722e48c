"""A brain: who decides inside a cycle.

It is given an open cycle and takes it to its end by tool calls, through the desk, where each goes into the ledger. The
servers check every call: a brain can be wrong, but it cannot talk a server into a promotion. A run that was cut short
hands the same cycle to a brain again, the same one or another, and `get_cycle` says where it stands.
"""

from typing import Protocol

from agent.desk import Desk
from agent.replies import CycleState, TaskReply
from agent.spent import Spent


class Brain(Protocol):
    """Who decides."""

    name: str

    @property
    def about(self) -> str:
        """What stands behind the name, in a few words."""
        ...

    async def finish(self, desk: Desk, task: TaskReply, state: CycleState) -> None:
        """Take an open cycle to its end.

        Raises:
            StepFailed: it cannot go on; what is done stays done.
            ServerProblem: a server is gone.
        """

    def spent(self, cycle: str) -> Spent | None:
        """What thinking about a cycle took; None for a brain that costs nothing."""
