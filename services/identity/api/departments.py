"""DepartmentsService: the department tree."""

from typing import Any
from uuid import UUID

from kejing.identity.v1 import departments_service_pb2 as pb
from kejing.identity.v1 import departments_service_pb2_grpc
from services.identity.api.authority import Authority
from services.identity.api.telling import tell_departments, tell_employees
from services.identity.api.wire import found, to_department
from services.identity.domain.departments import Department, Tree, added, below, led, moved, new_managers
from services.identity.storage import departments, employees
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


class DepartmentsServicer(departments_service_pb2_grpc.DepartmentsServiceServicer):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def CreateDepartment(self, request: pb.CreateDepartmentRequest, context: Any) -> pb.CreateDepartmentResponse:
        async with self._db.write(request) as write:
            if write.first:
                tree = await departments.lock_people(write)
                parent = department_of(tree, request.parent_id)
                (await Authority.of_caller(write.connection)).over_department(parent.id, tree)
                after = added(tree, Department(write.result_id, parent.id, None))
                await self._require_free(write, request.name, parent.id)
                await departments.add(write, write.result_id, request.name, parent.id)
                await tell_departments(write, [write.result_id], after)
            row = await departments.get(write.connection, write.result_id)
        return pb.CreateDepartmentResponse(department=to_department(row))

    async def ListDepartments(self, request: pb.ListDepartmentsRequest, context: Any) -> pb.ListDepartmentsResponse:
        after, size = page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            rows = await departments.page(read, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListDepartmentsResponse(
            departments=map(to_department, page),
            next_page_token=next_page_token(request, [page[-1].name, page[-1].id]) if more else "",
        )

    async def UpdateDepartment(self, request: pb.UpdateDepartmentRequest, context: Any) -> pb.UpdateDepartmentResponse:
        if request.leader_id and request.no_leader:
            raise InvalidArgument("no_leader", True, "it must not be set together with leader_id")
        department_id = UUID(request.department_id)
        async with self._db.write(request, result_id=department_id) as write:
            if write.first:
                tree = await departments.lock_people(write)
                department = department_of(tree, request.department_id)
                (await Authority.of_caller(write.connection)).over_department(department_id, tree)
                stored = await departments.get(write.connection, department_id)
                changes: dict[str, Any] = {}
                if request.name and request.name != stored.name:
                    await self._require_free(write, request.name, department.parent_id, department_id)
                    changes["name"] = request.name
                after: Tree = tree
                if request.leader_id or request.no_leader:
                    leader_id = UUID(request.leader_id) if request.leader_id else None
                    if leader_id:
                        await self._require_fit(write, leader_id, department_id, tree)
                    after = led(tree, department_id, leader_id)
                    if leader_id != stored.leader_id:
                        changes["leader_id"] = leader_id
                if changes:
                    await departments.change(write, [department_id], changes)
                    await self._settle(write, [department_id], tree, after)
            row = await departments.get(write.connection, department_id)
        return pb.UpdateDepartmentResponse(department=to_department(row))

    async def MoveDepartment(self, request: pb.MoveDepartmentRequest, context: Any) -> pb.MoveDepartmentResponse:
        department_id, parent_id = UUID(request.department_id), UUID(request.parent_id)
        async with self._db.write(request, result_id=department_id) as write:
            if write.first:
                tree = await departments.lock_people(write)
                for each in (request.department_id, request.parent_id):
                    department_of(tree, each)
                own = await Authority.of_caller(write.connection)
                own.over_department(department_id, tree)
                own.over_department(parent_id, tree)
                after = moved(tree, department_id, parent_id)
                row = await departments.get(write.connection, department_id)
                if row.parent_id != parent_id:
                    await self._require_free(write, row.name, parent_id)
                    subtree = below(department_id, after)
                    await departments.change(write, [department_id], {"parent_id": parent_id})
                    await departments.change(write, subtree[1:], {})  # their place changes with it
                    await self._settle(write, subtree, tree, after)
            row = await departments.get(write.connection, department_id)
        return pb.MoveDepartmentResponse(department=to_department(row))

    async def DeleteDepartment(self, request: pb.DeleteDepartmentRequest, context: Any) -> pb.DeleteDepartmentResponse:
        department_id = UUID(request.department_id)
        async with self._db.write(request, result_id=department_id) as write:
            if write.first:
                tree = await departments.lock_people(write)
                if department_of(tree, request.department_id).parent_id is None:
                    raise FailedPrecondition("ROOT_DEPARTMENT", "the root of the tree can't be removed")
                (await Authority.of_caller(write.connection)).over_department(department_id, tree)
                people = await employees.count_in_department(write, department_id)
                departments_below = len(below(department_id, tree)) - 1
                if people or departments_below:
                    raise FailedPrecondition(
                        "DEPARTMENT_NOT_EMPTY",
                        f"the department {department_id} has {people} employees and {departments_below} departments",
                        employees=people,
                        departments=departments_below,
                    )
                await departments.change(write, [department_id], {"deleted": True})
                await tell_departments(write, [department_id], tree)
        return pb.DeleteDepartmentResponse()

    @staticmethod
    async def _settle(write: Write, changed: list[UUID], before: Tree, after: Tree) -> None:
        """Lets everybody below the changed departments report to whom the tree now says, and tells both."""
        managers = new_managers(before, after, below(changed[0], after))
        moved_people = await employees.settle_managers(write, managers)
        await tell_departments(write, changed, after)
        await tell_employees(write, moved_people)

    @staticmethod
    async def _require_free(write: Write, name: str, parent_id: UUID | None, besides: UUID | None = None) -> None:
        if await departments.name_taken(write, name, parent_id, besides):
            raise AlreadyExists(
                "DEPARTMENT_NAME_TAKEN", f"the department {parent_id} has one named {name!r} already", name=name
            )

    @staticmethod
    async def _require_fit(write: Write, leader_id: UUID, department_id: UUID, tree: Tree) -> None:
        """Raises NotFound, FailedPrecondition: who may lead the department is active, belongs to it, leads no other."""
        leader = found(await employees.get(write.connection, leader_id), "employee", leader_id)
        if not leader.active:
            raise FailedPrecondition("EMPLOYEE_INACTIVE", f"the employee {leader_id} has left")
        for other in tree.values():
            if other.leader_id == leader_id and other.id != department_id:
                raise FailedPrecondition(
                    "LEADS_DEPARTMENT", f"he leads the department {other.id}", department_id=other.id
                )
        if leader.department_id != department_id:
            raise FailedPrecondition(
                "NOT_IN_DEPARTMENT",
                f"the employee {leader_id} belongs to the department {leader.department_id}",
                department_id=leader.department_id,
            )


def department_of(tree: Tree, department_id: str) -> Department:
    """The named department, or the root where none is named. Raises NotFound."""
    if not department_id:
        return next(department for department in tree.values() if department.parent_id is None)
    department = tree.get(UUID(department_id))
    if department is None:
        raise NotFound("department", department_id)
    return department
