"""Tells the others what customers' orders come to: when their last contract ends, and what recurs in which month."""

import asyncio
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from kejing.revenue.v1 import events_pb2
from services.revenue.api.wire import from_amount
from services.revenue.storage import contract_ends, recurring
from services.shared.db import Database, Write
from services.shared.logging import get_logger
from services.shared.rpc.wire import to_date

EVENT_ITEMS = 500
EVENT_RANGES = 10_000
"""Of so many at most, but for a customer that alone has more, an event stays well below what the broker takes."""


async def tell_customer_facts(write: Write, customer_ids: Iterable[UUID]) -> None:
    """Computes what the orders of customers come to, who must be held, anew, and tells what changed."""
    ids = sorted(set(customer_ids))
    ends = [
        events_pb2.ContractEnd(
            customer_id=str(row.customer_id), last_contract_end=to_date(row.last_contract_end), version=row.version
        )
        for row in await contract_ends.refresh(write, ids)
    ]
    for start in range(0, len(ends), EVENT_ITEMS):
        write.emit(events_pb2.ContractEndsChanged(ends=ends[start : start + EVENT_ITEMS]))
    await _tell_recurring(write, ids)


async def _tell_recurring(write: Write, customer_ids: Iterable[UUID]) -> None:
    event, ranges = events_pb2.RecurringChanged(), 0
    for row in await recurring.refresh(write, customer_ids):
        if event.customers and (len(event.customers) == EVENT_ITEMS or ranges + len(row.ranges) > EVENT_RANGES):
            write.emit(event)
            event, ranges = events_pb2.RecurringChanged(), 0
        event.customers.append(_to_recurring(row))
        ranges += len(row.ranges)
    if event.customers:
        write.emit(event)


def _to_recurring(row: Row[Any]) -> events_pb2.CustomerRecurring:
    told = events_pb2.CustomerRecurring(customer_id=str(row.customer_id), version=row.version)
    for currency, from_month, to_month, mrr in row.ranges:
        told.ranges.add(
            mrr=from_amount(Decimal(mrr), currency),
            from_month=f"{date.fromisoformat(from_month):%Y-%m}",
            to_month=f"{date.fromisoformat(to_month):%Y-%m}" if to_month else "",
        )
    return told


async def tell_untold(db: Database) -> None:
    """Tells the recurring revenue of customers whose orders are older than the telling; for ever after it does nothing.

    Outages of the database are waited out.
    """
    after = UUID(int=0)
    while True:
        try:
            async with db.read() as read:
                found = await recurring.untold(read, after, EVENT_ITEMS)
            if not found:
                break
            async with db.transaction(actor="machine:revenue") as write:
                await contract_ends.hold(write, found)
                await _tell_recurring(write, found)
            after = found[-1]
        except (SQLAlchemyError, OSError) as error:
            get_logger().warning("telling of recurring revenue waits", error=type(error).__name__)
            await asyncio.sleep(1)
    await asyncio.Event().wait()
