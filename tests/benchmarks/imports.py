"""An import of customers through the service, beside a bare `insert … select … on conflict` from a table that holds the
rows already, into the same tables and indexes: `python -m tests.benchmarks.imports [ROWS]`.

Ours begins with the upload of the file and ends when all events are in the outbox; the relay publishes them meanwhile.
The service runs in a process of its own, on a Postgres with the settings that people have.
"""

import asyncio
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import psutil
import psycopg
import uvloop
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.local import nats, postgres
from deploy.local.ports import Port
from deploy.local.process import Process
from kejing.common.v1 import permission_pb2
from kejing.customers.v1 import imports_service_pb2 as pb
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from services.shared.db.migrate import upgrade
from tests.benchmarks.callers import KEY, metadata
from tests.benchmarks.measure import print_table
from tests.support.ports import free_port

ROWS = 1_000_000
PASSWORD = "bench"
PERSON = UUID(int=7)
STANDARD = ("external_id", "name", "short_name", "industry", "region", "kind", "size", "value_tier", "seats",
            "first_sign_date", "last_contract_end", "credit_code")  # fmt: skip
CUSTOM = ("channel", "language", "plan", "account_manager", "billing_cycle", "currency", "remark", "score")
DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
LEAST_SHARE, LEAST_AGAIN, MOST_MEMORY = 0.5, 1.5, 300


def csv_file(rows: int) -> bytes:
    """A file of 20 columns, about 240 bytes a row."""
    text = io.StringIO()
    text.write(",".join((*STANDARD, *CUSTOM)) + "\n")
    for n in range(rows):
        day = f"20{10 + n % 15}-{1 + n % 12:02d}-{1 + n % 28:02d}"
        text.write(
            f"E{n:09d},上海青云第{n}科技有限公司,青云{n},行业 {n % 40},上海市浦东新区,ENTERPRISE,"
            f"{n % 9}00,tier {n % 4},{n % 5000},{day},20{30 + n % 9}-12-31,{credit_code(n)},"
            f"agent {n % 50},zh-CN,plan {n % 7},manager {n % 300},monthly,CNY,a remark of some length {n},{n % 1000}\n"
        )
    return text.getvalue().encode()


def credit_code(n: int) -> str:
    """A unified social credit code (GB 32100) with its check character."""
    body = f"91310115{n:09d}"
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
    total = sum(DIGITS.index(digit) * weight for digit, weight in zip(body, weights, strict=True))
    return body + DIGITS[(31 - total) % 31]


@asynccontextmanager
async def databases() -> AsyncIterator[tuple[str, str, str]]:
    """URLs of the service's migrated database, of another one for the bare side, and of NATS."""
    with tempfile.TemporaryDirectory(prefix="kejing-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        sql, events = Port("postgres", "sql", free_port()), Port("nats", "nats", free_port())
        for part in ("postgres", "nats"):
            (folder / part).mkdir()
        programs = [
            postgres.program(folder / "postgres", sql, folder / "postgres.log", PASSWORD),
            nats.program(folder / "nats", events, folder / "nats.log", {"customers": PASSWORD}),
        ]
        processes = [await Process.start(program) for program in programs]
        try:
            for process in processes:
                await process.wait_ready()
            urls = []
            for database in ("customers", "bare"):
                await asyncio.to_thread(postgres.provision, sql.number, PASSWORD, {database: PASSWORD})
                urls.append(postgres.database_url(database, PASSWORD, sql.number))
                await asyncio.to_thread(upgrade, urls[-1], "services.customers.storage")
            prepare(urls[0])
            yield urls[0], urls[1], nats.url("customers", PASSWORD, events.number)
        finally:
            for process in processes:
                await process.stop()


def prepare(url: str) -> None:
    """One employee who may import, and the custom attributes of the file."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        department = UUID(int=1)
        connection.execute("insert into kit.departments values (%s, %s::ltree, false, 1)", (department, department.hex))
        connection.execute(
            "insert into kit.employees values (%s, 'all', 'All', %s, null, 'ALL', true, null, 1)", (PERSON, department)
        )
        permission = int(permission_pb2.PERMISSION_CUSTOMERS_IMPORT)
        connection.execute("insert into kit.roles values ('ALL', array[%s]::integer[], 'ALL', false, 1)", (permission,))
        connection.execute("update kit.directory set revision = revision + 1, synced_at = now()")
        for key in CUSTOM:
            connection.execute(
                """insert into attributes (key, label, purpose, type, required, personal, options, minimum, maximum,
                                           pattern, version, created_at)
                   values (%s, %s, 'bench', %s, false, false, '[]', '', '', '', 1, now())""",
                (key, key, "NUMBER" if key == "score" else "TEXT"),
            )


@asynccontextmanager
async def serving(url: str, nats_url: str) -> AsyncIterator[tuple[Any, psutil.Process]]:
    """A stub of the service, and its process."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        key = Path(folder, "key")
        key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        command = [sys.executable, "-m", "tests.benchmarks.import_server", url, nats_url, str(port), str(key)]
        server = subprocess.Popen(command, stdout=log)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await asyncio.wait_for(channel.channel_ready(), 30)
                yield ImportsServiceStub(channel), psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait()


async def bring(stub: Any, process: psutil.Process, content: bytes) -> tuple[pb.Import, float, float]:
    """The import that ended, the seconds it took, and the most memory in MB that the service held meanwhile."""
    columns = {name: pb.ColumnMapping(column=name) for name in (*STANDARD, *CUSTOM)}
    start = pb.ImportStart(
        request_id=str(uuid4()), source="bench", kind=pb.IMPORT_KIND_CUSTOMERS, mapping=pb.Mapping(columns=columns)
    )

    async def parts() -> AsyncIterator[pb.UploadFileRequest]:
        yield pb.UploadFileRequest(start=start)
        for position in range(0, len(content), 1024 * 1024):
            yield pb.UploadFileRequest(data=content[position : position + 1024 * 1024])

    most = 0.0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, process.memory_full_info().pss / 1e6)
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    run = getattr(await stub.UploadFile(parts(), metadata=metadata(str(PERSON))), "import")
    uploaded = time.perf_counter() - began
    request = pb.AdvanceImportRequest(import_id=run.id)
    while run.state == pb.IMPORT_STATE_RUNNING:
        run = getattr(await stub.AdvanceImport(request, metadata=metadata("machine:processes")), "import")
    took = time.perf_counter() - began
    watching.cancel()
    assert (run.state, run.rejected) == (pb.IMPORT_STATE_DONE, 0), run
    print(f"  {run.rows_read:,} rows in {took:.1f} s, uploaded in {uploaded:.1f} s", flush=True)  # noqa: T201
    return run, took, most


