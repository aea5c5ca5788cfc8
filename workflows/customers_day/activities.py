"""The steps of a day, each a call to the customers service that may be repeated."""

from datetime import date

from google.type.date_pb2 import Date
from temporalio import activity

from kejing.customers.v1 import days_service_pb2 as pb
from kejing.customers.v1 import segments_service_pb2
from workflows.clients import STEP_SECONDS, Clients, ask, beating
from workflows.customers_day.types import PartDone


class CustomersDayActivities:
    def __init__(self, clients: Clients) -> None:
        self._days = clients.days
        self._segments = clients.segments

    @activity.defn
    async def list_undone_days(self) -> list[str]:
        """Business dates until today that nobody finished, the oldest first."""
        answer = await ask(self._days.ListUndoneDays(pb.ListUndoneDaysRequest()))
        return [date(day.year, day.month, day.day).isoformat() for day in answer.days]

    @activity.defn
    async def notice_churn(self, day: str, page_token: str) -> PartDone:
        """Notices some of the customers who churned on the day."""
        request = pb.NoticeChurnRequest(date=_date(day), page_token=page_token)
        answer = await ask(beating(self._days.NoticeChurn(request, timeout=STEP_SECONDS)))
        return PartDone(answer.noticed, answer.next_page_token)

    @activity.defn
    async def refresh_segments(self, page_token: str) -> PartDone:
        """Looks at some of the customers in segments that speak of today."""
        request = segments_service_pb2.RefreshSegmentsRequest(page_token=page_token)
        answer = await ask(beating(self._segments.RefreshSegments(request, timeout=STEP_SECONDS)))
        return PartDone(answer.changed, answer.next_page_token)

    @activity.defn
    async def finish_day(self, day: str) -> None:
        """Says that everything of the day is done."""
        await ask(self._days.FinishDay(pb.FinishDayRequest(date=_date(day))))


def _date(day: str) -> Date:
    told = date.fromisoformat(day)
    return Date(year=told.year, month=told.month, day=told.day)
