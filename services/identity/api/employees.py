"""EmployeesService: who works here."""

import asyncio
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from kejing.identity.v1 import employees_service_pb2 as pb
from kejing.identity.v1 import employees_service_pb2_grpc
from services.identity.api.authority import Authority, powers_of, require_authority_over_account
from services.identity.api.departments import department_of
from services.identity.api.holdings import AskHoldings, Holdings
from services.identity.api.passwords import Passwords
from services.identity.api.telling import tell_departments, tell_employees
from services.identity.api.wire import found, to_employee, to_role
from services.identity.domain.departments import Tree, below, led, managers_in, new_managers
from services.identity.domain.roles import ADMINISTRATOR, require_another_administrator
from services.identity.storage import departments, deputies, employees, roles, sessions
from services.shared.clock import business_date
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, InvalidArgument, Violation
from services.shared.rpc.caller import caller


class EmployeesServicer(employees_service_pb2_grpc.EmployeesServiceServicer):
    """`zone`: of business dates; `holdings` answers what an employee still has."""

    def __init__(self, db: Database, zone: ZoneInfo, holdings: AskHoldings, passwords: Passwords) -> None:
        self._db = db
        self._zone = zone
        self._holdings = holdings
        self._passwords = passwords

    async def GetMe(self, request: pb.GetMeRequest, context: Any) -> pb.GetMeResponse:
        me, today = caller().person_id, business_date(self._db.clock(), self._zone)
        async with self._db.snapshot() as read:
            person = found(await employees.get(read, me), "employee", me)
            acting = found(await employees.get(read, caller().employee_id), "employee", caller().employee_id)
            role = to_role(found(await roles.get(read, acting.role), "role", acting.role))
            absent = await deputies.absent_for(read, me, today)
        return pb.GetMeResponse(
            employee=to_employee(person),
            permissions=role.permissions,
            scope=role.scope,
            may_act_for=map(to_employee, absent),
        )

    async def CreateEmployee(self, request: pb.CreateEmployeeRequest, context: Any) -> pb.CreateEmployeeResponse:
        async with self._db.write(request) as write:
            employee_id = write.result_id
            if write.first:
                tree = await departments.lock_people(write)
                department = department_of(tree, request.department_id)
                own = await Authority.of_caller(write.connection)
                own.over_role(await powers_of(write.connection, request.role_key))
                own.over_department(department.id, tree)
                after: Tree = tree
                if request.leads_department:
                    if department.leader_id:
                        raise FailedPrecondition(
                            "DEPARTMENT_HAS_LEADER",
                            f"the department {department.id} is led by {department.leader_id}",
                            department_id=department.id,
                            leader_id=department.leader_id,
                        )
                    after = led(tree, department.id, employee_id)
                row = {"id": employee_id, "login": request.login, "display_name": request.display_name,
                       "department_id": department.id, "role": request.role_key, "active": True, "version": 1,
                       "manager_id": managers_in(department.id, after).of(employee_id),
                       "created_at": write.now}  # fmt: skip
                if not await employees.add(write, row):
                    raise FailedPrecondition(
                        "LOGIN_TAKEN",
                        "somebody has that login already, or had it",
                        violations=[Violation("login", "it must be one that nobody has or had")],
                    )
                changed = [employee_id]
                if request.leads_department:
                    await departments.change(write, [department.id], {"leader_id": employee_id})
                    managers = new_managers(tree, after, below(department.id, after))
                    changed += await employees.settle_managers(write, managers)
                    await tell_departments(write, [department.id], after)
                await tell_employees(write, changed)
            stored = await self._stored(write, employee_id)
        return pb.CreateEmployeeResponse(employee=to_employee(stored))

    async def GetEmployee(self, request: pb.GetEmployeeRequest, context: Any) -> pb.GetEmployeeResponse:
        employee_id = UUID(request.employee_id)
        async with self._db.read() as read:
            row = found(await employees.get(read, employee_id), "employee", employee_id)
        return pb.GetEmployeeResponse(employee=to_employee(row))

    async def ListEmployees(self, request: pb.ListEmployeesRequest, context: Any) -> pb.ListEmployeesResponse:
        department_id = UUID(request.department_id) if request.department_id else None
        after, size = page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            rows = await employees.page(read, department_id, request.login, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListEmployeesResponse(
            employees=map(to_employee, page),
            next_page_token=next_page_token(request, [page[-1].login]) if more else "",
        )

    async def UpdateEmployee(self, request: pb.UpdateEmployeeRequest, context: Any) -> pb.UpdateEmployeeResponse:
        employee_id = UUID(request.employee_id)
        async with self._db.write(request, result_id=employee_id) as write:
            if write.first:
                tree = await departments.lock_people(write)
                employee, own = await self._under_authority(write, employee_id, tree)
                changes: dict[str, Any] = {}
                if request.display_name:
                    changes["display_name"] = request.display_name
                if request.role_key and request.role_key != employee.role:
                    own.over_role(await powers_of(write.connection, request.role_key))
                    await self._require_dispensable(write, employee)
                    changes["role"] = request.role_key
                department_id = department_of(tree, request.department_id or str(employee.department_id)).id
                if department_id != employee.department_id:
                    own.over_department(department_id, tree)
                    self._require_no_leader(employee, tree)
                    changes["department_id"] = department_id
                    changes["manager_id"] = managers_in(department_id, tree).of(employee_id)
                await self._change(write, employee, changes)
            stored = await self._stored(write, employee_id)
        return pb.UpdateEmployeeResponse(employee=to_employee(stored))

    async def DeactivateEmployee(
        self, request: pb.DeactivateEmployeeRequest, context: Any
    ) -> pb.DeactivateEmployeeResponse:
        employee_id = UUID(request.employee_id)
        successor_id = UUID(request.successor_id) if request.successor_id else None
        if successor_id == employee_id:
            raise InvalidArgument("successor_id", successor_id, "it must be somebody else")
        async with self._db.write(request, result_id=employee_id) as write:
            if write.first:
                # Before the lock, which is not held while others are waited for.
                held = [] if successor_id else await self._held(write, employee_id)
                tree = await departments.lock_people(write)
                employee, _ = await self._under_authority(write, employee_id, tree)
                await self._require_dispensable(write, employee)
                self._require_no_leader(employee, tree)
                if successor_id:
                    await self._require_successor(write, successor_id)
                for holdings in held:
                    holdings.require_nothing()
                await self._change(
                    write, employee, {"active": False, "successor_id": successor_id or employee.successor_id}
                )
                await sessions.revoke_all(write, employee_id)
            stored = await self._stored(write, employee_id)
        return pb.DeactivateEmployeeResponse(employee=to_employee(stored))

    async def ReactivateEmployee(
        self, request: pb.ReactivateEmployeeRequest, context: Any
    ) -> pb.ReactivateEmployeeResponse:
        employee_id = UUID(request.employee_id)
        async with self._db.write(request, result_id=employee_id) as write:
            if write.first:
                tree = await departments.lock_people(write)
                employee, _ = await self._under_authority(write, employee_id, tree)
                await self._change(write, employee, {"active": True, "successor_id": None})
            stored = await self._stored(write, employee_id)
        return pb.ReactivateEmployeeResponse(employee=to_employee(stored))

    async def ResetPassword(self, request: pb.ResetPasswordRequest, context: Any) -> pb.ResetPasswordResponse:
        employee_id = UUID(request.employee_id)
        async with self._db.transaction() as write:
            today = business_date(write.now, self._zone)
            await require_authority_over_account(write.connection, employee_id, today)
            password = await self._passwords.reset(write, employee_id, only_first=request.only_first)
        return pb.ResetPasswordResponse(password=password)

    async def _held(self, write: Write, employee_id: UUID) -> list[Holdings]:
        """What he has, and before that what still is on its way to him from those whose successor he is."""
        before = await employees.taken_over_by(write, employee_id)
        coming = await asyncio.gather(*map(self._holdings, before))
        return [*coming, await self._holdings(employee_id)]

    async def _under_authority(self, write: Write, employee_id: UUID, tree: Tree) -> tuple[Row[Any], Authority]:
        """The employee, and the caller's authority. Raises NotFound, PermissionDenied (BEYOND_YOUR_OWN)."""
        employee = found(await employees.get(write.connection, employee_id), "employee", employee_id)
        own = await Authority.of_caller(write.connection)
        own.over_role(await powers_of(write.connection, employee.role))
        own.over_department(employee.department_id, tree)
        return employee, own

    async def _change(self, write: Write, employee: Row[Any], values: dict[str, Any]) -> None:
        """Stores and tells what of `values` is new; nothing where nothing is."""
        new = {name: value for name, value in values.items() if getattr(employee, name) != value}
        if new:
            await employees.change(write, employee.id, new)
            await tell_employees(write, [employee.id])

    async def _require_dispensable(self, write: Write, employee: Row[Any]) -> None:
        """Raises FailedPrecondition: LAST_ADMINISTRATOR."""
        if employee.active and employee.role == ADMINISTRATOR:
            require_another_administrator(await employees.other_administrators(write, employee.id, ADMINISTRATOR))

    @staticmethod
    def _require_no_leader(employee: Row[Any], tree: Tree) -> None:
        for department in tree.values():
            if department.leader_id == employee.id:
                raise FailedPrecondition(
                    "LEADS_DEPARTMENT",
                    f"he leads the department {department.id}; give it another leader first",
                    department_id=department.id,
                )

    @staticmethod
    async def _require_successor(write: Write, successor_id: UUID) -> None:
        if not found(await employees.get(write.connection, successor_id), "employee", successor_id).active:
            raise FailedPrecondition("SUCCESSOR_INACTIVE", f"the employee {successor_id} has left himself")

    @staticmethod
    async def _stored(write: Write, employee_id: UUID) -> Row[Any]:
        return found(await employees.get(write.connection, employee_id), "employee", employee_id)
