"""Revenue and customers together: who is known by event, who is asked for, and contract ends that flow back."""

from typing import Any
from uuid import UUID

import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sqlalchemy import delete, select

from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
from kejing.revenue.v1 import order_pb2, orders_service_pb2, orders_service_pb2_grpc
from services.revenue.storage import customers
from services.revenue.storage.tables import customers as customers_table
from services.shared.access import EVERYTHING
from services.shared.access.tables import customers as known_customers
from services.shared.ids import new_id
from tests.support.customers import bring
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture(scope="module")
async def orders(services: RunningServices) -> Any:
    await services.start("customers", "revenue")
    return await services.stub(orders_service_pb2_grpc.OrdersServiceStub)


async def imported(services: RunningServices, **values: object) -> UUID:
    """A customer of the customers service that revenue has heard of; its id."""
    key = f"R-{new_id()}"
    await bring(services, "ImportCustomers", [{"external_id": key, "name": "青川科技", **values}])

    async def known() -> UUID | None:
        async with services.db("revenue").read() as read:
            return (await customers.ids_by_external_id(read, EVERYTHING, [key])).get(key)

    found = await eventually(known)
    assert found is not None
    return found


def request(customer_id: UUID, end: Date | None) -> orders_service_pb2.CreateOrderRequest:
    price = Money(currency_code="CNY", units=1000)
    return orders_service_pb2.CreateOrderRequest(
        request_id=str(new_id()), number=f"HT-{new_id()}", customer_id=str(customer_id), product="Standard",
        monthly_price=price, signed_date=Date(year=2025, month=1, day=1), term_start=Date(year=2025, month=1, day=1),
        term_end=end, counts_to_mrr=True, status=order_pb2.ORDER_STATUS_EFFECTIVE,
    )  # fmt: skip


async def test_the_contract_end_reaches_the_customer_and_goes_away_again(
    services: RunningServices, orders: Any
) -> None:
    customer_id = await imported(services, last_contract_end="2024-06-30")
    stub = await services.stub(customers_service_pb2_grpc.CustomersServiceStub)

    async def customer() -> Any:
        asked = customers_service_pb2.GetCustomerRequest(customer_id=str(customer_id))
        return (await stub.GetCustomer(asked)).customer

    assert (await customer()).churned
    await orders.CreateOrder(request(customer_id, Date(year=2035, month=3, day=31)))

    async def ends_in_2035() -> bool:
        return bool((await customer()).last_contract_end == Date(year=2035, month=3, day=31))

    await eventually(ends_in_2035)
    assert not (await customer()).churned
    await orders.CreateOrder(request(customer_id, None))  # open-ended: no end at all

    async def has_no_end() -> bool:
        return not (await customer()).HasField("last_contract_end")

    await eventually(has_no_end)


async def test_a_customer_that_no_event_told_of_yet_is_asked_for(services: RunningServices, orders: Any) -> None:
    customer_id = await imported(services)
    async with services.db("revenue").transaction(actor="machine:test", unscoped="to be forgotten") as write:
        for table in (customers_table, known_customers):
            await write.execute(delete(table).where(table.c.id == customer_id))
    order = (await orders.CreateOrder(request(customer_id, None))).order
    assert order.customer_id == str(customer_id)
    assert (await refused(orders.CreateOrder(request(new_id(), None)))).reason == "CUSTOMER_NOT_FOUND"


async def test_with_customers_away_only_unknown_customers_have_to_wait(services: RunningServices, orders: Any) -> None:
    customer_id = await imported(services)
    await services.stop("customers")
    try:
        got = await refused(orders.CreateOrder(request(new_id(), None)))
        assert (got.code, got.reason) == ("UNAVAILABLE", "CUSTOMER_UNCONFIRMED")
        await orders.CreateOrder(request(customer_id, None))
    finally:
        await services.start("customers")
    async with services.db("revenue").read(unscoped="as it is") as read:
        known = select(customers_table.c.version).where(customers_table.c.id == customer_id)
        assert (await read.execute(known)).scalar_one() >= 1
