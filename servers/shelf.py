"""What a server gives to read: documents at URIs, what there is of them at this moment, and the templates of URIs.

    room.shelf.add(
        Document(
            "etude://cycles/{cycle}/gate", "gate", "Gate verdict", "What may be told of a verdict.", JSON,
            there=lambda: [There({"cycle": "cycle_1"}, "Gate verdict of cycle_1")],
            read=lambda cycle: ...,
        )
    )

A URI is only ever compared with those that are there, so nothing that stands in one can lead to another file. Whoever
builds one server out of several rooms puts their shelves together with `Shelf.of(room.shelf for room in rooms)`.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Literal, Self

from mcp.shared.uri_template import UriTemplate
from mcp.types import Annotations, Resource, ResourceTemplate

from servers.core.disk import plain
from servers.core.words import cleaned, escaped_unseen

JSON, MARKDOWN, HTML = "application/json", "text/markdown", "text/html"
MOST_OF_A_KIND = 50  # that are listed, the newest; older ones can be read all the same
NAMED_WHERE_MISSING = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class There:
    """One document that is there now."""

    values: Mapping[str, str]
    """What stands for the template's variables."""
    title: str
    modified: float | None = None
    """Seconds since 1970."""
    size: int | None = None
    """Bytes, where it is known without making the document."""


@dataclass(frozen=True)
class Document:
    """A kind of document: one at a URI, or one for each way to fill a template in."""

    template: str
    name: str
    title: str
    description: str
    mime: str
    there: Callable[[], Iterable[There]]
    """What there is, newest first."""
    read: Callable[..., str]
    """Makes one document; gets the variables' values by name. ValueError: it is damaged, or cannot be made."""
    priority: float = 0.5
    """0 to 1, for a client that has room for some of them only."""
    audience: tuple[Literal["user", "assistant"], ...] = ("user", "assistant")
    where_missing: str = ""
    """What to do where there is none."""

    @cached_property
    def uri(self) -> UriTemplate:
        return UriTemplate.parse(self.template)

    def annotations(self, modified: float | None = None) -> Annotations:
        when = None if modified is None else datetime.fromtimestamp(modified, UTC).isoformat(timespec="seconds")
        return Annotations(
            audience=list(self.audience),
            priority=self.priority,
            last_modified=when and when.replace("+00:00", "Z"),
        )


class NotThere(ValueError):
    """Nothing is at a URI; the message says what is."""


class Shelf:
    """The documents of one server, or of several."""

    def __init__(self, documents: Iterable[Document] = ()) -> None:
        self._documents = list(documents)

    @classmethod
    def of(cls, shelves: Iterable[Self]) -> Self:
        """One shelf with all that stands on several."""
        return cls(document for shelf in shelves for document in shelf._documents)

    def add(self, *documents: Document) -> None:
        self._documents += documents

    def resources(self) -> list[Resource]:
        """What there is now: the newest of each kind, then the second newest of each, and so on."""
        kinds = [[_resource(kind, there) for there in islice(_there(kind), MOST_OF_A_KIND)] for kind in self._documents]
        return [resource for rank in zip_longest(*kinds) for resource in rank if resource is not None]

    def templates(self) -> list[ResourceTemplate]:
        """The kinds of which there can be several."""
        return [
            ResourceTemplate(
                uri_template=kind.template,
                name=kind.name,
                title=kind.title,
                description=kind.description,
                mime_type=kind.mime,
                annotations=kind.annotations(),
            )
            for kind in self._documents
            if kind.uri.variables
        ]

    def read(self, uri: str) -> tuple[str, str]:
        """A document's text and its MIME type.

        Raises:
            NotThere: nothing is at this URI; the message lists what is.
            ValueError: what is there is damaged, or cannot be shown by this server.
        """
        for kind in self._documents:
            if (values := kind.uri.match(uri)) is None:
                continue
            found = [there.values for there in _there(kind)]
            if values in found:
                return kind.read(**values), kind.mime
            named = [kind.uri.expand(there) for there in found[:NAMED_WHERE_MISSING]]
            more = len(found) - len(named)
            known = ", ".join(named) + (f" and {more} more" if more else "") or "none yet"
            hint = f"; {kind.where_missing}" if kind.where_missing else ""
            raise NotThere(f"nothing is at {cleaned(uri, 200)!r}; there are: {known}{hint}")
        known = ", ".join(kind.template for kind in self._documents) or "none"
        raise NotThere(f"no document is named like {cleaned(uri, 200)!r}; here are: {known}; resources/list has all")

    def values(self, template: str, variable: str, others: Mapping[str, str]) -> list[str]:
        """What may stand for a template's variable, newest first.

        Args:
            template: One of the shelf's; for another there is nothing.
            variable: Its name.
            others: Variables that are filled in already.
        """
        found = [there.values for kind in self._documents if kind.template == template for there in _there(kind)]
        fitting = [one for one in found if all(one.get(name, value) == value for name, value in others.items())]
        return list(dict.fromkeys(one[variable] for one in fitting if variable in one))


def as_json(value: Any) -> str:
    """A tool's result, or a document of one, as JSON that a reader sees every character of."""
    return escaped_unseen(json.dumps(plain(value), ensure_ascii=False, indent=1)) + "\n"


def changed(*files: Path) -> float | None:
    """When the newest of some files was written; None where there is none of them."""
    return max((file.stat().st_mtime for file in files if file.exists()), default=None)


def _there(kind: Document) -> list[There]:
    """What there is of a kind; a file that is damaged takes nothing else off the list."""
    try:
        return list(kind.there())
    except (ValueError, OSError) as error:
        _log.warning("%s cannot be listed: %s", kind.template, error)
        return []


def _resource(kind: Document, there: There) -> Resource:
    return Resource(
        uri=kind.uri.expand(there.values),
        name="/".join([*there.values.values(), kind.name]),
        title=there.title,
        description=kind.description,
        mime_type=kind.mime,
        size=there.size,
        annotations=kind.annotations(there.modified),
    )
