"""What the playbook server's tools return, where no other module has the type."""

from servers.core.wire import Wire
from servers.playbook.evidence import PlaybookEntry
from servers.playbook.policies import Policy


class SearchResult(Wire):
    policies: list[Policy]
    """What ways of making a candidate did, newest cycle first, the surest of a cycle first."""
    total: int
    """Policies that fit."""
    next_offset: int | None
    entries: list[PlaybookEntry]
    """Lessons and remedies; none without a query."""


class PlaybookWritten(Wire):
    """The playbook after the call."""

    remedies: int
    lessons: int
    path: str
    next: str
