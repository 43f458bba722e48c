"""Pieces of Markdown that every generated page is put together from."""

import json
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

REFERENCE = Path(__file__).parents[1] / "reference"
MADE = "<!-- made by `make reference`; edit the code, not this page -->"


def page(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n\n".join([f"# {title}", MADE, *(part.strip("\n") for part in parts)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar or a line's end in a cell does no harm."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell(text) for text in row)} |" for row in rows]
    return "\n".join(lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")


def keys_of(model: type[BaseModel]) -> list[tuple[str, str, str, str]]:
    """A model's own keys: name, what it may be, default, meaning. Tables in it are left out."""
    return [
        (f"`{field.alias or name}`", kind(field), default(field), field.description or "")
        for name, field in model.model_fields.items()
        if inner_model(field) is None
    ]


def inner_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a table."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default_factory() if field.default_factory else field.default
    if value is None:
        return ""
    return f"`{json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)}`"


def kind(field: FieldInfo) -> str:
    """What a value may be, in words."""
    bounds = [_bound(rule) for rule in field.metadata]
    said = [bound for bound in bounds if bound]
    return ", ".join([_type(field.annotation), *said])


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in inner if one is not type(None))
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return "table"
    if hasattr(annotation, "__metadata__"):
        bounds = [bound for rule in annotation.__metadata__ for bound in _rules(rule)]
        return ", ".join([_type(annotation.__origin__), *bounds])
    words = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", Path: "path"}
    return words.get(annotation, "table" if isinstance(annotation, type) else str(annotation))


def _rules(rule: Any) -> list[str]:
    inner = rule.metadata if isinstance(rule, FieldInfo) else [rule]
    return [bound for one in inner if (bound := _bound(one))]


def _bound(rule: Any) -> str:
    signs = {Ge: ("ge", "≥"), Gt: ("gt", ">"), Le: ("le", "≤"), Lt: ("lt", "<")}
    for sort, (name, sign) in signs.items():
        if isinstance(rule, sort):
            return f"{sign} {getattr(rule, name):g}"
    if isinstance(rule, MinLen) and rule.min_length:
        return "not empty" if rule.min_length == 1 else f"at least {rule.min_length}"
    return f"at most {rule.max_length}" if isinstance(rule, MaxLen) else ""
