"""OverviewService: what all services know of a customer, gathered side by side."""

import asyncio
from collections.abc import Awaitable
from datetime import date, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import grpc
from sqlalchemy import Row

from kejing.customers.v1 import overview_service_pb2 as pb
from kejing.customers.v1 import overview_service_pb2_grpc, tags_service_pb2
from kejing.customers.v1.overview_service_pb2 import OverviewPart
from kejing.health.v1 import alerts_service_pb2, health_service_pb2, metrics_service_pb2, usage_pb2
from kejing.revenue.v1 import orders_service_pb2, revenue_service_pb2
from kejing.tasks.v1 import process_pb2, process_records_service_pb2, task_pb2, tasks_service_pb2
from services.customers.api.peers import Peers
from services.customers.api.timeline import created, shown_kinds, to_entry
from services.customers.api.wire import to_contact, to_customer
from services.customers.storage import contacts, customers, tags, timeline
from services.customers.storage.timeline import Wanted
from services.shared.clock import Clock, business_date
from services.shared.db import Database
from services.shared.errors import NotFound
from services.shared.logging import get_logger
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import put_timestamp, to_date, to_timestamp

PART_SECONDS = 1.0
"""So long a service is waited for: several times what it takes under load, and short enough for a page to open."""
CONTACTS, ENTRIES, ORDERS, TASKS, PROCESSES, ALERTS = 50, 20, 20, 20, 20, 20
MONTHS, WEEKS, DAYS = 13, 26, 30
FIGURES = [field.name for field in usage_pb2.UsageFigures.DESCRIPTOR.fields]


class OverviewServicer(overview_service_pb2_grpc.OverviewServiceServicer):
    """`zone` is the business time zone: the year, the month and "today" are its own."""

    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo, peers: Peers) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone
        self._peers = peers

    async def GetOverview(self, request: pb.GetOverviewRequest, context: Any) -> pb.GetOverviewResponse:
        customer_id, today = UUID(request.customer_id), business_date(self._clock(), self._zone)
        async with self._db.read() as read:
            row = await customers.get(read, caller().scope, customer_id)
        if row is None:
            raise NotFound("customer", request.customer_id)
        answer = pb.GetOverviewResponse(customer=to_customer(row, today))
        if row.last_touch_at:
            put_timestamp(answer.figures.last_touch_at, row.last_touch_at)
        gathering = _Gathering(self._peers, request.customer_id, today, answer)
        await asyncio.gather(self._ours(row, answer), gathering.all())
        return answer

    async def _ours(self, row: Row[Any], answer: pb.GetOverviewResponse) -> None:
        """What this service itself knows."""
        async with self._db.read() as read:
            people = await contacts.page(read, caller().scope, row.id, None, CONTACTS)
            given = await tags.of_customer(read, caller().scope, row.id)
        answer.contacts.extend(map(to_contact, people))
        answer.tags.extend(
            tags_service_pb2.CustomerTag(tag=tag.tag, category=tag.category, weight=tag.weight, given_by=tag.given_by,
                                         given_at=to_timestamp(tag.given_at))
            for tag in given
        )  # fmt: skip
        entries = await timeline.page(self._db, row.id, Wanted(shown_kinds()), None, ENTRIES)
        answer.timeline.extend(map(to_entry, entries))
        if len(entries) < ENTRIES:
            answer.timeline.append(created(row.id, row.created_at))


