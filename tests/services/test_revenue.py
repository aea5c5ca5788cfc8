"""The revenue service by gRPC: orders, their import, MRR, and what it tells of contract ends."""

from collections.abc import AsyncIterator, Iterable
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from sqlalchemy import select

from kejing.common.v1.events_pb2 import Event
from kejing.revenue.v1 import (
    events_pb2,
    order_pb2,
    orders_service_pb2,
    orders_service_pb2_grpc,
    revenue_service_pb2,
    revenue_service_pb2_grpc,
)
from services.shared.db.tables import outbox
from services.shared.ids import new_id
from tests.support.refusals import refused
from tests.support.revenue import known_customer
from tests.support.services import RunningServices

EFFECTIVE, DRAFT, VOID = order_pb2.ORDER_STATUS_EFFECTIVE, order_pb2.ORDER_STATUS_DRAFT, order_pb2.ORDER_STATUS_VOID


def day(text: str) -> Date:
    found = date.fromisoformat(text)
    return Date(year=found.year, month=found.month, day=found.day)


def cny(amount: int) -> Money:
    return Money(currency_code="CNY", units=amount)


class Revenue:
    """Stubs, and customers that the events of the customers service told of."""

    def __init__(self, services: RunningServices, orders: Any, revenue: Any) -> None:
        self._services = services
        self.orders = orders
        self.revenue = revenue

    async def customer(self) -> UUID:
        return await known_customer(self._services)

    def request(self, customer: UUID, **changes: Any) -> orders_service_pb2.CreateOrderRequest:
        values: dict[str, Any] = {
            "request_id": str(new_id()), "number": f"HT-{new_id()}", "customer_id": str(customer),
            "product": "Standard", "amount": cny(12_000), "signed_date": day("2025-12-20"),
            "term_start": day("2026-01-01"), "term_end": day("2026-12-31"), "counts_to_mrr": True, "status": EFFECTIVE,
        }  # fmt: skip
        values |= changes
        return orders_service_pb2.CreateOrderRequest(
            **{name: value for name, value in values.items() if value is not None}
        )

    async def create(self, customer: UUID, **changes: Any) -> order_pb2.Order:
        order: order_pb2.Order = (await self.orders.CreateOrder(self.request(customer, **changes))).order
        return order

    async def mrr(self, month: str, customer_id: UUID) -> list[tuple[str, int]]:
        asked = revenue_service_pb2.GetMrrRequest(month=month, customer_id=str(customer_id))
        return [(t.mrr.currency_code, t.mrr.units) for t in (await self.revenue.GetMrr(asked)).mrr.totals]

    async def told(self, customer_id: UUID) -> list[tuple[int, str]]:
        """(version, last contract end) of each event about the customer, oldest first."""
        async with self._services.db("revenue").read() as read:
            rows = (await read.execute(select(outbox.c.event).order_by(outbox.c.position))).scalars().all()
        found = []
        for row in rows:
            payload = events_pb2.ContractEndsChanged()
            if Event.FromString(row).payload.Unpack(payload):
                for end in payload.ends:
                    if end.customer_id == str(customer_id):
                        last = end.last_contract_end
                        shown = date(last.year, last.month, last.day).isoformat() if last.year else ""
                        found.append((end.version, shown))
        return found

    async def import_rows(
        self, *batches: Iterable[orders_service_pb2.OrderRow]
    ) -> orders_service_pb2.ImportOrdersResponse:
        async def requests() -> AsyncIterator[orders_service_pb2.ImportOrdersRequest]:
            for rows in batches:
                yield orders_service_pb2.ImportOrdersRequest(request_id=str(new_id()), rows=rows)

        token = await self._services.sign_in("employee:admin")
        metadata = (("authorization", f"Bearer {token}"),)
        answer: orders_service_pb2.ImportOrdersResponse = await self.orders.ImportOrders(requests(), metadata=metadata)
        return answer


@pytest.fixture(scope="module")
async def revenue(services: RunningServices) -> Revenue:
    orders = await services.stub(orders_service_pb2_grpc.OrdersServiceStub)
    return Revenue(services, orders, await services.stub(revenue_service_pb2_grpc.RevenueServiceStub))


def row(customer_id: UUID, number: str, **changes: Any) -> orders_service_pb2.OrderRow:
    values: dict[str, Any] = {
        "number": number, "customer_external_id": f"X-{customer_id}", "product": "Standard", "amount": cny(1200),
        "term_start": day("2026-01-01"), "term_end": day("2026-12-31"), "counts_to_mrr": True,
    }  # fmt: skip
    return orders_service_pb2.OrderRow(**(values | changes))


