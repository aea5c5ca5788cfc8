"""MetricsService: usage comes in, figures and the catalogue of metrics go out."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from kejing.health.v1 import metrics_service_pb2 as pb
from kejing.health.v1 import metrics_service_pb2_grpc, usage_pb2
from services.health.api.customers import CustomersInScope
from services.health.api.usage_rows import day_figures, key_of, told
from services.health.api.wire import to_decimal
from services.health.domain.metrics import METRICS
from services.health.storage import customers, usage
from services.health.storage.tables import FIGURES
from services.health.storage.usage import LATEST_DAYS
from services.shared.clock import Clock, business_date
from services.shared.db import Database
from services.shared.errors import InvalidArgument, Violation
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import from_date, to_date

MAX_DAYS = 400
MAX_REJECTIONS = 1000


class MetricsServicer(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo, customers_in_scope: CustomersInScope) -> None:
        self._db = db
        self._customers = customers_in_scope
        self._clock = clock
        self._zone = zone

    async def IngestUsage(self, requests: AsyncIterator[pb.IngestUsageRequest], context: Any) -> pb.IngestUsageResponse:
        answer = pb.IngestUsageResponse()
        async for batch in requests:
            await self._take(batch, answer)
        return answer

    async def _take(self, batch: pb.IngestUsageRequest, answer: pb.IngestUsageResponse) -> None:
        """Commits one batch and adds what became of its rows to `answer`."""
        today = business_date(self._clock(), self._zone)
        good: dict[str, tuple[date, usage_pb2.UsageRow]] = {}
        for row in batch.rows:
            try:
                day = accepted_day(row, today)
            except InvalidArgument as refusal:
                _reject(row.source_id, refusal.violations[0], refusal.message, answer)
            else:
                good.pop(row.source_id, None)  # the later of two counts, in its place
                good[row.source_id] = (day, row)
        if not good:
            return
        # Sent again, every row is known by its source_id: no request_id is needed.
        async with self._db.transaction(unscoped="usage is told by those alone who see every customer") as write:
            keys = [key_of(row) for _, row in good.values()]
            known = await customers.ids_by_key(write.connection, keys)
            if not known.keys() >= set(keys):
                await usage.hold_parked(write)
                known = await customers.ids_by_key(write.connection, keys)
            rows = [day_figures(row, day, known[key_of(row)]) for day, row in good.values() if key_of(row) in known]
            waiting = [row for _, row in good.values() if key_of(row) not in known]
            written = await usage.take(write, batch.source, rows) if rows else 0
            if waiting:
                parcels = [(row.source_id, key_of(row), row.SerializeToString(deterministic=True)) for row in waiting]
                await usage.park(write, batch.source, parcels)
        answer.written += written
        answer.unchanged += len(rows) - written
        answer.parked += len(waiting)

    async def GetUsage(self, request: pb.GetUsageRequest, context: Any) -> pb.GetUsageResponse:
        today = business_date(self._clock(), self._zone)
        last = from_date("last_day", request.last_day) if request.HasField("last_day") else today
        default = date.fromordinal(max(1, last.toordinal() - LATEST_DAYS + 1))
        first = from_date("first_day", request.first_day) if request.HasField("first_day") else default
        if not 0 <= (last - first).days <= MAX_DAYS:
            raise InvalidArgument("last_day", str(last), f"it must be 0 to {MAX_DAYS} days after first_day ({first})")
        customer_id = UUID(request.customer_id)
        await self._customers.require(customer_id)
        async with self._db.read() as read:
            rows = await usage.days(read, caller().scope, customer_id, first, last)
        return pb.GetUsageResponse(days=[_to_daily_usage(row) for row in rows])

    async def ListMetrics(self, request: pb.ListMetricsRequest, context: Any) -> pb.ListMetricsResponse:
        catalogue = [
            usage_pb2.Metric(
                key=key,
                description=metric.description,
                unit=metric.unit,
                window_days=metric.window_days,
                whole=metric.field.whole,
                minimum=to_decimal(metric.field.minimum),
                maximum=to_decimal(metric.field.maximum),
            )
            for key, metric in METRICS.items()
        ]
        return pb.ListMetricsResponse(metrics=catalogue)


def accepted_day(row: usage_pb2.UsageRow, today: date) -> date:
    """The row's day. Raises InvalidArgument for a day in the future, too far back, or that never was."""
    day = from_date("day", row.day)
    earliest = today - timedelta(days=LATEST_DAYS)
    if not earliest <= day <= today:
        raise InvalidArgument("day", str(day), f"it must lie from {earliest} to {today}")
    if not told(row):
        raise InvalidArgument("figures", "", "at least one figure must be set")
    return day


def _reject(source_id: str, violation: Violation, message: str, answer: pb.IngestUsageResponse) -> None:
    answer.rejected += 1
    if len(answer.rejections) < MAX_REJECTIONS:
        answer.rejections.add(source_id=source_id, field=violation.field, description=message)


def _to_daily_usage(row: Row[Any]) -> usage_pb2.DailyUsage:
    figures = usage_pb2.UsageFigures(**{figure: getattr(row, figure) for figure in FIGURES})
    return usage_pb2.DailyUsage(day=to_date(row.day), figures=figures)
