"""IdentityService: signing in, departments, employees."""

from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kejing.identity.v1 import employee_pb2, identity_service_pb2_grpc
from kejing.identity.v1 import identity_service_pb2 as pb
from services.identity.api.employees import emit_changed, settle_managers, to_department, to_employee
from services.identity.api.tokens import AssertionRefused, access_token, read_assertion
from services.identity.domain.departments import Department, manager_of
from services.identity.storage import employees, sessions
from services.identity.storage.signing_keys import SigningKeys
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import AlreadyExists, FailedPrecondition, NotFound, PermissionDenied, Unauthenticated
from services.shared.ids import new_id
from services.shared.logging import get_logger
from services.shared.rpc.caller import caller


class IdentityServicer(identity_service_pb2_grpc.IdentityServiceServicer):
    """`command_key` is the public key by which processes and commands of this deployment prove themselves.

    Assertions and access tokens live by the machine's own clock, because everybody who checks them goes by it.
    """

    def __init__(self, db: Database, keys: SigningKeys, command_key: Ed25519PublicKey) -> None:
        self._db = db
        self._keys = keys
        self._command_key = command_key

    async def SignIn(self, request: pb.SignInRequest, context: Any) -> pb.SignInResponse:
        try:
            assertion = read_assertion(request.assertion, self._command_key, utc_now())
        except AssertionRefused as refused:
            raise self._sign_in_refused(str(refused)) from refused
        session_id, refresh_token, subject = new_id(), "", f"machine:{assertion.name}"
        async with self._db.transaction(actor=subject) as write:
            if not await sessions.claim_assertion(write, assertion.jti, assertion.expires_at):
                raise self._sign_in_refused("the assertion was used before")
            if assertion.kind == "employee":
                employee = await employees.by_login(write.connection, assertion.name)
                if employee is None or not employee.active:
                    raise self._sign_in_refused("no active employee of that login", login=assertion.name)
                subject = str(employee.id)
                refresh_token = await sessions.open_session(write, session_id, employee.id)
        token, expires_at = access_token(await self._keys.current(), subject, session_id, utc_now())
        get_logger().info("signed in", subject=subject, session=str(session_id))
        answer = pb.SignInResponse(access_token=token, refresh_token=refresh_token)
        answer.expires_at.FromDatetime(expires_at)
        return answer

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: Any) -> pb.RefreshTokenResponse:
        refused = Unauthenticated("REFRESH_REFUSED", "the refresh token is not valid (any more); sign in again")
        async with self._db.transaction(actor="machine:identity") as write:
            known = await sessions.lock_refresh_token(write, request.refresh_token)
            if known is None:
                raise refused
            # Two hold a token that only one was given: whoever stole it, the session ends for both.
            stolen = known.used_at is not None
            if stolen:
                await sessions.revoke(write, known.session_id)
            elif known.revoked_at is not None or known.expires_at <= write.now or not known.active:
                raise refused
            else:
                await sessions.use_refresh_token(write, request.refresh_token)
                refresh_token = await sessions.add_refresh_token(write, known.session_id)
        if stolen:
            get_logger().warning("refresh token used twice", session=str(known.session_id))
            raise refused
        key, subject = await self._keys.current(), str(known.employee_id)
        token, expires_at = access_token(key, subject, known.session_id, utc_now())
        answer = pb.RefreshTokenResponse(access_token=token, refresh_token=refresh_token)
        answer.expires_at.FromDatetime(expires_at)
        return answer

    async def GetPublicKeys(self, request: pb.GetPublicKeysRequest, context: Any) -> pb.GetPublicKeysResponse:
        keys = await self._keys.public()
        return pb.GetPublicKeysResponse(
            keys=[pb.PublicKey(key_id=key_id, ed25519=key.public_bytes_raw()) for key_id, key in keys.items()]
        )

    async def GetMe(self, request: pb.GetMeRequest, context: Any) -> pb.GetMeResponse:
        return pb.GetMeResponse(employee=to_employee(await self._employee(caller().employee_id)))

    async def CreateDepartment(self, request: pb.CreateDepartmentRequest, context: Any) -> pb.CreateDepartmentResponse:
        await self._require_administrator()
        async with self._db.write(request) as write:
            if write.first:
                tree = await employees.lock_departments(write)
                parent = department_of(tree, request.parent_id)
                if not await employees.add_department(write, write.result_id, request.name, parent.id):
                    raise AlreadyExists(
                        "DEPARTMENT_NAME_TAKEN", f"the department {parent.id} has one named {request.name!r} already"
                    )
            row = await employees.get_department(write.connection, write.result_id)
        return pb.CreateDepartmentResponse(department=to_department(row))

    async def ListDepartments(self, request: pb.ListDepartmentsRequest, context: Any) -> pb.ListDepartmentsResponse:
        after, size = page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            rows = await employees.departments_page(read, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListDepartmentsResponse(
            departments=map(to_department, page),
            next_page_token=next_page_token(request, [page[-1].name, page[-1].id]) if more else "",
        )

    async def CreateEmployee(self, request: pb.CreateEmployeeRequest, context: Any) -> pb.CreateEmployeeResponse:
        await self._require_administrator()
        async with self._db.write(request) as write:
            if write.first:
                tree = await employees.lock_departments(write)
                department = department_of(tree, request.department_id)
                if request.leads_department and department.leader_id:
                    raise FailedPrecondition(
                        "DEPARTMENT_HAS_LEADER",
                        f"the department {department.id} is led by {department.leader_id}",
                        department_id=department.id,
                        leader_id=department.leader_id,
                    )
                if request.leads_department:
                    tree[department.id] = Department(department.id, department.parent_id, write.result_id)
                row = {"id": write.result_id, "login": request.login, "display_name": request.display_name,
                       "department_id": department.id, "role": role_name(request.role), "active": True, "version": 1,
                       "manager_id": manager_of(write.result_id, department.id, tree),
                       "created_at": write.now}  # fmt: skip
                if not await employees.add(write, row):
                    raise AlreadyExists("LOGIN_TAKEN", f"the login {request.login} is taken", login=request.login)
                changed = [write.result_id]
                if request.leads_department:
                    await employees.set_leader(write, department.id, write.result_id)
                    changed += await settle_managers(write, tree)
                await emit_changed(write, changed)
            [stored] = await employees.get_many(write.connection, [write.result_id])
        return pb.CreateEmployeeResponse(employee=to_employee(stored))

    async def GetEmployee(self, request: pb.GetEmployeeRequest, context: Any) -> pb.GetEmployeeResponse:
        return pb.GetEmployeeResponse(employee=to_employee(await self._employee(UUID(request.employee_id))))

    async def ListEmployees(self, request: pb.ListEmployeesRequest, context: Any) -> pb.ListEmployeesResponse:
        department_id = UUID(request.department_id) if request.department_id else None
        after, size = page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            rows = await employees.page(read, department_id, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListEmployeesResponse(
            employees=map(to_employee, page),
            next_page_token=next_page_token(request, [page[-1].login]) if more else "",
        )

    async def _employee(self, employee_id: UUID) -> Any:
        async with self._db.read() as read:
            row = await employees.get(read, employee_id)
        if row is None:
            raise NotFound("employee", employee_id)
        return row

    async def _require_administrator(self) -> None:
        if (await self._employee(caller().employee_id)).role != "ADMINISTRATOR":
            raise PermissionDenied("ADMINISTRATORS_ONLY", "only an administrator may do this")

    @staticmethod
    def _sign_in_refused(cause: str, **facts: str) -> Unauthenticated:
        """One answer for every cause; only the log knows which it was."""
        get_logger().warning("sign-in refused", cause=cause, **facts)
        return Unauthenticated("SIGN_IN_REFUSED", "signing in was refused")


def department_of(tree: dict[UUID, Department], department_id: str) -> Department:
    """The named department, or the root where none is named. Raises NotFound."""
    if not department_id:
        return next(department for department in tree.values() if department.parent_id is None)
    department = tree.get(UUID(department_id))
    if department is None:
        raise NotFound("department", department_id)
    return department


def role_name(role: employee_pb2.Role.ValueType) -> str:
    """The name that a role is stored by, e.g. "CSM"."""
    return employee_pb2.Role.Name(role).removeprefix("ROLE_")
