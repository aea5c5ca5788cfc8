"""Segments: conditions by name, and who fulfils them. Who is in a segment carries its label."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Row,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage import labels as label
from services.customers.storage.condition_columns import Day, asked_of, column_of
from services.customers.storage.tables import customers, labels, segments
from services.shared.access import unscoped
from services.shared.conditions.sql import to_sql
from services.shared.conditions.tree import Condition, comparisons, from_data
from services.shared.db import Write

MOST_SEGMENTS = 200
FIRST = UUID(int=0)
AT_ONCE = 2_000
"""Customers that are looked at, or whose label is taken off, in one transaction."""
FOLLOWS = "who is in a segment follows from facts, whoever changed them"
PREPARED = 50
"""Statements that are remembered: one for each set of segments and day."""


@dataclass(frozen=True)
class Segment:
    id: UUID
    version: int
    condition: Condition
    found_until: UUID | None
    """Up to which customer it was looked at for its condition as it stands; None: all were."""

    @property
    def label(self) -> str:
        return label.segment(self.id)

    def reaches(self, customer_id: UUID) -> bool:
        """Whether the customer was looked at for the condition as it stands."""
        return self.found_until is None or customer_id <= self.found_until


@dataclass(frozen=True)
class Moved:
    """A customer that came into a segment or left it."""

    customer_id: UUID
    segment: Segment
    entered: bool


def of_row(row: Row[Any]) -> Segment:
    return Segment(row.id, row.version, from_data(row.condition), row.found_until)


def _present() -> Select[Any]:
    return select(segments).where(segments.c.deleted_at.is_(None))


async def present(connection: AsyncConnection) -> list[Segment]:
    """All segments."""
    return [of_row(row) for row in await connection.execute(_present().order_by(segments.c.id))]


async def get(connection: AsyncConnection, segment_id: UUID) -> Row[Any] | None:
    return (await connection.execute(_present().where(segments.c.id == segment_id))).one_or_none()


async def lock(write: Write, segment_id: UUID) -> Row[Any] | None:
    """The segment, held until the transaction ends."""
    query = _present().where(segments.c.id == segment_id).with_for_update()
    return (await write.execute(query)).one_or_none()


async def page(connection: AsyncConnection, after: Sequence[Any] | None, size: int) -> Sequence[Row[Any]]:
    """Up to `size` segments by name."""
    query = _present().order_by(segments.c.name).limit(size)
    return (await connection.execute(query.where(segments.c.name > after[0]) if after else query)).all()


async def is_full(write: Write) -> bool:
    """Whether there are as many segments as there may be. The caller holds the lock of one_at_a_time."""
    counted = select(func.count()).select_from(_present().subquery())
    return bool((await write.execute(counted)).scalar_one() >= MOST_SEGMENTS)


async def is_taken(write: Write, name: str, but: UUID | None = None) -> bool:
    """Whether another segment has this name. The caller holds the lock of one_at_a_time."""
    query = _present().where(segments.c.name == name, segments.c.id != (but or FIRST))
    return (await write.execute(query)).first() is not None


async def create(write: Write, name: str, description: str, condition: Any) -> None:
    """Its id is write.result_id; nobody was looked at yet. `condition`: as data."""
    await write.execute(
        insert(segments).values(id=write.result_id, name=name, description=description, condition=condition,
                                found_until=FIRST, version=1, created_by=write.actor, created_at=write.now,
                                updated_at=write.now)
    )  # fmt: skip


async def change(write: Write, segment_id: UUID, **values: Any) -> None:
    changed = update(segments).where(segments.c.id == segment_id)
    await write.execute(changed.values(**values, version=segments.c.version + 1, updated_at=write.now))


async def end(write: Write, segment_id: UUID) -> None:
    await write.execute(update(segments).where(segments.c.id == segment_id).values(deleted_at=write.now))


async def unfinished(connection: AsyncConnection) -> Sequence[UUID]:
    """Segments whose customers are still to be found, or whose labels are still to be taken off."""
    query = select(segments.c.id).where(segments.c.found_until.is_not(None) | segments.c.deleted_at.is_not(None))
    return (await connection.execute(query.order_by(segments.c.id))).scalars().all()


async def step(write: Write, segment_id: UUID, day: Day) -> bool:
    """Goes on with an unfinished segment for some customers; whether there is more to do. The caller holds the lock of
    one_at_a_time. Nobody is told: it is the segment that changed, not the customers.
    """
    query = select(segments).where(segments.c.id == segment_id).with_for_update()
    row = (await write.execute(query)).one_or_none()
    if row is None or (row.deleted_at is None and row.found_until is None):
        return False
    if row.deleted_at is not None:
        carriers = select(labels.c.customer_id).where(labels.c.label == label.segment(segment_id)).limit(AT_ONCE)
        off = delete(labels).where(
            labels.c.label == label.segment(segment_id), labels.c.customer_id.in_(carriers)
        )  # fmt: skip
        if (await write.execute(unscoped(off, FOLLOWS))).rowcount:
            return True
        await write.execute(delete(segments).where(segments.c.id == segment_id))
        return False
    ids = await next_customers(write.connection, row.found_until)
    await evaluate(write, [of_row(row)], ids, day)
    found = ids[-1] if len(ids) == AT_ONCE else None
    await write.execute(update(segments).where(segments.c.id == segment_id).values(found_until=found))
    return found is not None


async def next_customers(connection: AsyncConnection, after: UUID) -> Sequence[UUID]:
    """The next AT_ONCE customers in the order of their ids."""
    query = select(customers.c.id).where(customers.c.id > after).order_by(customers.c.id).limit(AT_ONCE)
    return (await connection.execute(unscoped(query, FOLLOWS))).scalars().all()


async def evaluate(write: Write, wanted: Sequence[Segment], ids: Sequence[UUID], day: Day) -> list[Moved]:
    """Looks at customers for segments, and gives them their labels or takes these off. Answers what changed."""
    if not wanted or not ids:
        return []
    by_label = {segment.label: segment for segment in wanted}
    values = {"ids": list(ids), "considered": list(by_label), "now": write.now}
    rows = await write.execute(_statement(tuple(wanted), day), values)
    return [Moved(row.customer_id, by_label[row.label], row.entered) for row in rows]


_STATEMENTS: OrderedDict[Any, Any] = OrderedDict()


def _statement(wanted: tuple[Segment, ...], day: Day) -> Any:
    """Made once for each day and set of segments: to put a large condition together takes longer than to ask it."""
    key = (tuple((segment.id, segment.version) for segment in wanted), day)
    if key not in _STATEMENTS:
        _STATEMENTS[key] = unscoped(_evaluation(wanted, day), FOLLOWS)
    while len(_STATEMENTS) > PREPARED:
        _STATEMENTS.popitem(last=False)
    return _STATEMENTS[key]


def _evaluation(wanted: tuple[Segment, ...], day: Day) -> Any:
    ids = bindparam("ids", type_=ARRAY(Uuid))
    names = {(each.field, each.type): f"field_{n}" for n, each in enumerate(asked_of(s.condition for s in wanted))}
    fields = [column_of(field, type_, day).label(name) for (field, type_), name in names.items()]
    known = (
        select(customers.c.id, *fields)
        .where(customers.c.id == any_(ids))
        .offset(literal_column("0"))  # else Postgres reads a field anew for every comparison that asks for it
        .subquery("known")
    )

    def holds(segment: Segment) -> Any:
        columns = {each.field: known.c[names[each.field, each.type]] for each in comparisons(segment.condition)}
        return case((to_sql(segment.condition, columns, day.today, strict=True), literal(segment.label)))

    found = func.unnest(array(map(holds, wanted), type_=ARRAY(Text)))
    each = select(known.c.id.label("customer_id"), found.label("label")).subquery()
    fulfilled = select(each).where(each.c.label.is_not(None)).cte("fulfilled")
    is_fulfilled = exists().where(
        fulfilled.c.customer_id == labels.c.customer_id, fulfilled.c.label == labels.c.label
    )  # fmt: skip
    gone = (
        delete(labels)
        .where(labels.c.customer_id == any_(ids), labels.c.label == any_(bindparam("considered", type_=ARRAY(Text))),
               ~is_fulfilled)
        .returning(labels.c.customer_id, labels.c.label)
        .cte("gone")
    )  # fmt: skip
    sorted_by = ("name", "number_key", "contract_end_key", "created_at")
    new: Any = upsert(labels).from_select(
        ["customer_id", "label", "given_by", "given_at", *sorted_by],
        select(fulfilled.c.customer_id, fulfilled.c.label, literal_column("''"),
               bindparam("now", type_=labels.c.given_at.type), *(customers.c[column] for column in sorted_by))
        .join(customers, customers.c.id == fulfilled.c.customer_id),
    )  # fmt: skip
    came = new.on_conflict_do_nothing().returning(labels.c.customer_id, labels.c.label).cte("came")
    return select(gone.c.customer_id, gone.c.label, false().label("entered")).union_all(
        select(came.c.customer_id, came.c.label, true().label("entered"))
    )
