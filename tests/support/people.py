"""Calls of employees, and what single services know of owners and deputies, told to them without the others."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from google.type.date_pb2 import Date

from kejing.customers.v1 import customer_pb2
from kejing.customers.v1.events_pb2 import CustomerFacts
from kejing.identity.v1.employee_pb2 import Deputy, Employee
from services.shared.access.projection import put_deputies, put_owners
from services.shared.clock import business_date, utc_now
from services.shared.ids import new_id
from services.shared.rpc.client import ACTING_FOR
from tests.support.services import RunningServices

ZONE = ZoneInfo("Asia/Shanghai")
ROLES = (customer_pb2.OWNER_ROLE_CSM, customer_pb2.OWNER_ROLE_ANALYST, customer_pb2.OWNER_ROLE_SALES_MANAGER)


def to_day(days: int) -> Date:
    """The day that lies so many days after today; the past is negative."""
    day = business_date(utc_now(), ZONE) + timedelta(days=days)
    return Date(year=day.year, month=day.month, day=day.day)


async def stub_of(services: RunningServices, stub_class: Any, person: Employee) -> Any:
    """A stub whose calls the person makes."""
    return await services.stub(stub_class, f"employee:{person.login}")


def acting_for(absent: Employee) -> tuple[tuple[str, str], ...]:
    """Metadata of a deputy who acts for the absent one."""
    return ((ACTING_FOR, absent.id),)


def owned_by(employee_ids: Iterable[str], customer_id: str = "", version: int = 1, **more: Any) -> CustomerFacts:
    """A customer whom these employees own, each in another role; `more`: other facts of his."""
    facts = CustomerFacts(id=customer_id or str(new_id()), version=version, **more)
    facts.external_id = facts.external_id or f"X-{facts.id}"
    facts.created_at.FromDatetime(utc_now() - timedelta(days=400))
    for role, employee_id in zip(ROLES, employee_ids, strict=False):
        facts.owners.add(role=role, employee_id=employee_id)
    return facts


async def tell_owners(services: RunningServices, name: str, *facts: CustomerFacts) -> None:
    """The service knows from now on who owns these customers."""
    async with services.db(name).transaction(actor="machine:test", unscoped="told by a test") as write:
        await put_owners(write, facts)


async def tell_deputy(
    services: RunningServices, name: str, absent: str, deputy: str, first: int = -1, last: int = 1, **more: Any
) -> Deputy:
    """The service knows from now on that `deputy` stands in from `first` to `last`, in days from today."""
    told = Deputy(**{"id": str(new_id()), "version": 1, "from": to_day(first), **more},
                  absent_id=absent, deputy_id=deputy, until=to_day(last))  # fmt: skip
    async with services.db(name).transaction(actor="machine:test") as write:
        await put_deputies(write, [told])
    return told


async def end_deputy(services: RunningServices, name: str, told: Deputy) -> None:
    """The service knows from now on that the deputyship is over."""
    ended = Deputy()
    ended.CopyFrom(told)
    ended.deleted, ended.version = True, told.version + 1
    async with services.db(name).transaction(actor="machine:test") as write:
        await put_deputies(write, [ended])
