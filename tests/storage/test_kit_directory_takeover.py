"""The directory where no event told of somebody yet: identity is asked."""


# ruff: noqa: N802  - rpc methods carry the names of the contract

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from kejing.identity.v1 import directory_service_pb2, directory_service_pb2_grpc, events_pb2
from services.shared.access import directory as module
from services.shared.access.directory import Directory, asked_of_identity, ended_sessions_of_identity
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.errors import PermissionDenied, Unauthenticated, Unavailable
from services.shared.rpc.client import channel
from tests.support.company import ann, as_caller, bob, dan, employee, eve, everything, north, reason, tell_all
from tests.support.eventually import eventually
from tests.support.infrastructure import TestInfrastructure
from tests.support.peers import a_peer, no_metadata
from tests.support.ports import free_port

ZONE = ZoneInfo("Asia/Shanghai")


@pytest_asyncio.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("identity") as url:
        database = Database(url, utc_now)
        yield database
        await database.close()


class Identity(directory_service_pb2_grpc.DirectoryServiceServicer):
    """Answers `company` in parts as soon as it `may_answer`, and counts."""

    def __init__(self) -> None:
        self.company = everything()
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.ended: list[events_pb2.RevokedSession] = []

    async def GetDirectory(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.asked += 1
        await self.may_answer.wait()
        yield directory_service_pb2.GetDirectoryResponse(roles=self.company.roles)
        yield directory_service_pb2.GetDirectoryResponse(departments=self.company.departments)
        yield directory_service_pb2.GetDirectoryResponse(employees=self.company.employees)

    async def GetRevokedSessions(self, request: Any, context: Any) -> directory_service_pb2.GetRevokedSessionsResponse:
        return directory_service_pb2.GetRevokedSessionsResponse(sessions=self.ended)


ADD = directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server


async def test_who_is_unknown_is_asked_for_once_however_many_call_at_once(db: Database) -> None:
    async with a_peer(ADD, identity := Identity()) as peer:
        directory = Directory(db, utc_now, ZONE, asked_of_identity(peer, no_metadata))
        grants = await asyncio.gather(*(directory.of(as_caller(id_)) for id_ in (ann, bob, eve) for _ in range(10)))
        assert len(grants) == 30
        assert identity.asked == 1


async def test_made_up_ids_do_not_make_identity_tell_everything_for_each(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_peer(ADD, identity := Identity()) as peer:
        directory = Directory(db, utc_now, ZONE, asked_of_identity(peer, no_metadata))
        looked_for: set[UUID] = set()
        read = directory._row

        async def noted(employee_id: UUID) -> Any:
            row = await read(employee_id)
            looked_for.add(employee_id)
            if len(looked_for) == 20:  # all have come while identity is asked for the first
                identity.may_answer.set()
            return row

        monkeypatch.setattr(directory, "_row", noted)
        identity.may_answer.clear()
        assert await asyncio.gather(*(directory.grant_of(uuid4()) for _ in range(20))) == [None] * 20
        assert identity.asked <= 2


async def test_who_is_unknown_to_identity_as_well_is_refused_and_asked_for_again_only_later(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_peer(ADD, identity := Identity()) as peer:
        directory = Directory(db, utc_now, ZONE, asked_of_identity(peer, no_metadata))
        for _ in range(3):
            assert await reason(directory.of(as_caller(dan))) == "EMPLOYEE_UNKNOWN"
        assert identity.asked == 1
        identity.company.employees.append(employee(dan, north, "SELLER"))
        monkeypatch.setattr(module, "UNKNOWN_SECONDS", 0.0)
        assert await directory.of(as_caller(dan))


async def test_while_identity_is_away_who_is_known_is_served_and_others_are_asked_to_wait(db: Database) -> None:
    await tell_all(db)
    nobody = channel(f"127.0.0.1:{free_port()}")
    directory = Directory(db, utc_now, ZONE, asked_of_identity(nobody, no_metadata))
    assert await directory.of(as_caller(ann))
    with pytest.raises(Unavailable) as refusal:
        await directory.of(as_caller(dan))
    assert refusal.value.reason == "DIRECTORY_UNKNOWN"
    await nobody.close()


async def test_a_fresh_database_takes_the_directory_over_by_itself(db: Database) -> None:
    async with a_peer(ADD, identity := Identity()) as peer:
        running = asyncio.create_task(Directory(db, utc_now, ZONE, asked_of_identity(peer, no_metadata)).run())
        other = Directory(db, utc_now, ZONE, None)

        async def arrived() -> bool:
            try:
                return bool(await other.of(as_caller(ann)))
            except (Unauthenticated, PermissionDenied):
                return False

        await eventually(arrived)
        running.cancel()
        again = Directory(db, utc_now, ZONE, asked_of_identity(peer, no_metadata))
        await again._sync_first()
        assert identity.asked == 1


async def test_an_ended_session_is_heard_of_without_its_event(db: Database) -> None:
    await tell_all(db)
    async with a_peer(ADD, identity := Identity()) as peer:
        directory = Directory(db, utc_now, ZONE, None, ended_sessions_of_identity(peer))
        caller = as_caller(ann, str(uuid4()))
        assert await directory.of(caller)
        ended = events_pb2.RevokedSession(session_id=caller.session)
        ended.tokens_expire_at.FromDatetime(utc_now() + timedelta(minutes=16))
        identity.ended.append(ended)
        await directory.hear_of_ended_sessions()
        assert await reason(directory.of(caller)) == "SESSION_REVOKED"
        assert await directory.of(as_caller(ann))


async def test_while_identity_is_away_what_is_known_of_sessions_holds(db: Database) -> None:
    await tell_all(db)
    nobody = channel(f"127.0.0.1:{free_port()}")
    directory = Directory(db, utc_now, ZONE, None, ended_sessions_of_identity(nobody))
    with pytest.raises(Unavailable):
        await directory.hear_of_ended_sessions()
    assert await directory.of(as_caller(ann))
    await nobody.close()
