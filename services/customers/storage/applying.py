# ruff: noqa: S608 - texts of SQL are put together from names of fields in this project only; values are parameters
"""Staged rows → customers: what is new is inserted, what differs updated, the rest left alone.

Where a chunk's rows belong is found out by one statement; a file that brings nothing new costs nothing more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, Table, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from services.customers.domain.attributes import Attribute
from services.customers.domain.collection import PERSONAL_OF_INDIVIDUALS
from services.customers.domain.numbers import number_key
from services.customers.domain.rows import Rejection
from services.customers.storage import parents, staged_ids
from services.customers.storage.staged import Chunk
from services.customers.storage.tables import numbers
from services.shared.db import Write

NOT_STORED = ("external_id", "number")
"""Fields by which a customer is found, and which no row changes."""


@dataclass(frozen=True)
class Source:
    """Where rows come from. `ours`: fields that it fills only in what it creates; `link_by`: see FieldMapping.

    `ours_elsewhere`: by field, the other sources whose customers it must not write that field of. `custom`: the
    attributes that its rows bring; `required`: those that a new customer must come with.
    """

    name: str
    ours: Sequence[str] = ()
    link_by: str = ""
    ours_elsewhere: Mapping[str, Sequence[str]] = field(default_factory=dict)
    custom: Sequence[Attribute] = ()
    required: Sequence[str] = ()


@dataclass(frozen=True)
class Applied:
    """What a chunk did: rows of customers that are new, with what is told of them and their ids as text; what changed
    of others (id → fields); what it rejected.

    `superseded`: rows that a later one of the chunk replaced, because both are of one customer.
    """

    created: Sequence[Row[Any]] = ()
    changed: Mapping[UUID, Sequence[str]] = field(default_factory=dict)
    rejections: Sequence[Rejection] = ()
    superseded: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class _Found:
    """Where the rows of a chunk belong."""

    new: list[int]
    changed: dict[UUID, int]
    to_link: list[tuple[int, UUID]]
    rejections: list[Rejection]
    superseded: list[tuple[int, int]]


async def apply_customers(
    write: Write, chunk: Chunk, fields: Sequence[str], source: Source, headings: Mapping[str, str], today: date
) -> Applied:
    """`fields`: what the file brings; the others of a known customer stay. `headings`: of the columns that bring them.

    `today`: business date. The caller holds the lock of one_at_a_time.
    """
    values = _values(fields)
    found = await _find(write, chunk, values, source, headings)
    if found.new and source.required:
        found = await _complete(write, chunk, source, headings, found)
    for line, customer_id in found.to_link:
        await _link(write, chunk, line, source.name, customer_id)
    changed = await _update(write, chunk, values, source, found.changed) if found.changed else {}
    created = await _insert(write, chunk, values, source, found.new, today) if found.new else []
    lines = {customer_id: found.changed[customer_id] for customer_id in changed}
    if staged_ids.brought(source):
        await staged_ids.put(write, chunk.table, source, [UUID(row.id) for row in created], lines)
    if (created or changed or found.to_link) and ("parent_external_id" in fields or await parents.are_missing(write)):
        linked = [customer_id for _, customer_id in found.to_link]
        await parents.find(write, [*(UUID(row.id) for row in created), *changed, *linked])
    return Applied(created, changed, found.rejections, found.superseded)


def _values(fields: Sequence[str]) -> dict[str, str]:
    """By column of customers: what a staged row `s` says of it."""
    values = {name: f"s.{name}" for name in fields if name not in NOT_STORED}
    if "kind" in values:
        values["kind"] = "coalesce(s.kind, 'ENTERPRISE')"
    if "parent_external_id" in values:
        values["parent_source"] = "case when s.parent_external_id is not null then :source end"
    return values


def _wanted(values: Mapping[str, str], source: Source) -> dict[str, str]:
    """By column: what the known customer `c` is to have."""
    wanted = {name: value for name, value in values.items() if _field_of(name) not in source.ours}
    if "last_contract_end" in wanted:  # once an order has said it, a file no longer does
        value = wanted["last_contract_end"]
        wanted["last_contract_end"] = f"case when c.contract_end_version > 0 then c.last_contract_end else {value} end"
    if "attributes" in wanted:  # those that the file doesn't bring stay
        wanted["attributes"] = f"jsonb_strip_nulls(c.attributes || (s.attributes - {staged_ids.kept(source)}))"
    for name in ("kind", *PERSONAL_OF_INDIVIDUALS):  # what was erased on request doesn't come back
        if name in wanted:
            erased = "c.erased_at is not null and c.kind = 'INDIVIDUAL'"
            wanted[name] = f"case when {erased} then c.{name} else {wanted[name]} end"
    for name in source.ours_elsewhere:
        if name in wanted:
            wanted[name] = f"case when c.source = any(:ours_{name}) then c.{name} else {wanted[name]} end"
    return wanted


def _differs(wanted: Mapping[str, str], source: Source) -> str:
    ids = [staged_ids.differ(source)] if staged_ids.brought(source) else []
    return " or ".join([*(f"c.{name} is distinct from {value}" for name, value in wanted.items()), *ids])


def _field_of(column: str) -> str:
    return "parent_external_id" if column == "parent_source" else column


def _parameters(source: Source, chunk: Chunk, values: Mapping[str, str]) -> dict[str, Any]:
    others = {f"ours_{name}": list(of) for name, of in source.ours_elsewhere.items() if name in values}
    return {"source": source.name, "first": chunk.first, "last": chunk.last, **others}


async def _find(
    write: Write, chunk: Chunk, values: Mapping[str, str], source: Source, headings: Mapping[str, str]
) -> _Found:
    wanted = _wanted(values, source)
    differs = _differs(wanted, source) or "false"
    join, by, many = {
        "": ("", "null::uuid", "null::bigint"),
        "external_id": ("", "o.id", "null::bigint"),
        "number": ("left join customers n on n.number = s.number", "n.id", "null::bigint"),
        "credit_code": (
            "left join lateral (select (array_agg(id))[1] as id, count(*) as many from customers"
            " where credit_code = s.credit_code) n on true",
            "case when n.many = 1 then n.id end",
            "n.many",
        ),
    }[source.link_by]
    is_new = "(s.customer_id is null and s.owner is null and coalesce(s.many, 0) <= 1)"
    rows: Any = await write.execute(
        text(f"""
            with located as materialized (
                select s.*, o.source as owner, {many} as many,
                       case when l.customer_id is null and o.source is distinct from :source then {by} end as linked,
                       coalesce(l.customer_id, case when o.source = :source then o.id else {by} end) as customer_id
                from {chunk.table.fullname} s
                left join customer_links l on l.source = :source and l.external_id = s.external_id
                left join customers o on o.external_id = s.external_id
                {join}
                where s.line between :first and :last
            )
            select s.line, s.customer_id, s.linked, s.owner, s.many, s.external_id, null::bigint[] as new
            from located s left join customers c on c.id = s.customer_id
            where case when s.customer_id is null then not {is_new} else s.linked is not null or {differs} end
            union all
            select null, null, null, null, null, null, array_agg(s.line) from located s where {is_new}
            order by line
        """),
        _parameters(source, chunk, values),
    )
    found = _Found([], {}, [], [], [])
    for line, customer_id, linked, owner, many_found, external_id, new in rows.all():
        if line is None:  # many, of which nothing else is asked
            found.new.extend(sorted(new or ()))
        elif customer_id is None and many_found and many_found > 1:
            reason = f"{many_found} customers have this {source.link_by.replace('_', ' ')}: link one of them by hand"
            found.rejections.append(Rejection(line, headings[source.link_by], "", reason))
        elif customer_id is None:
            reason = (
                f"this is a customer of {owner}: link it (kejing customers link, or link_by in the mapping), "
                "or give the column a prefix"
            )
            found.rejections.append(Rejection(line, headings["external_id"], external_id, reason))
        else:
            if linked is not None:
                found.to_link.append((line, linked))
            if customer_id in found.changed:
                found.superseded.append((found.changed[customer_id], line))
            found.changed[customer_id] = line
    return found


async def _complete(write: Write, chunk: Chunk, source: Source, headings: Mapping[str, str], found: _Found) -> _Found:
    """`found` without new rows that lack an attribute which a new customer must come with: these are rejected."""
    held = "jsonb_strip_nulls(s.attributes)" if source.custom else "jsonb_build_object()"
    statement = text(f"""
        select s.line, (select key from unnest(:required) key where {held} -> key is null limit 1) as missing
        from {chunk.table.fullname} s where s.line = any(:lines)
    """).bindparams(bindparam("lines", type_=ARRAY(BigInteger)), bindparam("required", type_=ARRAY(Text)))
    rows = await write.execute(statement, {"lines": list(found.new), "required": list(source.required)})
    lacking = {row.line: row.missing for row in rows if row.missing}
    said = [
        Rejection(line, headings.get(key, key), "", f"a new customer must come with {key}")
        for line, key in sorted(lacking.items())
    ]
    new = [line for line in found.new if line not in lacking]
    return replace(found, new=new, rejections=[*found.rejections, *said])


async def _link(write: Write, chunk: Chunk, line: int, source: str, customer_id: UUID) -> None:
    statement = text(f"""
        insert into customer_links (source, external_id, customer_id, linked_at)
        select :source, external_id, :customer_id, :now from {chunk.table.fullname} where line = :line
        on conflict do nothing
    """).bindparams(bindparam("customer_id", type_=Uuid))
    values = {"source": source, "customer_id": customer_id, "now": write.now, "line": line}
    await write.execute(statement, values)


async def _update(
    write: Write, chunk: Chunk, values: Mapping[str, str], source: Source, lines: Mapping[UUID, int]
) -> Mapping[UUID, Sequence[str]]:
    """Updates these customers by these lines, where they differ, with an entry each on their timelines.

    Answers the fields that changed.
    """
    wanted = _wanted(values, source)
    if not wanted:
        return {}
    differs = _differs(wanted, source)
    logged = [name for name in wanted if name not in ("parent_source", "attributes")]
    changes = ", ".join(
        f"'{name}', case when old.{name} is distinct from new.{name} "
        f"then jsonb_build_array(coalesce(old.{name}::text, ''), coalesce(new.{name}::text, '')) end"
        for name in logged
    )
    attributes = (
        """ || coalesce((
            select jsonb_object_agg(key, jsonb_build_array(coalesce(old.attributes ->> key, ''),
                                                           coalesce(new.attributes ->> key, '')))
            from jsonb_object_keys(old.attributes || new.attributes) key
            where old.attributes -> key is distinct from new.attributes -> key), '{}')"""
        + staged_ids.changes(source)
        if "attributes" in wanted
        else ""
    )
    statement = text(f"""
        with changed as (
            update customers c
            set {", ".join(f"{name} = {value}" for name, value in wanted.items())},
                version = c.version + 1, updated_at = :now
            from unnest(:ids, :lines) as g (customer_id, line) join {chunk.table.fullname} s on s.line = g.line
            where c.id = g.customer_id and ({differs})
            returning c.id, jsonb_strip_nulls(jsonb_build_object({changes})){attributes} as changes
        ), logged as (
            insert into timeline
                (customer_id, id, occurred_at, kind, origin, actor, object_id, what, facts, changes)
            select id, uuidv7(), :now, 'ATTRIBUTES', 'SYNC', :actor, '', 'changed', '{{}}', changes from changed
        )
        select id, array(select jsonb_object_keys(changes)) as fields from changed
    """).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("lines", type_=ARRAY(BigInteger)))
    parameters = {
        **_parameters(source, chunk, values),
        "ids": list(lines),
        "lines": list(lines.values()),
        "now": write.now,
        "actor": write.actor,
    }
    used = {name: value for name, value in parameters.items() if f":{name}" in statement.text}
    return {row.id: row.fields for row in await write.execute(statement, used)}


async def _insert(
    write: Write, chunk: Chunk, values: Mapping[str, str], source: Source, lines: Sequence[int], today: date
) -> Sequence[Row[Any]]:
    last = await take_numbers(write, today, len(lines))
    given = {"attributes": "jsonb_strip_nulls(s.attributes)"} if "attributes" in values else {}
    new = {"kind": "'ENTERPRISE'", **values, **given, "external_id": "s.external_id", "source": ":source"}
    some = "" if len(lines) == chunk.size else "and s.line = any(:lines)"
    statement = text(f"""
        insert into customers ({", ".join(new)}, id, number, number_key,
                               contract_end_version, version, created_at, updated_at)
        select {", ".join(new.values())}, uuidv7(),
               'CUS' || :day || lpad(s.position::text, greatest(4, length(s.position::text)), '0'),
               :day_key + s.position, 0, 1, :now, :now
        from (
            select s.*, :base + row_number() over (order by line) as position
            from {chunk.table.fullname} s where s.line between :first and :last {some}
        ) s
        returning id::text, number, external_id, name, short_name, kind, seats, last_contract_end
    """)
    parameters = {
        "first": chunk.first, "last": chunk.last, "source": source.name, "now": write.now, "day": f"{today:%Y%m%d}",
        "base": last - len(lines), "day_key": number_key(today, 0),
    }  # fmt: skip
    if some:
        statement = statement.bindparams(bindparam("lines", type_=ARRAY(BigInteger)))
        parameters["lines"] = list(lines)
    return (await write.execute(statement, parameters)).all()


async def supersede_linked(write: Write, table: Table, source: Source) -> list[tuple[int, int]]:
    """Removes rows of a customer that a later row, under another id of the source, speaks of as well; answers
    (line, later line), in order.
    """
    has_links = text("select 1 from customer_links where source = :source limit 1")
    if (await write.execute(has_links, {"source": source.name})).first() is None:
        return []
    gone = await write.execute(
        text(f"""
            with located as materialized (
                select s.line, coalesce(l.customer_id, o.id) as customer_id
                from {table.fullname} s
                left join customer_links l on l.source = :source and l.external_id = s.external_id
                left join customers o on o.external_id = s.external_id and o.source = :source
            ), last as (
                select customer_id, max(line) as line from located where customer_id is not null
                group by customer_id having count(*) > 1
            ), gone as (
                delete from {table.fullname} r using last, located
                where located.line = r.line and last.customer_id = located.customer_id and r.line < last.line
                returning r.line, last.line as later
            )
            select line, later from gone order by line
        """),
        {"source": source.name},
    )
    return [(row.line, row.later) for row in gone]


async def take_numbers(write: Write, day: date, count: int) -> int:
    """Takes the next `count` positions of a day and answers the last one."""
    taken = upsert(numbers).values(day=day, last=count)
    taken = taken.on_conflict_do_update(index_elements=["day"], set_={"last": numbers.c.last + count})
    return int((await write.execute(taken.returning(numbers.c.last))).scalar_one())
