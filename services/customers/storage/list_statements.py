# ruff: noqa: S608 - texts of SQL are put together from names in this file only; values are always parameters
"""The statements that find a page, or the number, of customers: made once for each shape, with values as parameters.

A statement begins with one of three: all customers, the customers with a label, or the lists of employees. What else is
asked is looked up for each row that it meets.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Text, TextClause, Uuid, bindparam, column, text
from sqlalchemy.types import BigInteger, DateTime

from services.customers.storage.customers import WHOLE
from services.customers.storage.tables import customers
from services.shared.access import unscoped
from services.shared.access.ids import IdArray
from services.shared.db import HotQuery

LAST_CHARACTER = "\U0010ffff"
LONGEST_NAME = 200
OWNERS = 3
"""A customer has at most so many on one day: one a role."""
WHY = "it reads no customers but those whose owners it looks up"


@dataclass(frozen=True)
class Sort:
    """A column that is never null and has indexes. `first` comes before all that it may hold, `last` after."""

    column: str
    kind: Any
    first: Any
    last: Any


SORTS = {
    "NAME": Sort("name", Text(), "", LAST_CHARACTER * (LONGEST_NAME + 1)),
    "NUMBER": Sort("number_key", BigInteger(), -1, 2**63 - 1),
    "LAST_CONTRACT_END": Sort("contract_end_key", Date(), date.min, date.max),
    "CREATED_AT": Sort("created_at", DateTime(timezone=True), datetime.min.replace(tzinfo=UTC),
                       datetime.max.replace(tzinfo=UTC)),
}  # fmt: skip
FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True)
class Shape:
    """All of a query that is not a value: a statement is made once for each shape.

    `labels`, `without`, `sets`: how many there are, as parameters label_0 …, without_0 …, set_0 …
    """

    sort: str
    descending: bool
    after: bool
    churned: bool | None
    prefix: bool
    labels: int
    without: int
    no_health: bool
    sets: int
    size: int
    leads: bool = False
    """Whether it begins with the rows of label_0; the other labels are looked up."""
    head: int = 0
    """Rows that are read of each list at first; 0: there is one list, read as far as the page goes."""
    budget: int = 0
    """Rows that are walked at most; 0: as many as it takes."""
    gathered: bool = False
    """Whether all rows are sorted that few enough fulfil: by their names, or, in a walk, for being without health."""

    @property
    def table(self) -> tuple[str, str]:
        """Of a walk, and the name of the customer's id there."""
        return ("labels", "customer_id") if self.leads else ("customers", "id")


@lru_cache(maxsize=1000)
def walk(shape: Shape) -> HotQuery:
    """All customers, or a label's, in their order; what else is asked is looked up."""
    table, id_ = shape.table
    asked = _asked(shape, f"s.{id_}", shape.sets)
    where = " and ".join(_filters(shape, id_))
    rows = f"select s.{SORTS[shape.sort].column} as key, s.{id_} as id"
    order = order_by(shape, f"s.{SORTS[shape.sort].column}", f"s.{id_}")
    if shape.gathered:
        # Sorted before anything is looked up, of which then there is no more than the page needs; "offset" keeps
        # Postgres from looking first.
        found = f"""with found as materialized ({rows} from {table} s where {where})
                    select key, id from (select key, id from found {order_by(shape, "key", "id")} offset 0) s"""
        held = _asked(shape, "s.id", shape.sets)
        return whole(shape, f"{found} {'where ' + ' and '.join(held) if held else ''} limit {shape.size}")
    if not shape.budget:
        every = " and ".join([where, *asked])
        return whole(shape, f"{rows} from {table} s where {every} {order} limit {shape.size}")
    # What is asked is found out row by row, until there are enough.
    piece = f"{rows}, {' and '.join(asked)} as held from {table} s where {where} {order} limit {shape.budget}"
    return whole(shape, f"select key, id from ({piece}) piece where held limit {shape.size}")


@lru_cache(maxsize=1000)
def last_walked(shape: Shape) -> HotQuery:
    """One row where a walk has used its budget up; none where it came to the end of the order."""
    table, id_ = shape.table
    order = order_by(shape, f"s.{SORTS[shape.sort].column}", f"s.{id_}")
    rows = f"select 1 as walked from {table} s where {' and '.join(_filters(shape, id_))} {order}"
    return HotQuery(bound(shape, f"{rows} offset {shape.budget - 1} limit 1"))


