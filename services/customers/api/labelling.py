"""Putting a label on named customers, or taking it off: on all of them or on none."""

from collections.abc import Sequence
from uuid import UUID

from services.customers.api.changes import follow_facts
from services.customers.api.happened import happened
from services.customers.storage import labelled, labels
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.ownership import refresh_lists
from services.customers.storage.timeline import Entry
from services.shared.db import Write
from services.shared.errors import NotFound
from services.shared.rpc.caller import caller


async def locked_customers(write: Write, customer_ids: Sequence[str]) -> list[UUID]:
    """Locks all of these customers. Raises NotFound (CUSTOMER_NOT_FOUND) with the first that isn't in scope."""
    ids = {UUID(id_): id_ for id_ in customer_ids}
    if write.doing:  # one of many stands in the record's list of them
        write.doing.customer_id = customer_ids[0] if len(ids) == 1 else ""
    await one_at_a_time(write)
    known = await labelled.lock(write, caller().scope, list(ids))
    if unknown := next((asked for id_, asked in ids.items() if id_ not in known), None):
        raise NotFound("customer", unknown)
    return list(ids)


async def relabel(
    write: Write, label: str, ids: Sequence[UUID], kind: str, what: str, object_id: str, *, remove: bool
) -> Sequence[UUID]:
    """Puts a label on locked customers, or takes it off; answers those that changed.

    `kind`, `what`, `object_id`: what their timelines say then, see Entry.
    """
    changed = await (labels.take if remove else labels.put)(write, label, ids)
    await refresh_lists(write, changed)
    await follow_facts(write, changed)
    await happened(write, [Entry(customer_id, kind, what, object_id) for customer_id in changed])
    return changed
