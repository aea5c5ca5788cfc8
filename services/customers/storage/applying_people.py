# ruff: noqa: S608 - texts of SQL are put together from names of fields in this project only; values are parameters
"""Staged rows → contacts and owners of customers that are known already."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Date, bindparam, column, select, text
from sqlalchemy.types import Text, Uuid

from services.customers.storage import duplicates, owners
from services.customers.storage.staged import Chunk
from services.customers.storage.timeline import Entry
from services.shared.access.tables import employees
from services.shared.db import Write

CUSTOMER = """coalesce(
    (select l.customer_id from customer_links l where l.source = :source and l.external_id = s.customer_external_id),
    (select c.id from customers c where c.external_id = s.customer_external_id))"""
"""The customer that a staged row `s` of a source names: as that source knows it, else by the key of its creation."""


async def remove_unknown_customers(write: Write, table: str, source: str) -> list[tuple[int, str]]:
    """Removes rows whose customer isn't known; answers (line, external id), in order."""
    return await _remove(write, table, "s.customer_external_id", f"{CUSTOMER} is null", source=source)


async def remove_erased(write: Write, table: str, source: str) -> list[tuple[int, str]]:
    """Removes rows whose customer's personal data were erased; answers (line, external id), in order."""
    erased = f"(select c.erased_at from customers c where c.id = {CUSTOMER}) is not null"
    return await _remove(write, table, "s.customer_external_id", erased, source=source)


async def remove_unknown_logins(write: Write, table: str) -> list[tuple[int, str]]:
    """Removes rows whose login is of no active employee; answers (line, login), in order."""
    unknown = f"not exists (select from {employees.fullname} e where e.login = s.login and e.active)"
    return await _remove(write, table, "s.login", unknown)


async def remove_backward_periods(write: Write, table: str) -> list[tuple[int, str]]:
    """Removes rows whose period ends before it begins; answers (line, end), in order."""
    return await _remove(write, table, "s.valid_to::text", "s.valid_to < s.valid_from")


async def _remove(write: Write, table: str, value: str, unfit: str, **parameters: str) -> list[tuple[int, str]]:
    gone = await write.execute(
        text(f"""
            with gone as (delete from {table} s where {unfit} returning s.line, {value} as value)
            select line, value from gone order by line
        """),
        parameters,
    )
    return [(row.line, row.value) for row in gone]


async def apply_contacts(
    write: Write, chunk: Chunk, fields: Sequence[str], source: str, ours: Sequence[str]
) -> tuple[list[tuple[UUID, UUID]], list[tuple[UUID, UUID, Sequence[str]]]]:
    """`fields`: what the file brings; those in `ours` only new contacts are given. Every row's customer is known.

    Answers (customer, contact) of what is new, and (customer, contact, fields) of what changed; both stand on the
    timelines. The caller holds the lock of one_at_a_time.
    """
    own = [name for name in fields if name not in ("customer_external_id", "external_id")]
    changeable = [name for name in own if name not in ours]
    differs = " or ".join(f"t.{name} is distinct from s.{name}" for name in changeable) or "false"
    sets = "".join(f"{name} = s.{name}, " for name in changeable)
    changes = ", ".join(
        f"'{name}', case when old.{name} is distinct from new.{name} "
        f"then jsonb_build_array(coalesce(old.{name}, ''), coalesce(new.{name}, '')) end"
        for name in changeable
    )
    parameters = {"first": chunk.first, "last": chunk.last, "source": source, "now": write.now, "actor": write.actor}
    log = """
        insert into timeline (customer_id, id, occurred_at, kind, origin, actor, object_id, what, facts, changes)
        select customer_id, uuidv7(), :now, 'CONTACT', 'SYNC', :actor, id::text, {what}, '{{}}', changes from done
    """
    updated = await write.execute(
        text(f"""
            with done as (
                update contacts t set {sets} version = t.version + 1, updated_at = :now
                from (
                    select s.*, {CUSTOMER} as customer_id from {chunk.table.fullname} s
                    where s.line between :first and :last
                ) s
                where t.customer_id = s.customer_id and t.external_id = s.external_id and ({differs})
                returning t.id, t.customer_id, jsonb_strip_nulls(jsonb_build_object({changes})) as changes
            ), logged as ({log.format(what="'changed'")})
            select customer_id, id, array(select jsonb_object_keys(changes)) as fields from done
        """),
        parameters,
    )
    changed = [(row.customer_id, row.id, row.fields) for row in updated]
    names = ", ".join(["external_id", *own])
    inserted = await write.execute(
        text(f"""
            with done as (
                insert into contacts (id, customer_id, source, {names}, created_at, updated_at)
                select uuidv7(), s.customer_id, :source, {names}, :now, :now
                from (
                    select s.*, {CUSTOMER} as customer_id from {chunk.table.fullname} s
                    where s.line between :first and :last
                ) s
                where (select c.erased_at is null from customers c where c.id = s.customer_id)
                order by s.line
                on conflict (customer_id, external_id) do nothing
                returning id, customer_id, '{{}}'::jsonb as changes
            ), logged as ({log.format(what="'created'")})
            select customer_id, id from done
        """),
        parameters,
    )
    created = [(row.customer_id, row.id) for row in inserted]
    touched = sorted({customer_id for customer_id, *_ in (*created, *changed)})
    if touched:
        await duplicates.refresh(write, touched)
    return created, changed


async def apply_owners(write: Write, chunk: Chunk, fields: Sequence[str], source: str) -> list[Entry]:
    """Every row's customer and employee are known. Answers what changed, for `happened`; see storage.owners.give.

    Where the file brings neither end of the period, it stays as it is for the same employee and is open for another;
    where it brings one of them, the other is open. The caller holds the lock of one_at_a_time.
    """
    period = [
        f"coalesce(s.{name}, date '{end}')" if name in fields else f"date '{end}'"
        for name, end in (("valid_from", "0001-01-01"), ("valid_to", "9999-12-31"))
    ]
    if not {"valid_from", "valid_to"} & {*fields}:
        period = ["null::date", "null::date"]
    rows = (
        text(f"""
            select distinct on (customer_id, s.role)
                   {CUSTOMER} as customer_id, s.role, e.id as employee_id, {period[0]} as valid_from,
                   {period[1]} as valid_to
            from {chunk.table.fullname} s join {employees.fullname} e on e.login = s.login and e.active
            where s.line between :first and :last
            order by customer_id, s.role, s.line desc
        """)
        .bindparams(
            bindparam("first", chunk.first), bindparam("last", chunk.last), bindparam("source", source)
        )
        .columns(column("customer_id", Uuid), column("role", Text), column("employee_id", Uuid),
                 column("valid_from", Date), column("valid_to", Date))
        .subquery()
    )  # fmt: skip
    wanted = select(rows).where(rows.c.customer_id.is_not(None))
    return await owners.give(write, wanted, origin="SYNC")
