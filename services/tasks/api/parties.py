"""Whether customers, employees and themes are there, for those who give them work."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.common.v1 import permission_pb2
from services.shared.access.directory import Directory
from services.shared.access.known_customers import KnownCustomers
from services.shared.access.successors import successors
from services.shared.db import Database, Write
from services.shared.errors import FailedPrecondition, NotFound
from services.shared.rpc.caller import caller
from services.tasks.storage import parties


@dataclass(frozen=True)
class Known:
    """That all are known; `check` says whether they may be given new work."""

    employee_active: bool | None
    theme_active: bool | None
    theme_key: str

    def check(self) -> None:
        """Raises FailedPrecondition: EMPLOYEE_INACTIVE, THEME_INACTIVE."""
        if self.employee_active is False:
            raise _inactive()
        if self.theme_active is False:
            raise FailedPrecondition("THEME_INACTIVE", f"the theme {self.theme_key} is no longer offered")


class Parties:
    """Looks into the projections; where they don't know somebody yet, the owner of the fact is asked once."""

    def __init__(self, db: Database, customers: KnownCustomers, directory: Directory) -> None:
        self._db = db
        self._customers = customers
        self._directory = directory

    async def find(
        self, *, customer_id: UUID | None = None, employee_id: UUID | None = None, theme_key: str = ""
    ) -> Known:
        """One statement where all are known.

        Raises NotFound: CUSTOMER_NOT_FOUND, also for a customer outside the caller's scope, EMPLOYEE_NOT_FOUND,
        THEME_NOT_FOUND; Unavailable: CUSTOMER_UNCONFIRMED, DIRECTORY_UNKNOWN where the service that would know does
        not answer.
        """
        scope = caller().scope

        async def look_up() -> Row[Any, Any, Any]:
            async with self._db.read() as read:
                return await parties.look_up(read, scope, customer_id, employee_id, theme_key)

        found = await look_up()
        if theme_key and found.theme_active is None:
            raise NotFound("theme", theme_key)
        if customer_id and found.customer_version is None and await self._customers.ensure([customer_id]):
            found = await look_up()
        if customer_id and found.customer_version is None:
            raise NotFound("customer", customer_id)
        if employee_id and found.employee_active is None:
            await self._directory.grant_of(employee_id)  # asks identity for the whole directory
            found = await look_up()
            if found.employee_active is None:
                raise NotFound("employee", employee_id)
        return Known(found.employee_active, found.theme_active, theme_key)

    async def hold(self, write: Write, employee_id: UUID) -> None:
        """Keeps an employee who is given work until `write` ends. Raises FailedPrecondition: EMPLOYEE_INACTIVE."""
        if not await parties.lock_active(write, employee_id):
            raise _inactive()

    async def check_assignee(self, write: Write, employee_id: UUID, customer_id: UUID) -> None:
        """Lets an employee be given a task of a customer that the caller sees; he stays until `write` ends.

        Call it before a task is locked: who hands over locks the employee first, too.

        Raises FailedPrecondition: EMPLOYEE_INACTIVE; ASSIGNEE_OUT_OF_SCOPE where he doesn't see the customer himself
        or may do no tasks.
        """
        await self.hold(write, employee_id)
        if not await self.may_do_tasks(write, employee_id, customer_id):
            raise FailedPrecondition(
                "ASSIGNEE_OUT_OF_SCOPE",
                "the assignee needs PERMISSION_TASKS_WRITE and the customer in the scope of his role; name one of the "
                "customer's owners, or make him one first",
                assignee_id=employee_id,
            )

    async def who_does_it(self, write: Write, employee_id: UUID) -> UUID:
        """The employee, who stays until `write` ends; his successor where he has left."""
        if await parties.lock_active(write, employee_id):
            return employee_id
        return (await successors(write.connection, [employee_id])).get(employee_id, employee_id)

    async def check_owner(self, write: Write, employee_id: UUID, customer_id: UUID) -> None:
        """Lets an employee answer for a process of a customer; he stays until `write` ends.

        Raises FailedPrecondition: EMPLOYEE_INACTIVE; OWNER_OUT_OF_SCOPE where he doesn't see the customer himself.
        """
        await self.hold(write, employee_id)
        grant = await self._directory.grant_of(employee_id)
        if grant is None or not await parties.is_in(write.connection, grant.scope, customer_id):
            raise FailedPrecondition(
                "OWNER_OUT_OF_SCOPE",
                "whoever answers for a process needs the customer in the scope of his role; name one of the customer's "
                "owners, or make him one first",
                owner_id=employee_id,
            )

    async def may_do_tasks(self, write: Write, employee_id: UUID, customer_id: UUID) -> bool:
        """Whether an employee may do tasks and sees the customer himself."""
        grant = await self._directory.grant_of(employee_id)
        if grant is None or permission_pb2.PERMISSION_TASKS_WRITE not in grant.permissions:
            return False
        return await parties.is_in(write.connection, grant.scope, customer_id)


def _inactive() -> FailedPrecondition:
    return FailedPrecondition("EMPLOYEE_INACTIVE", "the employee has left and is given no new work")
