"""What the database must hold before anybody can sign in: made where it is missing, at every start."""

from uuid import UUID

from sqlalchemy import select, update

from kejing.common.v1 import permission_pb2
from services.identity.api.telling import tell_departments, tell_employees, tell_roles
from services.identity.domain.departments import Department
from services.identity.domain.roles import ADMINISTRATOR, ADMINISTRATOR_NAME, READY_MADE
from services.identity.storage import departments, employees, roles
from services.shared.access.tables import directory
from services.shared.db import Database, Write
from services.shared.ids import derived_id

NAMESPACE = UUID("6b656a69-6e67-5000-8000-000000000001")
COMPANY_ID = derived_id(NAMESPACE, "department Company")
ADMINISTRATOR_ID = derived_id(NAMESPACE, "employee admin")
CATALOGUE = sorted(set(permission_pb2.Permission.values())
                   - {permission_pb2.PERMISSION_UNSPECIFIED, permission_pb2.PERMISSION_SIGNED_IN})  # fmt: skip
"""Every permission that a role can hold."""


async def prepare(db: Database) -> None:
    """Makes the ready-made roles, the department "Company" and the administrator "admin", once; their ids are the same
    everywhere. Gives the role ADMINISTRATOR the permissions that are new in this release.
    """
    async with db.transaction(actor="machine:identity") as write:
        tree = await departments.lock_people(write)
        await _roles(write)
        if not tree:
            await departments.add(write, COMPANY_ID, "Company", None)
            await tell_departments(write, [COMPANY_ID], {COMPANY_ID: Department(COMPANY_ID, None, None)})
            row = {"id": ADMINISTRATOR_ID, "login": "admin", "display_name": "Administrator", "active": True,
                   "department_id": COMPANY_ID, "role": ADMINISTRATOR, "version": 1,
                   "created_at": write.now}  # fmt: skip
            await employees.add(write, row)
            await tell_employees(write, [ADMINISTRATOR_ID])
        elif (await write.execute(select(directory.c.synced_at))).scalar_one() is None:
            # a database of a release that had no projection yet
            await tell_departments(write, list(tree), tree)
            await tell_employees(write, [row.id for row in await employees.get_all(write.connection)])
        await write.execute(update(directory).where(directory.c.synced_at.is_(None)).values(synced_at=write.now))


async def _roles(write: Write) -> None:
    known = {role.key: role for role in await roles.get_all(write.connection, deleted=True)}
    if not known:
        await roles.add(write, ADMINISTRATOR, ADMINISTRATOR_NAME, CATALOGUE, "ALL")
        for role in READY_MADE:
            numbers = sorted(permission_pb2.Permission.Value(f"PERMISSION_{name}") for name in role.permissions)
            await roles.add(write, role.key, role.name, numbers, role.scope)
        await tell_roles(write, [ADMINISTRATOR, *(role.key for role in READY_MADE)])
    elif not set(CATALOGUE) <= set(known[ADMINISTRATOR].permissions):
        # Those that only a newer release knows stay: the two may run side by side.
        everything = sorted({*CATALOGUE, *known[ADMINISTRATOR].permissions})
        await roles.change(write, ADMINISTRATOR, {"permissions": everything})
        await tell_roles(write, [ADMINISTRATOR])