async def test_an_order_counts_to_mrr_and_to_the_contract_end(revenue: Revenue) -> None:
    customer = await revenue.customer()
    order = await revenue.create(customer)
    assert order.version == 1
    assert order.last_day == day("2026-12-31")
    assert await revenue.mrr("2025-12", customer) == []
    assert await revenue.mrr("2026-01", customer) == [("CNY", 1000)]
    assert await revenue.told(customer) == [(1, "2026-12-31")]


async def test_the_same_request_is_answered_again_and_done_once(revenue: Revenue) -> None:
    request = revenue.request(await revenue.customer())
    first = (await revenue.orders.CreateOrder(request)).order
    assert (await revenue.orders.CreateOrder(request)).order == first
    request.product = "Premium"
    assert (await refused(revenue.orders.CreateOrder(request))).reason == "REQUEST_ID_REUSED"


async def test_a_renewal_ends_the_renewed_order_the_day_before(revenue: Revenue) -> None:
    customer = await revenue.customer()
    old = await revenue.create(customer)
    new = await revenue.create(
        customer, amount=cny(24_000), term_start=day("2026-07-01"), term_end=day("2027-06-30"), renews_order_id=old.id
    )
    asked = orders_service_pb2.GetOrderRequest(order_id=old.id)
    assert (await revenue.orders.GetOrder(asked)).order.last_day == day("2026-06-30")
    assert await revenue.mrr("2026-06", customer) == [("CNY", 1000)]
    assert await revenue.mrr("2026-07", customer) == [("CNY", 2000)]
    void = orders_service_pb2.VoidOrderRequest(request_id=str(new_id()), order_id=new.id, reason="signed by mistake")
    assert (await revenue.orders.VoidOrder(void)).order.void_reason == "signed by mistake"
    assert await revenue.mrr("2026-07", customer) == [("CNY", 1000)]
    assert await revenue.told(customer) == [(1, "2026-12-31"), (2, "2027-06-30"), (3, "2026-12-31")]


async def test_an_open_ended_order_takes_the_contract_end_away(revenue: Revenue) -> None:
    customer = await revenue.customer()
    await revenue.create(customer)
    dollars = Money(currency_code="USD", units=99, nanos=500_000_000)
    await revenue.create(customer, amount=None, monthly_price=dollars, term_end=None)
    assert await revenue.told(customer) == [(1, "2026-12-31"), (2, "")]
    assert await revenue.mrr("2026-03", customer) == [("CNY", 1000), ("USD", 99)]


async def test_a_draft_counts_only_once_confirmed(revenue: Revenue) -> None:
    customer = await revenue.customer()
    order = await revenue.create(customer, status=DRAFT)
    assert (await revenue.mrr("2026-03", customer), await revenue.told(customer)) == ([], [])
    confirm = orders_service_pb2.ConfirmOrderRequest(request_id=str(new_id()), order_id=order.id)
    assert (await revenue.orders.ConfirmOrder(confirm)).order.status == EFFECTIVE
    assert await revenue.mrr("2026-03", customer) == [("CNY", 1000)]
    again = orders_service_pb2.ConfirmOrderRequest(request_id=str(new_id()), order_id=order.id)
    assert (await refused(revenue.orders.ConfirmOrder(again))).reason == "ORDER_NOT_DRAFT"


async def test_a_void_order_stays_void(revenue: Revenue) -> None:
    customer = await revenue.customer()
    order = await revenue.create(customer)
    void = orders_service_pb2.VoidOrderRequest(request_id=str(new_id()), order_id=order.id, reason="doubled")
    await revenue.orders.VoidOrder(void)
    void.request_id = str(new_id())
    assert (await refused(revenue.orders.VoidOrder(void))).reason == "ORDER_VOID"
    answer = await revenue.import_rows([row(customer, order.number)])
    assert [(r.reason, r.field) for r in answer.rejections] == [("ORDER_VOID", "status")]


