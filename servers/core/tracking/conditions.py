"""What a search asks for, as values, and the same as SQL.

A field is a column ("started_at") or a path into a JSON column ("output.mae_raw"). A path is tried as one key with
dots in it, then as nested keys. A comparison with a missing value is false, and its negation true. "<" and its kin
compare numbers with numbers and texts with texts, never one with the other. A JSON true equals 1.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from servers.core.tracking.records import utc_timestamp

Operator = Literal["=", "<", "<=", ">", ">=", "in", "contains", "regex", "exists"]
Sql: TypeAlias = tuple[str, list[Any]]

MAX_INTEGER = 2**63 - 1  # the largest that SQLite holds
_MANY = 500  # above it one parameter holds the whole list; below it SQLite sees its length and picks a better index


@dataclass(frozen=True)
class Compare:
    """One field against one value.

    "in" takes a list; "contains" ignores case; "regex" searches anywhere; "exists" takes True or False.
    A field that holds a list, such as a run's tags, matches where one of its members does.
    """

    field: str
    operator: Operator
    value: Any


@dataclass(frozen=True)
class AllOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class AnyOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class Not:
    part: "Condition"


Condition: TypeAlias = Compare | AllOf | AnyOf | Not
EVERYTHING = AllOf(())


@dataclass(frozen=True)
class Fields:
    """How the fields of one table are written in SQL."""

    columns: Mapping[str, str]
    """Field name to SQL expression."""
    documents: tuple[str, ...]
    """JSON columns, searched by path."""
    lists: tuple[str, ...] = ()
    """JSON columns that hold a list of texts."""
    times: tuple[str, ...] = ()
    """Columns that hold times; what they are compared with may be spelled in any ISO-8601 way."""

    def expression(self, name: str) -> str:
        """Return the SQL for a field; ValueError for one that is not known."""
        if name in self.columns:
            return self.columns[name]
        document, _, path = name.partition(".")
        if document in self.documents and path:
            return _path_expression(document, path)
        known = [*self.columns, *self.lists, *(f"{document}.KEY" for document in self.documents)]
        raise ValueError(f"unknown field {name!r}; known: {', '.join(known)}")


def _path_expression(document: str, path: str) -> str:
    # The path is a literal, not a parameter: only so does SQLite recognise the expression that an index is on.
    if any(character in '"\\' or character < " " for character in path):
        raise ValueError(f"field {path!r} cannot be searched; a key must have no quote, backslash or control character")
    text = path.replace("'", "''")
    as_one_key = f"json_extract({document}, '$.\"{text}\"')"
    if "." not in path:
        return as_one_key
    nested = '"."'.join(text.split("."))
    return f"COALESCE({as_one_key}, json_extract({document}, '$.\"{nested}\"'))"


def sql(condition: Condition, fields: Fields) -> Sql:
    """Return the condition as an SQL expression and its parameters.

    Raises:
        ValueError: an unknown field, or a value that the operator cannot use.
    """
    match condition:
        case AllOf(parts):
            return _joined(" AND ", "1", [sql(part, fields) for part in parts])
        case AnyOf(parts):
            return _joined(" OR ", "0", [sql(part, fields) for part in parts])
        case Not(part):
            text, parameters = sql(part, fields)
            return f"({text}) IS NOT TRUE", parameters
        case Compare(name, operator, value):
            try:
                return _compared(name, operator, value, fields)
            except ValueError as error:
                raise ValueError(f"{name} {operator}: {error}") from None


def _joined(connective: str, neutral: str, parts: list[Sql]) -> Sql:
    if not parts:
        return neutral, []
    return connective.join(f"({text})" for text, _ in parts), [value for _, values in parts for value in values]


def _compared(name: str, operator: Operator, value: Any, fields: Fields) -> Sql:
    if name in fields.lists:
        if operator == "exists":
            return f"json_array_length({name}) {'>' if _flag(value) else '='} 0", []
        text, parameters = _comparison("member.value", operator, value)
        return f"EXISTS (SELECT 1 FROM json_each({name}) AS member WHERE {text})", parameters
    if name in fields.times and operator in ("=", "<", "<=", ">", ">=") and value is not None:
        value = utc_timestamp(_text(value))
    return _comparison(fields.expression(name), operator, value)


def _comparison(expression: str, operator: Operator, value: Any) -> Sql:
    match operator:
        case "=":
            return (f"{expression} IS NULL", []) if value is None else (f"{expression} = ?", [_plain(value)])
        case "in":
            if not isinstance(value, list):
                raise ValueError(f"{value!r} is not a list")
            return _membership(expression, [_plain(one) for one in value])
        case "contains":
            return f"text_contains({expression}, ?)", [_text(value).casefold()]
        case "regex":
            try:
                re.compile(_text(value))
            except re.error as error:
                raise ValueError(f"{value!r} is not a regular expression: {error}") from None
            return f"text_matches({expression}, ?)", [value]
        case "exists":
            return f"{expression} IS {'NOT ' if _flag(value) else ''}NULL", []
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} has no order; compare with a number or a text")
    kind = "('text')" if isinstance(value, str) else "('integer', 'real')"
    return f"typeof({expression}) IN {kind} AND {expression} {operator} ?", [_plain(value)]


def _membership(expression: str, values: list[Any]) -> Sql:
    if None in values:
        present = [value for value in values if value is not None]
        return _joined(" OR ", "0", [_membership(expression, present), (f"{expression} IS NULL", [])])
    if len(values) > _MANY:
        return f"{expression} IN (SELECT value FROM json_each(?))", [json.dumps(values)]
    return f"{expression} IN ({', '.join('?' * len(values))})", values


def _plain(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool | None) or (isinstance(value, int) and abs(value) > MAX_INTEGER):
        raise ValueError(f"cannot compare with {value!r}; use one text, number, true, false or null")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _text_contains(text: Any, casefolded: str) -> bool:
    return text is not None and casefolded in str(text).casefold()


def _text_matches(text: Any, pattern: str) -> bool:
    return text is not None and _compiled(pattern).search(str(text)) is not None


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


SQL_FUNCTIONS: Mapping[str, Callable[[Any, str], bool]] = {
    "text_contains": _text_contains,
    "text_matches": _text_matches,
}
"""What the SQL above calls; a connection must have them."""
