"""RevenueService: monthly recurring revenue, and the orders behind it."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import grpc

from kejing.revenue.v1 import revenue_service_pb2 as pb
from kejing.revenue.v1 import revenue_service_pb2_grpc
from services.revenue.api.wire import from_amount, to_month
from services.revenue.domain.term import add_months, months_between
from services.revenue.storage import customers, mrr, orders
from services.shared.access.known_customers import Ensure
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import InvalidArgument, NotFound
from services.shared.rpc.caller import caller

MOST_MONTHS = 60


class RevenueServicer(revenue_service_pb2_grpc.RevenueServiceServicer):
    def __init__(self, db: Database, ensure: Ensure) -> None:
        self._db = db
        self._ensure = ensure

    async def GetMrr(self, request: pb.GetMrrRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.GetMrrResponse:
        month = to_month("month", request.month)
        customer_id = await self._customer(request.customer_id)
        async with self._db.read() as read:
            rows = await mrr.totals(read, caller().scope, month, month, customer_id)
        return pb.GetMrrResponse(mrr=pb.MonthMrr(month=request.month, totals=map(_to_total, rows)))

    async def ListMrr(
        self, request: pb.ListMrrRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListMrrResponse:
        first, last = to_month("from_month", request.from_month), to_month("to_month", request.to_month)
        count = months_between(first, last) + 1
        if not 1 <= count <= MOST_MONTHS:
            allowed = f"it must lie 0 to {MOST_MONTHS - 1} months after from_month, {request.from_month}"
            raise InvalidArgument("to_month", request.to_month, allowed)
        customer_id = await self._customer(request.customer_id)
        async with self._db.read() as read:
            rows = await mrr.totals(read, caller().scope, first, last, customer_id)
        months = {
            f"{add_months(first, n):%Y-%m}": pb.MonthMrr(month=f"{add_months(first, n):%Y-%m}") for n in range(count)
        }
        for row in rows:
            months[f"{row.month:%Y-%m}"].totals.append(_to_total(row))
        return pb.ListMrrResponse(months=months.values())

    async def GetSignedAmount(
        self, request: pb.GetSignedAmountRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetSignedAmountResponse:
        customer_id = await self._customer(request.customer_id)
        async with self._db.read() as read:
            rows = await orders.signed_amount(read, caller().scope, request.year, customer_id)
        return pb.GetSignedAmountResponse(totals=[from_amount(row.amount, row.currency) for row in rows])

    async def GetMrrBreakdown(
        self, request: pb.GetMrrBreakdownRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetMrrBreakdownResponse:
        limit = page_size(request.page_size)
        start = page_start(request)
        customer_id = await self._customer(request.customer_id)
        async with self._db.read() as read:
            rows = await mrr.breakdown(
                read,
                caller().scope,
                to_month("month", request.month),
                customer_id,
                limit=limit + 1,
                after=(start[0], Decimal(start[1]), start[2]) if start else None,
            )
        answer = pb.GetMrrBreakdownResponse()
        for row in rows[:limit]:
            answer.orders.add(
                order_id=str(row.id),
                number=row.number,
                customer_id=str(row.customer_id),
                product=row.product,
                mrr=from_amount(row.mrr, row.currency),
                month_of_term=row.month_of_term,
                months_in_term=row.months_in_term,
            )
        if len(rows) > limit:
            last = rows[limit - 1]
            answer.next_page_token = next_page_token(request, (last.currency, last.mrr, last.id))
        return answer

    async def _customer(self, customer_id: str) -> UUID | None:
        """The customer that figures are asked of; None where it is all in scope. Raises NotFound."""
        if not customer_id:
            return None
        asked = UUID(customer_id)
        async with self._db.read() as read:
            seen = await customers.is_in_scope(read, caller().scope, asked)
        if not seen and await self._ensure([asked]):
            async with self._db.read() as read:
                seen = await customers.is_in_scope(read, caller().scope, asked)
        if not seen:
            raise NotFound("customer", customer_id)
        return asked


def _to_total(row: Any) -> pb.CurrencyMrr:
    return pb.CurrencyMrr(mrr=from_amount(row.mrr, row.currency), orders=row.orders, customers=row.customers)
