"""Tells the others what became of orders."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from kejing.revenue.v1 import events_pb2, order_pb2
from services.revenue.api.wire import from_amount
from services.shared.db import Write
from services.shared.rpc.wire import to_date

EVENT_ITEMS = 500


def tell_orders(write: Write, changed: Sequence[Row[Any]], *, imported: bool = False) -> None:
    """Emits the facts of orders that were written, as they are now."""
    for start in range(0, len(changed), EVENT_ITEMS):
        facts = map(_to_facts, changed[start : start + EVENT_ITEMS])
        write.emit(events_pb2.OrdersChanged(orders=facts, imported=imported))


def _to_facts(row: Row[Any]) -> events_pb2.OrderFacts:
    return events_pb2.OrderFacts(
        order_id=str(row.id),
        customer_id=str(row.customer_id),
        number=row.number,
        status=order_pb2.OrderStatus.Value(f"ORDER_STATUS_{row.status}"),
        amount=from_amount(row.amount, row.currency),
        monthly_price=from_amount(row.monthly_price, row.currency),
        signed_date=to_date(row.signed_date),
        term_start=to_date(row.term_start),
        term_end=to_date(row.term_end),
        counts_to_mrr=row.counts_to_mrr,
        renews_order_id=str(row.renews_order_id or ""),
        version=row.version,
    )
