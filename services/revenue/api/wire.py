"""Dates, money and orders between the wire and the domain."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from google.type.money_pb2 import Money
from sqlalchemy import Row

from kejing.revenue.v1 import order_pb2, orders_service_pb2
from services.revenue.domain.order import OrderTerms, Status
from services.revenue.domain.term import parse_month
from services.shared.errors import InvalidArgument
from services.shared.rpc.wire import from_date, to_date

NANOS = 10**9


def optional_day(request: Any, field: str) -> date | None:
    return from_date(field, getattr(request, field)) if request.HasField(field) else None


def to_amount(field: str, value: Money) -> Decimal:
    """The amount in the currency's major unit. Raises InvalidArgument where units and nanos contradict each other."""
    if abs(value.nanos) >= NANOS or (value.units and value.nanos and (value.units < 0) != (value.nanos < 0)):
        raise InvalidArgument(
            field, f"{value.units} and {value.nanos}", "nanos must be below 10^9 and of the same sign"
        )
    return value.units + Decimal(value.nanos) / NANOS


def from_amount(amount: Decimal | None, currency: str) -> Money | None:
    if amount is None:
        return None
    units = int(amount)
    return Money(currency_code=currency, units=units, nanos=int((amount - units) * NANOS))


def to_month(field: str, text: str) -> date:
    """The month's first day."""
    try:
        return parse_month(text)
    except ValueError:
        raise InvalidArgument(field, text, 'it must be a month such as "2026-11"') from None


def to_terms(request: orders_service_pb2.CreateOrderRequest | orders_service_pb2.OrderRow) -> OrderTerms:
    """What a request or an imported row says of an order, not yet checked against the rules of the domain.

    Raises InvalidArgument where it can't be read.
    """
    priced = request.WhichOneof("price")
    if priced is None:
        raise InvalidArgument("amount", "", "exactly one of amount and monthly_price must be given")
    money: Money = getattr(request, priced)
    price = to_amount(priced, money)
    if not request.HasField("term_start"):
        raise InvalidArgument("term_start", "", "it must be given")
    start = from_date("term_start", request.term_start)
    if request.status and request.status not in _STATUS:
        raise InvalidArgument("status", request.status, "it must be a status of the contract")
    return OrderTerms(
        number=request.number,
        product=request.product,
        currency=money.currency_code,
        amount=price if priced == "amount" else None,
        monthly_price=price if priced == "monthly_price" else None,
        signed_date=optional_day(request, "signed_date") or start,
        term_start=start,
        term_end=optional_day(request, "term_end"),
        counts_to_mrr=request.counts_to_mrr,
        status=_STATUS.get(request.status, Status.EFFECTIVE),
    )


def to_order(row: Row[Any]) -> order_pb2.Order:
    order = order_pb2.Order(
        id=str(row.id),
        number=row.number,
        customer_id=str(row.customer_id),
        product=row.product,
        amount=from_amount(row.amount, row.currency),
        monthly_price=from_amount(row.monthly_price, row.currency),
        signed_date=to_date(row.signed_date),
        term_start=to_date(row.term_start),
        term_end=to_date(row.term_end),
        last_day=to_date(row.last_day),
        counts_to_mrr=row.counts_to_mrr,
        renews_order_id=str(row.renews_order_id or ""),
        status=order_pb2.OrderStatus.Value(f"ORDER_STATUS_{row.status}"),
        void_reason=row.void_reason,
        version=row.version,
    )
    order.created_at.FromDatetime(row.created_at)
    order.updated_at.FromDatetime(row.updated_at)
    return order


def to_status(value: int) -> str:
    """The stored word; empty for UNSPECIFIED."""
    return _STATUS[value].value if value else ""


_STATUS: Mapping[int, Status] = {
    order_pb2.ORDER_STATUS_DRAFT: Status.DRAFT,
    order_pb2.ORDER_STATUS_EFFECTIVE: Status.EFFECTIVE,
    order_pb2.ORDER_STATUS_VOID: Status.VOID,
}
