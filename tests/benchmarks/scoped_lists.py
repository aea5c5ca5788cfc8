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
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import jwt
import psycopg
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.local import postgres
from deploy.local.ports import Port
from deploy.local.process import Process
from kejing.common.v1 import permission_pb2
from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.customer_pb2 import OWNER_ROLE_CSM, Owner
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.owners_service_pb2 import ChangeOwnersRequest
from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
from kejing.health.v1 import health_pb2
from kejing.identity.v1.events_pb2 import DepartmentFacts
from services.customers.storage.list_statements import SORTS
from services.customers.storage.tables import metadata
from services.shared.access.ids import Ids
from services.shared.access.projection import put_departments
from services.shared.db import Database, Write
from services.shared.db.migrate import upgrade
from services.shared.db.paging import next_page_token
from services.shared.rpc.tokens import AUDIENCE, ISSUER
from tests.benchmarks import search
from tests.benchmarks.measure import percentile, print_table, timed
from tests.benchmarks.scoped_server import KEY_ID, NOW
from tests.support import many_customers as many
from tests.support.many_customers import Size
from tests.support.ports import free_port

SIZE = Size()
TODAY = date(2026, 11, 22)
PAGE = 50
CALLS = int(os.environ.get("KEJING_BENCH_CALLS", "24"))
ROUNDS = 5
PASSWORD = "bench"
PERMISSIONS: list[int] = [permission_pb2.PERMISSION_CUSTOMERS_READ, permission_pb2.PERMISSION_OWNERS_MANAGE]
KEY = Ed25519PrivateKey.generate()


@dataclass(frozen=True)
class Person:
    """Who asks, and the employees whose customers he sees; None: everybody's."""

    id: UUID
    employees: Ids | None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(self.id), "sid": "bench", "exp": int(time.time()) + 7200}
        token = jwt.encode(claims, KEY, algorithm="EdDSA", headers={"kid": KEY_ID})
        return (("authorization", f"Bearer {token}"),)


def department(level: int, number: int) -> Person:
    theirs = many.members(level, number, SIZE)
    head = many.head(level, number) if level < many.LEVELS else many.employee(next(n for n in theirs if n % 4))
    return Person(head, Ids(many.employee(n) for n in theirs))


PEOPLE = {
    "OWN": [Person(many.employee(n), Ids([many.employee(n)])) for n in (0, 40, 80, 120)],
    "level 5": [department(5, n) for n in (0, 9, 33, 77)],
    "level 4": [department(4, n) for n in (0, 1)],
    "level 3": [department(3, n) for n in (0, 1)],
    "level 2": [department(2, n) for n in (0, 1)],
    "level 1": [department(1, 0)],
    "ALL": [Person(many.sees_all(), None)],
    "level 3, newest": [department(3, many.newest(3))],
    "level 2, newest": [department(2, many.newest(2))],
}


@dataclass(frozen=True)
class Filter:
    """What a list is filtered by: as the rpc's fields, and as labels and the beginning of names."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    prefix: str = ""
    without_health: bool = False

    @classmethod
    def of_tags(cls, *tags: str) -> "Filter":
        return cls(" + ".join(tags) or "(none)", {"tags": tags}, tuple(f"t:{tag}" for tag in tags))


SEGMENT = Filter("segment", {"segment_id": str(many.SEGMENT)}, (f"s:{many.SEGMENT.hex}",))
FILTERS = [
    Filter("prefix of 4,000", {"name_prefix": "a1"}, prefix="a1"),
    Filter("prefix of 60,000", {"name_prefix": "b"}, prefix="b"),
    Filter.of_tags("some", "often"),
    Filter.of_tags("rare", "often"),
    SEGMENT,
    Filter("segment + tag", {**SEGMENT.fields, "tags": ["some"]}, (*SEGMENT.labels, "t:some")),
    Filter("group", {"group_id": str(many.GROUP)}, (f"g:{many.GROUP.hex}",)),
    Filter("at risk", {"health_status": health_pb2.HEALTH_STATUS_AT_RISK}, ("h:AT_RISK",)),
    Filter("too little data", {"health_status": health_pb2.HEALTH_STATUS_INSUFFICIENT_DATA}, ("h:INSUFFICIENT_DATA",)),
    Filter("never computed", {"health_status": health_pb2.HEALTH_STATUS_NOT_COMPUTED}, without_health=True),
]
FILTERED = ("OWN", "level 4", "level 2", "ALL", "level 3, newest")
"""Who asks with filters."""


class Bare:
    """The shapes of SQL, by psycopg, on prepared statements."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def page(self, shape: str, who: Person, sort: str, asked: Filter, after: Sequence[Any] | None) -> list[Any]:
        """`shape`: merge, walk or gather, and the label that it begins with."""
        how, _, lead = shape.partition(" ")
        column = SORTS[sort].column
        table = "owned_customers" if how == "merge" else "labels" if lead else "customers"
        id_ = "id" if table == "customers" else "customer_id"
        where = [f"contract_end_key >= '{TODAY}'", *([f"s.label = '{lead}'"] if table != "customers" else [])]
        where += [
            f"(select true from labels l where l.customer_id = s.{id_} and l.label = '{label}')"
            for label in asked.labels
            if label != lead
        ]
        valid = f"valid_from <= '{TODAY}' and valid_to >= '{TODAY}'"
        if asked.prefix:
            where.append(f"s.name >= '{asked.prefix}' and s.name < '{asked.prefix}\U0010ffff'")
        if asked.without_health:
            where.append(f"(select health_status is null from customers c where c.id = s.{id_})")
        if after:
            where.append(f"({column}, {id_}) > (%(key)s, %(id)s)")
        if how != "merge" and who.employees is not None:
            where.append(
                f"""(select true from kit.customer_access a where a.customer_id = s.{id_}
                and a.employee_id = any(%(employees)s) and {valid} limit 1)"""
            )
        rows = f"select {column} as key, {id_} as id from {table} s where {' and '.join(where)}"
        order = f"order by {column}, {id_} limit {PAGE + 1}"
        query = f"{rows} {order}"
        if how == "gather":
            query = f"with found as materialized ({rows}) select * from found order by key, id limit {PAGE + 1}"
        if how == "merge":
            query = f"""select distinct key, id from unnest(%(employees)s) e (employee)
                cross join lateral ({rows} and employee_id = employee and {valid} {order}) l
                order by key, id limit {PAGE + 1}"""
        values: dict[str, Any] = {"key": after[0], "id": after[1]} if after else {}
        if who.employees is not None:
            values["employees"] = who.employees
        return await (await self._connection.execute(query.encode(), values, prepare=True)).fetchall()

    async def best(self, who: Person, sort: str, asked: Filter, after: Sequence[Any] | None) -> str:
        """The fastest shape for this page."""
        leads = asked.labels or ("",)
        shapes = [f"walk {lead}" for lead in leads]
        if asked.prefix or asked.without_health:
            shapes.append("gather ")
        if who.employees is not None:
            shapes += [f"merge {label}" for label in ("", *asked.labels) if not label.startswith(("s:", "h:"))]
        found: dict[str, float] = {}
        for shape in shapes:
            try:
                took = [await timed(lambda: self.page(shape, who, sort, asked, after)) for _ in range(4)]  # noqa: B023
            except psycopg.errors.QueryCanceled:
                continue
            found[shape] = min(took)
        return min(found, key=found.__getitem__)

    async def middle(self, who: Person, sort: str, asked: Filter) -> list[Any]:
        """(value, id) of a customer in the middle of the list, or of that of one of the employees."""
        column = SORTS[sort].column
        label = next((label for label in asked.labels if not label.startswith(("s:", "h:"))), "")
        if who.employees is None:
            pick = f"select {column}, customer_id from owned_customers where label = '{label}' limit 1000"
        else:
            pick = f"""select {column}, customer_id from owned_customers
                       where label = '{label}' and employee_id = '{who.employees[0]}'"""
        middle = f"""select * from ({pick}) l order by 1, 2
                     offset (select count(*) / 2 from ({pick}) n) limit 1"""
        rows = await (await self._connection.execute(middle.encode())).fetchall()
        return list(rows[0]) if rows else [SORTS[sort].first, UUID(int=0)]


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


