"""Servers put into a client's JSON, by changing the text where they stand; every other character stays.

The text may hold comments and commas at the end, as editors allow. After each change the new text is read again: it
must say what it said before, plus the change, with all its comments; else nothing is written.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from servers.clients.jsonc import Document, Node, place, read

UNIT = "  "


@dataclass(frozen=True)
class Layout:
    """How a text is laid out, so that what is added looks as if it had always been there."""

    unit: str
    """What one level is indented by."""
    newline: str

    @classmethod
    def of(cls, document: Document) -> "Layout":
        """Taken from the first thing that is indented; two spaces where nothing is."""
        text, root = document.text, document.root
        newline = "\r\n" if "\r\n" in text else "\n"
        first = root.members[0].start if root.members else None
        indent = _indent_before(text, first) if first is not None else None
        return cls(indent or UNIT, newline)


def servers_in(document: Document, key: str) -> dict[str, Any]:
    """The servers that a document names.

    Raises:
        ValueError: what stands under the key is no object.
    """
    node = _objects(document, key)
    return node.value() if node is not None else {}


def with_servers(text: str, key: str, entries: Mapping[str, Any], inputs: list[Any] | None = None) -> str:
    """The text with these servers in it, in the place of those of the same name.

    Args:
        text: The file as it is; nothing where there is none.
        key: Under which a client keeps its servers.
        entries: What is to stand there, by name.
        inputs: What the client is to ask for; those whose `id` is there already are left as they are.

    Raises:
        ValueError: the text is damaged, or of another shape; the message says where.
    """
    if not text.strip():
        whole = ({"inputs": inputs} if inputs else {}) | {key: dict(entries)}
        return json.dumps(whole, ensure_ascii=False, indent=UNIT) + "\n"
    before = read(text)
    if before.root.members is None:
        raise ValueError(f"{place(text, before.root.start)}: no object in braces")
    if inputs:
        text = _with_inputs(text, inputs)
    if _objects(read(text), key) is None:
        text = _set(text, [], key, {})
    for name, entry in entries.items():
        text = _set(text, [key], name, entry)
    _check(before, read(text), key, entries)
    return text


def _objects(document: Document, key: str) -> Node | None:
    member = document.root.get(key)
    if member is None or (member.value.plain is None and member.value.members is None and member.value.items is None):
        return None
    if member.value.members is None:
        raise ValueError(f"{place(document.text, member.value.start)}: {key!r} is no object in braces")
    return member.value


def _set(text: str, path: list[str], name: str, value: Any) -> str:
    """The text with a member of the object at `path` set; the object is there."""
    document = read(text)
    layout, parent = Layout.of(document), document.root
    for step in path:
        found = parent.get(step)
        assert found is not None
        parent = found.value
    if (member := parent.get(name)) is not None:
        if member.value.value() == value:
            return text
        inner = _indent_before(text, member.start)
        old = text[member.value.start : member.value.end]
        # What was said inside the old value is kept in front of its name.
        remarks = "".join(remark + layout.newline + (inner or "") for remark in read(old).comments)
        changed = _spliced(text, member.value.start, member.value.end, _written(value, inner, layout))
        return _spliced(changed, member.start, member.start, remarks)
    return _added(text, parent, f"{json.dumps(name, ensure_ascii=False)}: ", value, layout)


def _with_inputs(text: str, inputs: list[Any]) -> str:
    for one in inputs:
        document = read(text)
        member = document.root.get("inputs")
        if member is None:
            text = _set(text, [], "inputs", [one])
            continue
        if member.value.items is None:
            raise ValueError(f"{place(text, member.value.start)}: 'inputs' is no list in brackets")
        known = [item.get("id") if isinstance(item, dict) else None for item in member.value.value()]
        if one["id"] not in known:
            text = _added(text, member.value, "", one, Layout.of(document))
    return text


def _added(text: str, parent: Node, prefix: str, value: Any, layout: Layout) -> str:
    """The text with one more member or item at the end of an object or array, laid out as those before it."""
    parts = [member.value for member in parent.members] if parent.members is not None else list(parent.items or ())
    starts = [member.start for member in parent.members or ()] or [part.start for part in parts]
    last_end = parts[-1].end if parts else None
    if last_end is not None and "\n" not in text[parent.start : parent.end]:
        written = f" {prefix}{_written(value, None, layout)}"
        has_comma = parent.comma is not None
        at = parent.comma + 1 if parent.comma is not None else last_end
        return _spliced(text, at, at, f"{written}," if has_comma else f",{written}")
    outer = _indent_of_line(text, parent.start)
    inner = (_indent_before(text, starts[0]) if starts else None) or outer + layout.unit
    written = layout.newline + inner + prefix + _written(value, inner, layout)
    # Behind whatever stands there, comments included; the bracket gets a line of its own, or keeps it.
    closing = parent.end - 1
    at = len(text[:closing].rstrip())
    is_bare = at == parent.start + 1
    gap = text[at:closing] if "\n" in text[at:closing] and not is_bare else layout.newline + outer
    changed = _spliced(text, at, closing, written + ("," if parent.comma is not None else "") + gap)
    return _spliced(changed, last_end, last_end, ",") if last_end is not None and parent.comma is None else changed


def _written(value: Any, indent: str | None, layout: Layout) -> str:
    """A value as text: on one line where there is no indent, else laid out below it."""
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, ensure_ascii=False, indent=layout.unit).split("\n")
    return (layout.newline + indent).join(lines)


def _indent_before(text: str, at: int) -> str | None:
    """The blanks before a place, if nothing else stands before it on its line; None where something does."""
    start = text.rfind("\n", 0, at) + 1
    before = text[start:at]
    return before if start > 0 and not before.strip() else None


def _indent_of_line(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    line = text[start:at]
    return line[: len(line) - len(line.lstrip())]


def _spliced(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def _check(before: Document, after: Document, key: str, entries: Mapping[str, Any]) -> None:
    """See that nothing was lost; a bug of ours is refused like a damaged file."""
    was, now = before.root.value(), after.root.value()
    now_inputs, was_inputs = now.pop("inputs", []), was.pop("inputs", [])
    expected = was | {key: (was.get(key) or {}) | dict(entries)}
    if (
        now != expected
        or now_inputs[: len(was_inputs)] != was_inputs
        or sorted(before.comments) != sorted(after.comments)
    ):
        raise ValueError("it is laid out in a way that cannot be changed safely; put the entries in by hand")