class _Gathering:
    """Asks the other services about one customer and puts what they say into `answer`, part by part."""

    def __init__(self, peers: Peers, customer_id: str, today: date, answer: pb.GetOverviewResponse) -> None:
        self._peers = peers
        self._customer_id = customer_id
        self._today = today
        self._answer = answer

    async def all(self) -> None:
        parts = {
            OverviewPart.OVERVIEW_PART_ORDERS: self._orders(),
            OverviewPart.OVERVIEW_PART_REVENUE: self._revenue(),
            OverviewPart.OVERVIEW_PART_TASKS: self._tasks(),
            OverviewPart.OVERVIEW_PART_PROCESSES: self._processes(),
            OverviewPart.OVERVIEW_PART_HEALTH: self._health(),
            OverviewPart.OVERVIEW_PART_USAGE: self._usage(),
            OverviewPart.OVERVIEW_PART_ALERTS: self._alerts(),
        }
        refusals = await asyncio.gather(*(_refusal(part) for part in parts.values()))
        for part, refusal in zip(parts, refusals, strict=True):
            if refusal is grpc.StatusCode.PERMISSION_DENIED:
                self._answer.not_permitted.append(part)
            elif refusal:
                get_logger().info("a part of an overview is missing", part=part, status=refusal.name)
                self._answer.missing.append(part)

    async def _orders(self) -> None:
        asked = orders_service_pb2.ListOrdersRequest(customer_id=self._customer_id, page_size=ORDERS)
        self._answer.orders.extend((await self._peers.orders.ListOrders(asked, timeout=PART_SECONDS)).orders)

    async def _revenue(self) -> None:
        months = self._today.year * 12 + self._today.month - MONTHS
        asked = revenue_service_pb2.ListMrrRequest(
            customer_id=self._customer_id,
            from_month=f"{months // 12}-{months % 12 + 1:02}",
            to_month=f"{self._today:%Y-%m}",
        )
        year = revenue_service_pb2.GetSignedAmountRequest(customer_id=self._customer_id, year=self._today.year)
        mrr, signed = await asyncio.gather(
            self._peers.revenue.ListMrr(asked, timeout=PART_SECONDS),
            self._peers.revenue.GetSignedAmount(year, timeout=PART_SECONDS),
        )
        self._answer.mrr.extend(mrr.months)
        self._answer.figures.mrr.extend(total.mrr for total in mrr.months[-1].totals)
        self._answer.figures.amount_this_year.extend(signed.totals)

    async def _tasks(self) -> None:
        asked = tasks_service_pb2.ListTasksRequest(
            customer_id=self._customer_id,
            states=[task_pb2.TASK_STATE_TODO, task_pb2.TASK_STATE_IN_PROGRESS],
            page_size=TASKS,
        )
        counted = tasks_service_pb2.GetOpenWorkRequest(customer_id=self._customer_id)
        found, work = await asyncio.gather(
            self._peers.tasks.ListTasks(asked, timeout=PART_SECONDS),
            self._peers.tasks.GetOpenWork(counted, timeout=PART_SECONDS),
        )
        self._answer.tasks.extend(found.tasks)
        self._answer.figures.open_tasks = work.open_tasks
        self._answer.figures.overdue_tasks = work.overdue_tasks
        self._answer.figures.running_processes = work.running_processes

    async def _processes(self) -> None:
        asked = process_records_service_pb2.ListProcessesRequest(
            customer_id=self._customer_id,
            states=[process_pb2.PROCESS_STATE_RUNNING, process_pb2.PROCESS_STATE_PAUSED],
            page_size=PROCESSES,
        )
        found = await self._peers.processes.ListProcesses(asked, timeout=PART_SECONDS)
        self._answer.processes.extend(found.processes)

    async def _health(self) -> None:
        asked = health_service_pb2.ListHealthHistoryRequest(customer_id=self._customer_id, page_size=WEEKS)
        weeks = (await self._peers.health.ListHealthHistory(asked, timeout=PART_SECONDS)).weeks
        self._answer.health_weeks.extend(weeks)
        if weeks:
            self._answer.health.CopyFrom(weeks[0])

    async def _usage(self) -> None:
        asked = metrics_service_pb2.GetUsageRequest(
            customer_id=self._customer_id,
            first_day=to_date(self._today - timedelta(days=DAYS - 1)),
            last_day=to_date(self._today),
        )
        days = (await self._peers.metrics.GetUsage(asked, timeout=PART_SECONDS)).days
        for figure in FIGURES:
            points = [
                pb.UsagePoint(
                    date=f"{each.day.year:04}-{each.day.month:02}-{each.day.day:02}",
                    value=str(getattr(each.figures, figure)),
                )
                for each in days
                if each.figures.HasField(figure)
            ]
            if points:
                self._answer.usage.add(metric=figure, points=points)

    async def _alerts(self) -> None:
        asked = alerts_service_pb2.ListAlertsRequest(customer_id=self._customer_id, open_only=True, page_size=ALERTS)
        self._answer.alerts.extend((await self._peers.alerts.ListAlerts(asked, timeout=PART_SECONDS)).alerts)


async def _refusal(part: Awaitable[None]) -> grpc.StatusCode | None:
    """Why a part couldn't be told; None where it was."""
    try:
        await part
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None
