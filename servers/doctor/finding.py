"""What the doctor finds of one service."""

from typing import Literal

from servers.core.wire import Wire

State = Literal["ok", "not set up", "not reachable", "not allowed", "wrong"]


class Finding(Wire):
    """One service: configured or not, reachable or not, allowed or not; null where that was not looked at."""

    service: str
    configured: bool
    reachable: bool | None
    allowed: bool | None
    detail: str
    """What was found, on one line, without a key."""
    mend: str | None
    """What to type or change; null where nothing has to be."""

    @property
    def state(self) -> State:
        """In a word or two."""
        if not self.configured:
            return "not set up"
        if self.reachable is False:
            return "not reachable"
        if self.allowed is False:
            return "not allowed"
        return "ok" if self.mend is None else "wrong"

    @property
    def is_broken(self) -> bool:
        """Whether something that is configured does not work."""
        return self.state not in ("ok", "not set up")


def absent(service: str, detail: str, mend: str) -> Finding:
    """One that nobody has set up, which is no fault."""
    return Finding(service=service, configured=False, reachable=None, allowed=None, detail=detail, mend=mend)


def sound(service: str, detail: str) -> Finding:
    return Finding(service=service, configured=True, reachable=True, allowed=True, detail=detail, mend=None)


def here(service: str, detail: str, mend: str | None = None) -> Finding:
    """One that is on this machine, so there is nothing to reach; wrong where it has to be mended."""
    return Finding(service=service, configured=True, reachable=None, allowed=None, detail=detail, mend=mend)


def unreachable(service: str, detail: str, mend: str) -> Finding:
    return Finding(service=service, configured=True, reachable=False, allowed=None, detail=detail, mend=mend)


def denied(service: str, detail: str, mend: str) -> Finding:
    return Finding(service=service, configured=True, reachable=True, allowed=False, detail=detail, mend=mend)
