"""TimelineService: what happened at a customer, and how it was at any date."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kejing.common.v1 import permission_pb2
from kejing.customers.v1 import timeline_service_pb2 as pb
from kejing.customers.v1 import timeline_service_pb2_grpc
from services.customers.api.compare import Comparison
from services.customers.api.peers import Peers
from services.customers.storage import timeline
from services.customers.storage.timeline import Wanted
from services.shared.clock import Clock, business_date, end_of_day, start_of_day
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import InvalidArgument, NotFound
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import from_date, put_timestamp

KIND, ORIGIN = "TIMELINE_KIND_", "TIMELINE_ORIGIN_"
NEEDED = {
    pb.TIMELINE_KIND_TASK: permission_pb2.PERMISSION_TASKS_READ,
    pb.TIMELINE_KIND_FOLLOW_UP: permission_pb2.PERMISSION_TASKS_READ,
    pb.TIMELINE_KIND_PROCESS: permission_pb2.PERMISSION_TASKS_READ,
    pb.TIMELINE_KIND_HEALTH: permission_pb2.PERMISSION_HEALTH_READ,
    pb.TIMELINE_KIND_CONTRACT: permission_pb2.PERMISSION_REVENUE_READ,
}
"""Permissions beyond the rpc's own."""


class TimelineServicer(timeline_service_pb2_grpc.TimelineServiceServicer):
    """`zone` is the business time zone: dates are its dates."""

    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo, peers: Peers) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone
        self._peers = peers

    async def ListTimeline(self, request: pb.ListTimelineRequest, context: Any) -> pb.ListTimelineResponse:
        customer_id, size, start = UUID(request.customer_id), page_size(request.page_size), page_start(request)
        wanted = self._wanted(request)
        async with self._db.read() as read:
            created_at = await timeline.created_at(read, caller().scope, customer_id)
        if created_at is None:
            raise NotFound("customer", request.customer_id)
        before = (start[0], start[1]) if start else None
        rows = await timeline.page(self._db, customer_id, wanted, before, size + 1)
        answer = pb.ListTimelineResponse(entries=map(to_entry, rows[:size]))
        is_created_shown = wanted.holds("CREATED", created_at)
        if len(rows) > size or (len(rows) == size and is_created_shown):
            last = rows[size - 1]
            answer.next_page_token = next_page_token(request, [last.oldest, last.oldest_id])
        elif is_created_shown:
            answer.entries.append(created(customer_id, created_at))
        return answer

    async def CompareDates(self, request: pb.CompareDatesRequest, context: Any) -> pb.CompareDatesResponse:
        first, second = from_date("first", request.first), from_date("second", request.second)
        today = business_date(self._clock(), self._zone)
        comparison = Comparison(self._db, self._peers, self._zone)
        return await comparison.run(UUID(request.customer_id), first, second, today)

    def _wanted(self, request: pb.ListTimelineRequest) -> Wanted:
        since, until = timeline.EVER, timeline.NEVER
        first = getattr(request, "from")
        if request.HasField("from"):
            since = start_of_day(from_date("from", first), self._zone)
        if request.HasField("to"):
            last = from_date("to", request.to)
            until = end_of_day(last, self._zone)
            if until <= since:
                raise InvalidArgument("to", last.isoformat(), f"it must not be before from, {from_date('from', first)}")
        return Wanted(shown_kinds(request.kinds), since, until, request.unfolded)


def shown_kinds(chosen: Sequence[pb.TimelineKind.ValueType] = ()) -> tuple[str, ...]:
    """Wanted.kinds: those of the chosen kinds (none: all) whose entries the caller may see. What another service told
    takes the permission that it takes there.
    """
    hidden = {kind for kind, permission in NEEDED.items() if not caller().holds(permission)}
    if not hidden and not chosen:
        return ()
    kinds = {*(chosen or pb.TimelineKind.values()[1:])} - hidden
    return tuple(pb.TimelineKind.Name(kind).removeprefix(KIND) for kind in sorted(kinds)) or ("NONE",)


def to_entry(row: Any) -> pb.TimelineEntry:
    """A row of timeline.page on the wire."""
    entry = pb.TimelineEntry(
        id=str(row.id),
        kind=pb.TimelineKind.Value(KIND + row.kind),
        origin=pb.TimelineOrigin.Value(ORIGIN + row.origin),
        actor=row.actor,
        object_id=row.object_id,
        what=row.what,
        facts=row.facts,
        changes=[
            pb.FieldChange(field=field, before=before, after=after)
            for field, (before, after) in sorted(row.changes.items())
        ],
        folded=row.entries,
        folded_kinds=[pb.TimelineKind.Value(KIND + kind) for kind in row.kinds] if row.entries > 1 else (),
    )
    put_timestamp(entry.occurred_at, row.occurred_at)
    return entry


def created(customer_id: UUID, created_at: datetime) -> pb.TimelineEntry:
    """The entry that ends every timeline. Customers come by imports only."""
    entry = pb.TimelineEntry(
        id=str(customer_id), kind=pb.TIMELINE_KIND_CREATED, origin=pb.TIMELINE_ORIGIN_SYNC, what="created", folded=1
    )
    put_timestamp(entry.occurred_at, created_at)
    return entry
