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
from services.customers.api.wire import emit_changed
from services.customers.storage import ownership, projections
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.projections import HealthOfWeek
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
            await emit_changed(write, await ownership.hand_over(write, employee_id, successor_id, today))

    return {
        identity.EmployeesChanged: employees_changed,
        revenue.ContractEndsChanged: contract_ends_changed,
        health.HealthChanged: health_changed,
    }


async def contract_ends_changed(write: Write, _event: Event, payload: revenue.ContractEndsChanged) -> None:
    """What orders say of a contract's end wins over what an import said."""
    await one_at_a_time(write)
    moved = []
    for told in payload.ends:
        end = from_date("last_contract_end", told.last_contract_end) if told.HasField("last_contract_end") else None
        customer_id = UUID(told.customer_id)
        if await projections.set_contract_end(write, customer_id, end, told.version):
            moved.append(customer_id)
    await ownership.refresh_lists(write, moved)
    await emit_changed(write, moved)


async def health_changed(write: Write, _event: Event, payload: health.HealthChanged) -> None:
    """Shown beside the customer; health itself owns it, so that no event goes out."""
    await one_at_a_time(write)
    for item in payload.items:
        status = HealthStatus.Name(item.status).removeprefix("HEALTH_STATUS_")
        computed_at = item.computed_at.ToDatetime(tzinfo=UTC)
        await projections.set_health(write, HealthOfWeek(UUID(item.customer_id), item.week, status, computed_at))
