"""Signing in by an assertion, and what is refused."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from kejing.identity.v1 import employees_service_pb2 as employees_pb
from kejing.identity.v1 import sessions_service_pb2 as pb
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from services.shared.rpc.assertion import assertion
from tests.support.doors import Door, bearer
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def door(services: RunningServices) -> Door:
    return await Door.of(services)


def asserted(services: RunningServices, subject: str, key: str = "") -> pb.SignInRequest:
    """An assertion of `subject` by the key of the machine `key`, or the command key."""
    keys = services.infrastructure
    return pb.SignInRequest(assertion=assertion(keys.machine_key_file(key) if key else keys.command_key_file, subject))


def forged(services: RunningServices, changes: dict[str, Any]) -> str:
    """An assertion for admin with other claims, signed by the real command key unless `key` is given."""
    now = int(time.time())
    claims = {"iss": "kejing-command", "aud": "identity", "sub": "employee:admin", "iat": now, "exp": now + 30,
              "jti": f"forged-{time.time_ns()}"}  # fmt: skip
    key: Any = changes.get("key") or load_pem_private_key(services.infrastructure.command_key_file.read_bytes(), None)
    kept = {name: value for name, value in {**claims, **changes}.items() if value is not None and name != "key"}
    return jwt.encode(kept, key, algorithm="EdDSA")


async def test_a_brand_new_installation_lets_admin_in(services: RunningServices, door: Door) -> None:
    answer = await door.sessions.SignIn(asserted(services, "employee:admin"))

    assert answer.refresh_token
    assert 14 * 60 < answer.expires_at.seconds - time.time() <= 15 * 60
    me = await door.employees.GetMe(employees_pb.GetMeRequest())
    assert (me.employee.login, me.employee.role_key) == ("admin", "ADMINISTRATOR")
    assert jwt.decode(answer.access_token, options={"verify_signature": False})["sub"] == me.employee.id


async def test_a_machine_gets_no_refresh_token_and_is_no_employee(services: RunningServices, door: Door) -> None:
    answer = await door.sessions.SignIn(asserted(services, "machine:tasks", "tasks"))
    assert answer.access_token
    assert not answer.refresh_token

    machine = await services.stub(EmployeesServiceStub, "machine:tasks")
    assert (await refused(machine.GetMe(employees_pb.GetMeRequest()))).code == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("machine:customers", "tasks"),
        ("machine:customers", ""),
        ("employee:admin", "tasks"),
        ("employee:admin", "identity"),
        ("machine:nobody", ""),
        ("machine:../command", ""),
    ],
)
async def test_a_key_proves_nobody_but_its_own_bearer(
    services: RunningServices, door: Door, subject: str, key: str
) -> None:
    answer = await refused(door.sessions.SignIn(asserted(services, subject, key)))
    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "SIGN_IN_REFUSED")


async def test_a_machines_key_is_exchanged_while_identity_runs(services: RunningServices, door: Door) -> None:
    published = services.infrastructure.home.machine_keys / "revenue.pub"
    before, fresh = published.read_bytes(), Ed25519PrivateKey.generate()
    await door.sessions.SignIn(asserted(services, "machine:revenue", "revenue"))
    try:
        published.write_bytes(fresh.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        assert (await refused(door.sessions.SignIn(asserted(services, "machine:revenue", "revenue")))).code
        by_new = pb.SignInRequest(assertion=forged(services, {"sub": "machine:revenue", "key": fresh}))
        assert (await door.sessions.SignIn(by_new)).access_token
    finally:
        published.write_bytes(before)


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "employee:nobody-of-that-name"},
        {"sub": "employee:"},
        {"sub": "admin"},
        {"sub": "robot:admin"},
        {"sub": "machine:"},
        {"iss": "somebody"},
        {"aud": "customers"},
        {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 3630},
        {"exp": int(time.time()) + 3600},
        {"iat": int(time.time()) + 600, "exp": int(time.time()) + 630},
        {"jti": None},
        {"exp": None},
        {"key": Ed25519PrivateKey.generate()},
    ],
    ids=" ".join,
)
async def test_whatever_is_wrong_with_an_assertion_the_answer_is_the_same(
    services: RunningServices, door: Door, changes: dict[str, Any]
) -> None:
    answer = await refused(door.sessions.SignIn(pb.SignInRequest(assertion=forged(services, changes))))

    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "SIGN_IN_REFUSED")
    assert answer.message == "signing in was refused"


async def test_text_that_is_no_token_is_refused_alike(door: Door) -> None:
    answer = await refused(door.sessions.SignIn(pb.SignInRequest(assertion="employee:admin")))
    assert answer.reason == "SIGN_IN_REFUSED"


async def test_a_sign_in_without_any_proof_is_refused(door: Door) -> None:
    assert (await refused(door.sessions.SignIn(pb.SignInRequest()))).code == "INVALID_ARGUMENT"


async def test_an_assertion_opens_the_door_once(services: RunningServices, door: Door) -> None:
    once = asserted(services, "employee:admin")
    await door.sessions.SignIn(once)
    assert (await refused(door.sessions.SignIn(once))).reason == "SIGN_IN_REFUSED"


async def test_who_has_left_is_not_let_in(door: Door) -> None:
    person = await door.person_with_password()
    leaving = employees_pb.DeactivateEmployeeRequest(request_id=person.id, employee_id=person.id,
                                                     successor_id=(await door.person()).id)  # fmt: skip
    await door.employees.DeactivateEmployee(leaving)

    assert (await refused(door.command(person.login))).reason == "SIGN_IN_REFUSED"
    assert (await refused(door.sign_in(person.login))).reason == "SIGN_IN_REFUSED"


async def test_calls_without_or_with_a_wrong_token_are_refused(services: RunningServices) -> None:
    nobody = await services.stub(EmployeesServiceStub, "")
    assert (await refused(nobody.GetMe(employees_pb.GetMeRequest()))).reason == "TOKEN_MISSING"

    token = await services.sign_in("employee:admin")
    spoiled = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    for wrong in (spoiled, "x.y.z", token.rpartition(".")[0] + "."):
        answer = await refused(nobody.GetMe(employees_pb.GetMeRequest(), metadata=bearer(wrong)))
        assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")
