"""Staged rows → customers, contacts, owners: what is new is inserted, what differs updated, the rest left alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
    Table,
    case,
    cast,
    column,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.types import BigInteger, Text, Uuid

from services.customers.domain.numbers import customer_number, number_key
from services.customers.storage.ownership import new_version, refresh_lists
from services.customers.storage.staging import Chunk
from services.customers.storage.tables import contacts, customers, import_rows, numbers
from services.shared.access.tables import customer_access, employees
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
    await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing who buys'))"))


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
    await refresh_lists(write, changed)

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


async def apply_owners(write: Write, chunk: Chunk, fields: Sequence[str]) -> Applied:
    """Every row's customer and employee are known. A customer whose owners change gets a new version.

    Where the file brings neither end of the period, it stays as it is for the same employee and is open for another;
    where it brings one of them, the other is open.
    """
    rows = staged(chunk, {"customer_external_id": Text, "role": Text, "login": Text,
                          **{name: Date for name in ("valid_from", "valid_to") if name in fields}})  # fmt: skip
    first = func.coalesce(rows.c.valid_from, date.min) if "valid_from" in fields else literal(date.min, Date)
    last = func.coalesce(rows.c.valid_to, date.max) if "valid_to" in fields else literal(date.max, Date)
    resolved = (
        select(
            customers.c.id.label("customer_id"),
            rows.c.role,
            employees.c.id.label("employee_id"),
            first.label("valid_from"),
            last.label("valid_to"),
        )
        .join(customers, customers.c.external_id == rows.c.customer_external_id)
        .join(employees, (employees.c.login == rows.c.login) & employees.c.active)
        .subquery()
    )
    same_role = (customer_access.c.customer_id == resolved.c.customer_id) & (customer_access.c.role == resolved.c.role)
    brought = ["employee_id", *(["valid_from", "valid_to"] if {"valid_from", "valid_to"} & {*fields} else [])]
    change = (
        update(customer_access)
        .where(same_role, differs(customer_access, {name: resolved.c[name] for name in brought}))
        .values({name: resolved.c[name] for name in ("employee_id", "valid_from", "valid_to")})
        .returning(customer_access.c.customer_id)
    )
    changed = list((await write.execute(change)).scalars())
    columns = ["customer_id", "role", "employee_id", "valid_from", "valid_to"]
    new = select(*(resolved.c[name] for name in columns)).select_from(resolved.outerjoin(customer_access, same_role))
    add = insert(customer_access).from_select(columns, new.where(customer_access.c.customer_id.is_(None)))
    created = list((await write.execute(add.returning(customer_access.c.customer_id))).scalars())
    ids = await new_version(write, sorted({*changed, *created}))
    return Applied(len(created), len(changed), ids)