def bare(url: str, content: bytes) -> float:
    """Seconds of an upsert of the same rows, which lie in a table, into an empty customers table."""
    names = [*STANDARD, *CUSTOM]
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("truncate customers cascade")
        connection.execute("drop table if exists loaded")
        columns = ", ".join(f"{name} text" for name in names)
        connection.execute(f"create unlogged table loaded (line bigserial, {columns})".encode())
        copy_in = f"copy loaded ({', '.join(names)}) from stdin (format csv, header)".encode()
        with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
            copy.write(content)
        connection.execute("analyze loaded")
        values = {name: name for name in STANDARD} | {
            name: f"{name}::date" for name in ("first_sign_date", "last_contract_end")
        }
        values["seats"] = "seats::integer"
        values["attributes"] = "jsonb_build_object(" + ", ".join(f"'{name}', {name}" for name in CUSTOM) + ")"
        sets = ", ".join(f"{name} = excluded.{name}" for name in values if name != "external_id")
        began = time.perf_counter()
        connection.execute(
            f"""insert into customers (id, number, number_key, source, contract_end_version, version, created_at,
                                       updated_at, {", ".join(values)})
                select uuidv7(), 'CUS20261122' || line, line, 'bench', 0, 1, now(), now(), {", ".join(values.values())}
                from loaded
                on conflict (external_id) do update set {sets}""".encode()
        )
        return time.perf_counter() - began


async def run(rows: int = ROWS) -> None:
    tenth, whole = csv_file(rows // 10), csv_file(rows)
    async with databases() as (url, bare_url, nats_url), serving(url, nats_url) as (stub, process):
        _, _, small = await bring(stub, process, tenth)
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("truncate customers, kit.outbox cascade")
        best = await asyncio.to_thread(bare, bare_url, whole)
        _, first, large = await bring(stub, process, whole)
        _, again, _ = await bring(stub, process, whole)
    share = best / first
    print_table(
        f"An import of {rows:,} customers with 20 columns, {len(whole) / 1e6:.0f} MB of CSV",
        ["", "rows/s", ""],
        [
            ["bare upsert from a loaded table", f"{rows / best:,.0f}", ""],
            ["import, from the upload on", f"{rows / first:,.0f}", f"{share:.0%} of bare (at least {LEAST_SHARE:.0%})"],
            ["the same file again", f"{rows / again:,.0f}", f"{first / again:.1f} times (at least {LEAST_AGAIN})"],
            [f"memory of the service, {rows // 10:,} rows", "", f"{small:.0f} MB"],
            [f"memory of the service, {rows:,} rows", "", f"{large:.0f} MB (at most {MOST_MEMORY})"],
        ],
    )


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
