"""Nobody gives, changes or takes away more than he has himself.

Else whoever may manage employees could make himself an administrator, or set the password of one.
"""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.identity.api.wire import found
from services.identity.domain.departments import Tree, path_of
from services.identity.domain.roles import Powers, require_within
from services.identity.storage import departments, deputies, employees, roles
from services.shared.errors import PermissionDenied
from services.shared.rpc.caller import caller


@dataclass(frozen=True)
class Authority:
    """Of the caller. `bounds`: powers and a department, within each of which he stays: his own and, where he acts for
    somebody, the absent one's as well, for what he gives lasts longer than he stands in.
    """

    bounds: tuple[tuple[Powers, UUID], ...]

    @classmethod
    async def of_caller(cls, connection: AsyncConnection) -> "Authority":
        bounds = []
        for employee_id in {caller().person_id, caller().employee_id}:
            employee = found(await employees.get(connection, employee_id), "employee", employee_id)
            bounds.append((await powers_of(connection, employee.role), employee.department_id))
        return cls(tuple(bounds))

    def over_role(self, powers: Powers) -> None:
        """Raises PermissionDenied (BEYOND_YOUR_OWN) where these powers exceed the caller's."""
        for own, _ in self.bounds:
            require_within(powers, own)

    def over_department(self, department_id: UUID, tree: Tree) -> None:
        """Whose scope isn't ALL manages his own department and those below it, because who sits where decides who sees
        what. Raises PermissionDenied (BEYOND_YOUR_OWN).
        """
        for own, own_department_id in self.bounds:
            if own.scope != "ALL" and own_department_id not in path_of(department_id, tree):
                raise PermissionDenied("BEYOND_YOUR_OWN", "that department lies outside of your own")


async def powers_of(connection: AsyncConnection, role_key: str) -> Powers:
    """Raises NotFound: ROLE_NOT_FOUND."""
    role = found(await roles.get(connection, role_key), "role", role_key)
    return Powers(frozenset(role.permissions), role.scope)


async def require_authority_over(connection: AsyncConnection, employee_id: UUID) -> None:
    """Raises NotFound (EMPLOYEE_NOT_FOUND), and PermissionDenied (BEYOND_YOUR_OWN) for an employee whose role may more,
    or sees more, than the caller's, or who belongs to a department outside of his.
    """
    employee = found(await employees.get(connection, employee_id), "employee", employee_id)
    own = await Authority.of_caller(connection)
    own.over_role(await powers_of(connection, employee.role))
    own.over_department(employee.department_id, await departments.get_tree(connection))


async def require_authority_over_account(connection: AsyncConnection, employee_id: UUID, today: date) -> None:
    """Raises as require_authority_over, also for the sake of those for whom the employee stands in, on the business
    date `today` or later: who has his account may act for them.
    """
    for each in [employee_id, *await deputies.stood_in_for(connection, employee_id, today)]:
        await require_authority_over(connection, each)
