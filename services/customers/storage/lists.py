# ruff: noqa: S608 - texts of SQL are put together from names in this file only; values are always parameters
"""Sorted pages and capped counts of customers, whose cost does not grow with the number of customers.

Whoever sees everything walks an index of all customers (or of a tag's) in the order asked for. Whoever sees the
customers of a few employees merges these employees' own lists, reading little more than the page holds. With many
employees a piece of the walk is tried first, for most of its rows are likely in scope; where they aren't, the lists are
merged after all. So a department whose customers lie all at the far end of the order costs no more than another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from math import ceil, log2
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Text, TextClause, Uuid, bindparam, column, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import BigInteger, DateTime

from services.customers.storage.customers import WHOLE
from services.customers.storage.tables import customers
from services.shared.access import Scope, unscoped
from services.shared.access.ids import IdArray, Ids
from services.shared.db import Database, HotQuery

LAST_CHARACTER = "\U0010ffff"
LONGEST_NAME = 200
FEW_EMPLOYEES = 250
"""Up to so many employees their lists are merged at once; beyond, a bounded walk is tried first."""
WALKED_PAGES, WALKED_PAGES_OF_A_TAG = 6, 20
"""So many times the page's rows are walked at most, before the lists are merged; a rare tag is soon walked whole."""
LEAST_HEAD = 2
"""At least so many rows of each list are read."""
COUNTED = 10_000
OWNERS = 3
"""A customer has at most so many on one day: one a role."""


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
class Wanted:
    """Which customers a list is about. `owned_by`: sets of employees, of each of which one must own the customer on the
    business date `today`; no set: whoever owns it. The lists of the first set's employees are read.
    """

    today: date
    churned: bool = False
    owned_by: tuple[tuple[UUID, ...], ...] = ()
    name_prefix: str = ""
    tag: str = ""

    @classmethod
    def within(cls, scope: Scope, owners: Sequence[UUID], today: date, **more: Any) -> "Wanted":
        """Customers in `scope` that each of `owners` owns."""
        sets: list[tuple[UUID, ...]] = [(owner,) for owner in dict.fromkeys(owners)]
        if not scope.everything and not any(owner in scope.employees for owner in owners):
            sets.append(scope.employees)
        return cls(today, owned_by=tuple(sets), **more)


@dataclass(frozen=True)
class Order:
    """By what a page is sorted, which way, and after which (value, id) it begins."""

    sort: str
    descending: bool = False
    after: Sequence[Any] | None = None


@dataclass(frozen=True)
class _Shape:
    """All of a query that is not a value: a statement is made once for each shape."""

    sort: str
    descending: bool
    after: bool
    churned: bool
    prefix: bool
    tag: bool
    sets: int
    size: int
    head: int = 0
    """Rows that are read of each list at first; 0: there is one list, read as far as the page goes."""
    budget: int = 0
    """Rows that are walked at most; 0: as many as it takes."""


async def page(db: Database, wanted: Wanted, order: Order, size: int) -> Sequence[Any]:
    """Up to `size` customers, with all that customers.WHOLE has of them."""
    shape = _Shape(order.sort, order.descending, order.after is not None, wanted.churned, bool(wanted.name_prefix),
                   bool(wanted.tag), len(wanted.owned_by), size)  # fmt: skip
    values = _values(wanted)
    if order.after:
        start, edge = tuple(order.after), _edge(shape)
        if edge:
            start = (min if order.descending else max)(start, (values[edge], FIRST_ID))
        values |= {"after_key": start[0], "after_id": start[1]}
    if not wanted.owned_by:
        return await db.all(_walk(shape), **values)
    many = len(wanted.owned_by[0])
    if many > FEW_EMPLOYEES:
        walked = replace(shape, budget=size * (WALKED_PAGES_OF_A_TAG if wanted.tag else WALKED_PAGES))
        rows = await db.all(_walk(walked), **values)
        if len(rows) == size or not await db.all(_last_walked(walked), **values):
            return rows
    head = _head(size, many) if many > 1 else 0
    sort = SORTS[order.sort]
    values |= {"end_key": sort.first if order.descending else sort.last,
               "end_id": FIRST_ID if order.descending else LAST_ID}  # fmt: skip
    return await db.all(_merge(replace(shape, head=head)), **values)


def _head(size: int, lists: int) -> int:
    """Twice as many rows of each list as a page has on average; a power of two, so that there are few statements."""
    return max(LEAST_HEAD, 2 ** ceil(log2(2 * size / lists)))