async def test_bad_orders_are_refused_by_field_and_leave_nothing(revenue: Revenue) -> None:
    customer = await revenue.customer()
    other = await revenue.create(await revenue.customer())
    for changes, code, reason, fields in (
        ({"term_end": day("2025-12-31")}, "INVALID_ARGUMENT", "INVALID_FIELD", ("term_end",)),
        ({"term_start": Date(year=2026, month=2, day=30)}, "INVALID_ARGUMENT", "INVALID_FIELD", ("term_start",)),
        ({"amount": cny(-1)}, "INVALID_ARGUMENT", "INVALID_FIELD", ("amount",)),
        ({"amount": Money(currency_code="XAU")}, "INVALID_ARGUMENT", "CURRENCY_UNKNOWN", ("amount.currency_code",)),
        ({"amount": Money(currency_code="CNY", nanos=1)}, "INVALID_ARGUMENT", "INVALID_FIELD", ("amount",)),
        ({"amount": None}, "INVALID_ARGUMENT", "INVALID_FIELD", ("price",)),
        ({"term_end": None}, "INVALID_ARGUMENT", "INVALID_FIELD", ("term_end",)),
        ({"status": VOID}, "INVALID_ARGUMENT", "INVALID_FIELD", ("status",)),
        ({"number": "x" * 101}, "INVALID_ARGUMENT", "INVALID_FIELD", ("number",)),
        ({"customer_id": "nobody"}, "INVALID_ARGUMENT", "INVALID_FIELD", ("customer_id",)),
        ({"number": other.number}, "ALREADY_EXISTS", "ORDER_NUMBER_TAKEN", ()),
        ({"renews_order_id": str(new_id())}, "NOT_FOUND", "ORDER_NOT_FOUND", ()),
        ({"renews_order_id": other.id}, "FAILED_PRECONDITION", "ORDER_OF_ANOTHER_CUSTOMER", ()),
    ):  # fmt: skip
        got = await refused(revenue.orders.CreateOrder(revenue.request(customer, **changes)))
        assert (got.code, got.reason, got.fields) == (code, reason, fields), got.message
    listed = await revenue.orders.ListOrders(orders_service_pb2.ListOrdersRequest(customer_id=str(customer)))
    assert not listed.orders
    assert (await revenue.told(customer)) == []


async def test_unknown_orders(revenue: Revenue) -> None:
    wanted = str(new_id())
    for call in (
        revenue.orders.GetOrder(orders_service_pb2.GetOrderRequest(order_id=wanted)),
        revenue.orders.ConfirmOrder(orders_service_pb2.ConfirmOrderRequest(request_id="r", order_id=wanted)),
        revenue.orders.VoidOrder(orders_service_pb2.VoidOrderRequest(request_id="r", order_id=wanted, reason="x")),
    ):
        assert (await refused(call)).reason == "ORDER_NOT_FOUND"


async def test_lists_filter_and_go_on_page_by_page(revenue: Revenue) -> None:
    customer = await revenue.customer()
    for month in range(1, 8):
        await revenue.create(customer, term_start=day(f"2026-0{month}-01"), term_end=day(f"2026-0{month + 1}-15"))
    seen, request = [], orders_service_pb2.ListOrdersRequest(customer_id=str(customer), page_size=3)
    while True:
        answer = await revenue.orders.ListOrders(request)
        seen += [order.term_start.month for order in answer.orders]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    request.status = DRAFT
    assert (await refused(revenue.orders.ListOrders(request))).fields == ("page_token",)

    async def months(**conditions: Any) -> list[int]:
        asked = orders_service_pb2.ListOrdersRequest(customer_id=str(customer), **conditions)
        return [order.term_start.month for order in (await revenue.orders.ListOrders(asked)).orders]

    assert await months(active_on=day("2026-03-10")) == [3, 2]
    assert await months(ends_from=day("2026-04-15"), ends_to=day("2026-05-15")) == [4, 3]
    assert await months(status=DRAFT) == []


async def test_an_import_takes_good_rows_and_reports_bad_ones(revenue: Revenue) -> None:
    customer, stranger = await revenue.customer(), new_id()
    n = str(new_id())
    rows = [
        row(
            customer, f"{n}-2", line=2, term_start=day("2027-01-01"), term_end=day("2027-12-31"), renews_number=f"{n}-1"
        ),
        row(customer, f"{n}-1", line=3),
        row(customer, f"{n}-1", line=4, product="Premium"),
        row(stranger, f"{n}-3", line=5),
        row(customer, f"{n}-4", line=6, term_end=day("2025-06-30")),
        row(customer, f"{n}-5", line=7, amount=Money(currency_code="¥", units=5)),
        row(customer, f"{n}-6", line=8, renews_number="nothing"),
        row(customer, "", line=9),
        row(customer, f"{n}-7", line=10, status=9),
    ]
    answer = await revenue.import_rows(rows)
    assert (answer.created, answer.updated, answer.unchanged, answer.rejected) == (2, 0, 0, 7)
    assert sorted((r.line, r.field, r.reason) for r in answer.rejections) == [
        (4, "number", "DUPLICATE_NUMBER"),
        (5, "customer_external_id", "CUSTOMER_NOT_FOUND"),
        (6, "term_end", "INVALID_FIELD"),
        (7, "amount.currency_code", "CURRENCY_UNKNOWN"),
        (8, "renews_number", "ORDER_NOT_FOUND"),
        (9, "number", "INVALID_FIELD"),
        (10, "status", "INVALID_FIELD"),
    ]
    assert {r.line: r.value for r in answer.rejections}[6] == "2025-06-30"
    assert await revenue.told(customer) == [(1, "2027-12-31")]

    again = await revenue.import_rows(rows[:2], [row(customer, f"{n}-1", amount=cny(2400))])
    assert (again.created, again.updated, again.unchanged, again.rejected) == (0, 1, 2, 0)
    assert await revenue.mrr("2026-05", customer) == [("CNY", 200)]
    assert await revenue.told(customer) == [(1, "2027-12-31")]


