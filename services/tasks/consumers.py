"""Events of others: who our customers are, and who has left."""

from uuid import UUID

from google.protobuf.message import Message

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.events_pb2 import CustomersChanged
from kejing.identity.v1.events_pb2 import EmployeesChanged
from kejing.tasks.v1 import events_pb2
from services.shared.access.successors import successors
from services.shared.db import Write
from services.shared.messaging.consumer import Handler
from services.tasks.api.process_messages import to_process
from services.tasks.api.task_messages import to_facts
from services.tasks.domain.notices import Reminders
from services.tasks.storage import parties, processes, tasks

HANDED_OVER_AT_ONCE = 500


async def keep_customers(write: Write, _event: Event, changed: CustomersChanged) -> None:
    await parties.keep_customers(write, changed.customers)


def hand_over(reminders: Reminders) -> Handler:
    """What an employee who has left was to do goes to his successor: open tasks, and processes that have not ended.

    The kit has taken the employees over just before, in the same transaction: the row of one who left is locked, so
    that nobody gives him anything meanwhile. Once more it finds nothing.
    """

    async def handle(write: Write, _event: Event, changed: EmployeesChanged) -> None:
        left = [UUID(employee.id) for employee in changed.employees if not employee.active]
        for employee_id, successor_id in (await successors(write.connection, left)).items():
            while moved := await tasks.hand_over(write, employee_id, successor_id, HANDED_OVER_AT_ONCE):
                for task in moved:
                    write.emit(events_pb2.TaskChanged(facts=to_facts(task, reminders)))
            while theirs := await processes.hand_over(write, employee_id, successor_id, HANDED_OVER_AT_ONCE):
                for process in theirs:
                    write.emit(events_pb2.ProcessChanged(process=to_process(process)))

    return handle


def handlers(reminders: Reminders) -> dict[type[Message], Handler]:
    return {CustomersChanged: keep_customers, EmployeesChanged: hand_over(reminders)}
