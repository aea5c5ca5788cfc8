"""What every service keeps of customers: their owners, told by events, or asked for once."""

# ruff: noqa: N802  - rpc methods carry the names of the contract

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID

import grpc
import pytest
import pytest_asyncio
from google.type.date_pb2 import Date
from sqlalchemy import func, select, text

from kejing.customers.v1 import customer_pb2, customers_service_pb2, customers_service_pb2_grpc
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from kejing.identity.v1 import events_pb2
from services.shared.access import known_customers as module
from services.shared.access import projection
from services.shared.access.known_customers import KnownCustomers
from services.shared.access.tables import customer_access, customers, departments, directory, employees
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.errors import Unavailable
from services.shared.ids import new_id
from services.shared.rpc.client import channel
from tests.support.eventually import eventually
from tests.support.infrastructure import TestInfrastructure
from tests.support.peers import a_peer
from tests.support.ports import free_port

ADD = customers_service_pb2_grpc.add_CustomersServiceServicer_to_server
CSM, SALES = customer_pb2.OWNER_ROLE_CSM, customer_pb2.OWNER_ROLE_SALES_MANAGER


class Customers(customers_service_pb2_grpc.CustomersServiceServicer):
    """Knows `told`, in pages of two; counts what it is asked, and is away after so many pages."""

    def __init__(self, *told: CustomerFacts) -> None:
        self.told = sorted(told, key=lambda customer: customer.id)
        self.asked: list[list[str]] = []
        self.pages: list[str] = []
        self.away_after = 1000

    async def GetCustomerFacts(self, request: Any, context: Any) -> Any:
        self.asked.append(list(request.customer_ids))
        found = [customer for customer in self.told if customer.id in request.customer_ids]
        return customers_service_pb2.GetCustomerFactsResponse(customers=found)

    async def ListCustomerFacts(self, request: Any, context: Any) -> Any:
        if len(self.pages) >= self.away_after:
            self.away_after = 1000
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        self.pages.append(request.page_token)
        start = int(request.page_token or 0)
        more = start + 2 < len(self.told)
        return customers_service_pb2.ListCustomerFactsResponse(
            customers=self.told[start : start + 2], next_page_token=str(start + 2) if more else ""
        )


def some_customers(*told: CustomerFacts) -> Any:
    return Customers(*told)  # type: ignore[abstract]  # it answers only what is asked here


def a_customer(*owners: tuple[Any, UUID], id_: UUID | None = None, version: int = 1) -> CustomerFacts:
    told = [customer_pb2.Owner(role=role, employee_id=str(employee)) for role, employee in owners]
    return CustomerFacts(id=str(id_ or new_id()), version=version, owners=told)


@pytest_asyncio.fixture
async def db(infrastructure: TestInfrastructure) -> AsyncIterator[Database]:
    async with infrastructure.new_database("identity") as url:
        database = Database(url, utc_now)
        yield database
        await database.close()


async def take(write: Any, _event: Any, payload: CustomersChanged) -> None:
    await projection.put_owners(write, payload.customers)


async def tell(db: Database, *told: CustomerFacts) -> list[UUID]:
    async with db.transaction(actor="machine:test", unscoped="an event of its owner") as write:
        return await projection.put_owners(write, told)


async def owners(db: Database) -> set[tuple[str, str, UUID]]:
    async with db.read(unscoped="all of them") as read:
        rows = await read.execute(select(customer_access))
        return {(str(row.customer_id), row.role, row.employee_id) for row in rows}


# --- owners


async def test_the_owners_that_were_told_last_take_the_place_of_those_before(db: Database) -> None:
    ann, bob = new_id(), new_id()
    before = a_customer((CSM, ann), (SALES, ann))
    id_ = UUID(before.id)
    assert await tell(db, before) == [id_]
    assert await owners(db) == {(before.id, "CSM", ann), (before.id, "SALES_MANAGER", ann)}
    assert await tell(db, a_customer((CSM, bob), id_=id_, version=2)) == [id_]
    assert await owners(db) == {(before.id, "CSM", bob)}
    await tell(db, a_customer(id_=id_, version=3))
    assert await owners(db) == set()


