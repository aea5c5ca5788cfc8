"""SegmentsService: customers for whom a condition holds."""

import asyncio
import time
from math import inf
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg import OperationalError as PsycopgOperationalError
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from kejing.common.v1 import condition_pb2
from kejing.customers.v1 import segments_service_pb2 as pb
from kejing.customers.v1 import segments_service_pb2_grpc
from services.customers.api.changes import look_again
from services.customers.domain.condition_fields import Known, moves
from services.customers.storage import customers, labels, lists, preview, segments
from services.customers.storage.condition_columns import Day, fields_for
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.lists import Wanted
from services.shared.clock import Clock
from services.shared.conditions import wire
from services.shared.conditions.check import check
from services.shared.conditions.tree import Condition, Reason, answer, explain, from_data, to_data
from services.shared.conditions.values import OPERATORS, written
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import AlreadyExists, Conflict, NotFound, ResourceExhausted
from services.shared.logging import get_logger
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import to_timestamp

FOUND_AT_ONCE_SECONDS = 1.5
"""So long a definition waits for its customers; the others are found after it has answered."""
LOOKED_AFTER_SECONDS = 5.0
"""So often is looked for segments that another instance left unfinished."""


class SegmentsServicer(segments_service_pb2_grpc.SegmentsServiceServicer):
    """`zone` is the business time zone."""

    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone
        self._defined = asyncio.Event()

    def _day(self) -> Day:
        return Day.of(self._clock(), self._zone)

    async def ListConditionFields(
        self, request: pb.ListConditionFieldsRequest, context: Any
    ) -> pb.ListConditionFieldsResponse:
        async with self._db.read() as read:
            fields = await fields_for(read)
        return pb.ListConditionFieldsResponse(fields=map(_field, fields.values()))

    async def CreateSegment(self, request: pb.CreateSegmentRequest, context: Any) -> pb.CreateSegmentResponse:
        condition = await self._condition(request.condition)
        async with self._db.write(request) as write:
            if write.first:
                await one_at_a_time(write)
                if await segments.is_full(write):
                    raise ResourceExhausted(
                        "TOO_MANY_SEGMENTS", f"there are {segments.MOST_SEGMENTS} segments, which is the most"
                    )
                if await segments.is_taken(write, request.name):
                    raise _exists(request.name)
                await segments.create(write, request.name, request.description, to_data(condition))
            segment_id = write.result_id
        return pb.CreateSegmentResponse(segment=await self._found(segment_id))

    async def UpdateSegment(self, request: pb.UpdateSegmentRequest, context: Any) -> pb.UpdateSegmentResponse:
        segment_id, condition = UUID(request.segment_id), await self._condition(request.condition)
        async with self._db.write(request, result_id=segment_id) as write:
            if write.first:
                await one_at_a_time(write)
                row = await segments.lock(write, segment_id)
                if row is None:
                    raise NotFound("segment", request.segment_id)
                if row.version != request.version:
                    raise Conflict("VERSION_CHANGED", f"it has version {row.version} now", version=row.version)
                if await segments.is_taken(write, request.name, segment_id):
                    raise _exists(request.name)
                data = to_data(condition)
                anew = {"condition": data, "found_until": segments.FIRST} if data != row.condition else {}
                await segments.change(write, segment_id, name=request.name, description=request.description, **anew)
        return pb.UpdateSegmentResponse(segment=await self._found(segment_id))

    async def DeleteSegment(self, request: pb.DeleteSegmentRequest, context: Any) -> pb.DeleteSegmentResponse:
        segment_id = UUID(request.segment_id)
        async with self._db.write(request, result_id=segment_id) as write:
            if write.first:
                if await segments.lock(write, segment_id) is None:
                    raise NotFound("segment", request.segment_id)
                await segments.end(write, segment_id)
        self._defined.set()
        return pb.DeleteSegmentResponse()

    async def GetSegment(self, request: pb.GetSegmentRequest, context: Any) -> pb.GetSegmentResponse:
        return pb.GetSegmentResponse(segment=_segment(await self._get(UUID(request.segment_id))))

    async def ListSegments(self, request: pb.ListSegmentsRequest, context: Any) -> pb.ListSegmentsResponse:
        after, size, today = page_start(request), page_size(request.page_size), self._day().today
        async with self._db.read() as read:
            rows = await segments.page(read, after, size + 1)
        page, more = rows[:size], len(rows) > size
        listed = []
        for row in page:
            wanted = Wanted.within(caller().scope, [], today, churned=None, labels=(labels.segment(row.id),))
            listed.append(_segment(row, min(await lists.count(self._db, wanted), lists.COUNTED)))
        token = next_page_token(request, [page[-1].name]) if more else ""
        return pb.ListSegmentsResponse(segments=listed, next_page_token=token)

    async def PreviewCondition(self, request: pb.PreviewConditionRequest, context: Any) -> pb.PreviewConditionResponse:
        condition = await self._condition(request.condition)
        found = await preview.count(self._db, caller().scope, condition, self._day())
        most = preview.COUNTED
        return pb.PreviewConditionResponse(
            customers=found.customers if found.is_estimate else min(found.customers, most),
            more=found.customers > most,
            estimated=found.is_estimate,
        )

    async def ExplainSegment(self, request: pb.ExplainSegmentRequest, context: Any) -> pb.ExplainSegmentResponse:
        day, customer_id = self._day(), UUID(request.customer_id)
        condition = from_data((await self._get(UUID(request.segment_id))).condition)
        async with self._db.read() as read:
            if not await customers.exists(read, caller().scope, customer_id):
                raise NotFound("customer", request.customer_id)
            values = await preview.values(read, caller().scope, customer_id, condition, day)
        if values is None:
            raise NotFound("customer", request.customer_id)
        return pb.ExplainSegmentResponse(
            holds=answer(condition, values, day.today, strict=True),
            reasons=map(_reason, explain(condition, values, day.today, strict=True)),
        )

    async def RefreshSegments(self, request: pb.RefreshSegmentsRequest, context: Any) -> pb.RefreshSegmentsResponse:
        start = page_start(request)
        async with self._db.transaction() as write:
            await one_at_a_time(write)
            wanted = [each for each in await segments.present(write.connection) if moves(each.condition)]
            ids = await segments.next_customers(write.connection, start[0] if start else segments.FIRST)
            changed = await look_again(write, wanted, ids) if wanted else 0
            if not changed:
                write.doing = None  # what changes nothing is nothing to the audit
        more = bool(wanted) and len(ids) == segments.AT_ONCE
        return pb.RefreshSegmentsResponse(
            changed=changed, next_page_token=next_page_token(request, [ids[-1]]) if more else ""
        )

    async def run(self) -> None:
        """Finds the customers of segments that were defined or changed, for ever. What one instance begins, any other
        goes on with: each step is a transaction.
        """
        while True:
            self._defined.clear()
            try:
                async with self._db.read() as read:
                    unfinished = await segments.unfinished(read)
                for segment_id in unfinished:
                    await self._go_on(segment_id)
            except (SQLAlchemyError, PsycopgOperationalError, OSError) as error:
                get_logger().warning("segments wait", error=type(error).__name__)
            try:
                async with asyncio.timeout(LOOKED_AFTER_SECONDS):
                    await self._defined.wait()
            except TimeoutError:
                pass

    async def _go_on(self, segment_id: UUID, seconds: float = inf) -> bool:
        """Whether all of a segment's customers are found, after so many seconds at most."""
        until = time.monotonic() + seconds
        while await self._step(segment_id):
            if time.monotonic() > until:
                return False
        return True

    async def _step(self, segment_id: UUID) -> bool:
        async with self._db.transaction(actor="machine:customers") as write:
            await one_at_a_time(write)
            return await segments.step(write, segment_id, self._day())

    async def _found(self, segment_id: UUID) -> pb.Segment:
        """The segment, after its customers were looked for a while."""
        if not await self._go_on(segment_id, FOUND_AT_ONCE_SECONDS):
            self._defined.set()
        return _segment(await self._get(segment_id))

    async def _get(self, segment_id: UUID) -> Row[Any]:
        async with self._db.read() as read:
            row = await segments.get(read, segment_id)
        if row is None:
            raise NotFound("segment", str(segment_id))
        return row

    async def _condition(self, message: condition_pb2.Condition) -> Condition:
        """The condition. Raises InvalidArgument (CONDITION_…) where it can't be meant."""
        keys = {asked.field for asked in _comparisons(message)}
        async with self._db.read() as read:
            fields = {key: known.field for key, known in (await fields_for(read, keys)).items()}
        condition = wire.from_proto(message, fields, "condition")
        check(condition, fields, "condition", strict=True)
        return condition