async def count(connection: AsyncConnection, wanted: Wanted) -> int:
    """How many customers there are, counted up to COUNTED + 1."""
    shape = _Shape("NAME", False, False, wanted.churned, bool(wanted.name_prefix), bool(wanted.tag),
                   len(wanted.owned_by), COUNTED + 1)  # fmt: skip
    return int((await connection.execute(_count(shape), _values(wanted))).scalar_one())


def position(row: Any, sort: str) -> list[Any]:
    """The values of `row` after which its next page begins."""
    return [getattr(row, SORTS[sort].column), row.id]


def _values(wanted: Wanted) -> dict[str, Any]:
    prefix = wanted.name_prefix
    sets = {f"set_{n}": Ids.of(employees) for n, employees in enumerate(wanted.owned_by)}
    return {"today": wanted.today, "tag": wanted.tag, "prefix": prefix, "prefix_end": prefix + LAST_CHARACTER, **sets}


@lru_cache(maxsize=1000)
def _walk(shape: _Shape) -> HotQuery:
    """All customers, or a tag's, in their order; each is looked up in customer_access."""
    table, id_ = ("customer_tags", "customer_id") if shape.tag else ("customers", "id")
    held = [_held(f"s.{id_}", n) for n in range(shape.sets)]
    rows = f"select s.{SORTS[shape.sort].column} as key, s.{id_} as id"
    where = ["s.tag = :tag"] if shape.tag else []
    where += _filters(shape, id_)
    order = _order(shape, f"s.{SORTS[shape.sort].column}", f"s.{id_}")
    if not shape.budget:
        where += held
        return _whole(shape, f"{rows} from {table} s where {' and '.join(where)} {order} limit {shape.size}")
    # What is held is found out row by row, until there are enough.
    piece = f"""{rows}, {" and ".join(held)} as held from {table} s where {" and ".join(where)} {order}
                limit {shape.budget}"""
    return _whole(shape, f"select key, id from ({piece}) piece where held limit {shape.size}")


@lru_cache(maxsize=1000)
def _last_walked(shape: _Shape) -> HotQuery:
    """One row where a walk has used its budget up; none where it came to the end of the order."""
    table, id_ = ("customer_tags", "customer_id") if shape.tag else ("customers", "id")
    where = [*(["s.tag = :tag"] if shape.tag else []), *_filters(shape, id_)]
    order = _order(shape, f"s.{SORTS[shape.sort].column}", f"s.{id_}")
    rows = f"select 1 as walked from {table} s where {' and '.join(where)} {order}"
    return HotQuery(_bound(shape, f"{rows} offset {shape.budget - 1} limit 1"))


@lru_cache(maxsize=1000)
def _merge(shape: _Shape) -> HotQuery:
    """The lists of the first set's employees, merged.

    A few rows of each list are read first. The last row that a page of these would hold bounds the page: only lists
    whose rows all lie before it are read on, and only up to it.
    """
    sort = SORTS[shape.sort].column
    before, after, until = (">", "<", ">=") if shape.descending else ("<", ">", "<=")
    where = ["s.tag = :tag", "s.valid_from <= :today", "s.valid_to >= :today", *_filters(shape, "customer_id")]
    where += [_held("s.customer_id", n) for n in range(1, shape.sets)]
    order = _order(shape, f"s.{sort}", "s.customer_id")
    rows = f"select s.{sort} as key, s.customer_id as id from owned_customers s where {' and '.join(where)}"
    if not shape.head:
        return _whole(shape, f"{rows} and s.employee_id = (:set_0)[1] {order} limit {shape.size}")
    beyond = f"(s.{sort}, s.customer_id) {after} (h.key, h.id) and (s.{sort}, s.customer_id) {until} (b.key, b.id)"
    return _whole(
        shape,
        f"""
        with heads as materialized (
            select e.id as employee_id, l.key, l.id, l.n
            from unnest(:set_0) as e (id) cross join lateral (
                select key, id, row_number() over () as n
                from ({rows} and s.employee_id = e.id {order} limit {shape.head}) head
            ) l
        ), page_of_heads as materialized (
            select key, id from heads group by key, id {_order(shape, "key", "id")} limit {shape.size}
        ), bound as materialized (
            select coalesce(p.key, :end_key) as key, coalesce(p.id, :end_id) as id
            from (select 1) one left join
                (select key, id from page_of_heads {_order(shape, "key", "id")} offset {shape.size - 1}) p on true
        ), rest as (
            select l.key, l.id
            from bound b join heads h on h.n = {shape.head} and (h.key, h.id) {before} (b.key, b.id)
            cross join lateral ({rows} and s.employee_id = h.employee_id and {beyond} {order} limit {shape.size}) l
        )
        select key, id from (select key, id from page_of_heads union select key, id from rest) found
        {_order(shape, "key", "id")} limit {shape.size}
        """,
    )


