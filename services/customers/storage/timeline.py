"""The timeline: what happened at a customer, in one order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, DateTime, Integer, Text, Uuid, bindparam, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.tables import customers, timeline
from services.shared.access import Scope, unscoped
from services.shared.db import Database, HotQuery, Write
from services.shared.ids import new_id

PERSON, SYNC, SYSTEM = "PERSON", "SYNC", "SYSTEM"
PUT_ON, TAKEN_OFF = "tagged", "untagged"
"""What was done, of kind TAG."""
ENTERED, LEFT = "entered", "left"
"""What was done, of the kinds GROUP and SEGMENT."""
END_MOVED = "end_moved"
"""What was done, of kind CONTRACT, where orders move the last contract end."""


@dataclass(frozen=True)
class Change:
    """A field that changed, from what to what; "" where there was or is none. National ids are masked."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Entry:
    """Something that happened. `kind` is a TimelineKind without its prefix, `what` a word such as "created".

    By kind:
    - ATTRIBUTES: `what` "changed", `changes` the fields. How the customer was at any date is found by undoing these.
    - OWNER: `what` "changed", `object_id` the role, `changes` one of the field "owner.<role>" from and to an employee's
      id, each followed by " from <date>" and " to <date>" where the period has ends.
    - TAG: `what` PUT_ON or TAKEN_OFF, `object_id` the tag.
    - GROUP, SEGMENT: `what` ENTERED or LEFT, `object_id` the group's or segment's id.
    - CONTACT: `what` "created", "changed", "merged", "parted" …, `object_id` the contact's id, `changes` its fields.
    - CONTRACT, what END_MOVED: `changes` the field "last_contract_end", as those of ATTRIBUTES.
    - the others: `object_id` what it is about.

    `facts` are codes and numbers; what people wrote is read from its owner. `occurred_at`: the transaction's moment
    where it isn't given. `origin`: PERSON where an employee acts, SYSTEM otherwise, unless it is said (imports: SYNC).
    """

    customer_id: UUID
    kind: str
    what: str
    object_id: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    changes: Sequence[Change] = ()
    occurred_at: datetime | None = None
    origin: str = ""


async def add(write: Write, entries: Sequence[Entry]) -> None:
    """Puts entries on the timelines of their customers; the actor is the transaction's."""
    by_person = not write.actor.startswith("machine:")
    rows: list[dict[str, Any]] = [
        {
            "customer_id": entry.customer_id,
            "id": new_id(),
            "occurred_at": entry.occurred_at or write.now,
            "kind": entry.kind,
            "origin": entry.origin or (PERSON if by_person else SYSTEM),
            "actor": write.actor,
            "object_id": entry.object_id,
            "what": entry.what,
            "facts": dict(entry.facts),
            "changes": {change.field: [change.before, change.after] for change in entry.changes},
        }
        for entry in entries
    ]
    if rows:
        await write.execute(unscoped(insert(timeline), "an entry follows what was done in scope"), rows)


EVER, NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
LAST_ID = UUID(int=2**128 - 1)
IN_SCOPE = "its customer was found in scope"

# The run condition on `place` ends the walk with the page. An entry of synchronisation that follows another one
# directly gets its place, and so they are one.
_PAGE = HotQuery(
    unscoped(
        text("""
            with walked as (
                select occurred_at, id, kind, begins, ends,
                       count(*) filter (where begins)
                           over (order by occurred_at desc, id desc
                                 rows between unbounded preceding and current row) as place
                from (
                    select occurred_at, id, kind,
                           :unfolded or origin <> 'SYNC' or lag(origin, 1, '') over newest <> 'SYNC' as begins,
                           :unfolded or origin <> 'SYNC' or lead(origin, 1, '') over newest <> 'SYNC' as ends
                    from timeline
                    where customer_id = :customer_id and (occurred_at, id) < (:before, :before_id)
                          and occurred_at >= :since and occurred_at < :until
                          and (cardinality(:kinds) = 0 or kind = any(:kinds))
                    window newest as (order by occurred_at desc, id desc)
                ) marked
            ), folded as (
                select place, count(*)::integer as entries, array_agg(distinct kind) as kinds,
                       max(occurred_at) as newest, (array_agg(id) filter (where begins))[1] as newest_id,
                       min(occurred_at) as oldest, (array_agg(id) filter (where ends))[1] as oldest_id
                from walked where place <= :size group by place
            )
            select entry.*, folded.entries, folded.kinds, folded.oldest, folded.oldest_id
            from folded cross join lateral (
                select * from timeline t
                where t.customer_id = :customer_id and t.occurred_at = folded.newest and t.id = folded.newest_id limit 1
            ) entry
            order by folded.place
        """).bindparams(
            bindparam("customer_id", type_=Uuid),
            bindparam("before", type_=DateTime(timezone=True)),
            bindparam("before_id", type_=Uuid),
            bindparam("since", type_=DateTime(timezone=True)),
            bindparam("until", type_=DateTime(timezone=True)),
            bindparam("kinds", type_=ARRAY(Text)),
            bindparam("unfolded", type_=Boolean),
            bindparam("size", type_=Integer),
        ),
        IN_SCOPE,
    )
)


@dataclass(frozen=True)
class Wanted:
    """Which entries: of `kinds` (none: all), from `since` on and before `until`, one by one where `unfolded`."""

    kinds: tuple[str, ...] = ()
    since: datetime = EVER
    until: datetime = NEVER
    unfolded: bool = False

    def holds(self, kind: str, occurred_at: datetime) -> bool:
        return (not self.kinds or kind in self.kinds) and self.since <= occurred_at < self.until


async def page(
    db: Database, customer_id: UUID, wanted: Wanted, before: tuple[datetime, UUID] | None, size: int
) -> Sequence[Any]:
    """Up to `size` entries of a customer that was found in scope, older than `before` (occurred_at, id), the newest
    first. Entries of synchronisation in a row are one: the newest of them, with `entries` (their number), their
    `kinds`, and the place of the oldest of them, `oldest` and `oldest_id`.
    """
    at, id_ = before or (NEVER, LAST_ID)
    return await db.all(
        _PAGE, customer_id=customer_id, before=at, before_id=id_, since=wanted.since, until=wanted.until,
        kinds=list(wanted.kinds), unfolded=wanted.unfolded, size=size,
    )  # fmt: skip


async def created_at(read: AsyncConnection, scope: Scope, customer_id: UUID) -> datetime | None:
    """When a customer in scope came to be known; None for one that isn't in scope."""
    query = scope.limit(select(customers.c.created_at).where(customers.c.id == customer_id), customers.c.id)
    return (await read.execute(query)).scalar_one_or_none()


async def undoable(read: AsyncConnection, customer_id: UUID, since: datetime) -> Sequence[Any]:
    """What changed fields, owners and tags of a customer that was found in scope, from `since` on: (occurred_at, kind,
    what, object_id, changes), in the order in which it was done, the last first.

    That is the order of their ids, which are made while the customer is locked; moments are taken before.
    """
    done = timeline.c.kind.in_(["ATTRIBUTES", "OWNER", "TAG"])
    moved = (timeline.c.kind == "CONTRACT") & (timeline.c.what == END_MOVED)
    query = (
        select(timeline.c.occurred_at, timeline.c.kind, timeline.c.what, timeline.c.object_id, timeline.c.changes)
        .where(timeline.c.customer_id == customer_id, timeline.c.occurred_at >= since, done | moved)
        .order_by(timeline.c.id.desc())
    )
    return (await read.execute(unscoped(query, IN_SCOPE))).all()