@lru_cache(maxsize=1000)
def merge(shape: Shape) -> HotQuery:
    """The lists of the first set's employees, merged: all of theirs, or those of label_0 where that leads.

    A few rows of each list are read first. The last row that a page of these would hold bounds the page: only lists
    whose rows all lie before it are read on, and only up to it.
    """
    sort = SORTS[shape.sort].column
    before, after, until = (">", "<", ">=") if shape.descending else ("<", ">", "<=")
    order = order_by(shape, f"s.{sort}", "s.customer_id")
    rows = f"""select s.{sort} as key, s.customer_id as id from owned_customers s
               where {" and ".join(_listed(shape))}"""
    if shape.gathered:
        # Begins with the names in each list, not with their order: so there is neither an order nor a limit within.
        each = f"select * from ({rows} and s.employee_id = e.id offset 0) mine"
        found = f"select distinct l.key, l.id from unnest(:set_0) as e (id) cross join lateral ({each}) l"
        return whole(shape, f"select key, id from ({found}) s {order_by(shape, 'key', 'id')} limit {shape.size}")
    if not shape.head:
        return whole(shape, f"{rows} and s.employee_id = (:set_0)[1] {order} limit {shape.size}")
    beyond = f"(s.{sort}, s.customer_id) {after} (h.key, h.id) and (s.{sort}, s.customer_id) {until} (b.key, b.id)"
    return whole(
        shape,
        f"""
        with heads as materialized (
            select e.id as employee_id, l.key, l.id, l.n
            from unnest(:set_0) as e (id) cross join lateral (
                select key, id, row_number() over () as n
                from ({rows} and s.employee_id = e.id {order} limit {shape.head}) head
            ) l
        ), page_of_heads as materialized (
            select key, id from heads group by key, id {order_by(shape, "key", "id")} limit {shape.size}
        ), bound as materialized (
            select coalesce(p.key, :end_key) as key, coalesce(p.id, :end_id) as id
            from (select 1) one left join
                (select key, id from page_of_heads {order_by(shape, "key", "id")} offset {shape.size - 1}) p on true
        ), rest as (
            select l.key, l.id
            from bound b join heads h on h.n = {shape.head} and (h.key, h.id) {before} (b.key, b.id)
            cross join lateral ({rows} and s.employee_id = h.employee_id and {beyond} {order} limit {shape.size}) l
        )
        select key, id from (select key, id from page_of_heads union select key, id from rest) found
        {order_by(shape, "key", "id")} limit {shape.size}
        """,
    )


@lru_cache(maxsize=1000)
def count(shape: Shape, *, lists: bool) -> TextClause:
    """How many there are, at most shape.size. lists: the first set's lists are counted, else a walk's rows."""
    if lists:
        # So many rows of lists are of more customers than are counted.
        where = ["s.employee_id = any(:set_0)", *_listed(shape)]
        rows = f"""select s.customer_id as id from owned_customers s
                   where {" and ".join(where)} limit {shape.size * OWNERS}"""
    else:
        table, id_ = shape.table
        where = [*_filters(shape, id_), *_asked(shape, f"s.{id_}", shape.sets)]
        rows = f"select s.{id_} as id from {table} s where {' and '.join(where)} limit {shape.size}"
    return bound(shape, f"select least(count(distinct id), {shape.size}) from ({rows}) found")


def _listed(shape: Shape) -> list[str]:
    """What is asked of the rows of an employee's list."""
    lead = "s.label = :label_0" if shape.leads else "s.label = ''"
    where = [lead, "s.valid_from <= :today", "s.valid_to >= :today", *_own_filters(shape, "customer_id")]
    if shape.no_health:
        where.append(_without_health("s.customer_id"))
    return [*where, *_asked(shape, "s.customer_id", 0), *(_held("s.customer_id", n) for n in range(1, shape.sets))]


