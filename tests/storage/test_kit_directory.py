"""The directory: who may do what, by this service's own projection of identity."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from google.protobuf.message import Message

from kejing.common.v1.permission_pb2 import PERMISSION_SIGNED_IN, PERMISSION_TASKS_READ, SCOPE_ALL, SCOPE_OWN
from kejing.identity.v1 import events_pb2
from services.shared.access import Scope
from services.shared.access.directory import Directory
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.errors import Unauthenticated
from services.shared.ids import new_id
from tests.support.company import (
    ann,
    as_caller,
    bob,
    dan,
    department,
    deputy,
    employee,
    eve,
    north,
    reason,
    role,
    root,
    sales,
    south,
    tell,
    tell_all,
)
from tests.support.eventually import eventually
from tests.support.infrastructure import TestInfrastructure

ZONE = ZoneInfo("Asia/Shanghai")


class MovableClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 4, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest_asyncio.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("identity") as url:
        database = Database(url, utc_now)
        yield database
        await database.close()


@pytest_asyncio.fixture
async def directory(db: Database) -> Directory:
    await tell_all(db)
    found = Directory(db, MovableClock(), ZONE, None)
    await found.look()
    return found


async def test_a_grant_is_what_the_role_says(directory: Directory) -> None:
    anns, bobs, eves = [await directory.of(as_caller(id_)) for id_ in (ann, bob, eve)]
    assert anns.permissions == {PERMISSION_TASKS_READ, PERMISSION_SIGNED_IN}
    assert anns.scope == Scope(False, (ann,), date(2026, 3, 1))
    assert set(bobs.scope.employees) == {ann, bob}
    assert eves.scope.everything


async def test_a_department_is_everybody_in_it_and_below_it(db: Database, directory: Directory) -> None:
    await tell(db, employee(dan, south, "SELLER"), employee(new_id(), root, "SELLER"))
    await directory.look()
    assert set((await directory.of(as_caller(bob))).scope.employees) == {ann, bob, dan}


async def test_a_moved_department_takes_its_people_along(db: Database, directory: Directory) -> None:
    await directory.of(as_caller(bob))
    await tell(db, department(root, north, version=2))
    await directory.look()
    assert set((await directory.of(as_caller(bob))).scope.employees) == {bob}


async def test_who_has_left_is_refused_though_he_was_remembered(db: Database, directory: Directory) -> None:
    await directory.of(as_caller(ann))
    await tell(db, employee(ann, north, "SELLER", active=False, version=2))
    await directory.look()
    assert await reason(directory.of(as_caller(ann))) == "EMPLOYEE_INACTIVE"


async def test_who_holds_a_deleted_role_may_nothing(db: Database, directory: Directory) -> None:
    await directory.of(as_caller(ann))
    await tell(db, role("SELLER", SCOPE_OWN, version=2, deleted=True))
    await directory.look()
    assert await reason(directory.of(as_caller(ann))) == "EMPLOYEE_UNKNOWN"


async def test_a_changed_role_holds_from_the_next_look_on(db: Database, directory: Directory) -> None:
    before = await directory.of(as_caller(ann))
    await tell(db, role("SELLER", SCOPE_ALL, version=2, permissions=[]))
    assert await directory.of(as_caller(ann)) is before  # remembered
    await directory.look()
    after = await directory.of(as_caller(ann))
    assert (after.scope.everything, after.permissions) == (True, {PERMISSION_SIGNED_IN})


async def test_a_revoked_session_is_refused_and_no_other(db: Database, directory: Directory) -> None:
    session, other = new_id(), new_id()
    told = events_pb2.RevokedSession(session_id=str(session))
    told.tokens_expire_at.FromDatetime(utc_now() + timedelta(minutes=15))
    await tell(db, told)
    await directory.look()
    assert await reason(directory.of(as_caller(ann, str(session)))) == "SESSION_REVOKED"
    assert await directory.of(as_caller(ann, str(other)))


async def test_a_deputy_has_what_the_absent_one_has_and_nothing_of_his_own(db: Database, directory: Directory) -> None:
    await tell(db, deputy(new_id(), ann, eve, 1, 1))
    await directory.look()
    grant = await directory.of(as_caller(eve), str(ann))
    assert grant == await directory.of(as_caller(ann))


@pytest.mark.parametrize(("day", "allowed"), [(1, False), (2, True), (3, True), (4, False)])
async def test_a_deputy_stands_in_from_the_first_to_the_last_business_date(
    db: Database, day: int, allowed: bool
) -> None:
    await tell_all(db)
    await tell(db, deputy(new_id(), ann, bob, 2, 3))
    clock = MovableClock()
    clock.now = datetime(2026, 3, day, 4, tzinfo=UTC)
    answer = Directory(db, clock, ZONE, None).of(as_caller(bob), str(ann))
    if allowed:
        assert (await answer).scope.employees == (ann,)
    else:
        assert await reason(answer) == "NOT_A_DEPUTY"


async def test_nobody_stands_in_without_being_named(db: Database, directory: Directory) -> None:
    ended = new_id()
    await tell(db, deputy(new_id(), ann, bob, 1, 9), deputy(new_id(), eve, ann, 1, 9), deputy(ended, ann, dan, 1, 9),
               deputy(ended, ann, dan, 1, 9, version=2, deleted=True), employee(dan, south, "SELLER"))  # fmt: skip
    await directory.look()
    for who, absent in (
        (eve, str(ann)),  # nobody's deputy
        (ann, str(bob)),  # it doesn't hold the other way round
        (bob, str(eve)),  # nor by way of a third
        (dan, str(ann)),  # was ended
        (bob, str(new_id())),
        (bob, "nonsense"),
    ):
        assert await reason(directory.of(as_caller(who), absent)) == "NOT_A_DEPUTY"


async def test_nobody_stands_in_for_one_who_has_left_nor_after_he_left_himself(
    db: Database, directory: Directory
) -> None:
    await tell(db, deputy(new_id(), ann, bob, 1, 9))
    await directory.look()
    await directory.of(as_caller(bob), str(ann))
    await tell(db, employee(ann, north, "SELLER", active=False, version=2))
    await directory.look()
    assert await reason(directory.of(as_caller(bob), str(ann))) == "NOT_A_DEPUTY"
    await tell(db, employee(bob, sales, "LEADER", active=False, version=2))
    await directory.look()
    assert await reason(directory.of(as_caller(bob), str(ann))) == "EMPLOYEE_INACTIVE"


async def test_at_midnight_of_the_business_zone_it_is_another_day(db: Database) -> None:
    await tell_all(db)
    await tell(db, deputy(new_id(), ann, bob, 1, 1))
    clock = MovableClock()
    clock.now = datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC)  # 23:59:59 in Shanghai
    directory = Directory(db, clock, ZONE, None)
    assert (await directory.of(as_caller(ann))).scope.today.day == 1
    await directory.of(as_caller(bob), str(ann))
    clock.now += timedelta(seconds=1)
    await directory.look()
    assert (await directory.of(as_caller(ann))).scope.today.day == 2
    assert await reason(directory.of(as_caller(bob), str(ann))) == "NOT_A_DEPUTY"


async def test_a_change_bites_on_every_instance_within_a_second(db: Database) -> None:
    await tell_all(db)
    instances = [Directory(db, utc_now, ZONE, None) for _ in range(2)]
    running = [asyncio.create_task(instance.run()) for instance in instances]
    for instance in instances:
        await instance.of(as_caller(ann))
    await tell(db, employee(ann, north, "SELLER", active=False, version=2))
    told_at = asyncio.get_running_loop().time()

    async def refused() -> bool:
        for instance in instances:
            with suppress(Unauthenticated):
                await instance.of(as_caller(ann))
                return False
        return True

    await eventually(refused)
    assert asyncio.get_running_loop().time() - told_at < 1
    for task in running:
        task.cancel()


async def test_what_was_asked_for_before_a_change_is_not_remembered_after_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grant that is read just before the change, and comes back after the next look."""
    await tell_all(db)
    directory = Directory(db, utc_now, ZONE, None)
    await directory.look()
    read = directory._row

    async def slowly(employee_id: UUID) -> Any:
        row = await read(employee_id)
        monkeypatch.undo()
        await tell(db, employee(ann, north, "SELLER", active=False, version=2))
        await directory.look()
        return row

    monkeypatch.setattr(directory, "_row", slowly)
    assert await directory.of(as_caller(ann))  # it began before the change
    assert await reason(directory.of(as_caller(ann))) == "EMPLOYEE_INACTIVE"


async def test_what_is_remembered_holds_while_postgres_is_away() -> None:
    servers = TestInfrastructure()
    try:
        async with servers.new_database("identity") as url:
            db = Database(url, utc_now)
            await tell_all(db)
            directory = Directory(db, utc_now, ZONE, None)
            running = asyncio.create_task(directory.run())
            await directory.of(as_caller(ann))
            await servers.kill("postgres")
            assert await directory.of(as_caller(ann))
            await servers.restart("postgres")
            await eventually(lambda: _told(db, employee(ann, north, "SELLER", active=False, version=2)))

            async def refused() -> bool:
                try:
                    await directory.of(as_caller(ann))
                except Unauthenticated:
                    return True
                return False

            await eventually(refused)
            running.cancel()
            await db.close()
    finally:
        await servers.close()


async def _told(db: Database, fact: Message) -> bool:
    try:
        await tell(db, fact)
    except Exception:
        return False
    return True
