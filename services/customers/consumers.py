"""Events of other services → customers' own state."""

from collections.abc import Mapping
from datetime import UTC
from uuid import UUID
from zoneinfo import ZoneInfo

from google.protobuf.message import Message

from kejing.common.v1.events_pb2 import Event
from kejing.health.v1 import events_pb2 as health
from kejing.health.v1.health_pb2 import HealthStatus
from kejing.identity.v1 import events_pb2 as identity
from kejing.revenue.v1 import events_pb2 as revenue
from kejing.tasks.v1 import events_pb2 as tasks
from services.customers.api import facts
from services.customers.api.changes import follow, follow_facts
from services.customers.api.churn import ends_moved
from services.customers.api.happened import happened
from services.customers.storage import labels, owners, projections
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.projections import HealthOfWeek
from services.customers.storage.timeline import END_MOVED, Entry
from services.shared.access.successors import successors
from services.shared.clock import business_date
from services.shared.db import Write
from services.shared.messaging.consumer import Handler
from services.shared.rpc.wire import from_date


def handlers(zone: ZoneInfo) -> Mapping[type[Message], Handler]:
    """`zone`: the business time zone."""

    async def employees_changed(write: Write, _event: Event, payload: identity.EmployeesChanged) -> None:
        """The customers of who has left go to his successor. The kit has taken the employees themselves over before."""
        left = [UUID(employee.id) for employee in payload.employees if employee.successor_id and not employee.active]
        if not left:
            return
        await one_at_a_time(write)
        today = business_date(write.now, zone)
        for employee_id, successor_id in (await successors(write.connection, left)).items():
            changed = await owners.hand_over(write, employee_id, successor_id, today)
            await happened(write, changed)
            await follow(write, sorted({entry.customer_id for entry in changed}))

    async def contract_ends_changed(write: Write, _event: Event, payload: revenue.ContractEndsChanged) -> None:
        """What orders say of a contract's end wins over what an import said."""
        await one_at_a_time(write)
        moved = []
        for told in payload.ends:
            end = from_date("last_contract_end", told.last_contract_end) if told.HasField("last_contract_end") else None
            customer_id = UUID(told.customer_id)
            if change := await projections.set_contract_end(write, customer_id, end, told.version):
                moved.append(Entry(customer_id, "CONTRACT", END_MOVED, changes=[change]))
        ids = [entry.customer_id for entry in moved]
        await happened(write, moved)
        await ends_moved(write, ids, zone)
        await follow(write, ids)

    return {
        identity.EmployeesChanged: employees_changed,
        revenue.ContractEndsChanged: contract_ends_changed,
        revenue.RecurringChanged: facts.recurring_changed,
        health.HealthChanged: health_changed,
        health.InputsChanged: facts.inputs_changed,
        tasks.FollowUpRecorded: facts.follow_up_recorded,
    }


async def health_changed(write: Write, _event: Event, payload: health.HealthChanged) -> None:
    """Shown beside the customer; health itself owns it, so that no event goes out."""
    await one_at_a_time(write)
    for item in payload.items:
        status = HealthStatus.Name(item.status).removeprefix("HEALTH_STATUS_")
        computed_at = item.computed_at.ToDatetime(tzinfo=UTC)
        await projections.set_health(write, HealthOfWeek(UUID(item.customer_id), item.week, status, computed_at))
    ids = [UUID(item.customer_id) for item in payload.items]
    await labels.follow_health(write, ids)
    await follow_facts(write, ids)
