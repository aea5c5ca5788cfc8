"""Keyset pages: a token holds the sort values of the last row, and prints of them and of the query that it belongs to.

The prints tell mistakes, not forgeries: a token opens nothing, for the scope of who sends it limits what he reads.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from google.protobuf.message import Message

from services.shared.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 50


def page_size(requested: int) -> int:
    """Rows a page shall hold: the requested number (bounded by the contract), or 50 where none was given."""
    return requested or DEFAULT_PAGE_SIZE


def next_page_token(request: Message, last: Sequence[Any]) -> str:
    """The token of the page after the row whose sort values are `last` (str, int, date, datetime, UUID or None)."""
    values = list(map(_pack, last))
    packed = json.dumps([_query(request), _print(values), *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def page_start(request: Message) -> list[Any] | None:
    """The sort values after which the requested page begins; None for the first page.

    Raises InvalidArgument where the token is no token, or one of another query.
    """
    token: str = request.page_token  # type: ignore[attr-defined]
    if not token:
        return None
    try:
        query, seen, *values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if seen != _print(values):
            raise ValueError("the values were changed on their way")
        start = [_unpack(kind, value) for kind, value in values]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidArgument("page_token", token, "it must be a next_page_token of this query") from error
    if query != _query(request):
        raise InvalidArgument("page_token", token, "it belongs to another query; filters must stay the same")
    return start


def _print(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]


def _query(request: Message) -> str:
    bare = type(request)()
    bare.CopyFrom(request)
    for field in {"page_token", "page_size"} & {*request.DESCRIPTOR.fields_by_name}:
        bare.ClearField(field)  # type: ignore[arg-type]
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + bare.SerializeToString(deterministic=True)).hexdigest()[:12]


_READERS: dict[str, Callable[[Any], Any]] = {
    "s": str,
    "i": int,
    "u": UUID,
    "d": date.fromisoformat,
    "t": datetime.fromisoformat,
}


def _pack(value: Any) -> list[Any]:
    match value:
        case None:
            return ["n", None]
        case UUID():
            return ["u", str(value)]
        case datetime():
            return ["t", value.isoformat()]
        case date():
            return ["d", value.isoformat()]
        case int():
            return ["i", value]
        case _:
            return ["s", str(value)]


def _unpack(kind: str, value: Any) -> Any:
    return None if kind == "n" else _READERS[kind](value)