async def changes(stub: Any, owners: Any, url: str, bare: psycopg.AsyncConnection[Any]) -> None:
    """How long a change of one owner, and the move of a department, take until lists show them."""
    customer_id = (await (await bare.execute("select id from customers limit 1")).fetchall())[0][0]
    taker = Person(many.employee(4), Ids())  # sees what he owns
    everybody = Person(many.sees_all(), None)
    owner = Owner(role=OWNER_ROLE_CSM, employee_id=str(many.employee(4)))
    change = ChangeOwnersRequest(request_id=str(uuid4()), customer_ids=[str(customer_id)], owner=owner)

    async def shows(who: Person, owner: int) -> int:
        request = pb.CountCustomersRequest(filter=pb.CustomerFilter(owner_id=str(many.employee(owner))))
        return int((await stub.CountCustomers(request, metadata=who.metadata)).customers)

    before = await shows(taker, 4)
    changing = await timed(lambda: owners.ChangeOwners(change, metadata=everybody.metadata))
    looking = await timed(lambda: shows(taker, 4))
    after = await shows(taker, 4)
    rows = [["owner of 1 customer: answered", f"{changing:.0f} ms"],
            ["shown in his list", f"at once ({before} → {after}), counted in {looking:.0f} ms"]]  # fmt: skip

    head, moved = department(3, 1), many.members(4, 0, SIZE)
    before = await shows(head, moved[0])  # those that somebody of his owns as well
    path = [many.department(level, number) for level, number in ((1, 0), (2, 0), (3, 1), (4, 0))]
    facts = [DepartmentFacts(id=str(path[-1]), path=map(str, path), version=2)]
    for number in range(many.BRANCHES):
        below = many.department(5, number)
        facts.append(DepartmentFacts(id=str(below), path=map(str, [*path, below]), version=2))
    db = Database(url, lambda: NOW, metadata)
    async with db.transaction(actor="machine:bench") as write:
        earlier = await written(write)  # of what the connection did before, too
        await put_departments(write, facts)
        now = await written(write)
    more = {table: count - earlier.get(table, 0) for table, count in now.items()}
    touched = ", ".join(f"{table} {count}" for table, count in more.items() if count)
    started = time.perf_counter()
    async with asyncio.timeout(10):
        while await shows(head, moved[0]) == before:
            await asyncio.sleep(0.01)
    took = (time.perf_counter() - started) * 1000
    rows += [[f"department of {len(moved)} employees moved: rows written", touched],
             ["its new head sees their customers after", f"{took:.0f} ms"]]  # fmt: skip
    print_table("Changes, until lists show them", ["change", ""], rows)


async def written(write: Write) -> dict[str, int]:
    """Rows written, by table."""
    rows = await write.connection.exec_driver_sql(
        """select schemaname || '.' || relname as name, n_tup_ins + n_tup_upd + n_tup_del as count
           from pg_stat_xact_user_tables
           where n_tup_ins + n_tup_upd + n_tup_del > 0 order by 1"""
    )
    return {row["name"]: row["count"] for row in rows.mappings()}


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
