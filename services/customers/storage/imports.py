"""Staged rows → customers, contacts, owners: what is new is inserted, what differs updated, the rest left alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Table, case, cast, column, func, insert, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.types import BigInteger, Text, Uuid

from services.customers.domain.numbers import customer_number, number_key
from services.customers.storage.staging import Chunk
from services.customers.storage.tables import contacts, customers, employees, import_rows, numbers, owners
from services.shared.db import Write
from services.shared.ids import new_id


@dataclass(frozen=True)
class Applied:
    """What a chunk did. `customer_ids`: whose facts changed."""

    created: int
    updated: int
    customer_ids: Sequence[UUID] = ()


async def one_at_a_time(write: Write) -> None:
    """Changes of many customers come one after the other: they may meet in the same rows, in another order."""
    await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing customers'))"))


def staged(chunk: Chunk, fields: Mapping[str, Any]) -> CTE:
    """The chunk's rows with `fields` (name → type) as columns, and their line."""
    columns = [cast(import_rows.c.row[name].astext, kind).label(name) for name, kind in fields.items()]
    return select(import_rows.c.line, *columns).where(chunk.holds()).cte("staged")


def differs(table: Table, wanted: Mapping[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    return or_(*(table.c[name].is_distinct_from(value) for name, value in wanted.items()))


async def apply_customers(write: Write, chunk: Chunk, fields: Sequence[str], source: str, today: date) -> Applied:
    """`fields` are those that the file brings; the others of a known customer stay. `today`: business date."""
    rows = staged(chunk, {name: customers.c[name].type for name in fields})
    wanted: dict[str, ColumnElement[Any]] = {name: rows.c[name] for name in fields if name != "external_id"}
    wanted["source"] = literal(source)
    if "kind" in wanted:
        wanted["kind"] = func.coalesce(rows.c.kind, "ENTERPRISE")
    new = {**wanted, "external_id": rows.c.external_id}
    if "last_contract_end" in wanted:  # once an order has said it, a file no longer does
        told = customers.c.contract_end_version > 0
        wanted["last_contract_end"] = case((told, customers.c.last_contract_end), else_=rows.c.last_contract_end)
    change = (
        update(customers)
        .where(customers.c.external_id == rows.c.external_id, differs(customers, wanted))
        .values(**wanted, version=customers.c.version + 1, updated_at=write.now)
        .returning(customers.c.id)
    )
    changed = list((await write.execute(change)).scalars())

    unknown = select(rows.c.external_id).outerjoin(customers, customers.c.external_id == rows.c.external_id)
    keys = list((await write.execute(unknown.where(customers.c.id.is_(None)).order_by(rows.c.line))).scalars())
    if not keys:
        return Applied(0, len(changed), changed)
    last = await take_numbers(write, today, len(keys))
    positions = range(last - len(keys) + 1, last + 1)
    ids = [new_id() for _ in keys]
    given = (
        func.unnest(
            cast(keys, ARRAY(Text)),
            cast(ids, ARRAY(Uuid)),
            cast([customer_number(today, position) for position in positions], ARRAY(Text)),
            cast([number_key(today, position) for position in positions], ARRAY(BigInteger)),
        )
        .table_valued("external_id", column("id", Uuid), "number", "number_key")
        .render_derived()
    )
    new |= {"id": given.c.id, "number": given.c.number, "number_key": given.c.number_key, "version": literal(1),
            "created_at": literal(write.now), "updated_at": literal(write.now)}  # fmt: skip
    new.setdefault("kind", literal("ENTERPRISE"))
    brought = select(*new.values()).select_from(rows.join(given, given.c.external_id == rows.c.external_id))
    await write.execute(insert(customers).from_select(list(new), brought))
    return Applied(len(keys), len(changed), [*ids, *changed])


async def take_numbers(write: Write, day: date, count: int) -> int:
    """Takes the next `count` positions of a day and answers the last one."""
    taken = upsert(numbers).values(day=day, last=count)
    taken = taken.on_conflict_do_update(index_elements=["day"], set_={"last": numbers.c.last + count})
    return int((await write.execute(taken.returning(numbers.c.last))).scalar_one())


async def apply_contacts(write: Write, chunk: Chunk, fields: Sequence[str]) -> Applied:
    """`fields` are those that the file brings; every row's customer is known."""
    own = [name for name in fields if name != "customer_external_id"]
    rows = staged(chunk, {"customer_external_id": Text, **{name: contacts.c[name].type for name in own}})
    wanted: dict[str, ColumnElement[Any]] = {name: rows.c[name] for name in own if name != "external_id"}
    change = (
        update(contacts)
        .where(
            customers.c.external_id == rows.c.customer_external_id,
            contacts.c.customer_id == customers.c.id,
            contacts.c.external_id == rows.c.external_id,
            differs(contacts, wanted),
        )
        .values(**wanted, updated_at=write.now)
    )
    updated = (await write.execute(change)).rowcount
    new = {**wanted, "external_id": rows.c.external_id, "customer_id": customers.c.id, "id": func.uuidv7(),
           "created_at": literal(write.now), "updated_at": literal(write.now)}  # fmt: skip
    known = (contacts.c.customer_id == customers.c.id) & (contacts.c.external_id == rows.c.external_id)
    joined = rows.join(customers, customers.c.external_id == rows.c.customer_external_id).outerjoin(contacts, known)
    brought = select(*new.values()).select_from(joined).where(contacts.c.id.is_(None))
    created = (await write.execute(insert(contacts).from_select(list(new), brought))).rowcount
    return Applied(created, updated)


async def apply_owners(write: Write, chunk: Chunk, _fields: Sequence[str]) -> Applied:
    """Every row's customer and employee are known. A customer whose owners change gets a new version."""
    rows = staged(chunk, {"customer_external_id": Text, "role": Text, "login": Text})
    resolved = (
        select(customers.c.id.label("customer_id"), rows.c.role, employees.c.id.label("employee_id"))
        .join(customers, customers.c.external_id == rows.c.customer_external_id)
        .join(employees, (employees.c.login == rows.c.login) & employees.c.active)
        .subquery()
    )
    same_role = (owners.c.customer_id == resolved.c.customer_id) & (owners.c.role == resolved.c.role)
    change = (
        update(owners)
        .where(same_role, owners.c.employee_id != resolved.c.employee_id)
        .values(employee_id=resolved.c.employee_id, since=write.now)
        .returning(owners.c.customer_id)
    )
    changed = list((await write.execute(change)).scalars())
    brought = (
        select(resolved.c.customer_id, resolved.c.role, resolved.c.employee_id, literal(write.now))
        .select_from(resolved.outerjoin(owners, same_role))
        .where(owners.c.customer_id.is_(None))
    )
    columns = ["customer_id", "role", "employee_id", "since"]
    created = list(
        (await write.execute(insert(owners).from_select(columns, brought).returning(owners.c.customer_id))).scalars()
    )
    ids = sorted({*changed, *created})
    moved = update(customers).where(customers.c.id == func.any(ids))
    await write.execute(moved.values(version=customers.c.version + 1, updated_at=write.now))
    return Applied(len(created), len(changed), ids)
