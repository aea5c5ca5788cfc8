"""Orders, what recurs of them, and the contract ends that flow back to the customers."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
from kejing.revenue.v1 import (
    orders_service_pb2,
    orders_service_pb2_grpc,
    revenue_service_pb2,
    revenue_service_pb2_grpc,
)
from services.cli.demo.data.orders import Order
from services.cli.demo.stage import Stage
from services.cli.revenue import amount_of, mrr_table

BATCH = 100


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("Revenue 营收: two years of orders become the MRR of the year")
    service = stage.stub(orders_service_pb2_grpc.OrdersServiceStub)
    teller.step(
        "Orders 合同订单 are streamed in: renewals, multi-year terms, open-ended ones, odd days, one-time work."
    )

    def imported() -> Any:
        # Customers reach the revenue service by events: the rows go in again until it knows them.
        answer = service.ImportOrders(_batches(stage))
        return answer if all(row.reason == "ORDER_VOID" for row in answer.rejections) else None

    answer = teller.until("revenue knows all customers", imported)
    void = f", {answer.rejected} made void here and left so" if answer.rejected else ""  # between two tellings
    teller.happened(f"{answer.created} new orders, {answer.updated} changed, {answer.unchanged} known{void}")

    year = stage.today.year
    teller.step(f"MRR of {year}: a month counts an order when the month's last day lies in its term.")
    asked = revenue_service_pb2.ListMrrRequest(from_month=f"{year}-01", to_month=f"{year}-12")
    revenue = stage.stub(revenue_service_pb2_grpc.RevenueServiceStub)
    months = revenue.ListMrr(asked).months
    teller.show(mrr_table(months))
    _tell_breakdown(stage, revenue, f"{stage.today:%Y-%m}")
    _tell_contract_ends(stage)


def _tell_breakdown(stage: Stage, revenue: Any, month: str) -> None:
    total = revenue.GetMrr(revenue_service_pb2.GetMrrRequest(month=month)).mrr.totals
    counted: dict[str, Decimal] = {}
    orders = 0
    request = revenue_service_pb2.GetMrrBreakdownRequest(month=month, page_size=50)
    while True:
        answer = revenue.GetMrrBreakdown(request)
        for each in answer.orders:
            orders += 1
            counted[each.mrr.currency_code] = counted.get(each.mrr.currency_code, Decimal(0)) + amount_of(each.mrr)
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    wanted = {each.mrr.currency_code: amount_of(each.mrr) for each in total}
    if counted != wanted:
        raise stage.teller.failed(f"the orders of {month} sum to {counted}, the month to {wanted}")
    shown = ", ".join(f"{currency} {amount:,.2f}" for currency, amount in sorted(counted.items()))
    stage.teller.happened(f"the {orders} orders behind {month} sum to it to the cent: {shown}")


def _tell_contract_ends(stage: Stage) -> None:
    teller = stage.teller
    teller.step(
        "The end of each customer's last contract flows back by event; whose contract is over counts as churned 流失."
    )
    churned = {customer.external_id for customer in stage.customers if customer.plan == "churned"}
    service = stage.stub(customers_service_pb2_grpc.CustomersServiceStub)
    request = customers_service_pb2.ListCustomersRequest(
        page_size=500,
        filter=customers_service_pb2.CustomerFilter(view=customers_service_pb2.CUSTOMER_VIEW_CHURNED),
        sort=customers_service_pb2.CUSTOMER_SORT_LAST_CONTRACT_END,
    )

    def found() -> Any:
        customers = service.ListCustomers(request).customers
        return customers if {each.external_id for each in customers} >= churned else None

    customers = teller.until("every churned customer is known as one", found)
    teller.happened(f"{len(customers)} customers have churned and left the view of all customers")
    rows = [(c.number, c.name, _written(c.last_contract_end)) for c in customers[:3]]
    teller.table(("number", "name", "last contract end"), rows)


def _batches(stage: Stage) -> Iterator[orders_service_pb2.ImportOrdersRequest]:
    rows = [_row(line, order) for line, order in enumerate(stage.orders, 1)]
    for start in range(0, len(rows), BATCH):
        yield orders_service_pb2.ImportOrdersRequest(request_id=stage.request_id(), rows=rows[start : start + BATCH])


def _row(line: int, order: Order) -> orders_service_pb2.OrderRow:
    return orders_service_pb2.OrderRow(
        line=line,
        number=order.number,
        customer_external_id=order.customer_external_id,
        product=order.product,
        amount=_money(order.amount, order.currency),
        monthly_price=_money(order.monthly_price, order.currency),
        signed_date=_day(order.signed),
        term_start=_day(order.start),
        term_end=_day(order.end),
        counts_to_mrr=order.counts_to_mrr,
        renews_number=order.renews,
    )


def _money(amount: Decimal | None, currency: str) -> Money | None:
    if amount is None:
        return None
    return Money(currency_code=currency, units=int(amount), nanos=int((amount - int(amount)) * 10**9))


def _day(day: Any) -> Date | None:
    return Date(year=day.year, month=day.month, day=day.day) if day else None


def _written(day: Date) -> str:
    return f"{day.year}-{day.month:02}-{day.day:02}"
