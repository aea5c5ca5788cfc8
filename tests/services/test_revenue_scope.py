"""Orders and revenue by gRPC: everybody sees, counts and changes exactly what belongs to his customers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sqlalchemy import select

from kejing.common.v1 import permission_pb2
from kejing.identity.v1 import (
    deputies_service_pb2,
    deputies_service_pb2_grpc,
    roles_service_pb2,
    roles_service_pb2_grpc,
)
from kejing.identity.v1.employee_pb2 import Employee
from kejing.revenue.v1 import (
    order_pb2,
    orders_service_pb2,
    orders_service_pb2_grpc,
    revenue_service_pb2,
    revenue_service_pb2_grpc,
)
from services.shared.access.projection import put_owners
from services.shared.audit.tables import audit
from services.shared.ids import new_id
from services.shared.rpc.client import ACTING_FOR
from tests.support.employees import new_employee
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.revenue import facts_of, known_customer
from tests.support.services import RunningServices

MONTH = "2026-03"


@dataclass(frozen=True)
class Seller:
    """An employee with the role SALES: he sees his own customers, and writes orders."""

    employee: Employee
    orders: Any
    revenue: Any

    @property
    def id(self) -> str:
        return str(self.employee.id)


async def seller(services: RunningServices) -> Seller:
    employee = await new_employee(services, "SALES")
    caller = f"employee:{employee.login}"
    return Seller(
        employee,
        await services.stub(orders_service_pb2_grpc.OrdersServiceStub, caller),
        await services.stub(revenue_service_pb2_grpc.RevenueServiceStub, caller),
    )


@pytest.fixture(scope="module")
async def hers(services: RunningServices) -> Seller:
    return await seller(services)


@pytest.fixture(scope="module")
async def his(services: RunningServices) -> Seller:
    return await seller(services)


def request(customer_id: object, **changes: Any) -> orders_service_pb2.CreateOrderRequest:
    values: dict[str, Any] = {
        "request_id": str(new_id()), "number": f"HT-{new_id()}", "customer_id": str(customer_id), "product": "Standard",
        "monthly_price": Money(currency_code="THB", units=100), "signed_date": day(date(2026, 1, 1)),
        "term_start": day(date(2026, 1, 1)), "counts_to_mrr": True, "status": order_pb2.ORDER_STATUS_DRAFT,
    }  # fmt: skip
    return orders_service_pb2.CreateOrderRequest(**(values | changes))


def day(value: date) -> Date:
    return Date(year=value.year, month=value.month, day=value.day)


async def order_of(by: Seller, customer_id: UUID, status: int = order_pb2.ORDER_STATUS_EFFECTIVE) -> order_pb2.Order:
    order: order_pb2.Order = (await by.orders.CreateOrder(request(customer_id, status=status))).order
    return order


async def recorded(services: RunningServices, rpc: str, object_id: str) -> Any:
    """What the audit says of a write: actor, acting_for, customer_id."""
    columns = select(audit.c.actor, audit.c.acting_for, audit.c.customer_id)
    method = f"kejing.revenue.v1.OrdersService/{rpc}"
    async with services.db("revenue").read() as read:
        return (await read.execute(columns.where(audit.c.method == method, audit.c.object_id == object_id))).one()


async def test_lists_and_sums_hold_what_is_in_scope(services: RunningServices, hers: Seller, his: Seller) -> None:
    one, two = await seller(services), await seller(services)
    first, second = await known_customer(services, one.id), await known_customer(services, two.id)
    shared = await known_customer(services, two.id, one.id)
    orders = {c: (await order_of(by, c)).id for by, c in ((one, first), (two, second), (two, shared))}
    for who, mine in ((one, {first, shared}), (two, {second, shared}), (hers, set())):
        listed = (await who.orders.ListOrders(orders_service_pb2.ListOrdersRequest())).orders
        assert {order.id for order in listed} == {orders[customer_id] for customer_id in mine}
        month = (await who.revenue.GetMrr(revenue_service_pb2.GetMrrRequest(month=MONTH))).mrr
        expected = [(100 * len(mine), len(mine), len(mine))] if mine else []
        assert [(t.mrr.units, t.orders, t.customers) for t in month.totals] == expected
        months = revenue_service_pb2.ListMrrRequest(from_month=MONTH, to_month=MONTH)
        assert list((await who.revenue.ListMrr(months)).months) == [month]
        behind = revenue_service_pb2.GetMrrBreakdownRequest(month=MONTH)
        assert {o.order_id for o in (await who.revenue.GetMrrBreakdown(behind)).orders} == {orders[c] for c in mine}


async def test_a_customer_outside_in_a_filter_is_one_that_does_not_exist(
    services: RunningServices, hers: Seller, his: Seller
) -> None:
    outside = await known_customer(services, his.id)
    await order_of(his, outside)
    for wanted in (str(outside), str(new_id())):
        listed = orders_service_pb2.ListOrdersRequest(customer_id=wanted)
        assert not (await hers.orders.ListOrders(listed)).orders
        month = revenue_service_pb2.GetMrrRequest(month=MONTH, customer_id=wanted)
        months = revenue_service_pb2.ListMrrRequest(from_month=MONTH, to_month=MONTH, customer_id=wanted)
        behind = revenue_service_pb2.GetMrrBreakdownRequest(month=MONTH, customer_id=wanted)
        for call in (hers.revenue.GetMrr(month), hers.revenue.ListMrr(months), hers.revenue.GetMrrBreakdown(behind)):
            answer = await refused(call)
            assert (answer.code, answer.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")
            assert answer.message == f"no customer {wanted}"


CALLS: dict[str, Callable[[Any, str], Awaitable[Any]]] = {
    "get": lambda stub, id_: stub.GetOrder(orders_service_pb2.GetOrderRequest(order_id=id_)),
    "confirm": lambda stub, id_: stub.ConfirmOrder(
        orders_service_pb2.ConfirmOrderRequest(request_id=str(new_id()), order_id=id_)
    ),
    "void": lambda stub, id_: stub.VoidOrder(
        orders_service_pb2.VoidOrderRequest(request_id=str(new_id()), order_id=id_, reason="why")
    ),
}


@pytest.mark.parametrize("call", CALLS)
async def test_an_order_outside_is_one_that_does_not_exist(
    services: RunningServices, hers: Seller, his: Seller, call: str
) -> None:
    draft = await order_of(his, await known_customer(services, his.id), order_pb2.ORDER_STATUS_DRAFT)
    for wanted in (draft.id, str(new_id())):
        refusal = await refused(CALLS[call](hers.orders, wanted))
        assert (refusal.code, refusal.reason, refusal.message) == ("NOT_FOUND", "ORDER_NOT_FOUND", f"no order {wanted}")
    assert (await CALLS["get"](his.orders, draft.id)).order == draft


async def test_no_order_is_entered_for_a_customer_outside(services: RunningServices, hers: Seller, his: Seller) -> None:
    await services.start("customers")

    async def asked() -> bool:
        return (await refused(hers.orders.CreateOrder(request(new_id())))).code == "NOT_FOUND"

    await eventually(asked)  # customers may have come up only now
    outside = await known_customer(services, his.id)
    for wanted in (outside, new_id()):
        refusal = await refused(hers.orders.CreateOrder(request(wanted)))
        told = (refusal.code, refusal.reason, refusal.message)
        assert told == ("NOT_FOUND", "CUSTOMER_NOT_FOUND", f"no customer {wanted}")
    assert not (await his.orders.ListOrders(orders_service_pb2.ListOrdersRequest(customer_id=str(outside)))).orders


async def test_no_order_outside_is_renewed(services: RunningServices, hers: Seller, his: Seller) -> None:
    outside = await order_of(his, await known_customer(services, his.id))
    inside = await known_customer(services, hers.id)
    for wanted in (outside.id, str(new_id())):
        renewal = request(inside, renews_order_id=wanted, term_start=day(date(2026, 5, 1)))
        assert (await refused(hers.orders.CreateOrder(renewal))).message == f"no order {wanted}"


async def test_a_repeat_says_nothing_of_a_customer_that_went_to_somebody_else(
    services: RunningServices, hers: Seller, his: Seller
) -> None:
    customer_id = await known_customer(services, hers.id)
    asked = request(customer_id)
    order = (await hers.orders.CreateOrder(asked)).order
    async with services.db("revenue").transaction(actor="machine:test") as write:
        await put_owners(write, [facts_of(customer_id, his.id, version=2)])
    assert (await refused(hers.orders.CreateOrder(asked))).code == "NOT_FOUND"
    assert (await refused(CALLS["get"](hers.orders, order.id))).reason == "ORDER_NOT_FOUND"
    assert (await CALLS["get"](his.orders, order.id)).order == order


async def test_a_deputy_sees_and_writes_what_the_absent_one_would(
    services: RunningServices, hers: Seller, his: Seller
) -> None:
    order = await order_of(his, await known_customer(services, his.id), order_pb2.ORDER_STATUS_DRAFT)
    naming = await services.stub(deputies_service_pb2_grpc.DeputiesServiceStub, f"employee:{his.employee.login}")
    today = services.clock().date()
    deputyship = {"from": day(today - timedelta(days=1)), "until": day(today + timedelta(days=1))}
    await naming.CreateDeputy(
        deputies_service_pb2.CreateDeputyRequest(request_id=str(new_id()), deputy_id=hers.id, **deputyship)
    )
    acting = ((ACTING_FOR, his.id),)
    asked = orders_service_pb2.GetOrderRequest(order_id=order.id)

    async def seen() -> bool:
        try:
            return (await hers.orders.GetOrder(asked, metadata=acting)).order == order
        except grpc.aio.AioRpcError:  # revenue has not heard of it yet
            return False

    await eventually(seen)
    assert (await refused(hers.orders.GetOrder(asked))).reason == "ORDER_NOT_FOUND"
    confirm = orders_service_pb2.ConfirmOrderRequest(request_id=str(new_id()), order_id=order.id)
    await hers.orders.ConfirmOrder(confirm, metadata=acting)
    assert await recorded(services, "ConfirmOrder", order.id) == (hers.id, his.id, order.customer_id)


async def test_orders_are_imported_by_those_alone_who_see_every_customer(services: RunningServices) -> None:
    key = f"IMPORTS_{str(new_id())[-12:]}".upper()
    role = roles_service_pb2.CreateRoleRequest(
        request_id=key, key=key, name=key, permissions=[permission_pb2.PERMISSION_ORDERS_IMPORT],
        scope=permission_pb2.SCOPE_DEPARTMENT,
    )  # fmt: skip
    await (await services.stub(roles_service_pb2_grpc.RolesServiceStub)).CreateRole(role)
    stub = await services.stub(orders_service_pb2_grpc.OrdersServiceStub)
    for role_key, reason in (("SALES", "PERMISSION_MISSING"), (key, "SCOPE_TOO_SMALL")):
        token = await services.sign_in(f"employee:{(await new_employee(services, role_key)).login}")
        upload = stub.ImportOrders(iter([]), metadata=(("authorization", f"Bearer {token}"),))
        refusal = await refused(upload)
        assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", reason)
