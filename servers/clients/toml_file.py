"""Servers put into a client's TOML, where each is an element of one list; everything else stays as it is written."""

import re
from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError
from tomlkit.items import AoT, Array, InlineTable, Table


def servers_in(text: str, key: str) -> dict[str, Any]:
    """The servers that a text names, by name.

    Raises:
        ValueError: the text is damaged, or what stands under the key is no list of tables.
    """
    return {str(one.get("name")): dict(one) for one in _listed(_read(text).unwrap(), key)}


def with_servers(text: str, key: str, entries: Mapping[str, Any]) -> str:
    """The text with these servers in it, in the place of those of the same name.

    Args:
        text: The file as it is; nothing where there is none.
        key: Of the list.
        entries: What is to stand there, by name; the name is not part of an entry.

    Raises:
        ValueError: the text is damaged, or of another shape; the message says where.
    """
    document = _read(text)
    before = document.unwrap()
    _listed(before, key)
    listed = document.get(key)
    if isinstance(listed, Array) and not listed and not listed.trivia.comment:
        document.remove(key)  # what an unused list looks like; the usual form is easier to read
        listed = None
    if listed is None:
        document.append(key, tomlkit.aot())
        listed = document[key]
    for name, entry in entries.items():
        _put(listed, {"name": name} | dict(entry), is_first=not text.strip())
    written = tomlkit.dumps(document)
    # Only where every line ends so: a text that mixes them has its own reasons.
    if "\r\n" in text and not re.search(r"(?<!\r)\n", text):
        written = re.sub(r"(?<!\r)\n", "\r\n", written)
    _check(before, written, key, entries)
    return written


def _read(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        where = f"line {error.line}, column {error.col}: " if isinstance(error, ParseError) else ""
        raise ValueError(f"{where}{str(error).split(' at line')[0].lower()}") from error


def _listed(values: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    listed = values.get(key, [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ValueError(f"{key!r} is no list of tables")
    names = [one.get("name") for one in listed]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"a server {twice!r} stands in {key!r} twice; take one of them out")
    return listed


def _put(listed: Any, entry: dict[str, Any], is_first: bool) -> None:
    found = next((one for one in listed if one.get("name") == entry["name"]), None)
    if found is not None:
        for gone in [name for name in found if name not in entry]:
            del found[gone]
        for name, value in entry.items():
            if found.get(name) != value:
                found[name] = _short(value)
        return
    table: Table | InlineTable = tomlkit.table() if isinstance(listed, AoT) else tomlkit.inline_table()
    for name, value in entry.items():
        table.append(name, _short(value))
    if isinstance(table, Table) and (listed or not is_first):
        table.trivia.indent = "\n"  # a blank line before it
    listed.append(table)


def _short(value: Any) -> Any:
    """A table inside an entry on one line, so that an entry stays one block."""
    if not isinstance(value, dict):
        return value
    short = tomlkit.inline_table()
    short.update(value)
    return short


def _check(before: dict[str, Any], written: str, key: str, entries: Mapping[str, Any]) -> None:
    """See that nothing was lost; a bug of ours, or of the library, is refused like a damaged file."""
    after = tomlkit.parse(written).unwrap()
    was = {one.get("name"): one for one in before.pop(key, [])}
    now = {one.get("name"): one for one in after.pop(key, [])}
    if after != before or now != was | {name: {"name": name} | dict(entry) for name, entry in entries.items()}:
        raise ValueError("it is laid out in a way that cannot be changed safely; put the entries in by hand")
