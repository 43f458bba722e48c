"""How W&B can go wrong, one request at a time."""

import asyncio
from dataclasses import dataclass, field
from threading import Event
from typing import Literal

from starlette.responses import HTMLResponse, JSONResponse, Response

Name = Literal[
    "401", "403", "404", "409", "429", "500", "503",
    "reset",  # the connection breaks before anything was done
    "lost",  # everything was done, and the connection breaks before the answer
    "half",  # everything was done, and half of the answer arrives
    "garbage",  # a web page with status 200
    "slow",  # an answer that takes `value` seconds
    "held",  # an answer that waits for `Fault.release`; nothing is done before
]  # fmt: skip
HELD_S = 60.0  # a test that never releases a request does not hang for longer


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose label contains `on`.

    A label is a GraphQL operation's name, or else the request's path.
    """

    name: Name
    on: str = ""
    times: int = 1
    value: str | float | None = None
    """Of a 429, its Retry-After; of a slow answer, its seconds."""
    met: int = 0
    """Requests that it hit so far."""
    arrived: Event = field(default_factory=Event)
    """Set when it hits its first one."""
    release: Event = field(default_factory=Event)

    def refused(self, graphql: bool) -> Response | None:
        """The answer of a fault that needs nothing to be done."""
        if self.name == "garbage":
            return HTMLResponse("<!doctype html><title>It works!</title>")
        if not self.name.isdigit():
            return None
        words = f"the service says {self.name}"
        headers = {"Retry-After": str(self.value)} if self.name == "429" and self.value is not None else {}
        # As W&B words it, for GraphQL and for the trace server.
        body = {"errors": [{"message": words}]} if graphql else {"detail": words}
        return JSONResponse(body, int(self.name), headers)

    async def wait(self) -> None:
        if self.name == "slow":
            await asyncio.sleep(float(self.value or 0))
        elif self.name == "held":
            await asyncio.to_thread(self.release.wait, HELD_S)


class Faults:
    """The faults that are switched on, in order."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        for fault in self._faults:
            fault.release.set()
        self._faults.clear()

    def next_for(self, label: str) -> Fault | None:
        for fault in self._faults:
            if fault.on in label and fault.met < fault.times:
                fault.met += 1
                fault.arrived.set()
                return fault
        return None