async def test_what_is_told_again_or_late_changes_nothing(db: Database) -> None:
    ann, bob = new_id(), new_id()
    new = a_customer((CSM, bob), version=2)
    old = a_customer((CSM, ann), id_=UUID(new.id), version=1)
    await tell(db, new)
    assert await tell(db, old) == []
    assert await tell(db, new) == []
    assert await tell(db, old, new) == []
    assert await owners(db) == {(new.id, "CSM", bob)}


async def test_of_several_versions_told_at_once_the_newest_counts(db: Database) -> None:
    ann, bob = new_id(), new_id()
    new = a_customer((CSM, bob), version=2)
    await tell(db, new, a_customer((CSM, ann), id_=UUID(new.id), version=1))
    assert await owners(db) == {(new.id, "CSM", bob)}


async def test_owners_hold_from_their_first_to_their_last_day(db: Database) -> None:
    owner = customer_pb2.Owner(role=CSM, employee_id=str(new_id()), valid_from=Date(year=2026, month=3, day=1))
    await tell(db, CustomerFacts(id=str(new_id()), version=1, owners=[owner]))
    async with db.read(unscoped="all of them") as read:
        row = (await read.execute(select(customer_access.c.valid_from, customer_access.c.valid_to))).one()
    assert tuple(row) == (date(2026, 3, 1), date.max)


async def test_two_writers_of_the_same_customers_in_another_order_dont_wait_for_each_other_in_a_ring(
    db: Database,
) -> None:
    told = [a_customer((CSM, new_id())) for _ in range(200)]
    for round_ in range(2, 12):
        for customer in told:
            customer.version = round_
        await asyncio.gather(tell(db, *told), tell(db, *reversed(told)), tell(db, *told[50:], *told[:50]))
    assert len(await owners(db)) == 200


# --- employees and departments


async def test_the_directory_keeps_what_is_newest_whatever_comes_in_which_order(db: Database) -> None:
    id_ = str(new_id())

    def version(number: int) -> events_pb2.EmployeeFacts:
        return events_pb2.EmployeeFacts(id=id_, login=f"l{number}", department_id=id_, role_key="R", version=number)

    for numbers in ([2], [1], [2, 1], [3, 2], [1]):
        async with db.transaction(actor="machine:test") as write:
            await projection.put_employees(write, map(version, numbers))
    async with db.read() as read:
        assert (await read.execute(select(employees.c.login, employees.c.version))).one() == ("l3", 3)
        # the first and the third version were news, nothing else was
        assert (await read.execute(select(directory.c.revision))).scalar_one() == 2


async def test_what_was_deleted_stays_deleted_when_an_older_event_comes_late(db: Database) -> None:
    id_ = new_id()
    for number, deleted in ((2, True), (1, False)):
        told = events_pb2.DepartmentFacts(id=str(id_), path=[str(id_)], version=number, deleted=deleted)
        async with db.transaction(actor="machine:test") as write:
            await projection.put_departments(write, [told])
    async with db.read() as read:
        assert (await read.execute(select(departments.c.deleted))).scalar_one() is True


async def test_writers_of_the_directory_in_another_order_dont_wait_for_each_other_in_a_ring(db: Database) -> None:
    people, places = [new_id() for _ in range(50)], [new_id() for _ in range(50)]

    async def put(number: int, *, backwards: bool) -> None:
        staff = [events_pb2.EmployeeFacts(id=str(id_), login=id_.hex, department_id=str(id_), role_key="R",
                                          version=number) for id_ in people]  # fmt: skip
        tree = [events_pb2.DepartmentFacts(id=str(id_), path=[str(id_)], version=number) for id_ in places]
        async with db.transaction(actor="machine:test") as write:
            if backwards:
                await projection.put_departments(write, reversed(tree))
                await projection.put_employees(write, reversed(staff))
            else:
                await projection.put_employees(write, staff)
                await projection.put_departments(write, tree)

    for number in range(1, 10):
        await asyncio.gather(*(put(number, backwards=side) for side in (True, False, True, False)))
    async with db.read() as read:
        assert (await read.execute(select(func.max(employees.c.version)))).scalar_one() == 9


