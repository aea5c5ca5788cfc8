"""How many customers a filter leaves, about: by that a list decides where it begins to read."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Text, bindparam, text

from services.shared.access import unscoped
from services.shared.db import Database, HotQuery

MANY = 20_000
"""Counted so far at most; what is more frequent is found soon wherever one looks."""
FEW = 5_000
"""So many are gathered and sorted; more are met in any order soon enough."""
REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 10_000
WHY = "it tells no more than about how many there are"


def _count(rows: str, **kinds: Any) -> HotQuery:
    counted = text(f"select count(*) as n from ({rows} limit {MANY}) found").bindparams(  # noqa: S608 - own words only
        *(bindparam(name, type_=kind) for name, kind in kinds.items())
    )
    return HotQuery(unscoped(counted, WHY))


_LABEL = _count("select 1 from labels where label = :label", label=Text())
_LABEL_OF_MANY = HotQuery(
    unscoped(
        text("""
            select coalesce(max(found.share) * (
                select greatest(reltuples, 0) from pg_class where oid = 'public.labels'::regclass), 0)::bigint as n
            from pg_stats, unnest(most_common_vals::text::text[], most_common_freqs) found (label, share)
            where schemaname = 'public' and tablename = 'labels' and attname = 'label' and found.label = :label
        """).bindparams(bindparam("label", type_=Text())),
        WHY,
    )
)
_PREFIX = _count(
    "select 1 from customers where name >= :prefix and name < :prefix_end", prefix=Text(), prefix_end=Text()
)
_WITHOUT_HEALTH = _count("select 1 from customers where health_status is null")
_WORLD = HotQuery(
    unscoped(
        text("""
            select (select greatest(reltuples, 1) from pg_class where oid = 'public.customers'::regclass) as customers,
                   (select greatest(reltuples, 1) from pg_class where oid = 'kit.customer_access'::regclass)
                   / (select greatest(reltuples, 1) from pg_class where oid = 'kit.employees'::regclass) as owned
        """),
        WHY,
    )
)


@dataclass(frozen=True)
class World:
    """How many customers there are in all, and how many an employee owns on average, by Postgres' statistics."""

    customers: float
    owned: float

    def share(self, count: float) -> float:
        """The part of all customers that `count` of them are, above 0 and at most 1."""
        return min(1.0, max(count, 1) / max(self.customers, count, 1))

    def owned_by(self, employees: int) -> float:
        """About how many customers so many employees own."""
        return min(self.customers, employees * self.owned)


async def world(db: Database) -> World:
    async def read() -> World:
        row: Any = await db.one(_WORLD)
        return World(row.customers, row.owned)

    found: World = await _remembered(db, ("world", ""), read)
    return found


async def of_label(db: Database, label: str) -> int:
    """Customers that carry it: counted up to MANY, beyond by Postgres' statistics."""
    counted = await _counted(db, ("label", label), _LABEL, label=label)
    return counted if counted < MANY else max(counted, await _counted(db, ("many", label), _LABEL_OF_MANY, label=label))


async def of_prefix(db: Database, prefix: str, end: str) -> int:
    """Customers whose names begin so, at most MANY."""
    return await _counted(db, ("prefix", prefix), _PREFIX, prefix=prefix, prefix_end=end)


async def without_health(db: Database) -> int:
    """Customers whose health was never computed, at most MANY."""
    return await _counted(db, ("without health", ""), _WITHOUT_HEALTH)


async def _counted(db: Database, what: tuple[str, str], query: HotQuery, **values: str) -> int:
    async def read() -> int:
        row: Any = await db.one(query, **values)
        return int(row.n)

    found: int = await _remembered(db, what, read)
    return found


_KNOWN: WeakKeyDictionary[Database, dict[tuple[str, str], tuple[float, Any]]] = WeakKeyDictionary()
"""What was found, and when: what is stale costs time, never truth."""


async def _remembered(db: Database, what: tuple[str, str], read: Callable[[], Awaitable[Any]]) -> Any:
    of_db, now = _KNOWN.setdefault(db, {}), time.monotonic()
    known = of_db.get(what)
    if known and now - known[0] < REMEMBERED_SECONDS:
        return known[1]
    if len(of_db) >= MOST_REMEMBERED:
        of_db.clear()
    found = await read()
    of_db[what] = now, found
    return found
