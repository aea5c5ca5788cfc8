"""What other services told last of their tasks, processes, orders, and of customers' health."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.shared.access import unscoped
from services.shared.db import Write


@dataclass(frozen=True)
class Told:
    """What an event tells of an object, and as the how-manieth of its versions. `facts`: codes, ids and numbers."""

    object_id: str
    customer_id: UUID
    version: int
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Before:
    """What was told of an object before; no facts and no customer where it was not known."""

    customer_id: UUID | None
    facts: Mapping[str, str] | None


_LOCK = text("select pg_advisory_xact_lock(hashtext('kejing timeline objects'))")
_NEWER = unscoped(
    text("""
        with told as (
            select * from jsonb_to_recordset(cast(:told as jsonb))
                as t(object_id text, customer_id uuid, version bigint, facts jsonb)
        ), before as materialized (
            select o.object_id, o.customer_id, o.facts from timeline_objects o join told using (object_id)
            where o.kind = :kind
        ), newer as (
            insert into timeline_objects as o (kind, object_id, customer_id, version, facts)
            select :kind, object_id, customer_id, version, facts from told
            on conflict (kind, object_id) do update
                set customer_id = excluded.customer_id, version = excluded.version, facts = excluded.facts
                where o.version < excluded.version
            returning object_id
        )
        select object_id, before.customer_id, before.facts from newer left join before using (object_id)
    """),
    "another service tells of its own",
)


async def newer(write: Write, kind: str, told: Sequence[Told]) -> Mapping[str, Before]:
    """Remembers what is newer than the known; answers for that, by object, what was known before.

    kind: a TimelineKind without its prefix. One event at a time, so that each is compared with the one before it.
    """
    latest: dict[str, Told] = {}
    for each in sorted(told, key=lambda each: each.version):
        latest[each.object_id] = each
    await write.execute(_LOCK)
    rows: list[dict[str, Any]] = [
        {"object_id": each.object_id, "customer_id": str(each.customer_id), "version": each.version,
         "facts": dict(each.facts)} for each in latest.values()
    ]  # fmt: skip
    found = await write.execute(_NEWER, {"kind": kind, "told": json.dumps(rows)})
    return {row.object_id: Before(row.customer_id, row.facts) for row in found}
