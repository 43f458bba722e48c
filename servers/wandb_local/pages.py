"""How much of a GraphQL list is shown, and where the next page begins.

`hasNextPage` is true while more is to come, and `endCursor` stands after the last item shown. `max_items` bounds every
list. A page size in a variable called $limit, $first or $count, in a query without `after`, is what it is for the
official server: the size of one page among all that are collected, up to `max_items`.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
)

Info: TypeAlias = GraphQLResolveInfo[Any]

_PAGE_VARIABLES = ("limit", "first", "count")


@dataclass(frozen=True)
class Pages:
    max_items: int
    """The most that one list may show."""
    items_per_page: int
    """What a list shows when the query does not say."""

    def connection(
        self,
        info: Info,
        keys: Sequence[str],
        nodes: Callable[[Sequence[str]], Sequence[Any]],
        first: int | None,
        after: str | None,
    ) -> dict[str, Any]:
        """Return the page that a query asks for, in the shape of a connection.

        The keys are all of the list in its order, each once; `nodes` gives the nodes for those on the page.

        Raises:
            ValueError: first is not positive, or after is no cursor of this list.
        """
        size = self._size(info, first)
        start = 0 if after is None else _position(keys, after) + 1
        page = keys[start : start + size]
        return {
            "edges": [{"node": node, "cursor": _cursor(key)} for key, node in zip(page, nodes(page), strict=True)],
            "pageInfo": {"hasNextPage": start + size < len(keys), "endCursor": _cursor(page[-1]) if page else after},
            "totalCount": len(keys),
        }

    def _size(self, info: Info, first: int | None) -> int:
        if first is not None and first < 1:
            raise ValueError(f"first must be at least 1, got {first}")
        field = info.field_nodes[0]
        arguments = {argument.name.value: argument.value for argument in field.arguments or ()}
        size = arguments.get("first")
        collects = (
            isinstance(size, VariableNode)
            and size.name.value.lower() in _PAGE_VARIABLES
            and "after" not in arguments
            and _selects(field.selection_set, "pageInfo", info)
        )
        return self.max_items if collects else min(self.max_items, first or self.items_per_page)


def _selects(selections: SelectionSetNode | None, name: str, info: Info) -> bool:
    for selection in selections.selections if selections else ():
        match selection:
            case FieldNode():
                found = selection.name.value == name
            case FragmentSpreadNode():
                found = _selects(info.fragments[selection.name.value].selection_set, name, info)
            case InlineFragmentNode():
                found = _selects(selection.selection_set, name, info)
            case _:
                found = False
        if found:
            return True
    return False


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _position(keys: Sequence[str], cursor: str) -> int:
    # A cursor names the item it stands after, so that items added meanwhile neither hide one nor repeat one.
    try:
        return keys.index(base64.urlsafe_b64decode(cursor.encode()).decode())
    except ValueError:
        raise ValueError(f"after {cursor!r} stands in no such list; ask again without after") from None
