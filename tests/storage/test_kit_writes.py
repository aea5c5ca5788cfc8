"""The unit of work: a request takes effect once, with its events or not at all."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from kejing.identity.v1 import departments_service_pb2, events_pb2
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.db.tables import outbox, requests
from services.shared.errors import AlreadyExists
from services.shared.ids import new_id
from services.shared.rpc.caller import Call, Caller, current_call, current_caller
from tests.support.infrastructure import TestInfrastructure


@pytest_asyncio.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("identity") as url:
        database = Database(url, utc_now)
        yield database
        await database.close()


@pytest_asyncio.fixture(autouse=True)
async def somebody_calls() -> None:
    current_caller.set(Caller(subject=str(new_id()), session="s", expires_at=9e9))
    current_call.set(Call("/kejing.test/Write"))


def a_request(name: str = "East", request_id: str | None = None) -> departments_service_pb2.CreateDepartmentRequest:
    return departments_service_pb2.CreateDepartmentRequest(request_id=request_id or str(uuid4()), name=name)


async def events_in(db: Database) -> int:
    async with db.read() as read:
        return int((await read.execute(select(func.count()).select_from(outbox))).scalar_one())


async def test_a_repeated_request_is_not_first_and_knows_the_id_of_the_first(db: Database) -> None:
    request = a_request()
    async with db.write(request) as first:
        pass
    async with db.write(request) as repeat:
        pass
    assert (first.first, repeat.first) == (True, False)
    assert repeat.result_id == first.result_id


async def test_another_body_under_the_same_request_id_is_refused(db: Database) -> None:
    async with db.write(a_request("East", "r1")):
        pass
    with pytest.raises(AlreadyExists) as refusal:
        async with db.write(a_request("West", "r1")):
            pass
    assert refusal.value.reason == "REQUEST_ID_REUSED"


async def test_the_same_request_id_of_another_caller_is_another_request(db: Database) -> None:
    async with db.write(a_request("East", "r1")):
        pass
    current_caller.set(Caller(subject=str(new_id()), session="s", expires_at=9e9))
    async with db.write(a_request("West", "r1")) as write:
        assert write.first


async def test_a_failed_write_leaves_nothing_and_its_request_id_may_be_used_again(db: Database) -> None:
    before = await events_in(db)
    with pytest.raises(ZeroDivisionError):
        async with db.write(a_request("East", "r1")) as write:
            write.emit(events_pb2.EmployeesChanged())
            raise ZeroDivisionError
    assert await events_in(db) == before
    async with db.write(a_request("East", "r1")) as again:
        assert again.first


async def test_of_concurrent_repeats_exactly_one_is_first(db: Database) -> None:
    request = a_request()

    async def once() -> bool:
        async with db.write(request) as write:
            if write.first:
                write.emit(events_pb2.EmployeesChanged())
                await write.execute(text("select pg_sleep(0.05)"))
            return write.first

    before = await events_in(db)
    firsts = await asyncio.gather(*(once() for _ in range(8)))
    assert sum(firsts) == 1
    assert await events_in(db) == before + 1
    async with db.read() as read:
        kept = select(func.count()).select_from(requests).where(requests.c.request_id == request.request_id)
        assert (await read.execute(kept)).scalar_one() == 1


async def test_what_postgres_quotes_of_a_refused_row_stands_in_no_error_text(db: Database) -> None:
    async with db.transaction(actor="machine:test") as write:
        await write.execute(text("create table people (name text primary key, phone text not null)"))
        await write.execute(text("insert into people values ('Li Wei', '138-0000')"))
    for values in ("('Li Wei', '139-0000')", "('Zhang San', null)"):
        with pytest.raises(IntegrityError) as caught:
            async with db.transaction(actor="machine:test") as write:
                await write.execute(text(f"insert into people select * from (values {values}) as row (name, phone)"))
        told = "".join(traceback.format_exception(caught.value.with_traceback(None))).split("[SQL:")[0]
        assert "Li Wei" not in told
        assert "Zhang San" not in told