@lru_cache(maxsize=1000)
def _count(shape: _Shape) -> TextClause:
    if not shape.sets:
        table, id_ = ("customer_tags", "customer_id") if shape.tag else ("customers", "id")
        where = [*(["s.tag = :tag"] if shape.tag else []), *_filters(shape, id_)]
        rows = f"select s.{id_} as id from {table} s where {' and '.join(where)} limit {shape.size}"
    else:
        where = [
            "s.employee_id = any(:set_0)",
            "s.tag = :tag",
            "s.valid_from <= :today",
            "s.valid_to >= :today",
        ]
        where += [*_filters(shape, "customer_id"), *(_held("s.customer_id", n) for n in range(1, shape.sets))]
        # So many rows of lists are of more customers than are counted.
        rows = (
            f"select s.customer_id as id from owned_customers s where {' and '.join(where)} limit {shape.size * OWNERS}"
        )
    return _bound(shape, f"select least(count(distinct id), {shape.size}) from ({rows}) found")


def _filters(shape: _Shape, id_: str) -> list[str]:
    # The end of a contract is compared with the date, never kept as a flag: a customer churns at midnight by himself.
    found = {"today": f"s.contract_end_key {'<' if shape.churned else '>='} :today"}
    if shape.prefix:
        found |= {"prefix": "s.name >= :prefix", "prefix_end": "s.name < :prefix_end"}
    if shape.after:
        # Of two bounds on one side an index is read from the first on, however far off the second is.
        found.pop(_edge(shape), "")
        before = "<" if shape.descending else ">"
        found["after"] = f"(s.{SORTS[shape.sort].column}, s.{id_}) {before} (:after_key, :after_id)"
    return list(found.values())


def _edge(shape: _Shape) -> str:
    """The value of a filter at which the order begins, "" where there is none: no page begins before it."""
    if shape.sort == "NAME" and shape.prefix:
        return "prefix_end" if shape.descending else "prefix"
    return "today" if shape.sort == "LAST_CONTRACT_END" and shape.descending == shape.churned else ""


def _held(customer_id: str, number: int) -> str:
    """Whether an employee of the set owns the customer.

    A scalar sub-select, for an EXISTS may be turned into a join, which reads everything for a page; "is true", for a
    bare IN may be turned into one too, and so the set is hashed once instead.
    """
    return f"""(select true from kit.customer_access a
                where a.customer_id = {customer_id} and a.valid_from <= :today and a.valid_to >= :today
                    and (a.employee_id in (select unnest(:set_{number}))) is true limit 1)"""


def _order(shape: _Shape, key: str, id_: str) -> str:
    return f"order by {key} desc, {id_} desc" if shape.descending else f"order by {key}, {id_}"


def _whole(shape: _Shape, sql: str) -> HotQuery:
    """The customers that `sql` (key, id) finds, in its order."""
    found = _bound(shape, sql).columns(column("key"), column("id", Uuid)).subquery("page")
    order = (found.c.key.desc(), found.c.id.desc()) if shape.descending else (found.c.key, found.c.id)
    query = WHOLE.join(found, found.c.id == customers.c.id).order_by(*order)
    return HotQuery(unscoped(query, "it reads no customers but those whose owners it looks up"))


def _bound(shape: _Shape, sql: str) -> TextClause:
    key = SORTS[shape.sort].kind
    kinds = {"today": Date(), "tag": Text(), "prefix": Text(), "prefix_end": Text(), "after_key": key, "end_key": key,
             "after_id": Uuid(), "end_id": Uuid(), **{f"set_{n}": IdArray() for n in range(shape.sets)}}  # fmt: skip
    statement = text(sql)
    used = [bindparam(name, type_=kind) for name, kind in kinds.items() if name in statement._bindparams]
    return unscoped(statement.bindparams(*used), "it reads no customers but those whose owners it looks up")
