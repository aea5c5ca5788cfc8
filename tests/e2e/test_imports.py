"""kill -9 in the middle of an import: it ends with the rows of one that nobody disturbed, and nothing is told twice.

The same rows go in twice, as customers of two systems whose numbers are told apart by a prefix. The second time the
customers service and the process of the workflows are killed at three random points.
"""

import asyncio
import csv
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import imports_service_pb2 as pb
from kejing.customers.v1.events_pb2 import CustomersChanged
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from services.cli.import_progress import share
from tests.support.eventually import eventually
from tests.support.persistence import PersistentClient
from tests.support.rows import connection
from tests.support.stack import LocalStack, local_stack

ROWS = 1_000_000 if os.environ.get("KEJING_SOAK") else 100_000
KILLED = [["customers"], ["processes"], ["customers", "processes"]]
"""Who is killed at each of the three points."""
COLUMNS = ("key", "title", "kind", "seats", "signed")
MAPPING = """
source: {source}
columns:
  external_id: {{column: key, prefix: "{source}-"}}
  name: title
  kind: {{column: kind, values: {{company: ENTERPRISE, person: INDIVIDUAL}}}}
  seats: {{column: seats, thousands: ","}}
  first_sign_date: {{column: signed, format: "%d.%m.%Y", other_formats: ["%Y-%m-%d"]}}
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack() as started:
        started.up()
        yield started


def write_file(path: Path) -> None:
    """`ROWS` rows: in each thousand one is wrong, and one has the key of another, which it replaces."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(ROWS):
            key = number - 500 if number % 1000 == 999 else number
            signed = "31.02.2020" if number % 1000 == 250 else f"{number % 28 + 1:02}.0{number % 9 + 1}.2021"
            writer.writerow((f"C-{key:07}", f'客户 {number}, "Ltd"', "company" if number % 5 else "person",
                             f"{number % 3000:,}", signed))  # fmt: skip


async def ended(client: PersistentClient, import_id: str) -> pb.Import:
    """The import when it has ended; it is asked for however often services die meanwhile."""
    while not (now := await found(client, import_id)).HasField("ended_at"):
        await asyncio.sleep(0.1)
    return now


async def found(client: PersistentClient, import_id: str) -> pb.Import:
    asked = pb.GetImportRequest(import_id=import_id)
    brought: pb.Import = getattr(await client.ask(client.stub(ImportsServiceStub).GetImport, asked), "import")
    return brought


async def begun(stack: LocalStack, file: Path, source: str) -> str:
    """The id of an import of the file as customers of the source."""
    mapping = file.with_suffix(f".{source}.yaml")
    mapping.write_text(MAPPING.format(source=source), "utf-8")
    arguments = ("import", "customers", str(file), "--mapping", str(mapping), "--detach", "--json")
    told = await asyncio.to_thread(stack.answer, *arguments)
    import_id: str = told["import"]["id"]
    return import_id


async def test_an_import_that_is_killed_three_times_ends_as_one_that_nobody_disturbed(
    stack: LocalStack, tmp_path: Path
) -> None:
    file = tmp_path / "customers.csv"
    write_file(file)
    client = PersistentClient(stack.address, stack.home.command_key)
    calm = await ended(client, await begun(stack, file, "calm"))
    assert calm.state == pb.IMPORT_STATE_DONE
    hard_id = await begun(stack, file, "hard")
    points = sorted(random.uniform(0.05, 0.9) for _ in KILLED)
    for point, victims in zip(points, KILLED, strict=True):
        while share(now := await found(client, hard_id)) < point:
            await asyncio.sleep(0.02)
        assert not now.HasField("ended_at"), f"it was too quick to be killed at {point:.0%}"
        killed = {victim: await asyncio.to_thread(stack.kill, victim) for victim in victims}
        for victim, pid in killed.items():
            await asyncio.to_thread(stack.wait_restarted, victim, pid)
    hard = await ended(client, hard_id)
    await client.close()

    wrong = twice = ROWS // 1000
    assert counts(hard) == {"state": pb.IMPORT_STATE_DONE, "rows_read": ROWS, "created": ROWS - wrong - twice,
                            "superseded": twice, "rejected": wrong}, points  # fmt: skip
    assert counts(calm) == counts(hard)
    customers = 2 * (ROWS - wrong - twice)
    assert different_rows(stack) == {"customers": 0, "rejected": 0, "numbers": customers}, points
    told = events(stack)
    assert (len(told), set(told.values())) == (customers, {1}), points
    temporal = await Client.connect(stack.address("temporal"))
    workflow = temporal.get_workflow_handle(f"import/{hard_id}")

    async def completed() -> bool:
        return (await workflow.describe()).status is WorkflowExecutionStatus.COMPLETED

    # its row ends first; where the last step's answer was lost by a kill, the workflow asks once more
    await eventually(completed, within=60)


def counts(brought: pb.Import) -> dict[str, int]:
    words = ("state", "rows_read", "created", "updated", "unchanged", "superseded", "rejected")
    return {word: getattr(brought, word) for word in words if getattr(brought, word)}


def different_rows(stack: LocalStack) -> dict[str, int]:
    """How many customers and rejected rows the two imports do not have in common, but for ids, keys and times; and how
    many different customer numbers there are."""
    generated = {"id", "number", "number_key", "source", "external_id", "created_at", "updated_at"}
    with connection(stack, "customers") as database:
        asked = "select column_name from information_schema.columns where table_schema = 'public' and table_name = %s"
        named = [row["column_name"] for row in database.execute(asked, ["customers"])]
        columns = ", ".join([f'"{name}"' for name in named if name not in generated] + ["substr(external_id, 6)"])
        customers = difference(f"select {columns} from customers where source = '{{}}'")
        rejected = difference(
            'select line, place, step, "column", value, reason, superseded from rejected_rows'
            " where import_id = (select id from imports where source = '{}')"
        )
        queries = {"customers": customers, "rejected": rejected,
                   "numbers": "select count(distinct number) as many from customers"}  # fmt: skip
        return {name: next(iter(database.execute(query)))["many"] for name, query in queries.items()}  # type: ignore[arg-type]


def difference(query: str) -> str:
    calm, hard = query.format("calm"), query.format("hard")
    return f"select count(*) as many from (({calm} except all {hard}) union all ({hard} except all {calm})) different"


def events(stack: LocalStack) -> Counter[Any]:
    """How often events told of each customer, in each of its versions."""
    found: Counter[Any] = Counter()
    with connection(stack, "customers") as database:
        for row in database.execute("select event from kit.outbox"):
            event, changed = Event.FromString(row["event"]), CustomersChanged()
            if event.payload.Unpack(changed):
                found.update((facts.external_id, facts.version) for facts in changed.customers)
    return found
