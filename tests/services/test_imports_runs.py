"""Imports on their way: paused, resumed, cancelled, watched, killed; without a file."""

import asyncio
import csv
import io
from typing import Any

import pytest
from sqlalchemy import func, select, text

from kejing.customers.v1 import imports_service_pb2 as pb
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from services.customers.api import advancing, import_apply
from services.customers.storage import staged
from services.customers.storage.tables import customers, timeline
from tests.support.customers import (
    bring,
    by_external_id,
    counts,
    csv_of,
    everything,
    finish,
    fresh,
    plain_mapping,
    send,
    told,
    touches,
    upload,
)
from tests.support.refusals import refused
from tests.support.services import RunningServices

PLAIN = plain_mapping(["external_id", "name"])


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(ImportsServiceStub)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import stops after each step, and applies ten rows in one."""
    monkeypatch.setattr(advancing, "PART_SECONDS", 0.0)
    monkeypatch.setattr(staged, "CHUNK_ROWS", 10)
    monkeypatch.setattr(import_apply, "CHUNKS", 1)


def rows_of(mark: str, count: int) -> list[dict[str, object]]:
    return [{"external_id": f"{mark}-{n}", "name": f"{mark} {n}"} for n in range(count)]


async def known(services: RunningServices, mark: str) -> int:
    async with services.db("customers").read(unscoped="a test") as read:
        mine = select(func.count()).select_from(customers).where(customers.c.external_id.startswith(mark))
        return int((await read.execute(mine)).scalar_one())


async def advance(services: RunningServices, import_id: str, steps: int = 1) -> pb.Import:
    machine = await services.stub(ImportsServiceStub, "machine:processes")
    for _ in range(steps):
        answer = await machine.AdvanceImport(pb.AdvanceImportRequest(import_id=import_id))
    return getattr(answer, "import")  # type: ignore[no-any-return]


@pytest.mark.usefixtures("small_steps")
async def test_a_paused_import_rests_and_goes_on_where_it_was(services: RunningServices, stub: Any) -> None:
    mark = fresh()
    run = await send(services, "ImportCustomers", csv_of(rows_of(mark, 35)), PLAIN)
    await advance(services, run.id, 3)  # read, settled, ten applied
    assert await known(services, mark) == 10
    paused = getattr(await stub.PauseImport(pb.PauseImportRequest(request_id=fresh(), import_id=run.id)), "import")
    assert (paused.state, paused.created, paused.rows_read) == (pb.IMPORT_STATE_PAUSED, 10, 35)
    await advance(services, run.id, 2)
    assert await known(services, mark) == 10
    await stub.ResumeImport(pb.ResumeImportRequest(request_id=fresh(), import_id=run.id))
    assert counts(await finish(services, run.id)) == {"rows_read": 35, "created": 35}
    assert await known(services, mark) == 35


@pytest.mark.usefixtures("small_steps")
async def test_what_went_in_stays_when_an_import_is_cancelled(services: RunningServices, stub: Any) -> None:
    mark = fresh()
    run = await send(services, "ImportCustomers", csv_of(rows_of(mark, 35)), PLAIN)
    await advance(services, run.id, 4)
    order = pb.CancelImportRequest(request_id=fresh(), import_id=run.id)
    cancelled = getattr(await stub.CancelImport(order), "import")
    assert (cancelled.state, cancelled.created) == (pb.IMPORT_STATE_CANCELLED, 20)
    assert getattr(await stub.CancelImport(order), "import") == cancelled
    assert (await advance(services, run.id)).state == pb.IMPORT_STATE_CANCELLED
    assert await known(services, mark) == 20
    answer = await refused(stub.ResumeImport(pb.ResumeImportRequest(request_id=fresh(), import_id=run.id)))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "IMPORT_STATE")


async def test_an_unknown_import_is_not_found(services: RunningServices, stub: Any) -> None:
    unknown = "01a20000-0000-7000-8000-000000000000"
    for call in (
        stub.GetImport(pb.GetImportRequest(import_id=unknown)),
        stub.PauseImport(pb.PauseImportRequest(request_id=fresh(), import_id=unknown)),
        stub.ListRejectedRows(pb.ListRejectedRowsRequest(import_id=unknown)),
        advance(services, unknown),
    ):
        answer = await refused(call)
        assert (answer.code, answer.reason) == ("NOT_FOUND", "IMPORT_NOT_FOUND")


async def test_an_import_is_watched_until_it_ends(services: RunningServices) -> None:
    mark = fresh()
    run = await send(services, "ImportCustomers", csv_of(rows_of(mark, 5)), PLAIN)
    stub = await services.stub(ImportsServiceStub, "")
    metadata = (("authorization", f"Bearer {await services.sign_in('employee:admin')}"),)
    watched = stub.WatchImport(pb.WatchImportRequest(import_id=run.id), metadata=metadata)
    seen = []
    async for each in watched:
        seen.append(getattr(each, "import"))
        await finish(services, run.id)
    assert seen[0].state == pb.IMPORT_STATE_RUNNING
    assert (seen[-1].state, seen[-1].created, seen[-1].bytes_read) == (pb.IMPORT_STATE_DONE, 5, seen[-1].bytes)


async def test_imports_are_listed_the_newest_first_and_by_state(services: RunningServices, stub: Any) -> None:
    waiting = await send(services, "ImportCustomers", csv_of(rows_of(fresh(), 1)), PLAIN)
    done = await bring(services, "ImportCustomers", rows_of(fresh(), 1))
    page = await stub.ListImports(pb.ListImportsRequest(page_size=1))
    rest = await stub.ListImports(pb.ListImportsRequest(page_size=1, page_token=page.next_page_token))
    assert [page.imports[0].id, rest.imports[0].id] == [done.id, waiting.id]
    running = await stub.ListImports(pb.ListImportsRequest(states=[pb.IMPORT_STATE_RUNNING], page_size=500))
    assert waiting.id in {run.id for run in running.imports}
    assert done.id not in {run.id for run in running.imports}
    await finish(services, waiting.id)


@pytest.mark.usefixtures("small_steps")
async def test_callers_at_the_same_time_do_each_part_once(services: RunningServices) -> None:
    mark = fresh()
    run = await send(services, "ImportCustomers", csv_of(rows_of(mark, 95)), PLAIN)
    await asyncio.gather(*(finish(services, run.id) for _ in range(4)))
    assert counts(await finish(services, run.id)) == {"rows_read": 95, "created": 95}
    assert [facts.version for facts in await told(services, f"{mark}-50")] == [1]


@pytest.mark.usefixtures("small_steps")
async def test_an_import_goes_on_at_the_row_where_its_service_was_killed(services: RunningServices) -> None:
    mark = fresh()
    content = csv_of([*rows_of(mark, 60), {"external_id": f"{mark}-x", "name": ""}])
    run = await send(services, "ImportCustomers", content, PLAIN)
    while (await advance(services, run.id)).created < 20:
        pass
    machine = await services.stub(ImportsServiceStub, "machine:processes")
    dying = asyncio.ensure_future(machine.AdvanceImport(pb.AdvanceImportRequest(import_id=run.id)))
    await asyncio.sleep(0)
    dying.cancel()
    await services.stop("customers")
    await services.start("customers")
    result = await finish(services, run.id)
    assert counts(result) == {"rows_read": 61, "created": 60, "rejected": 1}
    assert await known(services, mark) == 60
    assert all([len(await told(services, f"{mark}-{n}")) == 1 for n in (0, 19, 20, 30, 59)])


@pytest.mark.usefixtures("small_steps")
async def test_rows_that_a_crash_of_postgres_took_are_read_again(services: RunningServices) -> None:
    mark = fresh()
    rows: list[dict[str, object]] = [
        *rows_of(mark, 30),
        {"external_id": f"{mark}-x", "name": ""},
        {"external_id": f"{mark}-29", "name": "last"},
    ]
    run = await send(services, "ImportCustomers", csv_of(rows), PLAIN)
    await advance(services, run.id, 3)
    async with services.db("customers").transaction(actor="a test") as write:  # as an unlogged table is after a crash
        await write.execute(text(f"truncate staging.import_{run.id.replace('-', '')}"))
    result = await finish(services, run.id)
    assert counts(result) == {"rows_read": 32, "created": 30, "superseded": 1, "rejected": 1}
    assert len(result.rejected_rows) == 2
    assert (await by_external_id(services, f"{mark}-29")).name == "last"


async def sync(services: RunningServices, records: list[dict[str, str]], mapping: pb.Mapping, source: str) -> Any:
    plain = await services.stub(ImportsServiceStub, "")
    metadata = (("authorization", f"Bearer {await services.sign_in('employee:admin')}"),)
    start = pb.ImportStart(request_id=fresh(), source=source, kind=pb.IMPORT_KIND_CUSTOMERS, mapping=mapping)
    sent = pb.Records(records=[pb.Record(values=record) for record in records])
    parts = [pb.SyncRecordsRequest(start=start), pb.SyncRecordsRequest(records=sent)]
    answer = await plain.SyncRecords(iter(parts), metadata=metadata)
    return await finish(services, getattr(answer, "import").id)


async def test_records_of_another_system_come_in_without_a_file(services: RunningServices) -> None:
    key, other = fresh(), fresh()
    made = plain_mapping(["external_id", "name", "seats"])
    records = [{"external_id": key, "name": "Two\nlines", "seats": "7"}, {"external_id": other, "name": "B"},
               {"external_id": fresh(), "seats": "7"}]  # fmt: skip
    result = await sync(services, records, made, "api")
    assert counts(result) == {"rows_read": 3, "created": 2, "rejected": 1}
    assert (result.rejected_rows[0].line, result.rejected_rows[0].column) == (4, "name")
    assert (await by_external_id(services, key)).name == "Two\nlines"
    assert counts(await sync(services, records, made, "api")) == {"rows_read": 3, "unchanged": 2, "rejected": 1}
    answer = await refused(sync(services, [{"external_id": key, "birthday": "1"}], made, "api"))
    assert (answer.reason, "birthday" in answer.message) == ("COLUMN_NOT_MAPPED", True)


async def test_what_an_import_changes_stands_on_the_timeline_as_synchronisation(services: RunningServices) -> None:
    key = fresh()
    await bring(services, "ImportCustomers", [{"external_id": key, "name": "A", "seats": "3", "region": "上海"}])
    await bring(services, "ImportCustomers", [{"external_id": key, "name": "B", "seats": "", "region": "上海"}])
    customer = await by_external_id(services, key)
    async with services.db("customers").read(unscoped="a test") as read:
        [entry] = (await read.execute(select(timeline).where(timeline.c.customer_id == customer.id))).all()
    assert (entry.kind, entry.origin, entry.what) == ("ATTRIBUTES", "SYNC", "changed")
    assert entry.changes == {"name": ["A", "B"], "seats": ["3", ""]}
    assert key in await touches(services, "CREATED")
    assert key in await touches(services, "CHANGED")


async def test_files_lie_encrypted(services: RunningServices) -> None:
    name = fresh("Secret")
    run = await send(services, "ImportCustomers", csv_of([{"external_id": fresh(), "name": name}]), PLAIN)
    async with services.db("customers").read() as read:
        query = text("select content from import_chunks where import_id = cast(:id as uuid)")
        [content] = (await read.execute(query, {"id": run.id})).scalars().all()
    assert name.encode() not in bytes(content)
    await finish(services, run.id)


async def test_twice_the_same_file_changes_nothing_whatever_is_in_it(services: RunningServices) -> None:
    """Good rows, bad ones, said twice, of another source, with parents and links."""
    mark = fresh()
    text_file = io.StringIO()
    writer = csv.writer(text_file)
    writer.writerow(["external_id", "name", "parent_external_id", "seats"])
    writer.writerows([[f"{mark}{n % 40}", f"N {n}", f"{mark}{n % 7}", n if n % 9 else "many"] for n in range(60)])
    made = plain_mapping(["external_id", "name", "parent_external_id", "seats"])
    first = await upload(services, "ImportCustomers", text_file.getvalue().encode(), made)
    before = await everything(services)
    again = await upload(services, "ImportCustomers", text_file.getvalue().encode(), made)
    assert await everything(services) == before
    assert again.unchanged == first.created
    assert (again.updated, again.created, again.rejected) == (0, 0, first.rejected)
