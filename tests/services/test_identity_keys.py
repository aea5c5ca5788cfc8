"""The keys that tokens are signed with: published, sealed, exchanged while everything runs."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import text

from kejing.identity.v1 import employees_service_pb2 as employees_pb
from kejing.identity.v1 import sessions_service_pb2 as pb
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from kejing.identity.v1.sessions_service_pb2_grpc import SessionsServiceStub
from kejing.tasks.v1.themes_service_pb2 import ListThemesRequest
from kejing.tasks.v1.themes_service_pb2_grpc import ThemesServiceStub
from services.identity.api.tokens import access_token
from services.identity.storage.signing_keys import SigningKeys
from services.shared.clock import utc_now
from services.shared.db import Database
from tests.support.doors import Door, bearer
from tests.support.eventually import eventually
from tests.support.refusals import reason_of, refused
from tests.support.services import MovableClock, RunningServices


@pytest.fixture
async def door(services: RunningServices) -> Door:
    return await Door.of(services)


@pytest.fixture
async def db(services: RunningServices) -> AsyncIterator[Database]:
    """A database of identity of its own, with a clock that the test moves."""
    async with services.infrastructure.new_database("identity") as url:
        database = Database(url, MovableClock())
        yield database
        await database.close()


def keys_on(services: RunningServices, db: Database) -> SigningKeys:
    """An instance of identity's keys."""
    return SigningKeys(db, services.infrastructure.machine_key_file("identity"), db.clock)


def key_id(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def published(door: Door) -> dict[str, bytes]:
    return {key.key_id: key.ed25519 for key in (await door.sessions.GetPublicKeys(pb.GetPublicKeysRequest())).keys}


async def rotate(services: RunningServices, **request: Any) -> str:
    administrator = await services.stub(SessionsServiceStub)
    return str((await administrator.RotateSigningKey(pb.RotateSigningKeyRequest(**request))).key_id)


async def test_published_keys_check_tokens(services: RunningServices, door: Door) -> None:
    token = await services.sign_in("employee:admin")
    assert jwt.get_unverified_header(token)["alg"] == "EdDSA"
    assert len((await published(door))[key_id(token)]) == 32


async def test_programs_of_others_check_tokens_by_the_key_set(services: RunningServices, door: Door) -> None:
    token = await services.sign_in("employee:admin")
    document = json.loads((await door.sessions.GetPublicKeys(pb.GetPublicKeysRequest())).jwks)
    key = jwt.PyJWKSet.from_dict(document)[key_id(token)]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="kejing", issuer="kejing-identity")
    assert claims["sub"]
    assert {entry["use"] for entry in document["keys"]} == {"sig"}


async def test_after_a_rotation_the_new_key_signs_and_the_old_tokens_are_good(
    services: RunningServices, door: Door
) -> None:
    before = (await door.command("admin")).access_token
    new = await rotate(services)
    after = (await door.command("admin")).access_token

    assert key_id(after) == new != key_id(before)
    assert {key_id(before), new} <= set(await published(door))
    themes = await services.stub(ThemesServiceStub, "")
    for token in (before, after):
        await themes.ListThemes(ListThemesRequest(), metadata=bearer(token))


async def test_a_compromised_key_is_refused_everywhere_within_five_seconds(
    services: RunningServices, door: Door
) -> None:
    before = await door.command("admin")
    themes = await services.stub(ThemesServiceStub, "")
    call = {"metadata": bearer(before.access_token)}
    await themes.ListThemes(ListThemesRequest(), **call)

    new = await rotate(services, compromised=True)
    services.sign_in_anew()
    assert set(await published(door)) == {new}

    async def gone() -> bool:
        return await reason_of(themes.ListThemes(ListThemesRequest(), **call)) == "TOKEN_INVALID"

    await eventually(gone, within=5)
    fresh = (await door.refresh(before.refresh_token)).access_token
    await themes.ListThemes(ListThemesRequest(), metadata=bearer(fresh))


async def test_an_expired_access_token_is_refused_as_such(services: RunningServices, door: Door) -> None:
    key = await keys_on(services, services.db("identity")).current()
    token, _ = access_token(key, str(uuid.uuid4()), uuid.uuid4(), utc_now() - timedelta(minutes=15, seconds=2))
    nobody = await services.stub(EmployeesServiceStub, "")
    answer = await refused(nobody.GetMe(employees_pb.GetMeRequest(), metadata=bearer(token)))
    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "TOKEN_EXPIRED")


async def test_an_old_key_is_published_until_its_last_token_has_expired(
    services: RunningServices, db: Database
) -> None:
    keys = keys_on(services, db)
    old = await keys.current()
    async with db.transaction(actor="test") as write:
        new = await keys.rotate(write)

    db.clock.shift = timedelta(minutes=15, seconds=30)  # type: ignore[attr-defined]
    assert set(await keys.public()) == {old.key_id, new.key_id}
    db.clock.shift = timedelta(minutes=16, seconds=1)  # type: ignore[attr-defined]
    assert set(await keys.public()) == {new.key_id}


async def test_a_key_is_exchanged_by_itself_every_thirty_days(services: RunningServices, db: Database) -> None:
    keys = keys_on(services, db)
    old = await keys.current()
    db.clock.shift = timedelta(days=29, hours=23)  # type: ignore[attr-defined]
    assert (await keys.current()).key_id == old.key_id
    db.clock.shift = timedelta(days=30, seconds=1)  # type: ignore[attr-defined]
    new = await keys.current()
    assert new.key_id != old.key_id
    assert set(await keys.public()) == {old.key_id, new.key_id}


async def test_all_instances_make_one_key_and_agree_on_the_next(services: RunningServices, db: Database) -> None:
    instances = [keys_on(services, db) for _ in range(5)]
    first = await asyncio.gather(*(instance.current() for instance in instances))
    assert len({key.key_id for key in first}) == 1
    async with db.transaction(actor="test") as write:
        new = await instances[0].rotate(write)
    assert {(await instance.current()).key_id for instance in instances} == {new.key_id}


async def test_the_private_part_is_sealed_and_another_machine_key_opens_nothing(
    services: RunningServices, db: Database
) -> None:
    made = await keys_on(services, db).current()
    async with db.read() as read:
        sealed = (await read.execute(text("select sealed_private from signing_keys"))).scalars().all()
    assert len(sealed) == 1
    assert made.private.private_bytes_raw() not in bytes(sealed[0])

    other = SigningKeys(db, services.infrastructure.machine_key_file("tasks"), db.clock)
    assert set(await other.public()) == {made.key_id}
    fresh = await other.current()
    assert set(await other.public()) == {fresh.key_id}


async def test_machines_sign_in_again_where_their_key_was_withdrawn(services: RunningServices) -> None:
    machine = await services.stub(EmployeesServiceStub, "machine:tasks")
    everybody = employees_pb.ListEmployeesRequest(page_size=1)
    await machine.ListEmployees(everybody)
    withdrawn = bearer(await services.sign_in("machine:tasks"))
    await rotate(services, compromised=True)
    services.sign_in_anew()

    nobody = await services.stub(EmployeesServiceStub, "")

    async def gone() -> bool:
        return await reason_of(nobody.ListEmployees(everybody, metadata=withdrawn)) == "TOKEN_INVALID"

    await eventually(gone, within=5)
    await machine.ListEmployees(everybody)
