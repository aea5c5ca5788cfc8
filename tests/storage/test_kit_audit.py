"""The audit: one record beside every write, readable as long as it may be."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict
from sqlalchemy import select, text

from kejing.common.v1.events_pb2 import Event
from kejing.identity.v1 import departments_service_pb2, employees_service_pb2, events_pb2, sessions_service_pb2
from kejing.operations.v1 import audit_records_service_pb2
from services.shared.audit.servicer import AuditRecordsServicer
from services.shared.audit.tables import person_keys
from services.shared.audit.writing import erase
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.ids import new_id
from services.shared.messaging.consumer import Consumer
from services.shared.messaging.envelope import to_envelope
from services.shared.rpc.caller import NOBODY, current_call, current_caller
from tests.support.audit import METHOD, a_request, about, ann, done, records, shown, under_way
from tests.support.infrastructure import TestInfrastructure


@pytest_asyncio.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("identity") as url:
        database = Database(url, utc_now)
        yield database
        await database.close()


@pytest.fixture(autouse=True)
def nobody_calls() -> None:
    current_call.set(None)
    current_caller.set(NOBODY)


# --- which writes


async def test_a_write_is_recorded_with_who_did_what_to_what(db: Database) -> None:
    request = a_request()
    made = await done(db, request, acting_for="absent")
    [record] = await shown(db)
    assert (record.actor, record.acting_for, record.means, record.peer) == (ann, "absent", "session s1", "10.0.0.7")
    assert (record.method, record.object_id) == (METHOD[1:], str(made))
    assert record.request_id == request.request_id
    assert MessageToDict(record.change) == {"name": "East"}
    assert not record.HasField("personal")


async def test_what_a_machine_does_for_a_person_names_both(db: Database) -> None:
    await done(db, a_request(), subject="machine:processes", on_behalf_of=ann)
    [record] = await shown(db)
    assert (record.actor, record.means) == (ann, "machine:processes")


async def test_what_needs_no_request_id_is_recorded_too(db: Database) -> None:
    under_way(departments_service_pb2.DeleteDepartmentRequest(department_id="d1"))
    async with db.transaction():
        pass
    [record] = await shown(db)
    assert record.object_id == "d1"


async def test_a_servicer_says_better_what_it_was_about(db: Database) -> None:
    request = a_request()
    under_way(request)
    async with db.write(request) as write:
        assert write.doing is not None
        write.doing.object_id, write.doing.customer_id = "thing", "customer"
        write.doing.change = {"was": "West"}
    [record] = await shown(db, customer_id="customer")
    assert record.object_id == "thing"
    assert MessageToDict(record.change) == {"name": "East", "was": "West"}


async def test_a_call_that_writes_several_times_is_recorded_once(db: Database) -> None:
    request = a_request()
    under_way(request)
    async with db.write(request):
        pass
    async with db.transaction():
        pass
    assert len(await records(db)) == 1


async def test_a_repeat_is_not_recorded(db: Database) -> None:
    request = a_request()
    assert await done(db, request) == await done(db, request)
    assert len(await records(db)) == 1


async def test_a_refused_write_is_not_recorded_and_the_next_one_of_the_call_is(db: Database) -> None:
    request = a_request()
    under_way(request)
    with pytest.raises(ZeroDivisionError):
        async with db.write(request):
            raise ZeroDivisionError
    assert await records(db) == []
    async with db.transaction():
        pass
    assert len(await records(db)) == 1


async def test_consumers_and_loops_are_not_recorded(db: Database) -> None:
    async def handle(write: Any, _event: Event, _payload: Any) -> None:
        await write.execute(text("insert into kit.stream values ('a', 'b')"))

    consumer = Consumer(db, None, "test", {events_pb2.EmployeesChanged: handle})  # type: ignore[arg-type]
    event = to_envelope(events_pb2.EmployeesChanged(), occurred_at=utc_now(), actor=ann, request_id="r")
    assert await consumer.take(event)
    async with db.transaction(actor="machine:test"):
        pass
    assert await records(db) == []


# --- secrets and what is personal


async def test_secrets_are_nowhere(db: Database) -> None:
    await done(db, a_request())
    under_way(sessions_service_pb2.SignInRequest(
        password=sessions_service_pb2.Password(login="ann", password="hunter2-hunter2")
    ))  # fmt: skip
    async with db.transaction():
        pass
    async with db.read() as read:
        everything = (await read.execute(text("select string_agg(a::text, ' ') from kit.audit a"))).scalar_one()
    assert "hunter2" not in everything
    assert b"hunter2".hex() not in everything
    assert all("hunter2" not in str(record) for record in await shown(db))


async def test_what_is_personal_is_stored_encrypted_only_and_readable_for_the_reader(db: Database) -> None:
    customer = str(new_id())
    await done(db, about(customer, "he is ill"))
    async with db.read() as read:
        [row] = (await read.execute(text("select a::text, person, personal from kit.audit a"))).all()
    assert "he is ill" not in row[0]
    assert b"he is ill" not in bytes(row.personal)
    assert row.person == customer
    [record] = await shown(db)
    assert MessageToDict(record.personal) == {"content": "he is ill"}
    assert not record.erased


async def test_a_person_has_one_key_whatever_is_written_at_once(db: Database) -> None:
    customer = str(new_id())

    async def once(number: int) -> None:
        await done(db, about(customer, f"said {number}"))

    await asyncio.gather(*(asyncio.create_task(once(number)) for number in range(8)))
    assert {MessageToDict(record.personal)["content"] for record in await shown(db)} == {f"said {n}" for n in range(8)}
    async with db.read() as read:
        assert len((await read.execute(select(person_keys))).all()) == 1


async def test_what_is_personal_is_gone_for_good_once_the_person_is_erased(db: Database) -> None:
    erased, kept = str(new_id()), str(new_id())
    await done(db, about(erased, "he is ill"))
    await done(db, about(kept, "she is well"))
    async with db.transaction(actor="machine:test") as write:
        assert await erase(write, erased)
        assert not await erase(write, str(new_id()))
    found = {record.customer_id: record for record in await shown(db)}
    assert found[erased].erased
    assert not found[erased].HasField("personal")
    assert not found[kept].erased
    # What happens later is under a new key, which opens nothing old; the process remembered the one before.
    await done(db, about(erased, "he came back"))
    later, before = await shown(db, customer_id=erased)
    assert MessageToDict(later.personal) == {"content": "he came back"}
    assert before.erased


async def test_a_key_that_was_never_committed_encrypts_nothing(db: Database) -> None:
    customer = str(new_id())
    request = about(customer, "said")
    under_way(request)
    with pytest.raises(ZeroDivisionError):
        async with db.write(request) as write:
            await write.flush()
            raise ZeroDivisionError
    await done(db, about(customer, "said again"))
    [record] = await shown(db)
    assert MessageToDict(record.personal) == {"content": "said again"}


async def test_texts_that_postgres_does_not_take_do_not_stop_the_write(db: Database) -> None:
    under_way(employees_service_pb2.CreateEmployeeRequest(display_name="a\0b", role_key="a\0b"))
    async with db.transaction():
        pass
    assert len(await shown(db)) == 1


# --- reading


async def test_records_are_found_by_what_they_say_and_come_in_pages_the_latest_first(db: Database) -> None:
    made = [await done(db, a_request(f"d{number}")) for number in range(5)]
    servicer = AuditRecordsServicer(db, "test")
    request = audit_records_service_pb2.ListAuditRecordsRequest(limit=2)
    pages: list[str] = []
    while records := (await servicer.ListAuditRecords(request, None)).records:
        pages += [record.object_id for record in records]
        request.before.CopyFrom(records[-1].occurred_at)
        request.before_id = records[-1].id
    assert pages == [str(id_) for id_ in reversed(made)]
    assert len(await shown(db, method_prefix="kejing.test")) == 5
    assert await shown(db, method_prefix="kejing.t_st") == []
    assert len(await shown(db, actor=ann)) == 5
    assert [record.object_id for record in await shown(db, object_id=str(made[2]))] == [str(made[2])]
    assert await shown(db, actor="somebody else") == []
