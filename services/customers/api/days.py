"""DaysService: what the turn of a business day does to customers."""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from google.type.date_pb2 import Date

from kejing.customers.v1 import days_service_pb2 as pb
from kejing.customers.v1 import days_service_pb2_grpc
from services.customers.api.churn import notice_churn
from services.customers.storage import churn
from services.customers.storage.imports import one_at_a_time
from services.shared.clock import Clock, business_date
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_start
from services.shared.errors import InvalidArgument
from services.shared.rpc.wire import from_date, to_date

DAYS_LISTED = 100
NOTICED_AT_ONCE = 500


class DaysServicer(days_service_pb2_grpc.DaysServiceServicer):
    """`zone` is the business time zone."""

    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone

    async def ListUndoneDays(self, request: pb.ListUndoneDaysRequest, context: Any) -> pb.ListUndoneDaysResponse:
        today = business_date(self._clock(), self._zone)
        async with self._db.read() as read:
            first = await churn.first_day(read)
            if first is None:
                came_at = await churn.first_customer(read)
                first = business_date(came_at, self._zone) if came_at else today + timedelta(days=1)
            done = await churn.finished(read, first)
        days = (first + timedelta(days=passed) for passed in range((today - first).days + 1))
        undone = [day for day in days if day not in done]
        return pb.ListUndoneDaysResponse(days=map(to_date, undone[:DAYS_LISTED]))

    async def NoticeChurn(self, request: pb.NoticeChurnRequest, context: Any) -> pb.NoticeChurnResponse:
        day, start = self._begun(request.date), page_start(request)
        async with self._db.transaction() as write:
            await one_at_a_time(write)
            noticed, last = await notice_churn(write, day, start[0] if start else None, NOTICED_AT_ONCE, self._zone)
            if not noticed:
                write.doing = None  # what changes nothing is nothing to the audit
        return pb.NoticeChurnResponse(noticed=noticed, next_page_token=next_page_token(request, [last]) if last else "")

    async def FinishDay(self, request: pb.FinishDayRequest, context: Any) -> pb.FinishDayResponse:
        day = self._begun(request.date)
        async with self._db.transaction() as write:
            await churn.finish(write, day)
        return pb.FinishDayResponse()

    def _begun(self, asked: Date) -> date:
        day, today = from_date("date", asked), business_date(self._clock(), self._zone)
        if day > today:
            raise InvalidArgument("date", day.isoformat(), f"it must not be after today, {today}", "DATE_WRONG")
        return day
