"""People who sign in: with employees of their own, by the door that somebody without a token meets."""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from kejing.identity.v1 import employees_service_pb2 as employees_pb
from kejing.identity.v1 import sessions_service_pb2 as pb
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from kejing.identity.v1.roles_service_pb2 import CreateRoleRequest
from kejing.identity.v1.roles_service_pb2_grpc import RolesServiceStub
from kejing.identity.v1.sessions_service_pb2_grpc import SessionsServiceStub
from services.shared.rpc.assertion import assertion
from tests.support.services import RunningServices

_NUMBERS = itertools.count(1)
GOOD = "Correct-Horse-7"


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata that carries an access token."""
    return (("authorization", f"Bearer {token}"),)


def session_of(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["sid"])


@dataclass(frozen=True)
class Person:
    id: str
    login: str


@dataclass(frozen=True)
class Door:
    """identity as somebody without a token meets it, and the administrator who lets people in."""

    services: RunningServices
    sessions: Any
    employees: Any

    @classmethod
    async def of(cls, services: RunningServices) -> "Door":
        return cls(services, await services.stub(SessionsServiceStub, ""), await services.stub(EmployeesServiceStub))

    async def person(self, role_key: str = "CSM") -> Person:
        """A new employee without a password."""
        login = f"guest{next(_NUMBERS)}-{uuid.uuid4().hex[:6]}"
        request = employees_pb.CreateEmployeeRequest(
            request_id=str(uuid.uuid4()), login=login, display_name="Guest", role_key=role_key
        )
        return Person((await self.employees.CreateEmployee(request)).employee.id, login)

    async def person_with_role(self, permissions: Sequence[int], scope: int) -> Person:
        """A new employee with a role of his own."""
        key = f"GUESTS_{next(_NUMBERS)}_{uuid.uuid4().hex[:6].upper()}"
        roles = await self.services.stub(RolesServiceStub)
        await roles.CreateRole(
            CreateRoleRequest(request_id=key, key=key, name=key, permissions=permissions, scope=scope)  # type: ignore[arg-type]
        )
        return await self.person(key)

    async def temporary(self, person: Person) -> str:
        """A password that the administrator gives him."""
        request = employees_pb.ResetPasswordRequest(employee_id=person.id)
        return str((await self.employees.ResetPassword(request)).password)

    async def person_with_password(self, role_key: str = "CSM", password: str = GOOD) -> Person:
        """A new employee who has changed his first password."""
        person = await self.person(role_key)
        await self.change(person.login, await self.temporary(person), password)
        return person

    async def change(self, login: str, old: str, new: str) -> Any:
        given = pb.Password(login=login, password=old)
        return await self.sessions.ChangePassword(pb.ChangePasswordRequest(password=given, new_password=new))

    async def sign_in(self, login: str, password: str = GOOD) -> Any:
        """The answer of SignIn by password."""
        return await self.sessions.SignIn(pb.SignInRequest(password=pb.Password(login=login, password=password)))

    async def command(self, login: str) -> Any:
        """The answer of SignIn by the deployment's command key."""
        proof = assertion(self.services.infrastructure.command_key_file, f"employee:{login}")
        return await self.sessions.SignIn(pb.SignInRequest(assertion=proof))

    async def refresh(self, token: str) -> Any:
        return await self.sessions.RefreshToken(pb.RefreshTokenRequest(refresh_token=token))