def _comparisons(message: condition_pb2.Condition) -> list[condition_pb2.Comparison]:
    match message.WhichOneof("kind"):
        case "comparison":
            return [message.comparison]
        case "negated":
            return _comparisons(message.negated)
    parts = message.all if message.HasField("all") else message.any
    return [asked for part in parts.conditions for asked in _comparisons(part)]


def _field(known: Known) -> pb.ConditionField:
    return pb.ConditionField(
        key=known.field.key,
        label=known.label,
        type=wire.field_type(known.field.type),
        operators=map(wire.operator_number, OPERATORS[known.field.type]),
        options=known.field.options,
    )


def _segment(row: Row[Any], counted: int = 0) -> pb.Segment:
    return pb.Segment(
        id=str(row.id),
        name=row.name,
        description=row.description,
        condition=wire.to_proto(from_data(row.condition)),
        customers=counted,
        ready=row.found_until is None,
        created_by=row.created_by,
        created_at=to_timestamp(row.created_at),
        version=row.version,
    )


def _reason(reason: Reason) -> pb.Reason:
    return pb.Reason(
        comparison=wire.comparison_to_proto(reason.comparison),
        value="" if reason.value is None else written(reason.value),
        holds=reason.holds,
        decisive=reason.decisive,
    )


def _exists(name: str) -> AlreadyExists:
    return AlreadyExists("SEGMENT_EXISTS", f"there is a segment {name!r} already", name=name)
