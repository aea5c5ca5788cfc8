"""CompareDates: a customer as it was at the end of two business dates."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import grpc
from google.type.money_pb2 import Money
from sqlalchemy import Row

from kejing.customers.v1 import timeline_service_pb2 as pb
from kejing.health.v1 import health_pb2, health_service_pb2, metrics_service_pb2
from kejing.revenue.v1 import revenue_service_pb2
from services.customers.api.peers import Peers
from services.customers.domain.as_of import State, Undoable, differences, undone
from services.customers.domain.fields import CUSTOMER
from services.customers.domain.owners import Ownership
from services.customers.storage import customers, timeline
from services.customers.storage.edits import text_of
from services.shared.clock import business_date, end_of_day
from services.shared.db import Database
from services.shared.errors import InvalidArgument, NotFound
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import to_date

USAGE_DAYS = 7
SUMMED = ("events", "errors", "seconds", "tickets_opened")
"""Figures that add up over days."""
LAST_KNOWN = ("active_users_14d", "urgent_tickets_open")
"""Figures that stand for themselves at the end of a day."""
NOT_SHOWN = (grpc.StatusCode.PERMISSION_DENIED,)
AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.NOT_FOUND)
"""NOT_FOUND: the service hasn't heard of the customer yet, or of the scope in which the caller sees it here."""


@dataclass
class Comparison:
    """One call. `missing`: services that did not answer."""

    db: Database
    peers: Peers
    zone: ZoneInfo
    missing: set[str] = field(default_factory=set)

    async def run(self, customer_id: UUID, first: date, second: date, today: date) -> pb.CompareDatesResponse:
        """Raises NotFound, InvalidArgument (DATE_WRONG)."""
        row, since = await self._ours(customer_id, first, second, today)
        days = (first, second)
        known = await asyncio.gather(*(self._theirs(customer_id, day) for day in days))
        answers = [
            _as_of(day, _state(row, since, day, self.zone), each.without(self.missing))
            for day, each in zip(days, known, strict=True)
        ]
        return pb.CompareDatesResponse(
            first=answers[0],
            second=answers[1],
            differences=[
                pb.FieldChange(field=name, before=before, after=after)
                for name, before, after in differences(*map(_words, answers))
            ],
            missing=sorted(self.missing),
        )

    async def _ours(
        self, customer_id: UUID, first: date, second: date, today: date
    ) -> tuple[Row[Any], Sequence[Row[Any]]]:
        """The customer now, and what happened to it since the end of the first date, at one moment."""
        async with self.db.snapshot() as read:
            row = await customers.get(read, caller().scope, customer_id)
            if row is None:
                raise NotFound("customer", customer_id)
            created = business_date(row.created_at, self.zone)
            for name, day, least in (("first", first, created), ("second", second, first)):
                if not least <= day <= today:
                    allowed = f"it must lie between {least} and today, {today}"
                    raise InvalidArgument(name, day.isoformat(), allowed, "DATE_WRONG")
            return row, await timeline.undoable(read, customer_id, end_of_day(first, self.zone))

    async def _theirs(self, customer_id: UUID, day: date) -> "_Known":
        health, usage, mrr = await asyncio.gather(
            self._ask("health", self._health(customer_id, day)),
            self._ask("health", self._usage(customer_id, day)),
            self._ask("revenue", self._mrr(customer_id, day)),
        )
        return _Known(health or health_pb2.Health(), usage or {}, mrr or [])

    async def _ask(self, service: str, asked: Awaitable[Any]) -> Any:
        """The answer, or None where the service is down or the caller may not see what it knows."""
        try:
            return await asked
        except grpc.aio.AioRpcError as error:
            if error.code() in AWAY:
                self.missing.add(service)
            elif error.code() not in NOT_SHOWN:
                raise
            return None

    async def _health(self, customer_id: UUID, day: date) -> health_pb2.Health:
        over = end_of_day(day, self.zone).timestamp()
        request = health_service_pb2.ListHealthHistoryRequest(customer_id=str(customer_id), page_size=100)
        while True:
            answer = await self.peers.health.ListHealthHistory(request)
            for week in answer.weeks:
                if week.computed_at.seconds < over:
                    return week  # type: ignore[no-any-return]
            request.page_token = answer.next_page_token
            if not request.page_token:
                return health_pb2.Health(status=health_pb2.HEALTH_STATUS_NOT_COMPUTED)

    async def _usage(self, customer_id: UUID, day: date) -> dict[str, int]:
        request = metrics_service_pb2.GetUsageRequest(
            customer_id=str(customer_id), first_day=to_date(day - timedelta(days=USAGE_DAYS - 1)), last_day=to_date(day)
        )
        days = [each.figures for each in (await self.peers.metrics.GetUsage(request)).days]
        figures: dict[str, int] = {}
        for name in SUMMED:
            if told := [getattr(each, name) for each in days if each.HasField(name)]:
                figures[name] = sum(told)
        for name in LAST_KNOWN:
            if told := [getattr(each, name) for each in days if each.HasField(name)]:
                figures[name] = told[-1]
        if told := [each.active_users for each in days if each.HasField("active_users")]:
            figures["active_days"] = sum(users > 0 for users in told)
        return figures

    async def _mrr(self, customer_id: UUID, day: date) -> list[Money]:
        request = revenue_service_pb2.GetMrrRequest(customer_id=str(customer_id), month=f"{day:%Y-%m}")
        return [total.mrr for total in (await self.peers.revenue.GetMrr(request)).mrr.totals]


