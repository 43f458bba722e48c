"""JSON with comments, read with the place of every value, so that a text is changed where it must be and nowhere else.

What editors allow beside JSON is read too: `//` and `/* */` comments, and one comma before a closing bracket. Nothing
else is forgiven; a text that is damaged is refused with line and column.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

DEEPEST = 100  # brackets inside brackets; a configuration has a handful
_SPACE = " \t\r\n"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"true|false|null")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Member:
    """One `"key": value` of an object."""

    key: str
    start: int
    """Where the quotation mark of the key stands."""
    value: "Node"


@dataclass(frozen=True)
class Node:
    """A value and its place: `text[start:end]` is the value as it is written."""

    start: int
    end: int
    members: tuple[Member, ...] | None = None
    """Of an object; None for anything else."""
    items: tuple["Node", ...] | None = None
    """Of an array; None for anything else."""
    plain: Any = None
    """Of anything that is neither."""
    comma: int | None = None
    """Where the comma stands that follows the last member or item; None where there is none."""

    @property
    def is_empty(self) -> bool:
        """Whether it is an object or array without anything in it."""
        return not self.members and not self.items

    def value(self) -> Any:
        """What it says, as Python has it; of two members with one name the last counts."""
        if self.members is not None:
            return {member.key: member.value.value() for member in self.members}
        return [item.value() for item in self.items] if self.items is not None else self.plain

    def get(self, key: str) -> Member | None:
        """The member of that name; None where there is none, or this is no object.

        Raises:
            ValueError: there are two, and clients differ in which one they take.
        """
        found = [member for member in self.members or () if member.key == key]
        if len(found) > 1:
            raise ValueError(f"{key!r} stands there twice; take one of them out")
        return found[0] if found else None


@dataclass
class Document:
    """A text and what was read in it."""

    text: str
    root: Node
    comments: list[str] = field(default_factory=list)
    """As they are written, in their order."""
    has_extras: bool = False
    """Whether it holds what plain JSON does not allow."""


def read(text: str) -> Document:
    """Read a text.

    Raises:
        ValueError: it is damaged; the message says where and what.
    """
    return _Reader(text).document()


def place(text: str, at: int) -> str:
    """Line and column of a position, counted from one."""
    line_start = text.rfind("\n", 0, at) + 1
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - line_start + 1}"


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.comments: list[str] = []
        self.has_extras = False

    def document(self) -> Document:
        self._skip()
        root = self._value(0)
        self._skip()
        if self.at < len(self.text):
            self._refuse("something stands behind the end")
        return Document(self.text, root, self.comments, self.has_extras)

    def _refuse(self, what: str) -> NoReturn:
        raise ValueError(f"{place(self.text, self.at)}: {what}")

    def _skip(self) -> None:
        while self.at < len(self.text):
            if self.text[self.at] in _SPACE:
                self.at += 1
            elif self.text.startswith(("//", "/*"), self.at):
                found = _COMMENT.match(self.text, self.at)
                if found is None:
                    self._refuse("a comment that does not end")
                self.comments.append(found.group())
                self.has_extras = True
                self.at = found.end()
            else:
                return

    def _value(self, depth: int) -> Node:
        if depth > DEEPEST:
            self._refuse(f"brackets more than {DEEPEST} deep")
        opening = self.text[self.at : self.at + 1]
        if opening == "{":
            return self._object(depth)
        if opening == "[":
            return self._array(depth)
        start = self.at
        if opening == '"':
            said = self._string()
            return Node(start, self.at, plain=said)
        found = _NUMBER.match(self.text, start) or _WORD.match(self.text, start)
        if found is None:
            self._refuse("a value is missing" if opening else "the text ends here")
        self.at = found.end()
        return Node(start, self.at, plain=json.loads(found.group()))

    def _string(self) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            self._refuse("a text in quotation marks is missing, or does not end")
        try:
            said = json.loads(found.group())
        except ValueError:
            self._refuse("a text with an escape that JSON does not know")
        self.at = found.end()
        return str(said)

    def _object(self, depth: int) -> Node:
        start, members, comma = self.at, list[Member](), None
        self.at += 1
        while self._goes_on("}", bool(members), comma):
            key_start = self.at
            key = self._string()
            self._skip()
            if not self.text.startswith(":", self.at):
                self._refuse("a colon is missing")
            self.at += 1
            self._skip()
            members.append(Member(key, key_start, self._value(depth + 1)))
            comma = self._comma()
        return Node(start, self.at, members=tuple(members), comma=comma)

    def _array(self, depth: int) -> Node:
        start, items, comma = self.at, list[Node](), None
        self.at += 1
        while self._goes_on("]", bool(items), comma):
            items.append(self._value(depth + 1))
            comma = self._comma()
        return Node(start, self.at, items=tuple(items), comma=comma)

    def _goes_on(self, closing: str, has_some: bool, comma: int | None) -> bool:
        """Whether another member or item comes; where not, the closing bracket was read."""
        self._skip()
        if self.text.startswith(closing, self.at):
            self.has_extras |= comma is not None
            self.at += 1
            return False
        if has_some and comma is None:
            self._refuse(f"a comma or {closing!r} is missing" if self.at < len(self.text) else "the text ends here")
        if self.at >= len(self.text):
            self._refuse("the text ends here")
        return True

    def _comma(self) -> int | None:
        self._skip()
        if not self.text.startswith(",", self.at):
            return None
        self.at += 1
        return self.at - 1
