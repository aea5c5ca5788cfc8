"""Who asks for lists and by what they are filtered, and the shapes of bare SQL that find the same pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import psycopg

from kejing.health.v1 import health_pb2
from services.customers.storage.list_statements import SORTS
from services.shared.access.ids import Ids
from tests.benchmarks.callers import metadata
from tests.benchmarks.measure import timed
from tests.support import many_customers as many
from tests.support.many_customers import Size

SIZE = Size()
TODAY = date(2026, 11, 22)
PAGE = 50


@dataclass(frozen=True)
class Person:
    """Who asks, and the employees whose customers he sees; None: everybody's."""

    id: UUID
    employees: Ids | None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return metadata(str(self.id))


def department(level: int, number: int) -> Person:
    theirs = many.members(level, number, SIZE)
    head = many.head(level, number) if level < many.LEVELS else many.employee(next(n for n in theirs if n % 4))
    return Person(head, Ids(many.employee(n) for n in theirs))


PEOPLE = {
    "OWN": [Person(many.employee(n), Ids([many.employee(n)])) for n in (0, 40, 80, 120)],
    "level 5": [department(5, n) for n in (0, 9, 33, 77)],
    "level 4": [department(4, n) for n in (0, 1)],
    "level 3": [department(3, n) for n in (0, 1)],
    "level 2": [department(2, n) for n in (0, 1)],
    "level 1": [department(1, 0)],
    "ALL": [Person(many.sees_all(), None)],
    "level 3, newest": [department(3, many.newest(3))],
    "level 2, newest": [department(2, many.newest(2))],
}


@dataclass(frozen=True)
class Filter:
    """What a list is filtered by: as the rpc's fields, and as labels and the beginning of names."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    prefix: str = ""
    without_health: bool = False

    @classmethod
    def of_tags(cls, *tags: str) -> "Filter":
        return cls(" + ".join(tags) or "(none)", {"tags": tags}, tuple(f"t:{tag}" for tag in tags))


SEGMENT = Filter("segment", {"segment_id": str(many.SEGMENT)}, (f"s:{many.SEGMENT.hex}",))
FILTERS = [
    Filter("prefix of 4,000", {"name_prefix": "a1"}, prefix="a1"),
    Filter("prefix of 60,000", {"name_prefix": "b"}, prefix="b"),
    Filter.of_tags("some", "often"),
    Filter.of_tags("rare", "often"),
    SEGMENT,
    Filter("segment + tag", {**SEGMENT.fields, "tags": ["some"]}, (*SEGMENT.labels, "t:some")),
    Filter("group", {"group_id": str(many.GROUP)}, (f"g:{many.GROUP.hex}",)),
    Filter("at risk", {"health_status": health_pb2.HEALTH_STATUS_AT_RISK}, ("h:AT_RISK",)),
    Filter("too little data", {"health_status": health_pb2.HEALTH_STATUS_INSUFFICIENT_DATA}, ("h:INSUFFICIENT_DATA",)),
    Filter("never computed", {"health_status": health_pb2.HEALTH_STATUS_NOT_COMPUTED}, without_health=True),
]
FILTERED = ("OWN", "level 4", "level 2", "ALL", "level 3, newest")
"""Who asks with filters."""


class Bare:
    """The shapes of SQL, by psycopg, on prepared statements."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def page(self, shape: str, who: Person, sort: str, asked: Filter, after: Sequence[Any] | None) -> list[Any]:
        """`shape`: merge, walk or gather, and the label that it begins with."""
        how, _, lead = shape.partition(" ")
        column = SORTS[sort].column
        table = "owned_customers" if how == "merge" else "labels" if lead else "customers"
        id_ = "id" if table == "customers" else "customer_id"
        where = [f"contract_end_key >= '{TODAY}'", *([f"s.label = '{lead}'"] if table != "customers" else [])]
        where += [
            f"(select true from labels l where l.customer_id = s.{id_} and l.label = '{label}')"
            for label in asked.labels
            if label != lead
        ]
        valid = f"valid_from <= '{TODAY}' and valid_to >= '{TODAY}'"
        if asked.prefix:
            where.append(f"s.name >= '{asked.prefix}' and s.name < '{asked.prefix}\U0010ffff'")
        if asked.without_health:
            where.append(f"(select health_status is null from customers c where c.id = s.{id_})")
        if after:
            where.append(f"({column}, {id_}) > (%(key)s, %(id)s)")
        if how != "merge" and who.employees is not None:
            where.append(
                f"""(select true from kit.customer_access a where a.customer_id = s.{id_}
                and a.employee_id = any(%(employees)s) and {valid} limit 1)"""
            )
        rows = f"select {column} as key, {id_} as id from {table} s where {' and '.join(where)}"
        order = f"order by {column}, {id_} limit {PAGE + 1}"
        query = f"{rows} {order}"
        if how == "gather":
            query = f"with found as materialized ({rows}) select * from found order by key, id limit {PAGE + 1}"
        if how == "merge":
            query = f"""select distinct key, id from unnest(%(employees)s) e (employee)
                cross join lateral ({rows} and employee_id = employee and {valid} {order}) l
                order by key, id limit {PAGE + 1}"""
        values: dict[str, Any] = {"key": after[0], "id": after[1]} if after else {}
        if who.employees is not None:
            values["employees"] = who.employees
        return await (await self._connection.execute(query.encode(), values, prepare=True)).fetchall()

    async def best(self, who: Person, sort: str, asked: Filter, after: Sequence[Any] | None) -> str:
        """The fastest shape for this page."""
        leads = asked.labels or ("",)
        shapes = [f"walk {lead}" for lead in leads]
        if asked.prefix or asked.without_health:
            shapes.append("gather ")
        if who.employees is not None:
            shapes += [f"merge {label}" for label in ("", *asked.labels) if not label.startswith(("s:", "h:"))]
        found: dict[str, float] = {}
        for shape in shapes:
            try:
                took = [await timed(lambda: self.page(shape, who, sort, asked, after)) for _ in range(4)]  # noqa: B023
            except psycopg.errors.QueryCanceled:
                continue
            found[shape] = min(took)
        return min(found, key=found.__getitem__)

    async def middle(self, who: Person, sort: str, asked: Filter) -> list[Any]:
        """(value, id) of a customer in the middle of the list, or of that of one of the employees."""
        column = SORTS[sort].column
        label = next((label for label in asked.labels if not label.startswith(("s:", "h:"))), "")
        if who.employees is None:
            pick = f"select {column}, customer_id from owned_customers where label = '{label}' limit 1000"
        else:
            pick = f"""select {column}, customer_id from owned_customers
                       where label = '{label}' and employee_id = '{who.employees[0]}'"""
        middle = f"""select * from ({pick}) l order by 1, 2
                     offset (select count(*) / 2 from ({pick}) n) limit 1"""
        rows = await (await self._connection.execute(middle.encode())).fetchall()
        return list(rows[0]) if rows else [SORTS[sort].first, UUID(int=0)]