@dataclass(frozen=True)
class _Known:
    """What other services know of a customer at a date; nothing where they don't say."""

    health: health_pb2.Health
    usage: Mapping[str, int]
    mrr: Sequence[Money]

    def without(self, missing: Collection[str]) -> "_Known":
        """What the services that are not `missing` say: half an answer is not to be taken for a change."""
        return _Known(
            health_pb2.Health() if "health" in missing else self.health,
            {} if "health" in missing else self.usage,
            [] if "revenue" in missing else self.mrr,
        )


def _state(row: Row[Any], since: Sequence[Row[Any]], day: date, zone: ZoneInfo) -> State:
    over = end_of_day(day, zone)
    later = (
        Undoable(each.changes, each.object_id if each.kind == "TAG" else "", each.what == timeline.PUT_ON)
        for each in since
        if each.occurred_at >= over
    )
    return undone(_present(row), later)


def _present(row: Row[Any]) -> State:
    fields = {name: text_of(row, name) for name in (*CUSTOMER, *row.attributes)}
    for owner in row.owners:
        role, employee_id, first, last = owner.split(" ")
        owned = Ownership(UUID(employee_id), date.fromisoformat(first), date.fromisoformat(last))
        fields[f"owner.{role}"] = owned.text()
    return State({name: value for name, value in fields.items() if value}, frozenset(row.tags))


def _as_of(day: date, state: State, known: _Known) -> pb.CustomerAsOf:
    return pb.CustomerAsOf(
        date=to_date(day),
        fields=state.fields,
        health_status=known.health.status,
        health_week=known.health.week,
        usage={name: str(value) for name, value in known.usage.items()},
        mrr=known.mrr,
        tags=sorted(state.tags),
    )


def _words(answer: pb.CustomerAsOf) -> dict[str, str]:
    """All that the answer says, by name."""
    health = health_pb2.HealthStatus.Name(answer.health_status).removeprefix("HEALTH_STATUS_")
    return {
        **answer.fields,
        **{f"tag.{tag}": tag for tag in answer.tags},
        **({"health": health} if answer.health_status else {}),
        **{f"usage.{name}": value for name, value in answer.usage.items()},
        **{f"mrr.{each.currency_code}": f"{each.units + Decimal(each.nanos) / 10**9:f}" for each in answer.mrr},
    }
