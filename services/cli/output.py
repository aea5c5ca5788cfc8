"""How commands print what a service answered: a table for people, JSON for programs."""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

Column: TypeAlias = str | Callable[[Any], object]
"""A field's path in the row's message ("deadline.date"), or a function of the row."""


def show(answer: Message, rows: Iterable[Message], columns: Mapping[str, Column], *, as_json: bool) -> None:
    """Prints the whole answer as JSON, or its rows as a table.

    Args:
        answer: what the rpc answered.
        rows: what in it becomes a row each, e.g. answer.customers.
        columns: heading → where the cell's value lies.
    """
    if as_json:
        print_json(answer)
        return
    from rich.table import Table

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - the last number is the count
        table.add_row(*(cell(row, column) for column in columns.values()))
    console().print(table if count else "nothing found")


def show_one(answer: Message, thing: Message, fields: Mapping[str, Column], *, as_json: bool) -> None:
    """Prints the whole answer as JSON, or `thing` as one line a field.

    Args:
        fields: label → where the value lies.
    """
    if as_json:
        print_json(answer)
        return
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for label, column in fields.items():
        table.add_row(f"[bold]{label}[/bold]", cell(thing, column))
    console().print(table)


def print_json(answer: Message) -> None:
    """The answer in protobuf's JSON form, empty fields included, so that programs find every key."""
    print(MessageToJson(answer, ensure_ascii=False, always_print_fields_with_no_presence=True))


def business_zone() -> ZoneInfo:
    """The zone in which people read instants: the one that the stack of this environment reckons in."""
    return ZoneInfo(os.environ.get("KEJING_BUSINESS_TIME_ZONE") or "Asia/Shanghai")


def console() -> Any:
    """Where tables go; without a terminal lines are not broken, so that `grep` finds whole rows."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=400)


def cell(row: Message, column: Column) -> str:
    """The text of one cell, safe against rich's markup."""
    from rich.markup import escape

    return escape(_text(column(row)) if callable(column) else _field(row, column))


def _field(row: Message, path: str) -> str:
    *parents, last = path.split(".")
    for name in parents:
        row = getattr(row, name)
    field = row.DESCRIPTOR.fields_by_name[last]
    value = getattr(row, last)
    if field.has_presence and not row.HasField(last):
        return "—"
    if field.enum_type is not None:
        return _enum(field.enum_type, value)
    return _text(value)


def _enum(kind: Any, number: int) -> str:
    """TASK_STATE_DONE → done."""
    value = kind.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return value.name.removeprefix(prefix).lower() if number else "—"


def _text(value: object) -> str:
    if not isinstance(value, Message):
        return "—" if value in (None, "") else str(value)
    any_value: Any = value
    match value.DESCRIPTOR.full_name:
        case "google.protobuf.Timestamp":
            instant: datetime = any_value.ToDatetime(tzinfo=UTC)
            return instant.astimezone(business_zone()).isoformat(sep=" ", timespec="seconds")
        case "google.type.Date":
            return date(any_value.year, any_value.month, any_value.day).isoformat() if any_value.year else "—"
        case "google.type.TimeOfDay":
            return time(any_value.hours, any_value.minutes, any_value.seconds).isoformat()
        case "kejing.tasks.v1.Deadline":
            return " ".join(_text(part) for _, part in any_value.ListFields())
        case "google.type.Money":
            amount = Decimal(any_value.units) + Decimal(any_value.nanos) / 10**9
            return f"{any_value.currency_code} {amount:,.2f}"
        case "google.type.Decimal":
            return str(any_value.value)
    return " ".join(str(value).split())