async def test_an_order_that_would_renew_itself_is_reported(revenue: Revenue) -> None:
    customer, number = await revenue.customer(), str(new_id())
    await revenue.import_rows([row(customer, number)])
    later = row(customer, number, line=2, term_start=day("2026-02-01"), renews_number=number)
    answer = await revenue.import_rows([later, row(customer, f"{number}-2")])
    assert (answer.created, answer.rejected) == (1, 1)
    assert [(r.line, r.field) for r in answer.rejections] == [(2, "renews_number")]


async def test_a_batch_that_was_taken_is_not_taken_again(revenue: Revenue, services: RunningServices) -> None:
    customer, number = await revenue.customer(), str(new_id())
    token = await services.sign_in("employee:admin")
    metadata = (("authorization", f"Bearer {token}"),)
    batch = orders_service_pb2.ImportOrdersRequest(request_id=str(new_id()), rows=[row(customer, number)])
    assert (await revenue.orders.ImportOrders(iter([batch]), metadata=metadata)).created == 1
    await revenue.import_rows([row(customer, number, amount=cny(2400))])
    assert (await revenue.orders.ImportOrders(iter([batch]), metadata=metadata)).unchanged == 1
    assert await revenue.mrr("2026-05", customer) == [("CNY", 200)]


async def test_an_order_that_moves_to_another_customer_moves_both_ends(revenue: Revenue) -> None:
    one, two, number = await revenue.customer(), await revenue.customer(), str(new_id())
    await revenue.import_rows([row(one, number)])
    await revenue.import_rows([row(two, number)])
    assert await revenue.told(one) == [(1, "2026-12-31"), (2, "")]
    assert await revenue.told(two) == [(1, "2026-12-31")]


async def test_a_renewal_says_nothing_of_an_order_that_moved_to_another_customer(revenue: Revenue) -> None:
    one, two, number = await revenue.customer(), await revenue.customer(), str(new_id())
    await revenue.import_rows([row(one, number)])
    renewal = {"term_start": day("2026-07-01"), "term_end": day("2027-06-30"), "renews_number": number}
    await revenue.import_rows([row(one, f"{number}-2", **renewal)])
    await revenue.import_rows([row(two, number)])
    assert await revenue.told(two) == [(1, "2026-12-31")]
    assert await revenue.mrr("2026-12", two) == [("CNY", 100)]


async def test_the_months_of_a_year_and_the_orders_behind_one(revenue: Revenue) -> None:
    customer = await revenue.customer()
    await revenue.create(customer, amount=cny(100), term_start=day("2026-02-01"), term_end=day("2026-04-30"))
    await revenue.create(customer, counts_to_mrr=False)
    asked = revenue_service_pb2.ListMrrRequest(from_month="2026-01", to_month="2026-06", customer_id=str(customer))
    months = (await revenue.revenue.ListMrr(asked)).months
    assert [m.month for m in months] == [f"2026-0{n}" for n in range(1, 7)]
    assert [(m.totals[0].mrr.units, m.totals[0].mrr.nanos) if m.totals else None for m in months] == [
        None, (33, 340_000_000), (33, 330_000_000), (33, 330_000_000), None, None,
    ]  # fmt: skip
    behind = revenue_service_pb2.GetMrrBreakdownRequest(month="2026-03", customer_id=str(customer))
    (order,) = (await revenue.revenue.GetMrrBreakdown(behind)).orders
    assert (order.month_of_term, order.months_in_term, order.mrr.nanos) == (2, 3, 330_000_000)


async def test_months_that_make_no_sense(revenue: Revenue) -> None:
    asked = revenue_service_pb2.GetMrrRequest(month="2026-13")
    assert (await refused(revenue.revenue.GetMrr(asked))).fields == ("month",)
    for to_month in ("2025-12", "2031-01"):
        backwards = revenue_service_pb2.ListMrrRequest(from_month="2026-01", to_month=to_month)
        assert (await refused(revenue.revenue.ListMrr(backwards))).fields == ("to_month",)