def _filters(shape: Shape, id_: str) -> list[str]:
    """What is asked of the rows of a walk by themselves."""
    where = ["s.label = :label_0"] if shape.leads else ["true"]
    where += _own_filters(shape, id_, walks=True)
    if shape.no_health:
        where.append(_without_health(f"s.{id_}") if shape.leads else "s.health_status is null")
    return where


def _own_filters(shape: Shape, id_: str, *, walks: bool = False) -> list[str]:
    # The end of a contract is compared with the date, never kept as a flag: a customer churns at midnight by himself.
    found = {} if shape.churned is None else {"today": f"s.contract_end_key {'<' if shape.churned else '>='} :today"}
    if shape.prefix and walks and shape.sort != "NAME" and not shape.gathered:
        # "is true", so that no index of names is used: a plan for all values takes every beginning for a rare one, and
        # would read and sort all that begin so.
        found["prefix"] = "(s.name >= :prefix and s.name < :prefix_end) is true"
    elif shape.prefix:
        found |= {"prefix": "s.name >= :prefix", "prefix_end": "s.name < :prefix_end"}
    if shape.after:
        # Of two bounds on one side an index is read from the first on, however far off the second is.
        found.pop(edge(shape), "")
        before = "<" if shape.descending else ">"
        found["after"] = f"(s.{SORTS[shape.sort].column}, s.{id_}) {before} (:after_key, :after_id)"
    return list(found.values())


def edge(shape: Shape) -> str:
    """The value of a filter at which the order begins, "" where there is none: no page begins before it."""
    if shape.sort == "NAME" and shape.prefix:
        return "prefix_end" if shape.descending else "prefix"
    return "today" if shape.sort == "LAST_CONTRACT_END" and shape.descending is shape.churned else ""


def _asked(shape: Shape, customer_id: str, sets: int) -> list[str]:
    """What is looked up for a customer: labels that it carries, labels that it doesn't, owners of `sets`."""
    carried = "(select true from labels l where l.customer_id = {} and l.label = :{} limit 1)"
    found = [carried.format(customer_id, f"label_{n}") for n in range(int(shape.leads), shape.labels)]
    found += [f"{carried.format(customer_id, f'without_{n}')} is null" for n in range(shape.without)]
    return [*found, *(_held(customer_id, n) for n in range(sets))]


def _without_health(customer_id: str) -> str:
    return f"(select true from customers c where c.id = {customer_id} and c.health_status is null limit 1)"


def _held(customer_id: str, number: int) -> str:
    """Whether an employee of the set owns the customer.

    A scalar sub-select, for an EXISTS may be turned into a join, which reads everything for a page; "is true", for a
    bare IN may be turned into one too, and so the set is hashed once instead.
    """
    return f"""(select true from kit.customer_access a
                where a.customer_id = {customer_id} and a.valid_from <= :today and a.valid_to >= :today
                    and (a.employee_id in (select unnest(:set_{number}))) is true limit 1)"""


def order_by(shape: Shape, key: str, id_: str) -> str:
    return f"order by {key} desc, {id_} desc" if shape.descending else f"order by {key}, {id_}"


def whole(shape: Shape, sql: str) -> HotQuery:
    """The customers that `sql` (key, id) finds, in its order."""
    found = bound(shape, sql).columns(column("key"), column("id", Uuid)).subquery("page")
    order = (found.c.key.desc(), found.c.id.desc()) if shape.descending else (found.c.key, found.c.id)
    query = WHOLE.join(found, found.c.id == customers.c.id).order_by(*order)
    return HotQuery(unscoped(query, WHY))


def bound(shape: Shape, sql: str) -> TextClause:
    key = SORTS[shape.sort].kind
    kinds = {"today": Date(), "prefix": Text(), "prefix_end": Text(), "after_key": key, "end_key": key,
             "after_id": Uuid(), "end_id": Uuid(), **{f"set_{n}": IdArray() for n in range(shape.sets)},
             **{f"label_{n}": Text() for n in range(shape.labels)},
             **{f"without_{n}": Text() for n in range(shape.without)}}  # fmt: skip
    statement = text(sql)
    used = [bindparam(name, type_=kind) for name, kind in kinds.items() if name in statement._bindparams]
    return unscoped(statement.bindparams(*used), WHY)
