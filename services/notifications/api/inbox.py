"""InboxService: everybody's own inbox, and the delivery of alerts."""

import json
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row

from kejing.notifications.v1 import inbox_pb2, inbox_service_pb2_grpc
from kejing.notifications.v1 import inbox_service_pb2 as pb
from services.notifications.storage import inbox, recipients
from services.shared.access import Scope
from services.shared.access.directory import Grants
from services.shared.clock import Clock, business_date
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import NotFound, PermissionDenied, Unauthenticated, Unavailable
from services.shared.rpc.caller import caller


class InboxServicer(inbox_service_pb2_grpc.InboxServiceServicer):
    """`grants`: what the colleagues may for whom the caller stands in."""

    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo, grants: Grants) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone
        self._grants = grants

    async def ListInbox(self, request: pb.ListInboxRequest, context: Any) -> pb.ListInboxResponse:
        size = page_size(request.page_size)
        reader = await self._reader()
        async with self._db.read() as read:
            rows = await inbox.page(read, reader, request.unread_only, page_start(request), size + 1)
        answer = pb.ListInboxResponse(items=[to_item(row) for row in rows[:size]])
        if len(rows) > size:
            last = rows[size - 1]
            answer.next_page_token = next_page_token(request, [last.created_at, last.id])
        return answer

    async def MarkRead(self, request: pb.MarkReadRequest, context: Any) -> pb.MarkReadResponse:
        ids = [UUID(item_id) for item_id in request.item_ids]
        reader = await self._reader()
        async with self._db.write(request) as write:
            if write.first:
                await inbox.mark_read(write, (await inbox.of(write.connection, reader, ids)).keys())
            if write.doing:
                write.doing.object_id = request.item_ids[0] if len(ids) == 1 else ""
            rows = await inbox.of(write.connection, reader, ids)
            for item_id in ids:
                if item_id not in rows:
                    raise NotFound("inbox item", item_id)
        return pb.MarkReadResponse(items=[to_item(rows[item_id]) for item_id in ids])

    async def CountUnread(self, request: pb.CountUnreadRequest, context: Any) -> pb.CountUnreadResponse:
        reader = await self._reader()
        async with self._db.read() as read:
            unread = await inbox.count_unread(read, reader)
        return pb.CountUnreadResponse(unread=unread)

    async def DeliverAlerts(self, request: pb.DeliverAlertsRequest, context: Any) -> pb.DeliverAlertsResponse:
        alerts = [(UUID(alert.alert_id), UUID(alert.customer_id), json.dumps(dict(alert.facts), sort_keys=True))
                  for alert in request.alerts]  # fmt: skip
        versions: dict[UUID, int] = {}
        for alert, (_, customer, _) in zip(request.alerts, alerts, strict=True):
            versions[customer] = max(alert.customer_version, versions.get(customer, 0))
        async with self._db.transaction(unscoped="alerts go to the owners of every customer") as write:
            unknown = await recipients.unknown_customers(write.connection, versions)
            known = [alert for alert in alerts if alert[1] not in unknown]
            delivered = await inbox.deliver_alerts(write, known, business_date(write.now, self._zone))
        if unknown:
            # their owners are on the way; what could be delivered is, and is not delivered again
            raise Unavailable("CUSTOMERS_NOT_KNOWN_YET", f"{len(unknown)} customers are not known yet; try again")
        return pb.DeliverAlertsResponse(delivered=delivered)

    async def _reader(self) -> inbox.Reader:
        """Whose inbox the caller reads. What somebody sees as a deputy, his own deputy doesn't."""
        me = caller()
        absent: dict[UUID, Scope] = {}
        if not me.acting_for and not me.scope.everything:
            async with self._db.read() as read:
                today = business_date(self._clock(), self._zone)
                colleagues = await recipients.absent_colleagues(read, me.employee_id, today)
            for colleague in colleagues:
                with suppress(Unauthenticated, PermissionDenied):  # he has left, or is back
                    absent[colleague] = (await self._grants.of(me, str(colleague))).scope
        return inbox.Reader(me.employee_id, me.scope, absent)


def to_item(row: Row[Any]) -> inbox_pb2.InboxItem:
    late_by = Duration()
    late_by.FromTimedelta(row.late_by)
    return inbox_pb2.InboxItem(
        id=str(row.id),
        kind=inbox_pb2.InboxItemKind.Value(f"INBOX_ITEM_KIND_{row.kind}"),
        customer_id=str(row.customer_id or ""),
        task_id=str(row.task_id or ""),
        alert_id=str(row.alert_id or ""),
        process_id=str(row.process_id or ""),
        facts=row.facts,
        created_at=_to_timestamp(row.created_at),
        read_at=_to_timestamp(row.read_at),
        late_by=late_by,
        on_behalf_of_id=str(row.on_behalf_of_id or ""),
    )


def _to_timestamp(instant: datetime | None) -> Timestamp | None:
    if instant is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp
