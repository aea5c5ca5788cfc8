"""Signing in, refreshing, and what is refused."""

import time
import uuid
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import text

from kejing.identity.v1 import identity_service_pb2 as pb
from kejing.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from services.identity.api.tokens import access_token
from services.identity.storage.signing_keys import SigningKeys
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.rpc.client import assertion
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def door(services: RunningServices) -> Any:
    """The service as somebody without a token meets it."""
    return await services.stub(IdentityServiceStub, "")


def proof(services: RunningServices, subject: str) -> str:
    return assertion(services.infrastructure.command_key_file, subject)


def forged(services: RunningServices, changes: dict[str, Any]) -> str:
    """An assertion for admin with other claims, signed by the real command key unless `key` is given."""
    now = int(time.time())
    claims = {"iss": "kejing-command", "aud": "identity", "sub": "employee:admin", "iat": now, "exp": now + 30,
              "jti": f"forged-{time.time_ns()}"}  # fmt: skip
    key: Any = changes.get("key") or load_pem_private_key(services.infrastructure.command_key_file.read_bytes(), None)
    kept = {name: value for name, value in {**claims, **changes}.items() if value is not None and name != "key"}
    return jwt.encode(kept, key, algorithm="EdDSA")


async def test_a_brand_new_installation_lets_admin_in(services: RunningServices, door: Any) -> None:
    answer = await door.SignIn(pb.SignInRequest(assertion=proof(services, "employee:admin")))

    assert answer.refresh_token
    assert 14 * 60 < answer.expires_at.seconds - time.time() <= 15 * 60
    me = await (await services.stub(IdentityServiceStub)).GetMe(pb.GetMeRequest())
    assert (me.employee.login, me.employee.role) == ("admin", 1)
    assert jwt.decode(answer.access_token, options={"verify_signature": False})["sub"] == me.employee.id


async def test_a_machine_gets_no_refresh_token_and_is_no_employee(services: RunningServices, door: Any) -> None:
    answer = await door.SignIn(pb.SignInRequest(assertion=proof(services, "machine:tasks")))
    assert answer.access_token
    assert not answer.refresh_token

    machine = await services.stub(IdentityServiceStub, "machine:tasks")
    assert (await refused(machine.GetMe(pb.GetMeRequest()))).reason == "NOT_AN_EMPLOYEE"


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "employee:nobody-of-that-name"},
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
    ids=str,
)
async def test_whatever_is_wrong_with_an_assertion_the_answer_is_the_same(
    services: RunningServices, door: Any, changes: dict[str, Any]
) -> None:
    answer = await refused(door.SignIn(pb.SignInRequest(assertion=forged(services, changes))))

    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "SIGN_IN_REFUSED")
    assert answer.message == "signing in was refused"


async def test_text_that_is_no_token_is_refused_alike(door: Any) -> None:
    answer = await refused(door.SignIn(pb.SignInRequest(assertion="employee:admin")))
    assert answer.reason == "SIGN_IN_REFUSED"


async def test_an_assertion_opens_the_door_once(services: RunningServices, door: Any) -> None:
    once = pb.SignInRequest(assertion=proof(services, "employee:admin"))
    await door.SignIn(once)
    assert (await refused(door.SignIn(once))).reason == "SIGN_IN_REFUSED"


async def test_a_refresh_token_is_exchanged_for_the_next_one(services: RunningServices, door: Any) -> None:
    first = await door.SignIn(pb.SignInRequest(assertion=proof(services, "employee:admin")))
    second = await door.RefreshToken(pb.RefreshTokenRequest(refresh_token=first.refresh_token))
    third = await door.RefreshToken(pb.RefreshTokenRequest(refresh_token=second.refresh_token))

    def session(token: str) -> str:
        return str(jwt.decode(token, options={"verify_signature": False})["sid"])

    assert session(first.access_token) == session(third.access_token)
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3


async def test_a_refresh_token_used_again_ends_the_session_for_everybody(services: RunningServices, door: Any) -> None:
    first = await door.SignIn(pb.SignInRequest(assertion=proof(services, "employee:admin")))
    second = await door.RefreshToken(pb.RefreshTokenRequest(refresh_token=first.refresh_token))

    stolen = await refused(door.RefreshToken(pb.RefreshTokenRequest(refresh_token=first.refresh_token)))
    assert (stolen.code, stolen.reason) == ("UNAUTHENTICATED", "REFRESH_REFUSED")
    after = await refused(door.RefreshToken(pb.RefreshTokenRequest(refresh_token=second.refresh_token)))
    assert after.reason == "REFRESH_REFUSED"


async def test_a_refresh_token_expires_after_twelve_hours(services: RunningServices, door: Any) -> None:
    first = await door.SignIn(pb.SignInRequest(assertion=proof(services, "employee:admin")))
    try:
        services.clock.set(utc_now() + timedelta(hours=12, seconds=1))
        late = await refused(door.RefreshToken(pb.RefreshTokenRequest(refresh_token=first.refresh_token)))
    finally:
        services.clock.shift = timedelta()
    assert late.reason == "REFRESH_REFUSED"


async def test_an_unknown_refresh_token_is_refused(door: Any) -> None:
    assert (await refused(door.RefreshToken(pb.RefreshTokenRequest(refresh_token="x")))).reason == "REFRESH_REFUSED"


async def test_published_keys_check_tokens(services: RunningServices, door: Any) -> None:
    token = await services.sign_in("employee:admin")
    keys = {key.key_id: key.ed25519 for key in (await door.GetPublicKeys(pb.GetPublicKeysRequest())).keys}
    header = jwt.get_unverified_header(token)
    assert (header["alg"], len(keys[header["kid"]])) == ("EdDSA", 32)


async def test_calls_without_or_with_a_wrong_token_are_refused(services: RunningServices, door: Any) -> None:
    assert (await refused(door.GetMe(pb.GetMeRequest()))).reason == "TOKEN_MISSING"

    token = await services.sign_in("employee:admin")
    spoiled = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    for wrong in (spoiled, "x.y.z", token.rpartition(".")[0] + "."):
        metadata = (("authorization", f"Bearer {wrong}"),)
        answer = await refused(door.GetMe(pb.GetMeRequest(), metadata=metadata))
        assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_an_expired_access_token_is_refused_as_such(services: RunningServices, door: Any) -> None:
    key = await SigningKeys(services.db("identity"), services.infrastructure.command_key_file).current()
    token, _ = access_token(key, str(uuid.uuid4()), uuid.uuid4(), utc_now() - timedelta(minutes=15, seconds=2))
    answer = await refused(door.GetMe(pb.GetMeRequest(), metadata=(("authorization", f"Bearer {token}"),)))
    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "TOKEN_EXPIRED")


async def test_the_signing_key_is_made_once_sealed_and_kept(services: RunningServices) -> None:
    async with services.infrastructure.new_database("identity") as url:
        db = Database(url, utc_now)
        key_file = services.infrastructure.command_key_file
        made = await SigningKeys(db, key_file).current()
        again = await SigningKeys(db, key_file).current()
        async with db.read() as read:
            sealed = (await read.execute(text("select sealed_private from signing_keys"))).scalars().all()
        await db.close()

    assert made.key_id == again.key_id
    assert len(sealed) == 1
    assert made.private.private_bytes_raw() not in sealed[0]
