"""Definitions of custom attributes, and which customers' values fit them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Select,
    bindparam,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from services.customers.domain.attributes import MOST, Attribute, reader
from services.customers.domain.fields import PLAIN, BadValue
from services.customers.storage import national_ids
from services.customers.storage.tables import attributes, customers, segments
from services.shared.access import EVERYTHING, Scope, unscoped
from services.shared.db import Write

COUNTED = 10_000
AT_ONCE = 5000
"""So many values are looked at, or removed, in one statement."""
WHOLE = "a definition concerns every customer"

_PARTS = ("key", "label", "purpose", "type", "required", "personal", "options", "minimum", "maximum", "pattern")


async def rows(connection: AsyncConnection, *, retired: bool = False) -> Sequence[Any]:
    """The rows of the attributes in use, in the order of their keys; with `retired`, of all."""
    query = select(attributes).order_by(attributes.c.key)
    return (await connection.execute(query if retired else query.where(attributes.c.retired_at.is_(None)))).all()


async def definitions(connection: AsyncConnection) -> list[Attribute]:
    """The attributes in use, in the order of their keys."""
    return [definition(row) for row in await rows(connection)]


def definition(row: Any) -> Attribute:
    return Attribute(**{name: getattr(row, name) for name in _PARTS})


async def lock(write: Write, key: str) -> Any | None:
    """The row of an attribute, retired or not, held until the transaction ends."""
    query = select(attributes).where(attributes.c.key == key).with_for_update()
    return (await write.execute(query)).one_or_none()


async def full(write: Write) -> bool:
    """Whether there are as many attributes as there may be."""
    in_use = select(func.count()).select_from(attributes).where(attributes.c.retired_at.is_(None))
    return bool((await write.execute(in_use)).scalar_one() >= MOST)


async def put(write: Write, attribute: Attribute, version: int) -> None:
    """Defines an attribute, or changes it; one that was retired begins anew."""
    values = {name: getattr(attribute, name) for name in _PARTS} | {"options": list(attribute.options)}
    new = upsert(attributes).values(**values, version=version, created_at=write.now)
    fresh: dict[str, Any] = {**values, "version": version, "retired_at": None, "values_at_end": None}
    if version == 1:
        fresh["created_at"] = write.now
    await write.execute(new.on_conflict_do_update(index_elements=["key"], set_=fresh))


async def retire(write: Write, key: str, at: datetime, held: int) -> None:
    ended = update(attributes).where(attributes.c.key == key, attributes.c.retired_at.is_(None))
    await write.execute(ended.values(retired_at=at, values_at_end=held))


def _has(key: str) -> ColumnElement[bool]:
    return customers.c.attributes.has_key(bindparam(None, key, Text))


async def in_use(connection: AsyncConnection, key: str) -> bool:
    """Whether a customer holds a value."""
    return bool((await connection.execute(unscoped(select(exists().where(_has(key))), WHOLE))).scalar_one())


async def held(connection: AsyncConnection, key: str) -> int:
    """How many customers hold a value."""
    count = select(func.count()).select_from(customers).where(_has(key))
    return int((await connection.execute(unscoped(count, WHOLE))).scalar_one())


async def segment_that_asks(connection: AsyncConnection, key: str) -> str:
    """The name of a segment whose condition asks for the attribute; "" where none does."""
    named = func.jsonb_build_object(literal_column("'key'"), bindparam(None, f"attribute.{key}", Text))
    path: ColumnElement[Any] = literal_column("'$.**.field ? (@ == $key)'::jsonpath")
    asks = func.jsonb_path_exists(segments.c.condition, path, named)
    query = select(segments.c.name).where(asks).order_by(segments.c.name).limit(1)
    return (await connection.execute(query)).scalar() or ""


async def remove_values(write: Write, key: str) -> int:
    """Removes the values of an attribute from up to 5,000 customers; answers from how many. The caller holds the lock
    of one_at_a_time.
    """
    some = select(customers.c.id).where(_has(key)).limit(AT_ONCE).scalar_subquery()
    without = customers.c.attributes.op("-")(bindparam(None, key, Text))
    gone = update(customers).where(customers.c.id.in_(some)).values(attributes=without).returning(customers.c.id)
    ids = (await write.execute(unscoped(gone, WHOLE))).scalars().all()
    await national_ids.forget(write, ids, key)
    return len(ids)


async def misfits(
    connection: AsyncConnection, scope: Scope, attribute: Attribute, after: UUID | None, size: int
) -> tuple[list[tuple[UUID, str]], UUID | None]:
    """Up to `size` customers in scope, in the order of their ids, whose value doesn't fit or is missing though it is
    required, with what is allowed; and the last customer that was looked at, None at the end.

    What SQL can't tell, whether a text looks like the pattern, is asked of 5,000 values at most.
    """
    look = AT_ONCE if attribute.pattern else size
    value = customers.c.attributes[attribute.key].astext
    query: Select[Any] = select(customers.c.id, value.label("value"))
    query = query.where(_unfit(attribute, value)).order_by(customers.c.id).limit(look)
    if after:
        query = query.where(customers.c.id > after)
    found = (await connection.execute(scope.limit(query, customers.c.id, broad=True))).all()
    read, unfit = reader(attribute), []
    for row in found:
        reason = _reason(read, attribute, row.value)
        if reason:
            unfit.append((row.id, reason))
        if len(unfit) == size:
            return unfit, row.id
    return unfit, found[-1].id if len(found) == look else None


async def count_misfits(connection: AsyncConnection, attribute: Attribute) -> int:
    """How many customers' values don't fit, counted up to 10,000."""
    found, after = 0, None
    while found < COUNTED:
        unfit, after = await misfits(connection, EVERYTHING, attribute, after, AT_ONCE)
        found += len(unfit)
        if after is None:
            break
    return min(found, COUNTED)


def _reason(read: Any, attribute: Attribute, value: str | None) -> str:
    if value is None:
        return f"{attribute.key} must not be empty"
    if attribute.encrypted:
        return ""  # its mask can't be checked; what was taken in was whole
    try:
        read(value, PLAIN)
    except BadValue as error:
        return str(error)
    return ""


def _unfit(attribute: Attribute, value: ColumnElement[str]) -> ColumnElement[bool]:
    """What may not fit: exact but for patterns, where it is every value."""
    has = _has(attribute.key)
    wrong: list[ColumnElement[bool]] = [~has] if attribute.required else []
    match attribute.type:
        case "OPTION":
            wrong.append(has & (value != func.all(bindparam(None, list(attribute.options), ARRAY(Text)))))
        case "NUMBER" | "DATE":
            number = cast(value, Numeric) if attribute.type == "NUMBER" else value
            limit = (lambda text: cast(text, Numeric)) if attribute.type == "NUMBER" else literal
            wrong += [has & (number < limit(attribute.minimum))] if attribute.minimum else []
            wrong += [has & (number > limit(attribute.maximum))] if attribute.maximum else []
        case "TEXT" if attribute.pattern:
            wrong.append(has)
        case "TEXT":
            wrong += [has & (func.char_length(value) < int(attribute.minimum))] if attribute.minimum else []
            wrong += [has & (func.char_length(value) > int(attribute.maximum))] if attribute.maximum else []
    return or_(*wrong) if wrong else false()
