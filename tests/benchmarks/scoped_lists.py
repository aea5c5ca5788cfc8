"""ListCustomers over a million customers, for one owner, for departments of each level and for everybody, beside the
best bare SQL for the same page: `python -m tests.benchmarks.scoped_lists`.

The best is the fastest one of the shapes that psycopg runs: a page of each employee's list merged; a walk along the
sort, of all customers or of those with any one of the labels that are asked for, with a look at each customer's owners
and other labels; or all whose names begin so, sorted. All only find the page's ids; the rpc also reads and carries the
customers. An rpc may take 3 times as long or 5 ms longer, whichever is more, and 20 ms, 30 where it is filtered by more
than a tag. Of each side the quietest of a few rounds counts, for the machine may have other things to do.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import psycopg
import uvloop
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.local import postgres
from deploy.local.ports import Port
from deploy.local.process import Process
from kejing.common.v1 import permission_pb2
from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
from services.customers.storage.list_statements import SORTS
from services.shared.db.migrate import upgrade
from services.shared.db.paging import next_page_token
from tests.benchmarks import search
from tests.benchmarks.bare_lists import FILTERED, FILTERS, PAGE, PEOPLE, SIZE, Bare, Filter, Person
from tests.benchmarks.callers import KEY
from tests.benchmarks.measure import percentile, print_table, timed
from tests.benchmarks.scoped_changes import changes
from tests.support import many_customers as many
from tests.support.ports import free_port

CALLS = int(os.environ.get("KEJING_BENCH_CALLS", "24"))
ROUNDS = 5
PASSWORD = "bench"
PERMISSIONS: list[int] = [permission_pb2.PERMISSION_CUSTOMERS_READ, permission_pb2.PERMISSION_OWNERS_MANAGE]


@asynccontextmanager
async def million() -> AsyncIterator[str]:
    """URL of a filled database of a server of its own, with the settings that people have."""
    with tempfile.TemporaryDirectory(prefix="kejing-bench-") as folder:
        Path(folder).chmod(0o755)
        home, port = Path(folder, "postgres"), Port("postgres", "sql", free_port())
        home.mkdir()
        process = await Process.start(postgres.program(home, port, Path(folder, "log"), PASSWORD))
        try:
            await process.wait_ready()
            await asyncio.to_thread(postgres.provision, port.number, PASSWORD, {"customers": PASSWORD})
            url = postgres.database_url("customers", PASSWORD, port.number)
            await asyncio.to_thread(upgrade, url, "services.customers.storage")
            started = time.perf_counter()
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                await asyncio.to_thread(many.fill, connection, SIZE, PERMISSIONS)
            took = time.perf_counter() - started
            print(f"{SIZE.customers:,} customers of {SIZE.employees:,} employees loaded in {took:.0f} s", flush=True)  # noqa: T201
            yield url
        finally:
            await process.stop()


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[Any]:
    """Stubs of the service, which runs in a process of its own, as it does for people."""
    port = free_port()
    with tempfile.NamedTemporaryFile() as key, tempfile.TemporaryFile() as log:
        key.write(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key.flush()
        command = [sys.executable, "-m", "tests.benchmarks.scoped_server", url, str(port), key.name]
        server = subprocess.Popen(command, stdout=log)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await asyncio.wait_for(channel.channel_ready(), 30)
                yield CustomersServiceStub(channel), OwnersServiceStub(channel)
        finally:
            server.terminate()
            server.wait()
            Path(f"{key.name}.encryption").unlink(missing_ok=True)


async def measure(stub: Any, bare: Bare, tags: Sequence[str] = ("", *many.TAGS)) -> None:
    verdicts: list[str] = []
    for asked in [Filter.of_tags(*([tag] if tag else [])) for tag in tags]:
        verdicts += await measure_one(stub, bare, asked, list(PEOPLE), 20.0)
    print(f"the bound holds for {verdicts.count('holds')} of {len(verdicts)} pages", flush=True)  # noqa: T201


async def measure_filters(stub: Any, bare: Bare, filters: Sequence[Filter] = FILTERS) -> None:
    verdicts: list[str] = []
    for asked in filters:
        verdicts += await measure_one(stub, bare, asked, [name for name in FILTERED if name in PEOPLE], 30.0)
    print(f"filtered, the bound holds for {verdicts.count('holds')} of {len(verdicts)} pages", flush=True)  # noqa: T201


async def measure_one(stub: Any, bare: Bare, asked: Filter, names: Sequence[str], most: float) -> list[str]:
    """Whether the bound holds, page by page. `most`: milliseconds that no page may take, however long the bare one."""
    rows = []
    for name in names:
        for sort in SORTS:
            cells: list[str] = []
            for deep in (False, True):
                cells += await cell(stub, bare, PEOPLE[name], sort, asked, most, deep=deep)
            rows.append([name, sort.lower(), *cells])
    part = ["p95", "bare", "at most", ""]
    title = f"ListCustomers, page of {PAGE}, filter {asked.name}; first page, then one deep in the list; ms"
    print_table(title, ["sees", "sort", *part, *part], rows)
    return [row[place] for row in rows for place in (5, 9)]


async def cell(
    stub: Any, bare: Bare, people: Sequence[Person], sort: str, filter_: Filter, limit: float, *, deep: bool
) -> list[str]:
    """Ours, the best bare shape's, what we may take, and whether that holds."""
    asked = []
    for who in people:
        request = pb.ListCustomersRequest(
            sort=pb.CustomerSort.Value(f"CUSTOMER_SORT_{sort}"), filter=pb.CustomerFilter(**filter_.fields)
        )
        after = await bare.middle(who, sort, filter_) if deep else None
        if after:
            request.page_token = next_page_token(request, after)
        asked.append((who, request, who.metadata, after, await bare.best(who, sort, filter_, after)))

    async def one_round(calls: int) -> tuple[float, float]:
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(calls):
            who, request, metadata, after, shape = asked[number % len(asked)]
            ours.append(await timed(lambda: stub.ListCustomers(request, metadata=metadata)))  # noqa: B023
            theirs.append(await timed(lambda: bare.page(shape, who, sort, filter_, after)))  # noqa: B023
        return percentile(ours, 0.95), percentile(theirs, 0.95)

    await one_round(12)  # a statement is prepared, and planned once for all values, after ten calls
    rounds = [await one_round(CALLS) for _ in range(ROUNDS)]
    mine, best = (min(side) for side in zip(*rounds, strict=True))
    most = min(limit, max(3 * best, best + 5))
    return [f"{mine:.1f}", f"{best:.1f}", f"{most:.1f}", "holds" if mine <= most else "MISSES"]


async def run() -> None:
    async with million() as url, serving(url) as (stub, owners):
        connection = await psycopg.AsyncConnection.connect(url.replace("+psycopg", ""), autocommit=True)
        await connection.execute("set statement_timeout = '3s'")
        await measure(stub, Bare(connection))
        await measure_filters(stub, Bare(connection))
        await changes(stub, owners, url, connection)
        await connection.close()
        await search.run(url)


if __name__ == "__main__":
    uvloop.run(run())
    sys.stdout.flush()
