"""A picture of the report: the drawing, what it says in words, and its figures as a table for whoever reads those."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Table:
    """The figures that a picture shows."""

    columns: list[str]
    """The first one names the rows."""
    rows: list[list[str]]


@dataclass(frozen=True)
class Picture:
    """One picture, ready for a page."""

    key: str
    """Unique in the page."""
    title: str
    """What the picture is, one phrase."""
    svg: Markup
    table: Table
    caption: str = ""
    """How to read it, for everybody; empty where the page says so itself."""
    wide: bool = False
    """Whether it keeps its size and stands in a frame that scrolls: shrunk to a phone it could not be read."""
