"""Labels: what customers are sorted by in lists. A tag, a group, a segment and a health status are each a label.

A label is one letter for its kind, a colon, and what it is: "t:<tag>", "g:<group's id>", "s:<segment's id>",
"h:<health status>". Who is without computed health carries no label of health.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, any_, bindparam, delete, literal, literal_column, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from services.customers.storage.tables import customers, labels
from services.shared.access import unscoped
from services.shared.db import Write

TAG, GROUP, SEGMENT, HEALTH = "t:", "g:", "s:", "h:"
LISTED = (TAG, GROUP)
"""Kinds that owners' lists are kept for as well. Segments and health change by the thousand at once, which would change
as many rows for each owner; they are looked up beside an owner's list instead."""
GIVEN = "these customers were locked in scope, or follow from facts"


def tag(text: str) -> str:
    return TAG + text


def group(id_: UUID | str) -> str:
    return GROUP + UUID(str(id_)).hex


def segment(id_: UUID | str) -> str:
    return SEGMENT + UUID(str(id_)).hex


def health(status: str) -> str:
    """`status`: a HealthStatus without its prefix, but NOT_COMPUTED."""
    return HEALTH + status


def of_kind(kind: str) -> ColumnElement[bool]:
    """Whether a row of labels is of a kind, in a form that the key's index serves."""
    return (labels.c.label >= literal_column(f"'{kind}'")) & (labels.c.label < literal_column(f"'{kind[0]};'"))


async def put(write: Write, label: str, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Gives a label to locked customers; answers those that did not carry it. The caller goes on with follow."""
    sorted_by = (customers.c.name, customers.c.number_key, customers.c.contract_end_key, customers.c.created_at)
    brought = select(
        customers.c.id, literal(label), literal(write.actor), literal(write.now), *sorted_by
    ).where(customers.c.id == any_(_ids(ids)))  # fmt: skip
    columns = ["customer_id", "label", "given_by", "given_at", *(each.name for each in sorted_by)]
    given: Any = upsert(labels).from_select(columns, brought).on_conflict_do_nothing()
    return (await write.execute(unscoped(given.returning(labels.c.customer_id), GIVEN))).scalars().all()


async def take(write: Write, label: str, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Takes a label off locked customers; answers those that carried it. The caller goes on with follow."""
    off = delete(labels).where(labels.c.customer_id == any_(_ids(ids)), labels.c.label == label)
    return (await write.execute(unscoped(off.returning(labels.c.customer_id), GIVEN))).scalars().all()


async def follow_health(write: Write, ids: Sequence[UUID]) -> None:
    """Gives these customers the label of the health that their rows say."""
    await write.execute(_HEALTH_GONE, {"ids": list(ids)})
    await write.execute(_HEALTH_GIVEN, {"ids": list(ids)})


_HEALTH_GONE = unscoped(
    text("""
        delete from labels l using customers c
        where c.id = any(:ids) and l.customer_id = c.id and l.label >= 'h:' and l.label < 'h;'
            and l.label is distinct from 'h:' || c.health_status
    """).bindparams(bindparam("ids", type_=ARRAY(Uuid))),
    GIVEN,
)
_HEALTH_GIVEN = unscoped(
    text("""
        insert into labels (customer_id, label, name, number_key, contract_end_key, created_at, given_by, given_at)
        select id, 'h:' || health_status, name, number_key, contract_end_key, created_at, '', health_computed_at
        from customers where id = any(:ids) and health_status is not null
        on conflict do nothing
    """).bindparams(bindparam("ids", type_=ARRAY(Uuid))),
    GIVEN,
)


def _ids(ids: Sequence[UUID]) -> Any:
    return bindparam(None, list(ids), ARRAY(Uuid))
