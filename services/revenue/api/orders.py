"""OrdersService: entering, confirming, voiding and reading contract orders."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import grpc

from kejing.revenue.v1 import orders_service_pb2 as pb
from kejing.revenue.v1 import orders_service_pb2_grpc
from services.revenue.api.customer_facts import tell_customer_facts
from services.revenue.api.order_events import tell_orders
from services.revenue.api.order_import import OrderImport
from services.revenue.api.wire import optional_day, to_order, to_status, to_terms
from services.revenue.domain.order import Status, check, check_renewal
from services.revenue.storage import contract_ends, customers, orders
from services.shared.access.known_customers import Ensure
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from services.shared.rpc.caller import caller


class OrdersServicer(orders_service_pb2_grpc.OrdersServiceServicer):
    def __init__(self, db: Database, ensure: Ensure) -> None:
        self._db = db
        self._ensure = ensure

    async def CreateOrder(
        self, request: pb.CreateOrderRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.CreateOrderResponse:
        terms = to_terms(request)
        check(terms)
        customer_id = UUID(request.customer_id)
        renews_order_id = UUID(request.renews_order_id) if request.renews_order_id else None
        await self._ensure([customer_id])
        async with self._db.write(request) as write:
            if write.first:
                scope = caller().scope
                if not await customers.is_in_scope(write.connection, scope, customer_id):
                    raise NotFound("customer", customer_id)
                await contract_ends.hold(write, [customer_id])
                if renews_order_id is not None:
                    renewed = await orders.get(write.connection, scope, renews_order_id)
                    if renewed is None:
                        raise NotFound("order", renews_order_id)
                    check_renewal(customer_id, terms.term_start, renewed.customer_id, renewed.term_start)
                row = orders.to_row(write.result_id, customer_id, terms, renews_order_id, write.now)
                added = await orders.add(write, row)
                if added is None:
                    raise AlreadyExists("ORDER_NUMBER_TAKEN", f"there is an order {terms.number} already")
                tell_orders(write, [added])
                await tell_customer_facts(write, [customer_id])
            return pb.CreateOrderResponse(order=await self._read(write))

    async def ConfirmOrder(
        self, request: pb.ConfirmOrderRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ConfirmOrderResponse:
        order_id = UUID(request.order_id)
        async with self._db.write(request, result_id=order_id) as write:
            if write.first:
                held = await self._held(write, order_id)
                if held.status != Status.DRAFT:
                    raise FailedPrecondition(
                        "ORDER_NOT_DRAFT", f"order {held.number} is {held.status}, not a draft", status=held.status
                    )
                tell_orders(write, [await orders.set_status(write, order_id, Status.EFFECTIVE)])
                await tell_customer_facts(write, [held.customer_id])
            return pb.ConfirmOrderResponse(order=await self._read(write))

    async def VoidOrder(
        self, request: pb.VoidOrderRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.VoidOrderResponse:
        order_id = UUID(request.order_id)
        async with self._db.write(request, result_id=order_id) as write:
            if write.first:
                held = await self._held(write, order_id)
                if held.status == Status.VOID:
                    raise FailedPrecondition("ORDER_VOID", f"order {held.number} is void already")
                tell_orders(write, [await orders.set_status(write, order_id, Status.VOID, request.reason)])
                await tell_customer_facts(write, [held.customer_id])
            return pb.VoidOrderResponse(order=await self._read(write))

    async def GetOrder(
        self, request: pb.GetOrderRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetOrderResponse:
        async with self._db.read() as read:
            row = await orders.get(read, caller().scope, UUID(request.order_id))
        if row is None:
            raise NotFound("order", request.order_id)
        return pb.GetOrderResponse(order=to_order(row))

    async def ListOrders(
        self, request: pb.ListOrdersRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListOrdersResponse:
        limit = page_size(request.page_size)
        start = page_start(request)
        ends_from, ends_to = optional_day(request, "ends_from"), optional_day(request, "ends_to")
        if ends_from and ends_to and ends_to < ends_from:
            raise InvalidArgument("ends_to", ends_to.isoformat(), f"it must not be before ends_from, {ends_from}")
        async with self._db.read() as read:
            rows = await orders.page(
                read,
                caller().scope,
                limit=limit + 1,
                after=(start[0], start[1]) if start else None,
                customer_id=UUID(request.customer_id) if request.customer_id else None,
                active_on=optional_day(request, "active_on"),
                ends_from=ends_from,
                ends_to=ends_to,
                status=to_status(request.status),
            )
        answer = pb.ListOrdersResponse(orders=[to_order(row) for row in rows[:limit]])
        if len(rows) > limit:
            answer.next_page_token = next_page_token(request, (rows[limit - 1].term_start, rows[limit - 1].id))
        return answer

    async def ImportOrders(
        self, requests: AsyncIterator[pb.ImportOrdersRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ImportOrdersResponse:
        done = OrderImport(self._db)
        async for batch in requests:
            await done.take(batch)
        return done.report

    async def _held(self, write: Write, order_id: UUID) -> Any:
        """The order, with its customer held against other writers of orders. Raises NotFound."""
        scope = caller().scope
        row = await orders.get(write.connection, scope, order_id)
        if row is not None:
            await contract_ends.hold(write, [row.customer_id])
            row = await orders.locked(write, scope, order_id)  # an import may have moved it to another customer
        if row is None:
            raise NotFound("order", order_id)
        if write.doing:
            write.doing.customer_id = str(row.customer_id)
        return row

    async def _read(self, write: Write) -> Any:
        row = await orders.get(write.connection, caller().scope, write.result_id)
        if row is None:  # a repeat, and the customer has left the scope
            raise NotFound("order", write.result_id)
        return to_order(row)
