"""Whether customers, employees and themes are there, for those who give them work."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import grpc
from sqlalchemy import Row

from kejing.customers.v1 import customers_service_pb2 as customers
from kejing.customers.v1 import customers_service_pb2_grpc as customers_grpc
from kejing.identity.v1 import identity_service_pb2 as identity
from kejing.identity.v1 import identity_service_pb2_grpc as identity_grpc
from services.shared.db import Database
from services.shared.errors import FailedPrecondition, NotFound, Unavailable
from services.shared.rpc.client import Forwarding, channel
from services.tasks.storage import parties

ASK_SECONDS = 3.0


@dataclass(frozen=True)
class Known:
    """That all are known; `check` says whether they may be given new work."""

    employee_active: bool | None
    theme_active: bool | None
    theme_key: str

    def check(self) -> None:
        """Raises FailedPrecondition: EMPLOYEE_INACTIVE, THEME_INACTIVE."""
        if self.employee_active is False:
            raise FailedPrecondition("EMPLOYEE_INACTIVE", "the employee has left and is given no new work")
        if self.theme_active is False:
            raise FailedPrecondition("THEME_INACTIVE", f"the theme {self.theme_key} is no longer offered")


class Parties:
    """Looks into the projections; where they don't know somebody yet, asks the service that does, as the caller."""

    def __init__(self, db: Database, customers_address: str, identity_address: str) -> None:
        self._db = db
        self._channels = [channel(customers_address, Forwarding()), channel(identity_address, Forwarding())]
        self._customers = customers_grpc.CustomersServiceStub(self._channels[0])
        self._identity = identity_grpc.IdentityServiceStub(self._channels[1])

    async def find(
        self, *, customer_id: UUID | None = None, employee_id: UUID | None = None, theme_key: str = ""
    ) -> Known:
        """One statement where all are known.

        Raises NotFound: CUSTOMER_NOT_FOUND, EMPLOYEE_NOT_FOUND, THEME_NOT_FOUND; Unavailable where the service that
        would know does not answer.
        """
        found = await self._look_up(customer_id, employee_id, theme_key)
        if theme_key and found.theme_active is None:
            raise NotFound("theme", theme_key)
        if customer_id and found.customer_version is None:
            await self._fetch_customer(customer_id)
        if employee_id and found.employee_active is None:
            await self._fetch_employee(employee_id)
            found = await self._look_up(customer_id, employee_id, theme_key)
        return Known(found.employee_active, found.theme_active, theme_key)

    async def _look_up(self, customer_id: UUID | None, employee_id: UUID | None, theme_key: str) -> Row[Any, Any, Any]:
        async with self._db.read() as read:
            return await parties.look_up(read, customer_id, employee_id, theme_key)

    async def _fetch_customer(self, customer_id: UUID) -> None:
        wanted = customers.GetCustomerRequest(customer_id=str(customer_id))
        answer = await _ask(self._customers.GetCustomer(wanted, timeout=ASK_SECONDS), "customer", customer_id)
        async with self._db.transaction() as write:
            await parties.keep_customers(write, [answer.customer])

    async def _fetch_employee(self, employee_id: UUID) -> None:
        wanted = identity.GetEmployeeRequest(employee_id=str(employee_id))
        answer = await _ask(self._identity.GetEmployee(wanted, timeout=ASK_SECONDS), "employee", employee_id)
        async with self._db.transaction() as write:
            await parties.keep_employees(write, [answer.employee])

    async def close(self) -> None:
        for each in self._channels:
            await each.close()


async def _ask(call: Any, noun: str, key: UUID) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.NOT_FOUND:
            raise NotFound(noun, key) from error
        raise Unavailable(
            f"{noun.upper()}_UNCONFIRMED",
            f"{noun} {key} is not known here yet, and its service answers {error.code().name}; try again",
        ) from error
