"""Tells the others when customers' last contract ends change."""

from collections.abc import Iterable
from uuid import UUID

from kejing.revenue.v1 import events_pb2
from services.revenue.storage import contract_ends
from services.shared.db import Write
from services.shared.rpc.wire import to_date

EVENT_ITEMS = 500


async def tell_contract_ends(write: Write, customer_ids: Iterable[UUID]) -> None:
    """Computes the customers' ends anew and emits those that changed; the customers must be held."""
    changed = await contract_ends.refresh(write, customer_ids)
    ends = [
        events_pb2.ContractEnd(
            customer_id=str(row.customer_id), last_contract_end=to_date(row.last_contract_end), version=row.version
        )
        for row in changed
    ]
    for start in range(0, len(ends), EVENT_ITEMS):
        write.emit(events_pb2.ContractEndsChanged(ends=ends[start : start + EVENT_ITEMS]))
