"""What an employee still has, asked of the services that know."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import grpc

from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
from kejing.tasks.v1 import tasks_service_pb2, tasks_service_pb2_grpc
from services.shared.errors import FailedPrecondition, Unavailable

ASK_SECONDS = 3.0
"""So long a service that has just come back is waited for too."""


@dataclass(frozen=True)
class Holdings:
    """How many customers somebody owns, in whatever role, how many open tasks and running processes are his."""

    customers: int
    open_tasks: int
    processes: int

    def require_nothing(self) -> None:
        """Raises FailedPrecondition: SUCCESSOR_NEEDED."""
        if self.customers or self.open_tasks or self.processes:
            raise FailedPrecondition(
                "SUCCESSOR_NEEDED",
                f"he has {self.customers} customers, {self.open_tasks} open tasks and {self.processes} running "
                "processes; name who takes them over",
                customers=self.customers,
                open_tasks=self.open_tasks,
                processes=self.processes,
            )


AskHoldings = Callable[[UUID], Awaitable[Holdings]]


def asked_of(customers: grpc.aio.Channel, tasks: grpc.aio.Channel) -> AskHoldings:
    """How identity asks; the channels sign calls as the machine that it is.

    What is answered raises Unavailable (HOLDINGS_UNKNOWN) where one of the two services doesn't answer.
    """
    owned = customers_service_pb2_grpc.CustomersServiceStub(customers)
    work = tasks_service_pb2_grpc.TasksServiceStub(tasks)

    async def ask(employee_id: UUID) -> Holdings:
        of_customers = customers_service_pb2.CountOwnedCustomersRequest(employee_id=str(employee_id))
        of_tasks = tasks_service_pb2.CountOpenTasksRequest(employee_id=str(employee_id))
        try:
            told_customers, told_tasks = await asyncio.gather(
                owned.CountOwnedCustomers(of_customers, timeout=ASK_SECONDS, wait_for_ready=True),
                work.CountOpenTasks(of_tasks, timeout=ASK_SECONDS, wait_for_ready=True),
            )
        except grpc.aio.AioRpcError as error:
            raise Unavailable(
                "HOLDINGS_UNKNOWN",
                "customers and tasks, which know what he has, do not both answer; try again, or name a successor",
            ) from error
        return Holdings(told_customers.customers, told_tasks.tasks, told_tasks.processes)

    return ask
