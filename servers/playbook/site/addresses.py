"""Where the pages are: one key each, such as `cycles/cycle_1`, and how a page links to another.

Served, a key is the path. Written as files, every page is a file beside the others and links are relative, so that the
folder can be opened from disk or put on any web server, under any path.
"""

import os
from collections.abc import Callable
from urllib.parse import quote

from servers.core.workspace import NAME

HOME, PLAYBOOK = "", "playbook"
MOST_PARTS = 3

Link = Callable[[str], str]
"""The address of the page with a key, as a link on some other page."""


class NoSuchPage(ValueError):
    """There is no page of this key; the message says what there is."""


def parts_of(key: str) -> list[str]:
    """The parts of a key.

    Raises:
        NoSuchPage: one of them could not be a name, such as `..`, or there are too many.
    """
    parts = key.split("/") if key else []
    if len(parts) > MOST_PARTS or not all(NAME.fullmatch(part) and ".." not in part for part in parts):
        raise NoSuchPage("there is no page at this address")
    return parts


def served(key: str) -> str:
    """The path of a page on the server."""
    return "/" + quote(key)


def file_of(key: str) -> str:
    """The file of a page, relative to the folder that the site is written to."""
    return f"{key}.html" if key else "index.html"


def beside(here: str) -> Link:
    """Links from the file of the page `here`."""

    def link(key: str) -> str:
        return quote(os.path.relpath(file_of(key), os.path.dirname(file_of(here)) or "."))

    return link
