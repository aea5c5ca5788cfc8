"""Imports on real services: events start them, people steer them, and what Temporal loses is started again."""

import csv
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from temporalio.client import Client

from kejing.customers.v1 import imports_service_pb2 as pb
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from services.cli.import_progress import messages
from services.cli.mapping_file import read_mapping
from services.customers.storage.import_tables import imports
from services.shared.clock import utc_now
from tests.support.eventually import eventually
from tests.support.services import RunningServices
from tests.support.terminal import Terminal
from tests.workflows.live import described, ended
from workflows import sweep
from workflows.main import Processes
from workflows.names import import_workflow
from workflows.pace import Pace

DATA = Path(__file__).parents[1] / "data"
MAPPING = DATA / "ravenstack_accounts.yaml"


@pytest.fixture
async def terminal(services: RunningServices, processes: Processes) -> Terminal:
    return Terminal(services)


def an_export(folder: Path) -> Path:
    """A file of another system whose accounts nobody brought before: 12 rows, of which 6 are new customers."""
    file = folder / f"{uuid.uuid4().hex}.csv"
    content = (DATA / "ravenstack_accounts_excerpt.csv").read_text("utf-8")
    file.write_text(content.replace("A-0000", f"{file.stem[:6]}-"), "utf-8")
    return file


async def test_a_foreign_export_goes_in_and_its_rejected_rows_are_mended_and_fed_again(
    terminal: Terminal, tmp_path: Path
) -> None:
    file, rejected = an_export(tmp_path), tmp_path / "rejected.csv"
    arguments = ("import", "customers", str(file), "--mapping", str(MAPPING))
    told = await terminal.answer(*arguments, "--rejected", str(rejected))
    assert told.startswith("12 rows read: 6 created, 0 updated, 0 unchanged, 1 superseded, 5 rejected")
    with rejected.open(encoding="utf-8-sig", newline="") as written:
        wrong = list(csv.DictReader(written))
    assert [row["signup_date"] for row in wrong].count("2024-02-30") == 1
    assert len([row for row in wrong if row["rejected because"]]) == 4  # one row is too short for a last column

    mended = rejected.read_text("utf-8-sig").replace("2024-02-30", "2024-02-29")
    rejected.write_text(mended, "utf-8")
    told = await terminal.answer("import", "customers", str(rejected), "--mapping", str(MAPPING))
    assert told.startswith("5 rows read: 1 created, 0 updated, 0 unchanged, 0 superseded, 4 rejected")
    again = await terminal.json(*arguments)
    assert (again["import"]["unchanged"], again["import"]["created"]) == ("6", "0")


async def test_its_workflow_is_named_for_the_import_and_ends_with_it(
    terminal: Terminal, live_temporal: Client, tmp_path: Path
) -> None:
    import_id = await detached(terminal, an_export(tmp_path))
    workflow_id = import_workflow(import_id)
    await ended(live_temporal, workflow_id)
    found = await described(live_temporal, workflow_id)
    assert found is not None
    assert await found.static_summary() == f"Import {import_id}"


async def test_a_burst_of_imports_all_go_in(terminal: Terminal, services: RunningServices, tmp_path: Path) -> None:
    stub = await services.stub(ImportsServiceStub)
    ids = [await detached(terminal, an_export(tmp_path)) for _ in range(3)]

    async def done() -> bool:
        return [await state(stub, import_id) for import_id in ids] == [pb.IMPORT_STATE_DONE] * 3

    await eventually(done)


async def test_the_sweep_and_the_rebuild_start_imports_that_have_no_workflow(
    terminal: Terminal, services: RunningServices, live_temporal: Client, processes: Processes, tmp_path: Path
) -> None:
    stub, clients = await services.stub(ImportsServiceStub), processes._clients
    for start in ("sweep", "rebuild"):
        import_id = await arrived_and_lost(services, live_temporal, stub, tmp_path)
        if start == "sweep":
            assert await sweep.start_stuck_imports(live_temporal, clients, utc_now() + timedelta(seconds=50)) == 0
            assert await sweep.start_stuck_imports(live_temporal, clients, utc_now() + timedelta(seconds=70)) >= 1
        else:
            await sweep.send_all(live_temporal, clients, "Asia/Shanghai", Pace(1000))

        async def done(import_id: str = import_id) -> bool:
            return await state(stub, import_id) == pb.IMPORT_STATE_DONE

        await eventually(done)


async def detached(terminal: Terminal, file: Path) -> str:
    """The id of the import of a file that has arrived."""
    told = await terminal.json("import", "customers", str(file), "--mapping", str(MAPPING), "--detach")
    import_id: str = told["import"]["id"]
    return import_id


async def arrived_and_lost(services: RunningServices, live_temporal: Client, stub: Any, folder: Path) -> str:
    """The id of an import that runs, whose workflow somebody ended, and of which no event tells."""
    file, mapping = folder / f"{uuid.uuid4().hex}.csv", folder / "mapping.yaml"
    mapping.write_text("source: lost\ncolumns: {external_id: key, name: key}\n")
    file.write_text("key\n" + "".join(f"{file.stem}-{number}\n" for number in range(10)))
    start = read_mapping(mapping)
    start.request_id, start.kind = str(uuid.uuid4()), pb.IMPORT_KIND_CUSTOMERS
    plain = await services.stub(ImportsServiceStub, "")
    metadata = (("authorization", f"Bearer {await services.sign_in('employee:admin')}"),)
    brought = getattr(await plain.UploadFile(messages(start, file), metadata=metadata), "import")
    await stub.PauseImport(pb.PauseImportRequest(request_id=str(uuid.uuid4()), import_id=brought.id))
    handle = live_temporal.get_workflow_handle(import_workflow(brought.id))

    async def rests() -> bool:
        found = await described(live_temporal, handle.id)
        return found is not None and "paused" in str(await handle.query("__temporal_workflow_metadata"))

    await eventually(rests)
    await handle.terminate()
    async with services.db("customers").transaction(actor="machine:test", unscoped="as if its event was lost") as write:
        await write.execute(update(imports).where(imports.c.id == UUID(brought.id)).values(state="RUNNING"))
    import_id: str = brought.id
    return import_id


async def state(stub: Any, import_id: str) -> Any:
    return getattr(await stub.GetImport(pb.GetImportRequest(import_id=import_id)), "import").state