async def test_a_moved_department_touches_a_row_for_itself_and_each_one_below(db: Database) -> None:
    root, old, new, *below = (new_id() for _ in range(18))

    def tree(parent: UUID, version: int) -> list[events_pb2.DepartmentFacts]:
        moved = [root, parent, below[0]] if parent != root else [root, below[0]]
        paths = [moved, *([*moved, id_] for id_ in below[1:])]
        return [events_pb2.DepartmentFacts(id=str(path[-1]), path=map(str, path), version=version) for path in paths]

    people = [
        events_pb2.EmployeeFacts(id=str(new_id()), department_id=str(id_), role_key="R", version=1)
        for id_ in below
        for _ in range(20)
    ]
    async with db.transaction(actor="machine:test") as write:
        await projection.put_departments(write, tree(old, 1))
        await projection.put_employees(write, people)
    touched = text(
        "select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_xact_user_tables where schemaname = 'kit'"
    )
    async with db.transaction(actor="machine:test") as write:
        before = (await write.execute(touched)).scalar_one()
        await projection.put_departments(write, tree(new, 2))
        assert (await write.execute(touched)).scalar_one() - before == len(below) + 1  # and the revision


# --- asking customers


async def test_an_unknown_customer_is_asked_for_once(db: Database) -> None:
    ann = new_id()
    known, unknown = a_customer((CSM, ann)), a_customer((SALES, ann))
    async with a_peer(ADD, servicer := some_customers(known, unknown)) as peer:
        await tell(db, known)
        ensure = KnownCustomers(db, peer, take).ensure
        ids = [UUID(known.id), UUID(unknown.id), UUID(unknown.id)]
        assert [await ensure(ids), await ensure(ids)] == [True, False]
        assert servicer.asked == [[unknown.id]]
        assert (unknown.id, "SALES_MANAGER", ann) in await owners(db)


async def test_a_customer_that_doesnt_exist_is_asked_for_again_only_later(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_peer(ADD, servicer := some_customers()) as peer:
        known = KnownCustomers(db, peer, take)
        nobody = new_id()
        assert not any([await known.ensure([nobody]) for _ in range(5)])
        assert servicer.asked == [[str(nobody)]]
        monkeypatch.setattr(module, "UNKNOWN_SECONDS", 0.0)
        servicer.told.append(a_customer((CSM, new_id()), id_=nobody))
        assert await known.ensure([nobody])


async def test_many_unknown_customers_are_asked_for_in_parts(db: Database) -> None:
    told = [a_customer((CSM, new_id())) for _ in range(1001)]
    async with a_peer(ADD, servicer := some_customers(*told)) as peer:
        assert await KnownCustomers(db, peer, take).ensure([UUID(customer.id) for customer in told])
    assert [len(ids) for ids in servicer.asked] == [500, 500, 1]
    assert len(await owners(db)) == 1001


async def test_while_customers_is_away_only_who_needs_it_is_asked_to_wait(db: Database) -> None:
    known = a_customer((CSM, new_id()))
    await tell(db, known)
    nobody = channel(f"127.0.0.1:{free_port()}")
    ensure = KnownCustomers(db, nobody, take).ensure
    assert not await ensure([UUID(known.id)])
    with pytest.raises(Unavailable) as refusal:
        await ensure([new_id()])
    assert refusal.value.reason == "CUSTOMER_UNCONFIRMED"
    await nobody.close()


async def test_a_fresh_database_takes_all_customers_over_once_and_goes_on_where_it_was_after_an_outage(
    db: Database,
) -> None:
    told = [a_customer((CSM, new_id())) for _ in range(5)]
    async with a_peer(ADD, servicer := some_customers(*told)) as peer:
        servicer.away_after = 2
        await KnownCustomers(db, peer, take).sync_first()
        assert servicer.pages == ["", "2", "4"]
        await KnownCustomers(db, peer, take).sync_first()
        assert servicer.pages == ["", "2", "4"]
    async with db.read() as read:
        assert (await read.execute(select(func.count()).select_from(customers))).scalar_one() == 5


async def test_the_first_takeover_waits_until_customers_is_there(db: Database) -> None:
    port = free_port()
    early = channel(f"127.0.0.1:{port}")
    waiting = asyncio.create_task(KnownCustomers(db, early, take).sync_first())
    await asyncio.sleep(0)
    async with a_peer(ADD, some_customers(a_customer((CSM, new_id()))), port):

        async def done() -> bool:
            return waiting.done()

        await eventually(done)
    await early.close()
    assert len(await owners(db)) == 1
