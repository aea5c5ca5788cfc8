"""The notifications service as other services, the delivering process and readers use it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from kejing.common.v1.events_pb2 import Event
from kejing.identity.v1.employee_pb2 import Employee
from kejing.identity.v1.events_pb2 import EmployeeFacts
from kejing.notifications.v1 import inbox_pb2, inbox_service_pb2, inbox_service_pb2_grpc
from kejing.tasks.v1 import task_pb2
from kejing.tasks.v1.events_pb2 import TaskNoticed
from services.notifications.consumers import handlers
from services.notifications.storage.tables import inbox_items
from services.shared.access.projection import put_employees
from services.shared.clock import utc_now
from services.shared.ids import new_id
from tests.support.people import ZONE, owned_by, stub_of, tell_deputy, tell_owners
from tests.support.services import RunningServices

MACHINE = "machine:processes"
HERE = "notifications"
STUB = inbox_service_pb2_grpc.InboxServiceStub


class Inboxes:
    def __init__(self, services: RunningServices, stub: Any) -> None:
        self.services = services
        self.stub = stub

    async def customer(self, *owners: str, customer_id: str = "", version: int = 1) -> str:
        facts = owned_by(owners, customer_id, version)
        await tell_owners(self.services, HERE, facts)
        return facts.id

    async def deputy(self, absent: str, deputy: str, first: int = -1, last: int = 1, **more: Any) -> Any:
        return await tell_deputy(self.services, HERE, absent, deputy, first, last, **more)

    async def has_left(self, employee: str, version: int = 2) -> None:
        facts = EmployeeFacts(id=employee, department_id=str(new_id()), role_key="CSM", active=False, version=version)
        async with self.services.db(HERE).transaction(actor="machine:test") as write:
            await put_employees(write, [facts])

    async def notice(self, notice: TaskNoticed) -> None:
        async with self.services.db(HERE).transaction(actor="machine:test", unscoped="told by a test") as write:
            await handlers(ZONE)[TaskNoticed](write, Event(), notice)

    async def held(self, *employees: str) -> list[list[Any]]:
        """The rows in the inboxes of each, whether they are shown or not."""
        return [await held(self.services, employee) for employee in employees]

    async def numbers(self, *employees: str) -> list[int]:
        return [len(rows) for rows in await self.held(*employees)]

    async def items(self, person: Employee, metadata: Any = None, **asked: Any) -> list[inbox_pb2.InboxItem]:
        """What the person is shown."""
        stub = await stub_of(self.services, STUB, person)
        return list((await stub.ListInbox(inbox_service_pb2.ListInboxRequest(**asked), metadata=metadata)).items)

    async def deliver(self, *alerts: tuple[str, str], customer_version: int = 0) -> int:
        """Delivers (alert, customer) and answers how many items were new."""
        notices = [
            inbox_service_pb2.AlertNotice(
                alert_id=alert, customer_id=customer, facts={"to": "AT_RISK"}, customer_version=customer_version
            )
            for alert, customer in alerts
        ]
        answer = await self.stub.DeliverAlerts(inbox_service_pb2.DeliverAlertsRequest(alerts=notices))
        return int(answer.delivered)

    async def alert(self, customer: str) -> int:
        return await self.deliver((str(new_id()), customer))


def employee() -> str:
    """The id of somebody whom no event told of yet."""
    return str(new_id())


def noticed(
    customer: str, recipients: Sequence[str], kind: task_pb2.NoticeKind.ValueType = task_pb2.NOTICE_KIND_OVERDUE
) -> TaskNoticed:
    """Somebody must be told of a new task, 90 minutes late."""
    notice = TaskNoticed(task_id=str(new_id()), customer_id=customer, recipient_ids=recipients, kind=kind)
    notice.deadline_at.FromDatetime(utc_now())
    notice.late_by.FromTimedelta(timedelta(minutes=90))
    return notice


async def held(services: RunningServices, employee_id: str) -> list[Any]:
    """The rows of an inbox, whether they are shown or not."""
    async with services.db(HERE).read(unscoped="looked at by a test") as read:
        return list(await read.execute(select(inbox_items).where(inbox_items.c.employee_id == UUID(employee_id))))


async def open_inboxes(services: RunningServices) -> Inboxes:
    """Starts the service where it doesn't run."""
    return Inboxes(services, await services.stub(STUB, MACHINE))
