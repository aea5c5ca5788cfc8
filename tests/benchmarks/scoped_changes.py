"""How long a change of an owner, and the move of a department, take until lists show them."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import psycopg

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.customer_pb2 import OWNER_ROLE_CSM, Owner
from kejing.customers.v1.owners_service_pb2 import ChangeOwnersRequest
from kejing.identity.v1.events_pb2 import DepartmentFacts
from services.customers.storage.tables import metadata
from services.shared.access.ids import Ids
from services.shared.access.projection import put_departments
from services.shared.db import Database, Write
from tests.benchmarks.bare_lists import SIZE, Person, department
from tests.benchmarks.measure import print_table, timed
from tests.benchmarks.scoped_server import NOW
from tests.support import many_customers as many


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
