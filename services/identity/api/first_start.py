"""What a brand-new database needs so that somebody can sign in."""

from uuid import UUID

from services.identity.api.employees import emit_changed
from services.identity.storage import employees
from services.shared.db import Database
from services.shared.ids import derived_id

NAMESPACE = UUID("6b656a69-6e67-5000-8000-000000000001")
COMPANY_ID = derived_id(NAMESPACE, "department Company")
ADMINISTRATOR_ID = derived_id(NAMESPACE, "employee admin")


async def make_first_employee(db: Database) -> None:
    """Makes the department "Company" and the administrator "admin", once; their ids are the same everywhere."""
    async with db.transaction(actor="machine:identity") as write:
        if await employees.lock_departments(write):
            return
        await employees.add_department(write, COMPANY_ID, "Company", None)
        row = {"id": ADMINISTRATOR_ID, "login": "admin", "display_name": "Administrator", "department_id": COMPANY_ID,
               "role": "ADMINISTRATOR", "active": True, "version": 1, "created_at": write.now}  # fmt: skip
        await employees.add(write, row)
        await emit_changed(write, [ADMINISTRATOR_ID])
