"""What every change of customers brings with it besides its lists: lines on their timelines, and word to others."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from kejing.customers.v1 import events_pb2
from kejing.customers.v1.events_pb2 import CustomerTouch, TouchKind
from services.customers.api.wire import EVENT_ITEMS
from services.customers.storage import timeline
from services.customers.storage.timeline import Entry
from services.shared.db import Write

TOUCH_OF = {
    ("ATTRIBUTES", ""): TouchKind.TOUCH_KIND_CHANGED,
    ("OWNER", ""): TouchKind.TOUCH_KIND_OWNER_CHANGED,
    ("CONTACT", ""): TouchKind.TOUCH_KIND_CONTACT_CHANGED,
    ("TAG", timeline.PUT_ON): TouchKind.TOUCH_KIND_TAGGED,
    ("TAG", timeline.TAKEN_OFF): TouchKind.TOUCH_KIND_UNTAGGED,
    ("SEGMENT", timeline.ENTERED): TouchKind.TOUCH_KIND_ENTERED_SEGMENT,
    ("SEGMENT", timeline.LEFT): TouchKind.TOUCH_KIND_LEFT_SEGMENT,
    ("CONTRACT", timeline.END_MOVED): TouchKind.TOUCH_KIND_CHANGED,
    ("CHURNED", ""): TouchKind.TOUCH_KIND_CHURNED,
    ("RETURNED", ""): TouchKind.TOUCH_KIND_RETURNED,
}
"""By the kind of an entry and, where it matters, what was done. Of the other kinds their own services tell."""


class Touch(NamedTuple):
    """What was done to a customer, as CustomerTouch has it. `fields` are names only."""

    customer_id: UUID | str
    kind: TouchKind.ValueType
    object: str = ""
    fields: tuple[str, ...] = ()


async def happened(write: Write, entries: Sequence[Entry]) -> None:
    """Puts entries on the timelines of customers and tells of them (CustomersTouched).

    To be called in the transaction that did what the entries say, with all of its entries at once. See Entry for what
    each kind's entry holds. Customers that are new have no entry: `touched` tells of them.
    """
    await timeline.add(write, entries)
    tell(
        write,
        [
            Touch(
                entry.customer_id,
                kind,
                "" if kind == TouchKind.TOUCH_KIND_CHANGED else entry.object_id,
                tuple(change.field for change in entry.changes) if kind == TouchKind.TOUCH_KIND_CHANGED else (),
            )
            for entry in entries
            if (kind := TOUCH_OF.get((entry.kind, "")) or TOUCH_OF.get((entry.kind, entry.what)))
        ],
    )


def touched(write: Write, customer_ids: Iterable[UUID | str], kind: TouchKind.ValueType) -> None:
    """Tells that the same was done to many customers, whose timelines say so already or needn't: they were created."""
    tell(write, [Touch(customer_id, kind) for customer_id in customer_ids])


def tell(write: Write, touches: Sequence[Touch]) -> None:
    """Tells what was done to customers whose timelines say so already, at most 500 an event."""
    for start in range(0, len(touches), EVENT_ITEMS):
        same: dict[tuple[Any, ...], list[str]] = {}
        for customer_id, *what in touches[start : start + EVENT_ITEMS]:
            same.setdefault(tuple(what), []).append(str(customer_id))
        told = [
            CustomerTouch(customer_ids=ids, kind=kind, object=object_, fields=fields)
            for (kind, object_, fields), ids in same.items()
        ]
        write.emit(events_pb2.CustomersTouched(touches=told))
